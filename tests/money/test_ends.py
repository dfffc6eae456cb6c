"""However a gateway ends, its books close: SIGTERM under load books everything, a killed worker holds nothing on."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway_process import eventually, provider, running
from tests.money.books import FOR_ONE_WORD, Books, check_equal, written
from tests.money.callers import Answer, Caller, chat

STOP, MOVING, WHOLE = 70, 50, 20

SCRIPT = f"""
models: [tiny]
replies:
  - when: {{contains: stop}}
    text: " again"
    repeat: 30
    usage: {{input_tokens: {FOR_ONE_WORD}}}
    delay: {{first: 0.02, chunk: 0.02}}
    fault: {{kind: hang, after_chunks: 21}}
  - {{when: {{contains: whole}}, text: " again again", usage: {{input_tokens: 7}}, delay: {{head: 0.9}}}}
  - {{when: {{contains: never}}, text: " again again", usage: {{input_tokens: 7}}, delay: {{head: 60}}}}
  - {{when: {{contains: soon}}, text: " again again"}}
  - text: " again"
    repeat: 8
    usage: {{input_tokens: 7}}
    delay: {{first: 0.1, chunk: 0.1}}
"""


async def begin(caller: Caller, name: str, calls: int, **more: Any) -> list[asyncio.Task[Answer]]:
    return [asyncio.create_task(caller.post(chat(name, user=f"{name}-{number}", **more))) for number in range(calls)]


def are_sent(books: Books, calls: int) -> bool:
    found = books.attempts()
    return len(found) == calls and all(attempt.sent_at is not None for attempt in found)


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
async def test_sigterm_under_load_books_every_call_as_billed(tmp_path: Path, workers: int) -> None:
    server = "  shutdown: {delay: 0, grace: 1.5}\n"
    with (
        provider(tmp_path, SCRIPT) as up,
        running(tmp_path, "--workers", str(workers), config=written(tmp_path, up, server=server)) as gateway,
    ):
        caller, books = Caller(gateway.port, gateway.key), Books.of(gateway, up)
        stop = await begin(caller, "stop", STOP, stream=True)
        await asyncio.to_thread(eventually, lambda: gateway.metric("gateway_streams") == STOP)
        await asyncio.sleep(0.5)  # they have said all that they will say
        moving = await begin(caller, "moving", MOVING, stream=True)
        whole = await begin(caller, "whole", WHOLE)
        never = await begin(caller, "never", 1)
        await asyncio.to_thread(eventually, lambda: are_sent(books, 141))
        gateway.send(signal.SIGTERM)
        assert await asyncio.to_thread(gateway.ended) == 0
        for answer in await asyncio.gather(*moving):
            assert answer.data.endswith(b"data: [DONE]\n\n")
        for answer in await asyncio.gather(*whole):
            assert answer.status == 200 and answer.ended
        for answer in await asyncio.gather(*stop, *never):
            assert b"[DONE]" not in answer.data
        await asyncio.to_thread(eventually, lambda: len(books.bill()) == 141)
        users = set()
        for attempt, line in books.pairs():
            user = attempt.reservation.user
            users.add(user)
            assert (user, attempt.state) == (user, "estimated" if user.startswith(("stop", "never")) else "settled")
            assert attempt.settlement is not None and attempt.settlement.cost_nano is not None
            if not user.startswith("never"):
                check_equal(attempt, line)
        assert len(users) == 141


BUDGETS = """
budgets:
  - {scope: "team:default", usd: 0.01/total, concurrency: 3}
"""


async def test_a_worker_that_is_killed_while_it_holds_gives_its_leases_back(tmp_path: Path) -> None:
    with (
        provider(tmp_path, SCRIPT) as up,
        running(tmp_path, "--workers", "2", config=written(tmp_path, up, more=BUDGETS)) as gateway,
    ):
        caller, books = Caller(gateway.port, gateway.key), Books.of(gateway, up)
        calls = await begin(caller, "never", 3, max_tokens=2)
        await asyncio.to_thread(eventually, lambda: gateway.metric("gateway_in_flight_requests") == 3)
        await asyncio.to_thread(eventually, lambda: are_sent(books, 3))
        assert (await caller.post(chat("soon", max_tokens=2))).code() == "concurrency_exceeded"
        for pid in gateway.children():
            os.kill(pid, signal.SIGKILL)
        assert {answer.status for answer in await asyncio.gather(*calls)} == {0}

        def is_back() -> bool:
            with suppress(httpx.TransportError):
                return gateway.chat("soon", model="tiny", max_tokens=2).status_code == 200
            return False

        await asyncio.to_thread(eventually, is_back, 20)
        await asyncio.to_thread(books.closed, within_s=40)
        lost = [attempt for attempt in books.attempts() if attempt.reservation.user.startswith("never")]
        assert [attempt.state for attempt in lost] == ["unknown"] * 3
        held = sum(attempt.reservation.held_nano or 0 for attempt in lost)
        known = sum(
            attempt.settlement.cost_nano or 0
            for attempt in books.attempts()
            if attempt.settlement is not None and attempt.state == "settled"
        )
        await asyncio.to_thread(eventually, lambda: books.budgets()["team:default concurrency"].held == 0, 5)
        dollars = books.budgets()["team:default usd/total"]
        assert dollars.lost == held, "the provider may bill what was held"
        assert dollars.spent == held + known
        assert dollars.held <= dollars.cap // 32, "what the new workers have to spare, nothing of the old ones"
