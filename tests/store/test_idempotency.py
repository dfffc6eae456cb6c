"""A call that is sent again is answered again, not made again: across workers, crashes and full disks."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest, Unavailable
from gateway.store.idempotency import (
    Fresh,
    Idempotency,
    InProgress,
    Mismatch,
    Outcome,
    Replay,
    Tape,
    Unreplayable,
    digest,
    parse_key,
    refusal,
)
from tests.store.conftest import Clock

CALL = digest("POST", "/v1/chat/completions", b'{"model":"demo"}')
OTHER = digest("POST", "/v1/chat/completions", b'{"model":"other"}')
HEADERS = [(b"content-type", b"application/json"), (b"x-odd", b"\xff\x80")]

Opener = Callable[..., Idempotency]


@pytest.fixture
def opener(tmp_path: Path, clock: Clock) -> Iterator[Opener]:
    """Opens the database as one worker does; each call is another worker."""
    opened: list[Idempotency] = []

    def open_(**settings: object) -> Idempotency:
        worker = Idempotency(f"sqlite:///{tmp_path}/replies.db", **{"clock": clock, **settings})  # type: ignore[arg-type]
        opened.append(worker)
        return worker

    yield open_
    for worker in opened:
        worker.close()


async def fresh(worker: Idempotency, key: str = "k", call: bytes = CALL) -> Fresh:
    outcome = await worker.begin("caller", key, call)
    assert isinstance(outcome, Fresh)
    return outcome


def rename(folder: Path, table: str, to: str) -> None:
    """Take the table out of the database's reach, or put it back."""
    with sqlite3.connect(folder / "replies.db") as connection:
        connection.execute(f"ALTER TABLE {table} RENAME TO {to}")
    connection.close()


def killable(url: str) -> subprocess.Popen[str]:
    """Another process, which has begun the call and holds its lease."""
    code = (
        "import asyncio, sys; from gateway.store.idempotency import Idempotency\n"
        "async def main():\n"
        "    worker = Idempotency(sys.argv[1], lease_s=1.0, beat_s=0.2)\n"
        f"    print(type(await worker.begin('caller', 'k', {CALL!r})).__name__, flush=True)\n"
        "    await worker.run()\n"
        "asyncio.run(main())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "Fresh\n"
    return process


@asynccontextmanager
async def running(worker: Idempotency) -> AsyncIterator[None]:
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_first_runs_and_every_later_one_gets_its_answer_on_any_worker(opener: Opener) -> None:
    one, two = opener(), opener()
    await one.complete(await fresh(one), 200, HEADERS, b"\x00 answer")
    for worker in (one, two, one):
        assert await worker.begin("caller", "k", CALL) == Replay(200, HEADERS, b"\x00 answer")


async def test_an_error_that_was_answered_is_answered_again(opener: Opener) -> None:
    worker = opener()
    await worker.complete(await fresh(worker), 502, [], b"")
    assert await worker.begin("caller", "k", CALL) == Replay(502, [], b"")


async def test_keys_of_different_callers_do_not_meet(opener: Opener) -> None:
    worker = opener()
    await worker.complete(await fresh(worker), 200, [], b"secret")
    assert isinstance(await worker.begin("other caller", "k", CALL), Fresh)
    assert isinstance(await worker.begin("caller\0", "k", CALL), Fresh)


async def test_another_call_under_the_same_key_is_a_mismatch_while_running_and_after(opener: Opener) -> None:
    worker = opener()
    mine = await fresh(worker)
    assert await worker.begin("caller", "k", OTHER) == Mismatch()
    await worker.complete(mine, 200, [], b"")
    assert await worker.begin("caller", "k", OTHER) == Mismatch()


async def test_one_at_work_is_in_progress_to_all_others(opener: Opener) -> None:
    one, two = opener(), opener()
    await fresh(one)
    assert await one.begin("caller", "k", CALL) == InProgress()
    assert await two.begin("caller", "k", CALL) == InProgress()


async def test_one_who_waits_gets_the_answer_soon_after_it_is_there(opener: Opener) -> None:
    one, two = opener(), opener()
    mine = await fresh(one)
    waiting = asyncio.create_task(two.begin("caller", "k", CALL, wait_s=10))
    await asyncio.sleep(0.1)
    await one.complete(mine, 200, [], b"answer")
    began = time.monotonic()
    assert await waiting == Replay(200, [], b"answer")
    assert time.monotonic() - began < 1


async def test_waiting_has_an_end(opener: Opener) -> None:
    worker = opener()
    await fresh(worker)
    began = time.monotonic()
    assert await worker.begin("caller", "k", CALL, wait_s=0.12) == InProgress()
    assert 0.1 < time.monotonic() - began < 2


async def test_a_call_that_never_reached_the_provider_may_run_again_at_once(opener: Opener) -> None:
    one, two = opener(), opener()
    mine = await fresh(one)
    waiting = asyncio.create_task(two.begin("caller", "k", CALL, wait_s=10))
    await asyncio.sleep(0.1)
    await one.forget(mine)
    began = time.monotonic()
    assert isinstance(await waiting, Fresh)
    assert time.monotonic() - began < 1


async def test_of_fifty_at_once_on_four_workers_exactly_one_runs(opener: Opener) -> None:
    workers = [opener() for _ in range(4)]
    outcomes = await asyncio.gather(*(workers[n % 4].begin("caller", "k", CALL) for n in range(50)))
    assert sum(isinstance(outcome, Fresh) for outcome in outcomes) == 1
    assert sum(outcome == InProgress() for outcome in outcomes) == 49


async def test_a_reply_over_the_cap_refuses_a_retry_rather_than_billing_it(opener: Opener) -> None:
    worker = opener(reply_limit=10)
    await worker.complete(await fresh(worker, "fits"), 200, [], b"x" * 10)
    await worker.complete(await fresh(worker, "large"), 200, [], b"x" * 11)
    await worker.complete(await fresh(worker, "cut"), 200, [], None)
    assert await worker.begin("caller", "fits", CALL) == Replay(200, [], b"x" * 10)
    assert await worker.begin("caller", "large", CALL) == Unreplayable()
    assert await worker.begin("caller", "cut", CALL) == Unreplayable()


async def test_a_lease_is_renewed_as_long_as_its_process_lives(opener: Opener, clock: Clock) -> None:
    one, two = opener(), opener()
    await fresh(one)
    for _ in range(5):
        clock.now += 8
        await one.beat()
        assert await two.begin("caller", "k", CALL) == InProgress()


async def test_after_a_death_exactly_one_retry_takes_over_when_the_lease_lapses(opener: Opener, clock: Clock) -> None:
    dead, one, two = opener(), opener(), opener()
    ghost = await fresh(dead)
    clock.now += 9.9
    assert await one.begin("caller", "k", CALL) == InProgress()
    clock.now += 0.2
    assert await one.begin("caller", "k", OTHER) == Mismatch()
    outcomes = await asyncio.gather(*(worker.begin("caller", "k", CALL) for worker in (one, two) * 10))
    assert sum(isinstance(outcome, Fresh) for outcome in outcomes) == 1

    await dead.complete(ghost, 200, [], b"from the grave")
    await dead.forget(ghost)
    assert await two.begin("caller", "k", CALL) == InProgress()


async def test_a_process_killed_at_work_blocks_a_retry_no_longer_than_its_lease(tmp_path: Path) -> None:
    """With real processes and a real clock; the lease is cut to a second for the test's sake."""
    url = f"sqlite:///{tmp_path}/replies.db"
    victim = await asyncio.to_thread(killable, url)
    worker = Idempotency(url, lease_s=1.0)
    assert await worker.begin("caller", "k", CALL, wait_s=1.5) == InProgress()
    victim.send_signal(signal.SIGKILL)
    began = time.monotonic()
    outcome: Outcome = await worker.begin("caller", "k", CALL, wait_s=10)
    assert isinstance(outcome, Fresh)
    assert time.monotonic() - began < 3
    victim.communicate()
    worker.close()


async def test_after_24_hours_a_key_is_new_again_and_its_row_goes(opener: Opener, clock: Clock, tmp_path: Path) -> None:
    worker = opener()
    for number in range(450):  # more than two batches
        await worker.complete(await fresh(worker, str(number)), 200, [], b"")
    clock.now += 24 * 3600 - 1
    assert await worker.purge() == 0
    assert isinstance(await worker.begin("caller", "0", CALL), Replay)
    clock.now += 1
    assert isinstance(await worker.begin("caller", "0", OTHER), Fresh)
    assert await worker.purge() == 449


async def test_deleted_replies_leave_no_trace_in_the_files(opener: Opener, clock: Clock, tmp_path: Path) -> None:
    worker = opener()
    for number in range(20):
        await worker.complete(await fresh(worker, str(number)), 200, [], b"canary" * 5000)
    clock.now += 24 * 3600
    await worker.purge()
    worker.close()
    assert b"canarycanary" not in (tmp_path / "replies.db").read_bytes()
    assert not (tmp_path / "replies.db-wal").exists()


async def test_an_answer_that_cannot_be_written_is_never_bought_twice(opener: Opener, tmp_path: Path) -> None:
    worker = opener()
    mine = await fresh(worker)
    rename(tmp_path, "idempotency", "away")
    await worker.complete(mine, 200, [], b"answer")
    assert "1 unwritten" in repr(worker)
    with pytest.raises(Unavailable):
        await worker.beat()
    rename(tmp_path, "away", "idempotency")
    await worker.beat()
    assert await worker.begin("caller", "k", CALL) == Unreplayable()
    assert "0 at work, 0 unwritten" in repr(worker)


async def test_forgetting_without_a_database_leaves_the_row_to_lapse(
    opener: Opener, tmp_path: Path, clock: Clock
) -> None:
    worker = opener()
    mine = await fresh(worker)
    rename(tmp_path, "idempotency", "away")
    await worker.forget(mine)
    rename(tmp_path, "away", "idempotency")
    await worker.beat()
    assert await worker.begin("caller", "k", CALL) == InProgress()
    clock.now += 10
    assert isinstance(await worker.begin("caller", "k", CALL), Fresh)


async def test_a_client_that_leaves_while_it_begins_leaves_nothing_behind(opener: Opener) -> None:
    worker = opener()
    for _ in range(20):
        task = asyncio.create_task(worker.begin("caller", "k", CALL))
        await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    for _ in range(100):
        outcome = await worker.begin("caller", "k", CALL)
        if isinstance(outcome, Fresh):
            break
        await asyncio.sleep(0.01)
    assert isinstance(outcome, Fresh)
    assert "1 at work" in repr(worker)


async def test_an_answer_is_written_to_its_end_though_the_client_leaves(opener: Opener) -> None:
    worker = opener()
    mine = await fresh(worker)
    task = asyncio.create_task(worker.complete(mine, 200, [], b"answer"))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert await worker.begin("caller", "k", CALL, wait_s=5) == Replay(200, [], b"answer")


async def test_without_its_database_nothing_runs_under_a_key(opener: Opener, tmp_path: Path) -> None:
    worker = opener()
    rename(tmp_path, "idempotency", "away")
    with pytest.raises(Unavailable):
        await worker.begin("caller", "k", CALL)


async def test_its_background_work_goes_on_after_an_error(opener: Opener, tmp_path: Path, clock: Clock) -> None:
    worker = opener(beat_s=0.02)
    mine = await fresh(worker)
    async with running(worker):
        rename(tmp_path, "idempotency", "away")
        await asyncio.sleep(0.1)
        rename(tmp_path, "away", "idempotency")
        clock.now += 9
        await asyncio.sleep(0.2)
        clock.now += 9
        assert await worker.begin("caller", "k", CALL) == InProgress()
        await worker.complete(mine, 200, [], b"")


@pytest.mark.parametrize(
    ("outcome", "code", "retry_after_s"),
    [
        (InProgress(), "idempotency_in_progress", 1),
        (Mismatch(), "idempotency_key_reused", None),
        (Unreplayable(), "idempotency_reply_too_large", None),
    ],
)
def test_each_refusal_is_a_409_that_says_what_to_do(
    outcome: InProgress | Mismatch | Unreplayable, code: str, retry_after_s: int | None
) -> None:
    error = refusal(outcome)
    assert (error.status, error.code, error.retry_after_s) == (409, code, retry_after_s)
    assert "Idempotency-Key" in error.message


@pytest.mark.parametrize("value", [b"a", b"8e03978e-40d5-43dd-bc93-6894a57f9324", b" padded ", b"x" * 255])
def test_a_key_of_up_to_255_printable_characters_is_taken(value: bytes) -> None:
    assert parse_key(value) == value.decode().strip()


@pytest.mark.parametrize("value", [b"", b"  ", b"x" * 256, b"a\nb", b"a\0", "é".encode(), b"\xff"])
def test_any_other_key_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_key(value)
    assert caught.value.code == "invalid_idempotency_key"


def test_the_digest_tells_calls_apart_by_method_path_and_body() -> None:
    calls = [
        ("POST", "/a", b"x"),
        ("PUT", "/a", b"x"),
        ("POST", "/b", b"x"),
        ("POST", "/a", b"y"),
        ("POST", "/ax", b""),
    ]
    assert len({digest(*call) for call in calls}) == len(calls)


@given(st.lists(st.binary(max_size=20)), st.integers(min_value=0, max_value=60))
def test_a_tape_gives_back_all_it_was_fed_or_nothing(parts: list[bytes], limit: int) -> None:
    tape = Tape(limit)
    for part in parts:
        tape.feed(part)
    whole = b"".join(parts)
    assert tape.body() == (whole if len(whole) <= limit else None)
