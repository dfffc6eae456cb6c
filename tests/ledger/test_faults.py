"""A full disk, a lock that somebody holds, an fsync that fails: refused before dialling, and nothing earned is lost."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from gateway.errors import Unavailable
from gateway.ledger import Ledger, Reader, Ticket
from gateway.ledger.file import LedgerFile
from gateway.ledger.upgrade import upgrade
from gateway.ledger.writer import RETRY_S
from loadtest.kill_child import micros
from tests.ledger.records import reservation, settlement


async def _eventually_reserved(ledger: Ledger, request_id: str) -> Ticket:
    async with asyncio.timeout(10.0):
        while True:
            with suppress(Unavailable):
                ticket = ledger.reserve(reservation(request_id))
                await ticket
                return ticket
            await asyncio.sleep(0.05)


async def _stalls(until: asyncio.Event) -> list[float]:
    """How much later than asked the loop woke, in seconds, sorted; asked for every 5 ms."""
    late = []
    while not until.is_set():
        began = time.perf_counter()
        await asyncio.sleep(0.005)
        late.append(time.perf_counter() - began - 0.005)
    return sorted(late)


# Somebody holds the lock


@pytest.mark.parametrize("held_s", [2.0, pytest.param(30.0, marks=[pytest.mark.slow, pytest.mark.timeout(120)])])
async def test_while_the_file_is_locked_calls_are_refused_and_ends_are_kept(
    path: Path, reader: Reader, held_s: float
) -> None:
    ledger = Ledger.open(path, micros, patience_s=0.5)
    before = ledger.reserve(reservation("before"))
    await before
    before.sent(micros())
    over = asyncio.Event()
    watching = asyncio.create_task(_stalls(over))
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        waited = time.perf_counter()
        first = ledger.reserve(reservation("first"))
        with pytest.raises(Unavailable) as refused:
            await first
        assert time.perf_counter() - waited < 1.0
        assert (refused.value.code, refused.value.status) == ("ledger_unavailable", 503)
        assert not first.settle(settlement()), "what was refused has ended"
        assert before.settle(settlement())
        ends = time.perf_counter() + held_s
        refusals = 0
        while time.perf_counter() < ends:
            with pytest.raises(Unavailable):
                await ledger.reserve(reservation("during"))
            refusals += 1
            await asyncio.sleep(0.02)
        assert refusals > 2
        holder.execute("ROLLBACK")
    await _eventually_reserved(ledger, "after")
    over.set()
    late = await watching
    assert late[len(late) * 99 // 100] <= 0.050, "the loop stalled"
    assert await ledger.close()
    assert reader.request("before")[0].state == "settled"
    assert {attempt.state for attempt in reader.request("first") + reader.request("during")} <= {"void"}
    assert reader.verify().faults == ()


async def test_a_sibling_that_hangs_in_its_turn_holds_up_no_caller_and_no_loop(path: Path, reader: Reader) -> None:
    ledger = Ledger.open(path, micros, patience_s=0.3)
    await ledger.reserve(reservation("before"))
    over = asyncio.Event()
    watching = asyncio.create_task(_stalls(over))
    turn = os.open(f"{path}-turn", os.O_RDWR)
    fcntl.flock(turn, fcntl.LOCK_EX)
    with pytest.raises(Unavailable, match=r"for 0\.3 s"):
        await ledger.reserve(reservation("during"))
    os.close(turn)
    over.set()
    late = await watching
    assert late[len(late) * 99 // 100] <= 0.050
    await _eventually_reserved(ledger, "after")
    assert await ledger.close()
    assert [attempt.state for attempt in reader.request("during")] == ["void"]


async def test_a_lock_that_goes_away_soon_is_waited_out(path: Path) -> None:
    ledger = Ledger.open(path, micros)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        ticket = ledger.reserve(reservation())
        await asyncio.sleep(0.3)
        holder.execute("ROLLBACK")
    await ticket
    assert await ledger.close()


async def test_a_ledger_that_cannot_write_closes_in_time_and_says_so(path: Path) -> None:
    ledger = Ledger.open(path, micros)
    ticket = ledger.reserve(reservation())
    await ticket
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        ticket.settle(settlement())
        began = time.perf_counter()
        assert not await ledger.close(timeout_s=0.5)
        assert time.perf_counter() - began < 2.0


# The disk is full


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


async def test_a_full_disk_refuses_calls_before_dialling_keeps_ends_and_recovers(small_disk: Path) -> None:
    ledger = Ledger.open(small_disk / "ledger.db", micros)
    open_before = [ledger.reserve(reservation(f"before-{number}")) for number in range(200)]
    for ticket in open_before:
        await ticket
        ticket.sent(micros())
    _fill(small_disk / "ballast")
    admitted = [request_id for number in range(200) if (request_id := await _try(ledger, f"full-{number}"))]
    assert len(admitted) < 200, "the disk was not full"
    assert ledger.state().error
    began = time.perf_counter()
    with pytest.raises(Unavailable) as refused:
        ledger.reserve(reservation("refused"))
    assert time.perf_counter() - began < 0.01
    assert refused.value.code == "ledger_unavailable"
    for ticket in open_before:
        assert ticket.settle(settlement(cost_nano=5))
    await asyncio.sleep(2 * RETRY_S)
    (small_disk / "ballast").unlink()
    await _eventually_reserved(ledger, "after")
    assert ledger.state().error == ""
    assert await ledger.close()
    reader = Reader(small_disk / "ledger.db")
    audit = reader.verify()
    assert (audit.cost_nano, audit.faults) == (200 * 5, ())
    assert {attempt.state for number in range(200) for attempt in reader.request(f"before-{number}")} == {"settled"}
    refusals = {f"full-{number}" for number in range(200)} - set(admitted)
    assert {attempt.state for name in refusals for attempt in reader.request(name)} <= {"void"}


async def _try(ledger: Ledger, request_id: str) -> str | None:
    try:
        ticket = ledger.reserve(reservation(request_id))
        await ticket
    except Unavailable:
        return None
    ticket.settle(settlement(state="void", cost_nano=0))
    return request_id


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


# fsync fails


def test_after_an_fsync_that_failed_the_file_is_checked_and_nothing_acknowledged_is_lost(
    path: Path, service: Callable[[str], Path]
) -> None:
    run = service("fiu-run")
    control = service("fiu-ctrl")
    child = [sys.executable, "-m", "tests.ledger.fsync_child", str(path), str(control)]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [run, "-x", *child],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    reader = Reader(path)
    assert reader.verify().faults == ()
    states = {attempt.reservation.request_id: attempt.state for attempt in reader.list().attempts}
    assert states.pop("during", "void") == "void", "refused, and at most in the file by accident"
    assert states == {"before": "settled", "after": "settled"}


# Something is in the way at the start


def test_a_ledger_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_bytes(b"not a database, but dear to somebody" * 100)

    async def work() -> None:
        with pytest.raises(Unavailable, match="cannot be opened"):
            Ledger.open(path, micros)

    asyncio.run(work())
    assert path.read_bytes().startswith(b"not a database")


def test_after_a_failure_a_ledger_that_was_moved_away_is_not_replaced_by_an_empty_one(path: Path) -> None:
    upgrade(path)
    file = LedgerFile(path)
    shutil.move(path, path.with_name("elsewhere.db"))
    with pytest.raises(sqlite3.OperationalError):
        file.reopen()
    assert not path.exists()
    file.close()
