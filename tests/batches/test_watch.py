"""Batches from their making to the books: seen by a client, or looked for."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import orjson
import pytest

from gateway.batches import watch as module
from gateway.batches.booker import turn
from gateway.errors import BrokenReply
from gateway.upstream.wire import Request
from tests.batches.world import World, answer, batch, totals

WHOLE = batch(model="plain", usage=totals(1000, 100, 400), output_file_id="file-1")
COST = 600 * 1000 + 400 * 100 + 100 * 2000


async def played(world: World, method: str, target: str, body: Any = b"") -> Any:
    upstream = world.view.served["p"].upstream
    headers = [(b"content-type", b"application/json")]
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    reply = await upstream.send(Request(method, target, data, headers))
    return orjson.loads(await reply.read_all(1 << 20))


async def test_a_batch_of_the_scripted_provider_is_found_and_booked(world: World) -> None:
    lines = [
        {
            "custom_id": str(number),
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": model, "messages": [{"role": "user", "content": "one two three"}]},
        }
        for number, model in enumerate(["plain", "other", "plain"])
    ]
    form = b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    form += b'--b\r\nContent-Disposition: form-data; name="file"; filename="f.jsonl"\r\n\r\n'
    form += b"\n".join(orjson.dumps(line) for line in lines) + b"\r\n--b--\r\n"
    upstream = world.view.served["p"].upstream
    reply = await upstream.send(
        Request("POST", "/files", form, [(b"content-type", b"multipart/form-data; boundary=b")])
    )
    file = orjson.loads(await reply.read_all(1 << 20))["id"]
    asked = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    made = await played(world, "POST", "/batches", asked)
    await world.made(made["id"])

    assert await world.worker.look() == 0, "not before its time"
    looks = []
    for _ in range(4):
        world.clock.now += 200
        looks.append(await world.worker.look())
    assert looks == [1, 1, 0, 0]
    other, plain = await world.settled(made["id"], rows=2)
    assert [one.reservation.model for one in (other, plain)] == ["other", "plain"]
    assert other.settlement is not None and plain.settlement is not None
    assert plain.settlement.input_tokens == 2 * other.settlement.input_tokens > 0
    assert plain.settlement.cost_nano == plain.settlement.input_tokens * 1000 + plain.settlement.output_tokens * 2000


async def test_a_client_that_asks_has_its_batch_booked_at_once_and_once(world: World) -> None:
    await world.made()
    provider = world.says({"/batches/batch_1": WHOLE})
    second = world.new_worker()
    for _ in range(5):
        world.worker.see(WHOLE, "p")
        second.see(WHOLE, "p")
        await asyncio.sleep(0.01)
    (row,) = await world.settled()
    await world.idle()
    await world.idle(second)
    assert row.settlement is not None and row.settlement.cost_nano == COST
    assert provider.asked == [], "its sum was enough"
    world.clock.now += 99_999
    assert await world.worker.look() == 0, "nothing is left to look at"
    assert len(world.charged) == 1


@pytest.mark.parametrize("found", [batch(status="in_progress"), {"status": "completed"}, {}, batch("batch_of_others")])
async def test_what_is_not_over_or_not_ours_is_let_be(world: World, found: dict[str, Any]) -> None:
    await world.made()
    world.worker.see(found, "p")
    await world.idle()
    assert world.reader.list().attempts == ()


async def test_a_mixed_batch_is_one_row_a_model(world: World) -> None:
    await world.made()
    lines = answer("plain", 10, 1) + answer("other", 1, 1) + answer("plain", 0, 0, 429) + answer("plain", 20, 2)
    world.says({"/files/file-1/content": lines})
    world.worker.see(batch(usage=totals(31, 4), output_file_id="file-1"), "p")
    rows = await world.settled(rows=2)
    assert [(one.reservation.attempt, one.reservation.model) for one in rows] == [(1, "other"), (2, "plain")]
    assert [one.settlement.cost_nano for one in rows if one.settlement] == [30_000, 30 * 1000 + 3 * 2000]


async def test_a_price_by_length_is_taken_from_the_requests(world: World) -> None:
    await world.made()
    world.says({"/files/file-1/content": answer("long", 900, 0) * 2})
    world.worker.see(batch(model="long", usage=totals(1800, 0), output_file_id="file-1"), "p")
    (row,) = await world.settled()
    assert row.settlement is not None and row.settlement.cost_nano == 1_800_000


@pytest.mark.parametrize("content", [None, b"<html>", b'{"response":'])
async def test_an_output_that_cannot_be_read_leaves_an_estimate(world: World, content: Any) -> None:
    await world.made()
    world.says({"/files/file-1/content": content} if content else {})
    world.worker.see(batch(model="long", usage=totals(1800, 0), output_file_id="file-1"), "p")
    (row,) = await world.settled()
    assert row.state == "estimated" and row.settlement is not None and row.settlement.cost_nano == 1_800_000


async def test_a_batch_of_which_nothing_is_known_is_unpriced_and_not_forgotten(world: World) -> None:
    await world.made()
    world.says({})
    world.worker.see(batch(output_file_id="file-1"), "p")
    (row,) = await world.settled()
    assert row.state == "estimated" and row.settlement is not None and row.settlement.cost_nano is None


async def test_a_batch_that_failed_costs_nothing_and_is_done_with(world: World) -> None:
    await world.made()
    world.says({"/batches/batch_1": batch(status="failed")})
    world.clock.now += 60
    assert [await world.worker.look(), await world.worker.look()] == [1, 0]
    assert world.reader.list().attempts == ()


async def test_an_expired_batch_costs_what_was_answered(world: World) -> None:
    await world.made()
    world.says({"/batches/batch_1": {**WHOLE, "status": "expired", "expired_at": int(world.clock())}})
    world.clock.now += 60
    assert await world.worker.look() == 1
    (row,) = await world.settled()
    assert row.settlement is not None and (row.settlement.cost_nano, row.settlement.code) == (COST, "batch_expired")


async def test_open_batches_are_looked_at_less_and_less_often(world: World) -> None:
    await world.made()
    world.says({"/batches/batch_1": batch(status="in_progress")})
    began, at = world.clock.now, []
    for _ in range(24 * 60 * 2):
        world.clock.now += 30
        if await world.worker.look():
            at.append(world.clock.now - began)
    assert at[:5] == [60, 120, 240, 480, 960]
    assert 45 <= len(at) <= 60 and max(b - a for a, b in pairwise(at)) == module.SLOWEST_S


@pytest.mark.parametrize("fault", [500, 429, BrokenReply("gone"), {"status": 3}, b"no json"])
async def test_a_provider_that_fails_is_asked_again(world: World, fault: Any) -> None:
    await world.made()
    provider = world.says({"/batches/batch_1": fault})
    world.clock.now += 60
    assert await world.worker.look() == 1
    provider.answers["/batches/batch_1"] = WHOLE
    world.clock.now += 60
    assert await world.worker.look() == 1
    assert len(await world.settled()) == 1


async def test_one_that_breaks_does_not_keep_the_others_waiting(world: World) -> None:
    for id in ("batch_0", "batch_1"):
        await world.made(id)
    await world.made("batch_2", provider="was-taken-out")
    world.says({"/batches/batch_0": 500, "/batches/batch_1": WHOLE})
    world.clock.now += 60
    assert await world.worker.look() == 3
    assert len(await world.settled()) == 1


async def test_a_batch_that_its_provider_forgot_is_given_up(world: World) -> None:
    await world.made()
    provider = world.says({})
    world.clock.now += 60
    assert [await world.worker.look(), await world.worker.look()] == [1, 0]
    world.clock.now += module.GONE_S
    assert await world.worker.look() == 1, "it may have been a slip"
    world.clock.now += module.GONE_S
    assert await world.worker.look() == 0
    assert provider.asked == ["/batches/batch_1"] * 2


async def test_so_is_one_that_never_ends(world: World) -> None:
    await world.made()
    world.says({"/batches/batch_1": batch(status="in_progress")})
    world.clock.now += module.GIVE_UP_S + 1
    assert await world.worker.look() == 1
    world.clock.now += module.GIVE_UP_S
    assert await world.worker.look() == 0


async def test_one_worker_looks_at_a_time(world: World) -> None:
    await world.made()
    provider = world.says({"/batches/batch_1": WHOLE})
    world.clock.now += 60
    async with turn(world.folder / "look", 0.0):
        assert await world.worker.look() == 0
    looks = await asyncio.gather(*(world.new_worker().look() for _ in range(3)))
    assert sorted(looks) == [0, 0, 1] and provider.asked == ["/batches/batch_1"]
