"""What a caller learns of what its own calls cost: `GET /v1/requests/{id}`, a header, and usage where it asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from tests.gateway_process import eventually, provider, running
from tests.money.books import CACHE_READ, CACHE_WRITE, INPUT, OUTPUT, Books, written
from tests.money.callers import Answer, Caller, chat

WORKERS = 2
SCRIPT = """
models: ["tiny*"]
replies:
  - when: {contains: cached}
    text: " again again"
    usage: {input_tokens: 100, cache_read_tokens: 60, cache_write_tokens: 30, reasoning_tokens: 1}
  - {when: {contains: error}, error: {status: 400, code: wrong, message: That is wrong.}}
  - {when: {contains: awhile}, text: " again again", delay: {head: 1}}
  - {text: " again again", usage: {input_tokens: 7}}
"""
CACHED = 10 * INPUT + 60 * CACHE_READ + 30 * CACHE_WRITE + 2 * OUTPUT
SMALL = 7 * INPUT + 2 * OUTPUT


@dataclass(frozen=True)
class Place:
    """A caller, one of another team, and the books."""

    caller: Caller
    stranger: Caller
    books: Books


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("requests")
    with (
        provider(folder, SCRIPT) as up,
        running(folder, "--workers", str(WORKERS), config=written(folder, up)) as gateway,
    ):
        made = gateway.admin("POST", "/admin/v1/keys", json={"team": "others"})
        stranger = Caller(gateway.port, made.json()["key"])
        for _ in range(5 * WORKERS):
            eventually(lambda: asyncio.run(stranger.get("/v1/models")).status == 200)
        yield Place(Caller(gateway.port, gateway.key), stranger, Books.of(gateway, up))


async def look(caller: Caller, request_id: str) -> Answer:
    return await caller.get(f"/v1/requests/{request_id}")


def dollars(nano: int) -> Decimal:
    return Decimal(nano) / 10**9


async def test_a_call_tells_its_state_usage_price_and_attempts(place: Place) -> None:
    answer = await place.caller.post(chat("cached"))
    place.books.request(answer.id)
    found = (await look(place.caller, answer.id)).json()
    assert (found["id"] if "id" in found else found["request_id"]) == answer.id
    assert found["state"] == "settled"
    usage = found["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (100, 2)
    assert (usage["cache_read_tokens"], usage["cache_write_tokens"], usage["reasoning_tokens"]) == (60, 30, 1)
    assert isinstance(found["cost_usd"], str)
    assert Decimal(found["cost_usd"]) == dollars(CACHED)
    lines = {line["meter"]: line for line in _price(found)}
    assert {name: line["quantity"] for name, line in lines.items()} == {
        "input": 10,
        "cache_read": 60,
        "cache_write": 30,
        "output": 2,
    }
    assert len(found["attempts"]) == 1


def _price(found: dict[str, Any]) -> list[dict[str, Any]]:
    price = found["price"]
    lines = price["lines"] if isinstance(price, dict) else price
    assert isinstance(lines, list)
    return lines


@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
async def test_every_worker_knows_it_within_a_second_of_the_last_byte(place: Place, stream: bool) -> None:
    answers = await asyncio.gather(*[place.caller.post(chat("cached", stream=stream)) for _ in range(20)])
    ended_at = time.monotonic()
    for answer in answers:
        found: list[Answer] = []
        while time.monotonic() - ended_at < 1.0:
            # a connection each, so that any worker may get it
            found = await asyncio.gather(*[look(place.caller, answer.id) for _ in range(2 * WORKERS)])
            if all(one.status == 200 and one.json()["state"] == "settled" for one in found):
                break
        assert {one.status for one in found} == {200}
        assert {(one.json()["state"], one.json()["cost_usd"]) for one in found} == {
            ("settled", found[0].json()["cost_usd"])
        }
        assert Decimal(found[0].json()["cost_usd"]) == dollars(CACHED)


async def test_while_it_runs_it_is_there_and_has_no_cost_yet(place: Place) -> None:
    call = asyncio.create_task(place.caller.post(chat("awhile", user="runs")))
    rows = await asyncio.to_thread(eventually, lambda: place.books.of_user("runs"))
    found = (await look(place.caller, rows[0].reservation.request_id)).json()
    assert found["state"] == "sent"
    assert found["cost_usd"] is None
    assert (await call).status == 200


async def test_nobody_sees_the_calls_of_another_key(place: Place) -> None:
    answer = await place.caller.post(chat())
    place.books.request(answer.id)
    assert (await look(place.caller, answer.id)).status == 200
    hidden = await look(place.stranger, answer.id)
    unknown = await look(place.stranger, "req_that_never_was")
    assert (hidden.status, unknown.status) == (404, 404)
    assert hidden.code() == unknown.code(), "whether it exists is nobody's business either"
    assert (await Caller(place.caller.port, "gw-wrong").get(f"/v1/requests/{answer.id}")).status == 401


async def test_a_json_reply_says_what_it_cost(place: Place) -> None:
    answer = await place.caller.post(chat("cached"))
    assert Decimal(answer.headers["x-gateway-cost-usd"]) == dollars(CACHED)
    place.books.request(answer.id)
    assert (await look(place.caller, answer.id)).json()["cost_usd"] == answer.headers["x-gateway-cost-usd"]
    assert "cost_usd" not in answer.json()["usage"]


async def test_an_error_of_the_provider_is_void_and_free(place: Place) -> None:
    answer = await place.caller.post(chat("error"))
    assert answer.status == 400
    (attempt,) = place.books.request(answer.id)
    assert attempt.settlement is not None
    assert (attempt.state, attempt.settlement.status, attempt.settlement.cost_nano) == ("void", 400, 0)
    found = (await look(place.caller, answer.id)).json()
    assert found["state"] == "void" and Decimal(found["cost_usd"]) == 0


ASKED: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


async def test_a_stream_tells_its_cost_in_its_last_chunk_where_that_was_asked_for(place: Place) -> None:
    answer = await place.caller.post(chat("cached", **ASKED), headers={"x-gateway-include-cost": "1"})
    told = [event for event in answer.events() if event.get("usage")]
    assert told == [answer.events()[-1]]
    assert Decimal(told[0]["usage"]["cost_usd"]) == dollars(CACHED)
    assert told[0]["usage"]["prompt_tokens"] == 100
    assert answer.data.endswith(b"data: [DONE]\n\n")
    assert answer.data.count(b"cost_usd") == 1
    (attempt,) = place.books.request(answer.id)
    assert attempt.settlement is not None and attempt.settlement.cost_nano == CACHED


async def test_a_stream_says_nothing_of_cost_unless_asked(place: Place) -> None:
    answer = await place.caller.post(chat("cached", **ASKED))
    assert b"cost_usd" not in answer.data
    assert answer.events()[-1]["usage"]["prompt_tokens"] == 100


async def test_asking_for_the_cost_is_asking_for_usage_too(place: Place) -> None:
    answer = await place.caller.post(chat(stream=True), headers={"x-gateway-include-cost": "1"})
    told = [event for event in answer.events() if event.get("usage")]
    assert [Decimal(one["usage"]["cost_usd"]) for one in told] == [dollars(SMALL)]


async def test_an_answer_that_is_given_again_costs_nothing_again(place: Place) -> None:
    headers = {"idempotency-key": "once-and-for-all"}
    first = await place.caller.post(chat("cached", user="again"), headers=headers)
    place.books.request(first.id)
    second = await place.caller.post(chat("cached", user="again"), headers=headers)
    assert (second.status, second.data) == (200, first.data)
    assert len(place.books.of_user("again")) == 1
    assert sum(line["input_tokens"] == 100 for line in place.books.bill().values()) == len(
        [one for one in place.books.attempts() if one.settlement is not None and one.settlement.input_tokens == 100]
    )
