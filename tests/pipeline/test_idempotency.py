"""`Idempotency-Key`: one call, one bill, however often it is sent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.errors import BrokenReply
from tests.pipeline.test_bytes import DONE, ROLE, STOP, TEXT
from tests.pipeline.world import CONFIG, HELLO, SSE, World

ONE = [("idempotency-key", "one")]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_retry_gets_the_first_answer_byte_for_byte_and_is_not_billed(world: World, stream: bool) -> None:
    spy = world.spy()
    first = await world.chat(sent={"stream": stream}, headers=ONE)
    again = await world.chat(sent={"stream": stream}, headers=ONE)
    assert first.body == again.body and first.status == again.status == 200 and len(spy.requests) == 1
    assert again.header("idempotent-replayed") == "true" and first.header("idempotent-replayed") is None
    assert again.header("content-type") == first.header("content-type")
    assert again.header("x-request-id") != first.header("x-request-id")
    assert [line["output_tokens"] for line in world.log.lines] == [world.log.lines[0]["output_tokens"], None]
    assert world.runtime.metrics.idempotent_replays.value == 1
    world.check_idle()


async def test_the_same_key_for_another_call_is_refused(world: World) -> None:
    await world.chat(headers=ONE)
    other = await world.chat(content="something else", headers=ONE)
    assert (other.status, other.code) == (409, "idempotency_key_reused")
    assert (await world.post("/completions", HELLO, headers=ONE)).status == 409


async def test_each_api_key_has_idempotency_keys_of_its_own(world: World) -> None:
    spy = world.spy()
    await world.chat(headers=ONE)
    await world.chat(headers=ONE, key=world.new_key())
    assert len(spy.requests) == 2


async def test_two_at_once_are_one_call(world: World) -> None:
    spy = world.spy()
    answers = await asyncio.gather(*[world.chat(headers=ONE) for _ in range(4)])
    assert len({answer.body for answer in answers}) == 1 and len(spy.requests) == 1
    assert len(world.log.lines) == 4


async def test_a_call_in_progress_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.api.idempotent.WAIT_S", 0.01)
    world.canned(None)
    working = asyncio.create_task(world.chat(headers=ONE))
    await asyncio.sleep(0.1)
    answer = await world.chat(headers=ONE)
    assert (answer.status, answer.code, answer.header("retry-after")) == (409, "idempotency_in_progress", "1")
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    world.check_idle()


@pytest.mark.parametrize(
    ("steps", "more"),
    [
        ((BrokenReply("cut"),), {}),
        ((b"{}",), {"status": 500}),
        ((b'{"error":{"message":"x"}}',), {"status": 400}),
        ((ROLE, BrokenReply("cut")), {"headers": SSE}),
        ((ROLE, TEXT), {"headers": SSE}),
    ],
)
async def test_a_failure_is_forgotten_so_that_a_retry_runs(world: World, steps: Any, more: Any) -> None:
    world.canned(*steps, **more)
    await world.chat(sent={"stream": True}, headers=ONE)
    world.canned(ROLE, STOP, DONE, headers=SSE)
    again = await world.chat(sent={"stream": True}, headers=ONE)
    assert again.status == 200 and again.body == ROLE + STOP + DONE and again.header("idempotent-replayed") is None


async def test_a_call_whose_client_left_is_worked_to_its_end(world: World) -> None:
    spy = world.spy()
    first = await world.chat(headers=ONE, leave_after=0)
    again = await world.chat(headers=ONE)
    assert first.body == again.body and len(spy.requests) == 1


async def test_an_answer_too_large_to_keep_is_not_made_twice(tmp_path: Any) -> None:
    world = World(tmp_path, CONFIG + "idempotency: {max_bytes: 100}\n")
    try:
        await world.chat(headers=ONE)
        again = await world.chat(headers=ONE)
        assert (again.status, again.code) == (409, "idempotency_reply_too_large")
    finally:
        await world.close()


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "\xe9"])
async def test_a_key_that_is_none_is_refused(world: World, key: str) -> None:
    answer = await world.chat(headers=[("idempotency-key", key)])
    assert (answer.status, answer.code) == (400, "invalid_idempotency_key")
    assert world.line["code"] == "invalid_idempotency_key"


async def test_a_refused_call_leaves_nothing_behind(world: World) -> None:
    assert (await world.post("/chat/completions", b"{", headers=ONE)).code == "invalid_json"
    assert (await world.chat(headers=ONE)).status == 200
    assert (await world.chat(headers=ONE, key="gw-nobody")).status == 401
