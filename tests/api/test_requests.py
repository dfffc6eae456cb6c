"""`GET /v1/requests/{id}`: the caller's own calls, whatever became of them, and nobody else's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.booking import micros
from gateway.errors import BrokenReply, UpstreamTimeout
from gateway.model.record import Reservation, Settlement
from tests.pipeline.test_bytes import ROLE, TEXT
from tests.pipeline.world import CONFIG, SSE, Answer, World

PRICES = """
- {provider: p, model: m, from: 2026-01-01, usd_per_million: {input: 1, cache_read: 0.1, output: 4}}
- {provider: q, model: "*", from: 2026-01-01, usd_per_million: {input: 10, output: 40}}
- {provider: p, model: m-at-the-provider, from: 2026-01-01, usd_per_unit: {input_audio_minutes: 0.006}}
"""
TOLD = (
    b'{"model":"m-1","choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}],"usage":'
    b'{"prompt_tokens":7,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":5}}}'
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path, CONFIG, prices=PRICES)
    yield made
    await made.close()


async def look(world: World, request_id: str | None, **more: Any) -> Answer:
    return await world.call("GET", f"/v1/requests/{request_id}", **more)


async def of(world: World, answer: Answer) -> Any:
    found = await look(world, answer.header("x-request-id"))
    assert found.status == 200, found.body
    return found.json


async def test_all_that_is_known_of_a_call(world: World) -> None:
    world.canned(TOLD)
    names = [("x-gateway-tags", "tier=gold,feature=chat"), ("x-gateway-session", "s-1"), ("x-gateway-agent", "a")]
    answer = await world.chat(sent={"user": "ada"}, headers=names)
    found = await of(world, answer)
    [attempt] = found.pop("attempts")
    assert found.pop("created") == pytest.approx(time.time(), abs=60)
    price = [
        {"meter": "input", "quantity": 2, "usd_per_million": "1.00", "cost_usd": "0.000002"},
        {"meter": "cache_read", "quantity": 5, "usd_per_million": "0.10", "cost_usd": "0.0000005"},
        {"meter": "output", "quantity": 3, "usd_per_million": "4.00", "cost_usd": "0.000012"},
    ]
    usage = {
        "input_tokens": 7,
        "output_tokens": 3,
        "cache_read_tokens": 5,
        "cache_write_tokens": 0,
        "reasoning_tokens": 0,
        "source": "provider",
    }
    assert found == {
        "id": answer.header("x-request-id"),
        "object": "request",
        "endpoint": "/v1/chat/completions",
        "model": "m",
        "stream": False,
        "state": "settled",
        "usage": usage,
        "cost_usd": "0.0000145",
        "price": price,
        "user": "ada",
        "session": "s-1",
        "agent": "a",
        "tags": ["feature=chat", "tier=gold"],
        "prompt": None,
        "verdicts": [],
        "risk": None,
    }
    assert answer.header("x-gateway-cost-usd") == "0.0000145"
    assert (attempt["attempt"], attempt["kind"], attempt["provider"], attempt["deployment"]) == (1, "first", "p", "m")
    assert (attempt["status"], attempt["code"], attempt["answering_model"]) == (200, None, "m-1")
    assert (attempt["usage"], attempt["price"], attempt["cost_usd"]) == (usage, price, "0.0000145")
    assert attempt["price_source"].endswith("prices.yaml:2") and attempt["unpriced"] is None
    assert 0 <= attempt["time_to_first_token_s"] <= attempt["latency_s"] < 5
    assert float(attempt["at_most_usd"]) > 0.0000145


async def test_the_cost_is_that_of_all_attempts(world: World) -> None:
    world.canned(UpstreamTimeout("first_byte", 2), status=0)
    world.canned(TOLD, provider="q")
    found = await of(world, await world.chat("fallback"))
    assert [(one["state"], one["cost_usd"]) for one in found["attempts"]] == [
        ("estimated", "0.000008"),
        ("settled", "0.00019"),
    ]
    assert (found["state"], found["cost_usd"], found["model"]) == ("settled", "0.000198", "fallback")


async def test_a_cost_that_is_not_known_makes_the_sum_unknown(world: World) -> None:
    world.canned(b'{"usage":{"prompt_tokens":1,"completion_tokens":1}}')
    found = await of(world, await world.chat("renamed"))
    assert found["cost_usd"] is None and found["usage"]["input_tokens"] == 1
    [attempt] = found["attempts"]
    assert attempt["unpriced"] and attempt["price_source"] is None


async def test_what_was_refused_costs_nothing(world: World) -> None:
    world.canned(b"{}", status=400)
    found = await of(world, await world.chat())
    assert (found["state"], found["cost_usd"], found["usage"], found["price"]) == ("void", "0.00", None, [])
    assert (found["attempts"][0]["status"], found["attempts"][0]["code"]) == (400, "provider_error")


async def test_an_estimate_says_so(world: World) -> None:
    world.canned(ROLE, TEXT, BrokenReply("cut"), headers=SSE)
    found = await of(world, await world.chat(sent={"stream": True}))
    assert (found["state"], found["usage"]["source"], found["stream"]) == ("estimated", "estimated", True)


async def test_a_price_by_the_hour_has_none_for_a_million(world: World) -> None:
    world.canned(b'{"text":"a","duration":60}')
    found = await of(world, await world.post("/rerank", {"model": "renamed", "query": "x", "documents": []}))
    assert [(line["meter"], line["usd_per_million"], line["cost_usd"]) for line in found["price"]] == [
        ("input_audio_seconds", None, "0.006")
    ]


async def test_a_call_that_runs_is_there_without_an_end(world: World) -> None:
    world.canned(None)
    call = asyncio.create_task(world.chat())
    for _ in range(100):
        listed = world.runtime.reader.list().attempts
        if listed and listed[0].state == "sent":
            break
        await asyncio.sleep(0.02)
    found = (await look(world, listed[0].reservation.request_id)).json
    assert (found["state"], found["cost_usd"], found["usage"]) == ("sent", None, None)
    assert found["attempts"][0]["status"] is None
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_a_call_is_its_key_s_and_not_its_team_s(world: World) -> None:
    answer = await world.chat()
    mine, other = await look(world, answer.header("x-request-id")), world.new_key()
    theirs = await look(world, answer.header("x-request-id"), key=other)
    unknown = await look(world, "req_nothing", key=other)
    assert mine.status == 200 and theirs.status == unknown.status == 404
    assert theirs.error == unknown.error and theirs.code == "not_found"
    assert (await look(world, answer.header("x-request-id"), key=None)).status == 401


async def test_of_an_id_that_two_keys_share_each_sees_its_own(world: World) -> None:
    """Ids are ours and random; that they do not repeat is not what keeps keys apart."""
    answer = await world.chat()
    request_id = answer.header("x-request-id") or ""
    other = Reservation(
        request_id=request_id,
        attempt=2,
        began_at=micros(),
        endpoint="/v1/chat/completions",
        key_id="another",
        provider="q",
        deployment="m",
        model="m",
    )
    ticket = world.runtime.ledger.reserve(other)
    await ticket
    ticket.settle(Settlement(state="void", ended_at=micros(), cost_nano=0))
    await world.settle_down()
    found = await of(world, answer)
    assert [one["provider"] for one in found["attempts"]] == ["p"]


@pytest.mark.parametrize("id", ["%00", "'%20OR%201=1--", "%FF", "x" * 5000, "%E2%80%AE", "*", "%25"])
async def test_an_id_of_any_shape_is_one_that_is_not_there(world: World, id: str) -> None:
    await world.chat()
    world.log.lines.clear()
    assert (await look(world, id)).status == 404
    assert world.line["status"] == 404


async def test_to_look_is_no_call_of_a_provider(world: World) -> None:
    answer = await world.chat()
    for _ in range(3):
        await of(world, answer)
    assert len(await world.attempts()) == 1
    answer = await world.call("POST", f"/v1/requests/{answer.header('x-request-id')}", b"{}", headers=[])
    assert answer.status == 405
