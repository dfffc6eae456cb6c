"""Killed processes lose nothing that was acknowledged, and every attempt that the provider billed is in the ledger."""

from __future__ import annotations

import asyncio
import multiprocessing
from pathlib import Path

import pytest

from gateway.ledger import Ledger, Reader
from loadtest import kill_ledger
from loadtest.kill_child import STEPS, micros
from tests.ledger.records import reservation, settlement


async def test_twenty_kills_at_named_steps_and_at_random_leave_the_books_whole(tmp_path: Path) -> None:
    outcome = await kill_ledger.run(tmp_path, kills=20, seed=20261123)
    assert outcome.faults == []
    assert outcome.kills == 20 and outcome.billed > 0
    assert set(outcome.by_step) == {*STEPS, "random time"}


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_thousand_kills_leave_the_books_whole(tmp_path: Path) -> None:
    outcome = await kill_ledger.run(tmp_path, kills=1000, seed=1)
    assert outcome.faults == []
    assert outcome.in_doubt > 0, "no kill hit a call in flight: this would show nothing"


CALLS = 5000


def _write(path: Path, name: str) -> None:
    async def work() -> None:
        ledger = Ledger.open(path, micros, patience_s=10.0)

        async def caller(number: int) -> None:
            for call in range(CALLS // 50):
                ticket = ledger.reserve(reservation(f"{name}-{number}-{call}"))
                await ticket
                ticket.sent(micros())
                ticket.settle(settlement(cost_nano=3))

        await asyncio.gather(*[caller(number) for number in range(50)])
        assert await ledger.close()

    asyncio.run(work())


def test_two_processes_that_write_at_once_lose_nothing_and_balance(path: Path, reader: Reader) -> None:
    context = multiprocessing.get_context("forkserver")
    processes = [context.Process(target=_write, args=(path, name)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(50)
        assert process.exitcode == 0
    audit = reader.verify()
    assert (audit.attempts, audit.in_flight, audit.cost_nano, audit.faults) == (2 * CALLS, 0, 6 * CALLS, ())
