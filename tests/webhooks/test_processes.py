"""Several processes on one outbox: each event once, and nothing lost with one that is killed."""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

from gateway.webhooks import webhooks as timing
from gateway.webhooks.outbox import Outbox
from tests.webhooks.conftest import Clock, Make, Receiver, answer, endpoint, event, receiving, turned

ROOT = Path(__file__).parents[2]


async def started(url: str, receiver: Receiver, count: int, do: str) -> Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.webhooks.emitter_child", url, str(receiver.port), str(count), do),
        stdin=PIPE,
        stdout=PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert await process.stdout.readline()
    return process


async def test_what_two_processes_see_is_told_once(url: str) -> None:
    async with receiving() as receiver:
        processes = await asyncio.gather(*(started(url, receiver, 40, "run") for _ in range(2)))
        await receiver.arrived(40)
        await asyncio.sleep(1.5)  # more than a look
        for process in processes:
            await process.communicate(b"\n")
    assert [process.returncode for process in processes] == [0, 0]
    ids = [headers["webhook-id"] for headers, _ in receiver.requests]
    assert sorted(ids) == sorted({event(str(number)).id for number in range(40)})


async def test_what_was_written_down_survives_kill_9(url: str, make: Make, clock: Clock) -> None:
    async with receiving(None) as receiver:
        killed = await started(url, receiver, 6, "wait")
        await receiver.arrived(4)  # four attempts are at work, two wait
        killed.kill()
        await killed.wait()
        receiver.answers = [answer(204)]
        receiver.requests.clear()
        one = endpoint(receiver.port, timeout_s=0.5)
        successor = make(one)
        clock.now = time.time()
        await turned(successor)
        assert len(receiver.requests) == 2  # those that nobody had claimed
        clock.now += 2 * one.timeout_s + timing.SLACK_S
        await turned(successor)
    assert {headers["webhook-id"] for headers, _ in receiver.requests} == {event(str(number)).id for number in range(6)}
    assert len(receiver.requests) == 6


@pytest.mark.parametrize("after_s", [0.0, 60.0])
def test_a_claim_holds_for_as_long_as_an_attempt_may_take_and_then_lapses(url: str, after_s: float) -> None:
    box = Outbox(url)
    one = endpoint(1)
    box.add([event()], [one], 1000.0)
    claim_s = 2 * one.timeout_s + timing.SLACK_S
    wanted = {one.id: (4, claim_s)}
    (claim,) = box.claim(1000.0, wanted)
    assert box.claim(1000.0 + claim_s - 0.01, wanted) == []
    (again,) = box.claim(1000.0 + claim_s + after_s, wanted)
    box.postpone(claim, None, 1000.0, "timeout", 0)  # the first comes back late, and has nothing to say any more
    assert box.find()[0].state == "pending"
    box.deliver(claim, 1000.0, 200)  # unless it did arrive
    box.postpone(again, None, 1000.0, "timeout", 0)
    assert box.find(("delivered",))[0].outcome == "ok"
    box.close()
