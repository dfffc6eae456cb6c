"""What a dead process left open ends exactly once, and rightly; what a living one has open is left alone."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.ledger import Ledger, Reader
from gateway.ledger.file import LedgerFile
from gateway.ledger.owners import RING, claim, claim_number
from gateway.ledger.recovery import recover
from loadtest.kill_child import micros
from tests.ledger.records import reservation, settlement

CONTEXT = multiprocessing.get_context("forkserver")


def _leave_open(path: Path) -> None:
    """Reserve three; send one and wait until that is durable, send another and die at once, never send the third."""

    async def work() -> None:
        ledger = Ledger.open(path, micros)
        tickets = [ledger.reserve(reservation(name)) for name in ("sent", "just sent", "never sent")]
        for ticket in tickets:
            await ticket
        tickets[0].sent(micros())
        await ledger.reserve(reservation("later"))
        tickets[1].sent(micros())
        os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(work())


def _open_and_close(path: Path) -> None:
    async def work() -> None:
        await Ledger.open(path, micros).close()

    asyncio.run(work())


def _run(*works: Callable[[Path], None], path: Path) -> list[int | None]:
    processes = [CONTEXT.Process(target=work, args=(path,)) for work in works]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    return [process.exitcode for process in processes]


def _states(reader: Reader) -> dict[str, str]:
    return {attempt.reservation.request_id: attempt.state for attempt in reader.list().attempts}


def test_after_a_kill_what_was_sent_is_unknown_and_the_rest_void(path: Path, reader: Reader) -> None:
    assert _run(_leave_open, path=path) == [-signal.SIGKILL]
    assert reader.depth() == 4
    assert _run(_open_and_close, path=path) == [0]
    assert _states(reader) == {"sent": "unknown", "just sent": "unknown", "never sent": "void", "later": "void"}
    assert {a.settlement.code for a in reader.list().attempts if a.settlement} == {"process_lost"}
    assert reader.verify().faults == ()


def test_gateways_that_start_at_once_end_it_once(path: Path, reader: Reader) -> None:
    _run(_leave_open, path=path)
    assert _run(*[_open_and_close] * 3, path=path) == [0, 0, 0]
    audit = reader.verify()
    assert (audit.attempts, audit.in_flight, audit.faults) == (4, 0, ())
    assert sum(row["attempts"] for row in reader.sums(from_day=0, to_day=10**6, by=["day"])) == 4


def test_a_running_gateway_ends_what_a_sibling_left_open(path: Path, reader: Reader) -> None:
    _run(_leave_open, path=path)
    file, own = LedgerFile(path), claim_number(path, 1)
    assert own is not None
    assert recover(file, own, micros()) == 4
    assert recover(file, own, micros()) == 0
    own.close()
    file.close()
    assert reader.verify().in_flight == 0


def test_after_the_machine_has_booted_nobody_knows_what_was_sent(path: Path, reader: Reader) -> None:
    _run(_leave_open, path=path)
    marks = Path(f"{path}-owner-0")
    data = marks.read_bytes()
    marks.write_bytes(b"another boot".ljust(64, b"\0") + data[64:])
    _run(_open_and_close, path=path)
    assert set(_states(reader).values()) == {"unknown"}


async def test_a_living_sibling_keeps_what_it_has_open(path: Path, reader: Reader) -> None:
    first = Ledger.open(path, micros)
    ticket = first.reserve(reservation())
    await ticket
    second = Ledger.open(path, micros)
    assert [attempt.state for attempt in reader.list().attempts] == ["reserved"]
    ticket.settle(settlement())
    assert await first.close() and await second.close()
    assert [attempt.state for attempt in reader.list().attempts] == ["settled"]


async def test_what_is_open_when_a_gateway_closes_is_ended_by_the_next(path: Path, reader: Reader) -> None:
    ledger = Ledger.open(path, micros)
    ticket = ledger.reserve(reservation())
    await ticket
    ticket.sent(micros())
    await ledger.close()
    await Ledger.open(path, micros).close()
    assert _states(reader) == {"req_1": "unknown"}


def test_a_number_has_one_holder_and_comes_back(path: Path) -> None:
    first, second = claim(path), claim(path)
    assert (first.number, second.number) == (0, 1)
    assert claim_number(path, 0) is None
    first.close()
    third = claim(path)
    assert third.number == 0
    second.close()
    third.close()


def test_the_ring_keeps_the_latest_marks(path: Path) -> None:
    owner = claim(path)
    assert owner.sent() is None
    owner.reset()
    assert owner.sent() == frozenset()
    for number in range(1, RING + 11):
        owner.mark(number)
    assert owner.sent() == frozenset(range(11, RING + 11))
    owner.close()


@pytest.mark.parametrize("kept", ["-owner-0", "-turn", "-upgrade"])
def test_the_files_beside_the_ledger_are_for_their_owner_only(path: Path, kept: str) -> None:
    _open_and_close(path)
    assert Path(f"{path}{kept}").stat().st_mode & 0o777 == 0o600
