"""However an attempt ends, it leaves one row with the right state and cost, and nothing held in any budget."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.booking import micros
from gateway.errors import BrokenReply, GatewayError, Unavailable, Unreachable, UpstreamTimeout
from gateway.ledger import Ledger, Reader
from gateway.model.caller import Caller
from gateway.model.price import dollars
from gateway.model.record import Attempt, Reservation, Settlement
from gateway.model.route import Candidate, Timeouts
from tests.pipeline.test_bytes import DONE, LAST, ROLE, STOP, TEXT, USAGE
from tests.pipeline.world import CONFIG, JSON, MULTIPART, SSE, Canned, Step, World, form

BUDGETS = """
budgets:
  - {scope: "team:*", usd: 10/day, rpm: 1000, tpm: 10000000, concurrency: 100}
  - {scope: "key:*", usd: 5/total}
"""
PRICES = """
- {provider: p, model: "m*", from: 2026-01-01, usd_per_million: {input: 1, cache_read: 0.1, output: 4}}
- {provider: p, model: "m*", service_tier: priority, from: 2026-01-01, usd_per_million: {input: 2, output: 8}}
- {provider: q, model: "*", from: 2026-01-01, usd_per_million: {input: 10, output: 40}}
- provider: p
  model: gpt-image-1
  from: 2026-01-01
  usd_per_unit: {images: 0.04, input_characters: 0.000015, input_audio_minutes: 0.006, rerank_searches: 0.002}
"""
SAID = 8 * 1000
"""What the request of `World.chat` costs at p, in nano-dollars: 3 + 3 for a message, 2 for `hello there`."""
GREETING = 4 * 4000
"""What `TEXT` costs there."""
REPORTED = 7 * 1000 + 3 * 4000
"""What `USAGE` costs there."""
WHOLE = b'{"model":"m-1","choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}],"usage":%b}'
FAILED = b'data: {"error":{"message":"Overloaded."}}\n\n'


def told(usage: object, **more: object) -> bytes:
    """An answer in one piece with that usage."""
    body = orjson.loads(WHOLE % orjson.dumps(usage))
    return orjson.dumps({**body, **more})


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path, CONFIG + BUDGETS, prices=PRICES)
    yield made
    await made.close()


async def rows(world: World) -> list[tuple[str, str, int | None]]:
    """State, code and cost of every attempt; all have ended, and nothing is held."""
    found = await world.attempts()
    world.check_idle()
    assert world.held() == 0, world.runtime.limits._leases
    return [(one.state, end(one).code, end(one).cost_nano) for one in found]


def end(attempt: Attempt) -> Settlement:
    assert attempt.settlement is not None
    return attempt.settlement


Row = tuple[str, str, int | None]

UNARY: dict[str, tuple[int, Step, Row]] = {
    "told": (200, told({"prompt_tokens": 7, "completion_tokens": 3}), ("settled", "", REPORTED)),
    "told with a cache": (
        200,
        told({"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 5}}),
        ("settled", "", 2 * 1000 + 5 * 100 + 3 * 4000),
    ),
    "told to be nothing": (200, told({"prompt_tokens": 0, "completion_tokens": 0}), ("settled", "", 0)),
    "not told": (200, told(None), ("estimated", "", SAID + 1 * 4000)),
    "more cached than read": (
        200,
        told({"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}}),
        ("settled", "", None),
    ),
    "more reasoning than output": (
        200,
        told({"prompt_tokens": 7, "completion_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 8}}),
        ("settled", "", None),
    ),
    "more tokens than can be": (
        200,
        told({"prompt_tokens": 7, "completion_tokens": 2**63}),
        ("estimated", "", SAID + 1 * 4000),
    ),
    "another tier": (
        200,
        told({"prompt_tokens": 7, "completion_tokens": 3}, service_tier="priority"),
        ("settled", "", 2 * REPORTED),
    ),
    "a tier without a price": (
        200,
        told({"prompt_tokens": 7, "completion_tokens": 3}, service_tier="gold"),
        ("settled", "", None),
    ),
    "not JSON": (200, b"<html>", ("estimated", "upstream_invalid_json", SAID)),
    "nothing": (200, b"", ("estimated", "upstream_invalid_json", SAID)),
    "400": (400, b"{}", ("void", "provider_error", 0)),
    "401": (401, b"{}", ("void", "provider_error", 0)),
    "404": (404, b"{}", ("void", "provider_error", 0)),
    "429": (429, b"{}", ("void", "provider_error", 0)),
    "500": (500, b"{}", ("void", "provider_error", 0)),
    "302": (302, b"", ("void", "provider_error", 0)),
    "no connection": (0, Unreachable("No."), ("void", "upstream_unreachable", 0)),
    "no connection in time": (0, UpstreamTimeout("connect", 2), ("void", "upstream_timeout", 0)),
    "no answer in time": (0, UpstreamTimeout("first_byte", 2), ("estimated", "upstream_timeout", SAID)),
    "reset before an answer": (0, BrokenReply("No.", code="upstream_reset"), ("estimated", "upstream_reset", SAID)),
    "reset in the answer": (200, BrokenReply("No.", code="upstream_reset"), ("estimated", "upstream_reset", SAID)),
    "its key refused": (403, b"{}", ("void", "provider_error", 0)),
}


async def test_an_answer_in_one_piece(world: World) -> None:
    for name, (status, step, row) in UNARY.items():
        world.canned(step, status=status)
        answer = await world.chat()
        assert (name, (await rows(world))[-1]) == (name, row)
        ended = end((await world.attempts())[-1])
        assert ended.status == (0 if isinstance(step, GatewayError) else status)
        if answer.status == 200:
            assert answer.header("x-gateway-cost-usd") == (None if row[2] is None else dollars(row[2]))
    assert len(await rows(world)) == len(UNARY)


STREAMS: dict[str, tuple[tuple[Step, ...], Row]] = {
    "told at the end": ((ROLE, TEXT, STOP, USAGE, DONE), ("settled", "", REPORTED)),
    "told with the reason": ((ROLE, TEXT, LAST, DONE), ("settled", "", REPORTED)),
    "told twice": (
        (ROLE, TEXT, LAST, USAGE.replace(b":3}", b":5}"), DONE),
        ("settled", "", 7 * 1000 + 5 * 4000),
    ),
    "told as nothing before it is told": ((ROLE, TEXT, STOP, USAGE, b": end\n\n", DONE), ("settled", "", REPORTED)),
    "not told": ((ROLE, TEXT, STOP, DONE), ("estimated", "", SAID + GREETING)),
    "cut before anything": ((BrokenReply("cut"),), ("estimated", "upstream_broken_reply", SAID)),
    "reset": ((ROLE, TEXT, BrokenReply("cut")), ("estimated", "upstream_broken_reply", SAID + GREETING)),
    "idle": ((ROLE, TEXT, UpstreamTimeout("idle", 1)), ("estimated", "upstream_timeout", SAID + GREETING)),
    "ended early": ((ROLE, TEXT), ("estimated", "upstream_truncated", SAID + GREETING)),
    "ended early, but told": ((ROLE, TEXT, USAGE), ("settled", "upstream_truncated", REPORTED)),
    "an error within": ((ROLE, TEXT, FAILED), ("estimated", "upstream_stream_error", SAID + GREETING)),
    "an error, and told": ((ROLE, TEXT, FAILED, USAGE, DONE), ("settled", "upstream_stream_error", REPORTED)),
    "an error at once": ((FAILED,), ("void", "upstream_stream_error", 0)),
    "an error after a comment": ((b": wait\n\n" + FAILED,), ("estimated", "upstream_stream_error", SAID)),
    "an answer after an error": ((FAILED, TEXT), ("estimated", "upstream_stream_error", SAID + GREETING)),
    "nothing": ((b"",), ("estimated", "upstream_truncated", SAID)),
    "half an event": ((b"data: {",), ("estimated", "upstream_truncated", SAID)),
    "cannot be true": (
        (ROLE, TEXT, STOP, USAGE.replace(b":3}", b':3,"prompt_tokens_details":{"cached_tokens":9}}')),
        ("settled", "", None),
    ),
    "more than can be": ((ROLE, TEXT, STOP, USAGE.replace(b":3}", b":9e30}")), ("estimated", "", SAID + GREETING)),
}


@pytest.mark.parametrize("with_cost", [False, True])
async def test_an_answer_in_pieces(world: World, with_cost: bool) -> None:
    headers = [("x-gateway-include-cost", "1")] if with_cost else []
    for name, (steps, row) in STREAMS.items():
        world.canned(*steps, headers=SSE)
        answer = await world.chat(sent={"stream": True}, headers=headers)
        assert (name, (await rows(world))[-1]) == (name, row)
        events = [orjson.loads(event[6:]) for event in answer.body.split(b"\n\n") if b"cost_usd" in event]
        assert bool(events) == (with_cost and row[0] == "settled" and row[2] is not None)
        assert not events or events[-1]["usage"]["cost_usd"] == dollars(row[2] or 0)
    assert len(await rows(world)) == len(STREAMS)


@pytest.mark.parametrize("status", [400, 429, 500])
async def test_a_refusal_that_breaks_off_is_one_all_the_same(world: World, status: int) -> None:
    world.canned(b'{"error":', BrokenReply("cut"), status=status)
    assert (await world.chat()).status == status
    assert await rows(world) == [("void", "provider_error", 0)]


async def test_a_fault_of_ours_after_the_call_was_sent_ends_its_attempt(world: World) -> None:
    provider = world.canned(b"{}")

    async def send(request: Any) -> Any:
        request.on_send()
        raise RuntimeError("a fault of ours")

    provider.send = send  # type: ignore[method-assign]
    assert (await world.chat()).status == 500
    assert await rows(world) == [("estimated", "internal_error", SAID)]


async def test_the_same_call_again_is_not_booked_again(world: World) -> None:
    world.canned(told({"prompt_tokens": 7, "completion_tokens": 3}))
    for cost in (dollars(REPORTED), "0.00", "0.00"):
        answer = await world.chat(headers=[("idempotency-key", "k-1")])
        assert answer.status == 200 and answer.header("x-gateway-cost-usd") == cost
    assert await rows(world) == [("settled", "", REPORTED)]


async def test_a_page_of_a_proxy_is_no_answer_and_may_have_cost_something(world: World) -> None:
    world.canned(b"<html>", BrokenReply("cut"), headers=[(b"content-type", b"text/html")])
    assert (await world.chat()).status == 502
    assert await rows(world) == [("estimated", "upstream_broken_reply", SAID)]


# --- several attempts

FALLBACKS: dict[str, tuple[int, Step, Row]] = {
    "refused": (0, Unreachable("No."), ("void", "upstream_unreachable", 0)),
    "silent": (0, UpstreamTimeout("first_byte", 2), ("estimated", "upstream_timeout", SAID)),
    "reset": (200, BrokenReply("No."), ("estimated", "upstream_broken_reply", SAID)),
    "429": (429, b"{}", ("void", "provider_error", 0)),
    "503": (503, b"{}", ("void", "provider_error", 0)),
}


@pytest.mark.parametrize("name", FALLBACKS)
async def test_each_attempt_of_a_call_has_a_row_of_its_own(world: World, name: str) -> None:
    status, step, row = FALLBACKS[name]
    world.canned(step, status=status)
    world.canned(told({"prompt_tokens": 7, "completion_tokens": 3}), provider="q")
    assert (await world.chat("fallback")).status == 200
    assert await rows(world) == [row, ("settled", "", 7 * 10_000 + 3 * 40_000)]
    begun = [attempt.reservation for attempt in await world.attempts()]
    assert [(one.attempt, one.kind, one.provider) for one in begun] == [(1, "first", "p"), (2, "fallback", "q")]
    assert len({one.request_id for one in begun}) == 1 and all(one.model == "fallback" for one in begun)


async def test_a_call_whose_attempts_all_fail_has_a_row_for_each(world: World) -> None:
    world.canned(b"{}", status=500)
    world.canned(UpstreamTimeout("first_byte", 2), status=0, provider="q")
    assert (await world.chat("fallback")).status == 504
    assert await rows(world) == [("void", "provider_error", 0), ("estimated", "upstream_timeout", 10 * SAID)]


@pytest.mark.parametrize(("status", "step"), [(500, b"{}"), (0, UpstreamTimeout("first_byte", 2))])
async def test_a_budget_that_refuses_the_second_attempt_ends_the_call(tmp_path: Path, status: int, step: Step) -> None:
    budget = '  - {scope: "model:only-q", usd: 0.000001/day}\n'
    world = World(tmp_path, CONFIG + BUDGETS + budget, prices=PRICES)
    try:
        world.canned(step, status=status)
        q = world.canned(b"{}", provider="q")
        answer = await world.chat("fallback")
        assert (answer.status, answer.code) == (429, "budget_exceeded") and not q.requests
        assert [state for state, _, _ in await rows(world)] == ["void" if status else "estimated"]
    finally:
        await world.close()


async def test_an_attempt_that_has_no_price_is_refused_under_a_budget_of_dollars(tmp_path: Path) -> None:
    world = World(tmp_path, CONFIG + BUDGETS, prices=PRICES.replace("provider: q", "provider: gone"))
    try:
        world.canned(b"{}", status=500)
        q = world.canned(b"{}", provider="q")
        answer = await world.chat("fallback")
        assert (answer.status, answer.code) == (403, "model_unpriced") and not q.requests
        assert await rows(world) == [("void", "provider_error", 0)]
    finally:
        await world.close()


async def test_without_a_budget_an_attempt_without_a_price_is_unpriced_and_not_free(tmp_path: Path) -> None:
    world = World(tmp_path, prices=PRICES.replace("provider: p", "provider: gone"))
    try:
        world.canned(told({"prompt_tokens": 7, "completion_tokens": 3}))
        answer = await world.chat()
        assert answer.status == 200 and answer.header("x-gateway-cost-usd") is None
        assert await rows(world) == [("settled", "", None)]
        [attempt] = await world.attempts()
        assert attempt.reservation.held_nano is None and "price" in end(attempt).price_source
    finally:
        await world.close()


# --- clients that leave


class Slow(Canned):
    """Answers after `seconds`."""

    seconds = 0.0

    async def send(self, request: Any) -> Any:
        request.on_send()
        await asyncio.sleep(self.seconds)
        return await super().send(request)


def slow(world: World, seconds: float, *steps: Step, status: int = 200) -> Slow:
    made = Slow(steps, status)
    made.seconds = seconds
    world.put("p", made)
    return made


async def test_who_leaves_while_the_provider_thinks_may_have_cost_something(world: World) -> None:
    world.canned(None)
    await world.chat(leave_after=0)
    assert await rows(world) == [("estimated", "client_closed_request", SAID)]


async def test_an_answer_that_comes_soon_after_its_client_left_is_booked_as_it_was(world: World) -> None:
    slow(world, 0.45, told({"prompt_tokens": 7, "completion_tokens": 3}))
    await world.chat(leave_after=0)
    assert await rows(world) == [("settled", "client_closed_request", REPORTED)]
    assert world.line["status"] == 499


async def test_nobody_is_asked_in_place_of_a_provider_that_failed_after_the_client_left(world: World) -> None:
    slow(world, 0.45, b"{}", status=500)
    q = world.canned(told(None), provider="q")
    await world.chat("fallback", leave_after=0)
    assert not q.requests
    assert await rows(world) == [("void", "provider_error", 0)]
    assert (world.line["status"], world.line["code"]) == (499, "client_closed_request")


@pytest.mark.parametrize(
    ("steps", "leave_after", "row"),
    [
        ((ROLE, None), 1, ("estimated", "client_closed_request", SAID)),
        ((ROLE, TEXT, None), 2, ("estimated", "client_closed_request", SAID + GREETING)),
        ((ROLE, TEXT, LAST, None), 3, ("settled", "client_closed_request", REPORTED)),
    ],
    ids=["at the start", "in the middle", "when it was told"],
)
async def test_who_leaves_a_stream_pays_for_what_came(
    world: World, steps: tuple[Step, ...], leave_after: int, row: Row
) -> None:
    world.canned(*steps, headers=SSE)
    await world.chat(sent={"stream": True}, leave_after=leave_after)
    assert await rows(world) == [row]


async def test_who_leaves_in_the_middle_of_an_upload_leaves_an_attempt_whose_cost_nobody_knows(world: World) -> None:
    world.canned(b"{}")
    body = form(("model", "m"), ("file", b"x" * 1000))
    await world.post("/audio/transcriptions", b"", headers=MULTIPART, pieces=[body[:200], body[200:300]], leave_after=0)
    assert await rows(world) == [("estimated", "client_closed_request", None)]


async def test_who_leaves_before_its_body_was_whole_has_no_row(world: World) -> None:
    await world.post("/chat/completions", b"", pieces=[], leave_after=0)
    assert await rows(world) == []


async def test_a_call_that_is_refused_has_no_row(world: World) -> None:
    assert (await world.chat("nowhere")).status == 404
    assert (await world.chat(key=None)).status == 401
    assert (await world.chat(headers=[("x-gateway-tags", "=")])).status == 400
    assert await rows(world) == []


# --- cancelled while it waits


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """A database that nobody else can write."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def path_of(world: World, name: str) -> Path:
    return world.runtime.view.snapshot.settings.storage.ledger_path.with_name(name)


@pytest.mark.parametrize("store", ["budgets.db", "ledger.db"])
async def test_a_call_that_is_cancelled_while_it_is_let_in_was_never_sent(world: World, store: str) -> None:
    if store == "ledger.db":
        await world.chat()  # its budgets are at hand from now on
    spy = world.spy()
    with locked(path_of(world, store)):
        call = asyncio.create_task(world.chat())
        await asyncio.sleep(0.15)
        assert not call.done()
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call
    assert not spy.requests
    await world.settle_down()
    await asyncio.sleep(0.1)
    assert all(row == ("void", "not_sent", 0) for row in (await rows(world))[store == "ledger.db" :])


async def test_a_call_whose_reservation_does_not_reach_the_disk_is_refused(world: World) -> None:
    await world.chat()
    spy = world.spy()
    with locked(path_of(world, "ledger.db")):
        answer = await world.chat()
    assert (answer.status, answer.code) == (503, "ledger_unavailable") and not spy.requests
    await asyncio.sleep(0.3)
    assert all(state == "void" and cost == 0 for state, _, cost in (await rows(world))[1:])


NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CANDIDATE = Candidate("p", "m", "m", Timeouts())
CALLER = Caller("k1", "red", "", "", "developer")


def reservation(number: int = 1) -> Reservation:
    return Reservation(
        request_id=f"req_{number}",
        attempt=1,
        began_at=micros(),
        endpoint="/v1/chat/completions",
        provider="p",
        deployment="m",
        model="m",
        held_nano=1000,
    )


async def test_a_ledger_that_closes_before_it_is_sent_leaves_a_void_row(tmp_path: Path) -> None:
    world = World(tmp_path, CONFIG + BUDGETS, prices=PRICES)
    try:
        book, table = world.runtime.book, world.runtime.view.snapshot.prices
        booking = await book.open(table, CALLER, CANDIDATE, reservation(), 10, NOW)
        assert world.held() > 0
        await world.runtime.ledger.close()
        with pytest.raises(Unavailable):
            booking.sent()
        assert not booking.is_sent
        booking.void(code="unavailable")
        assert world.held() == 0
        with pytest.raises(Unavailable):
            await book.open(table, CALLER, CANDIDATE, reservation(2), 10, NOW)
        assert world.held() == 0
    finally:
        await world.close()
    path = path_of(world, "ledger.db")
    await Ledger.open(path, micros).close()  # the next start
    attempts = Reader(path).list().attempts
    assert [(one.state, end(one).cost_nano) for one in attempts] == [("void", 0)]


async def test_a_booking_ends_once(world: World) -> None:
    table = world.runtime.view.snapshot.prices
    booking = await world.runtime.book.open(table, CALLER, CANDIDATE, reservation(), 10, NOW)
    booking.sent()
    booking.settle(None, status=200, state="estimated")
    booking.settle(None, status=500, code="again")
    booking.void(code="again")
    assert booking.is_ended
    assert await rows(world) == [("estimated", "", None)]
    counted = world.runtime.metrics.attempts
    ends = {state: counted.labels(provider="p", state=state).value for state in ("estimated", "settled", "void")}
    assert ends == {"estimated": 1, "settled": 0, "void": 0}


async def test_what_nobody_knows_the_cost_of_counts_as_all_that_was_held(world: World) -> None:
    world.canned(told({"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}}))
    await world.chat()
    [attempt] = await world.attempts()
    held = attempt.reservation.held_nano
    assert held is not None
    spent = {lease.spent for lease in world.runtime.limits._leases if lease.account.limit.kind == "usd"}
    assert spent == {held}


# --- other endpoints

TOKENS = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
IMAGE = 40_000_000


def asked(path: str, model: str = "m", **more: object) -> tuple[str, Any]:
    return path, {"model": model, **more}


ENDPOINTS: dict[str, tuple[tuple[str, Any], bytes, Row]] = {
    "embeddings": (
        asked("/embeddings", input="x"),
        b'{"data":[],"usage":{"prompt_tokens":5,"total_tokens":5}}',
        ("settled", "", 5 * 1000),
    ),
    "embeddings of tokens, not told": (
        asked("/embeddings", input=[[1, 2], [3]]),
        b'{"data":[]}',
        ("estimated", "", 3 * 1000),
    ),
    "moderations": (asked("/moderations", input="hello there"), b'{"results":[]}', ("estimated", "", 2 * 1000)),
    "images by the token": (
        asked("/images/generations", prompt="x"),
        orjson.dumps({"data": [], "usage": TOKENS}),
        ("settled", "", REPORTED),
    ),
    "images by the piece": (
        asked("/images/generations", "gpt-image-1", prompt="x", n=3),
        b'{"data":[]}',
        ("estimated", "", 3 * IMAGE),
    ),
    "images by the piece, tokens told": (
        asked("/images/generations", "gpt-image-1", prompt="x"),
        orjson.dumps({"data": [], "usage": TOKENS}),
        ("settled", "", IMAGE),
    ),
    "images that are not JSON": (
        asked("/images/generations", "gpt-image-1", prompt="x"),
        b"x",
        ("estimated", "upstream_invalid_json", IMAGE),
    ),
    "searches": (
        asked("/rerank", "gpt-image-1", query="x", documents=["y"]),
        b'{"results":[]}',
        ("estimated", "", 2_000_000),
    ),
}


async def test_every_endpoint_is_booked_by_what_it_is_charged_by(world: World) -> None:
    for name, ((path, body), answer, row) in ENDPOINTS.items():
        world.canned(answer)
        await world.post(path, body)
        assert (name, (await rows(world))[-1]) == (name, row)
    assert len(await rows(world)) == len(ENDPOINTS)


async def test_an_image_that_does_not_come_in_time_may_have_been_made(world: World) -> None:
    world.canned(UpstreamTimeout("first_byte", 2), status=0)
    await world.post("/images/generations", {"model": "gpt-image-1", "prompt": "x", "n": 2})
    assert await rows(world) == [("estimated", "upstream_timeout", 2 * IMAGE)]


@pytest.mark.parametrize(
    ("steps", "row"),
    [
        ((b"aaa", b"bbb"), ("settled", "", 5 * 15_000)),
        ((b"aaa", BrokenReply("cut")), ("estimated", "upstream_broken_reply", 5 * 15_000)),
    ],
    ids=["whole", "cut"],
)
async def test_speech_is_charged_by_what_was_to_be_said(world: World, steps: tuple[Step, ...], row: Row) -> None:
    world.canned(*steps, headers=[(b"content-type", b"audio/mpeg")])
    with suppress(Exception):  # the connection breaks, or it would look whole
        await world.post("/audio/speech", {"model": "gpt-image-1", "input": "Grüße", "voice": "v"})
    assert await rows(world) == [row]


@pytest.mark.parametrize(
    ("model", "answer", "row"),
    [
        ("m", orjson.dumps({"text": "a", "usage": {"type": "tokens", **TOKENS}}), ("settled", "", REPORTED)),
        (
            "gpt-image-1",
            b'{"text":"a","usage":{"type":"duration","seconds":60.2}}',
            ("settled", "", 61 * 100_000),
        ),
        ("gpt-image-1", b'{"text":"a","duration":"8.47"}', ("settled", "", None)),
        ("gpt-image-1", b'{"text":"a","duration":8.47}', ("settled", "", 9 * 100_000)),
        ("gpt-image-1", b'{"duration":8.47,"segments":[{"avg_logprob":NaN}]}', ("settled", "", 9 * 100_000)),
        ("m", b'{"text":"a"}', ("settled", "", None)),
        ("m", b"broken", ("estimated", "upstream_invalid_json", None)),
    ],
    ids=["tokens", "seconds", "words for a duration", "duration", "not a number", "not told", "not JSON"],
)
async def test_a_transcription_is_charged_by_what_it_tells(world: World, model: str, answer: bytes, row: Row) -> None:
    world.canned(answer)
    await world.post("/audio/transcriptions", form(("model", model), ("file", b"x")), headers=MULTIPART)
    assert await rows(world) == [row]


@pytest.mark.parametrize(
    ("status", "step", "row"),
    [
        (200, b'{"id":"file-1"}', ("settled", "", 0)),
        (500, b"{}", ("void", "provider_error", 0)),
        (0, UpstreamTimeout("first_byte", 1), ("estimated", "upstream_timeout", 0)),
        (0, Unreachable("No."), ("void", "upstream_unreachable", 0)),
    ],
)
async def test_files_cost_nothing_by_the_call_and_are_booked(world: World, status: int, step: Step, row: Row) -> None:
    world.canned(step, status=status, headers=JSON)
    await world.post("/files", form(("purpose", "batch"), ("file", b"{}")), headers=MULTIPART)
    assert await rows(world) == [row]
    assert (await world.attempts())[0].reservation.held_nano == 0


# --- what is held


MOST: list[tuple[Any, int]] = [
    ({}, 16_384),
    ({"max_tokens": 100}, 100),
    ({"max_tokens": 100, "n": 3}, 300),
    ({"max_completion_tokens": 10, "max_tokens": 100}, 100),
    ({"max_output_tokens": 1}, 16_384),
    ({"max_tokens": True}, 16_384),
    ({"max_tokens": -1}, 16_384),
    ({"max_tokens": "x"}, 16_384),
    ({"max_tokens": 1e2}, 100),
    ({"max_tokens": "100"}, 100),
    ({"n": 0}, 16_384),
]


async def test_the_most_that_it_may_cost_is_held(world: World) -> None:
    spy = world.spy()
    for sent, output in MOST:
        await world.chat(sent=sent)
        held = (await world.attempts())[-1].reservation.held_nano
        # every byte of the body is at most a token, and each of the meters rounds by at most one
        assert held is not None and 0 <= held - len(spy.body) * 1000 - output * 4000 < 10, sent


async def test_a_limit_beyond_all_measure_does_not_fit_and_harms_nobody(world: World) -> None:
    for most in (10**18, 2**63, 2**64 - 1):
        assert (await world.chat(sent={"max_tokens": most})).status == 429
        assert (await world.chat()).status == 200 and world.held() == 0


async def test_without_budgets_a_limit_beyond_all_measure_is_the_provider_s_to_judge(tmp_path: Path) -> None:
    world = World(tmp_path, prices=PRICES)
    try:
        world.canned(told({"prompt_tokens": 7, "completion_tokens": 3}))
        for most in (10**18, 2**64 - 1, 1e300):
            answer = await world.chat(sent={"max_tokens": most, "n": most, "best_of": most})
            assert answer.status == 200
        assert await rows(world) == [("settled", "", REPORTED)] * 3
    finally:
        await world.close()


async def test_a_provider_that_counts_beyond_all_measure_spoils_no_budget(world: World) -> None:
    for tokens in (10**12, 2**63, 10**30):
        world.canned(b'{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":%d}}' % tokens)
        assert (await world.chat()).status == 200
        world.runtime.limits.tick(is_sweep=True)
    world.canned(told({"prompt_tokens": 7, "completion_tokens": 3}))
    assert (await world.chat()).status == 200
    assert [cost for _, _, cost in await rows(world)] == [SAID + 4000] * 3 + [REPORTED]


async def test_of_an_upload_too_the_most_that_it_may_cost_is_held(world: World) -> None:
    world.canned(b'{"data":[]}')
    body = form(("model", "gpt-image-1"), ("n", "2"), ("file", b"x"))
    await world.post("/images/edits", body, headers=MULTIPART)
    held = (await world.attempts())[0].reservation.held_nano
    assert held is not None and held >= IMAGE


# --- a table that changes


async def test_a_call_in_flight_keeps_the_prices_that_it_began_with(world: World) -> None:
    slow(world, 0.5, told({"prompt_tokens": 7, "completion_tokens": 3}))
    call = asyncio.create_task(world.chat())
    await asyncio.sleep(0.1)
    world.prices.write_text(PRICES.replace("input: 1,", "input: 100,"))
    state = await world.runtime.reloader.reload()
    assert state.outcome == "ok" and not call.done()
    await call
    await world.chat()
    assert [cost for _, _, cost in await rows(world)] == [REPORTED, 7 * 100_000 + 3 * 4000]
    versions = [end(attempt).price_version for attempt in await world.attempts()]
    assert versions[0] != versions[1]


async def test_the_name_of_an_event_outlives_the_cost_in_it(world: World) -> None:
    event = b'event: image_generation.completed\ndata: {"type":"x","usage":{"input_tokens":7,"output_tokens":3}}\n\n'
    world.canned(event, headers=SSE)
    body = {"model": "m", "prompt": "x", "stream": True}
    answer = await world.post("/images/generations", body, headers=[("x-gateway-include-cost", "1")])
    name, _, data = answer.body.partition(b"\n")
    assert name == b"event: image_generation.completed"
    assert orjson.loads(data[6:])["usage"]["cost_usd"] == dollars(REPORTED)


# --- all at once


class Moody(Canned):
    """Does something else for every request, and takes its time for it."""

    chance = random.Random(7)

    async def send(self, request: Any) -> Any:
        request.on_send()
        await asyncio.sleep(self.chance.random() / 20)
        ends: list[tuple[int, list[bytes], tuple[Step, ...]]] = [
            (200, [b"application/json"], (told({"prompt_tokens": 7, "completion_tokens": 3}),)),
            (200, [b"application/json"], (b"{", BrokenReply("cut"))),
            (200, [b"text/event-stream"], (ROLE, TEXT, STOP, USAGE, DONE)),
            (200, [b"text/event-stream"], (ROLE, TEXT, None)),
            (200, [b"text/event-stream"], (ROLE, BrokenReply("cut"))),
            (503, [b"application/json"], (b"{}",)),
            (400, [b"application/json"], (b"{}",)),
            (0, [], (Unreachable("No."),)),
            (0, [], (UpstreamTimeout("first_byte", 1),)),
        ]
        status, types, steps = self.chance.choice(ends)
        self.status, self.steps, self.headers = status, steps, [(b"content-type", one) for one in types]
        return await super().send(request)


async def test_whatever_happens_and_whoever_is_cancelled_no_attempt_is_lost(world: World) -> None:
    providers = [Moody([b""]), Moody([b""])]
    for name, provider in zip("pq", providers, strict=True):
        world.put(name, provider)
    chance = random.Random(11)

    async def one() -> None:
        call = asyncio.create_task(world.chat("fallback", sent={"stream": True}))
        await asyncio.wait([call], timeout=chance.random() / 8)
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call

    for _ in range(4):
        await asyncio.gather(*[one() for _ in range(40)])
    await world.settle_down()
    await asyncio.sleep(0.2)
    assert {state for state, _, _ in await rows(world)} == {"settled", "estimated", "void"}
    found = {(one.reservation.request_id, one.reservation.attempt): one for one in await world.attempts()}
    seen = [dict(request.headers)[b"x-client-request-id"].decode() for each in providers for request in each.requests]
    assert len(found) == len(await world.attempts()) and len(seen) == len(set(seen)) > 20
    for name in seen:
        request_id, _, attempt = name.rpartition("-")
        assert found[request_id, int(attempt)].sent_at is not None
    (spent,) = {lease.spent for lease in world.runtime.limits._leases if lease.account.limit.kind == "usd"}
    booked = sum(end(attempt).cost_nano or 0 for attempt in found.values())
    # of what was sent and not seen to be answered, budgets keep all that was held
    unseen = sum(
        (attempt.reservation.held_nano or 0) - (end(attempt).cost_nano or 0)
        for attempt in found.values()
        if attempt.state == "estimated" and end(attempt).status == 0 and end(attempt).code != "client_closed_request"
    )
    assert spent == booked + unseen
