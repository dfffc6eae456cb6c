"""Counts that cannot be true: the call is answered, its cost is unknown or exact, and no other call is harmed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.gateway_process import Gateway, eventually, provider, running
from tests.money.books import INPUT, OUTPUT, Books, most_at_once, written
from tests.money.callers import Caller, chat

USAGES: dict[str, Any] = {
    "huge": {"prompt_tokens": 7, "completion_tokens": 10**16},
    "wide": {"prompt_tokens": 7, "completion_tokens": 2**63},
    "wider": {"prompt_tokens": 10**30, "completion_tokens": 1},
    "negative": {"prompt_tokens": -5, "completion_tokens": 2},
    "parts": {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 50}},
    "reasoning": {
        "prompt_tokens": 5,
        "completion_tokens": 2,
        "completion_tokens_details": {"reasoning_tokens": 9},
    },
}
ESTIMATED: dict[str, Any] = {
    "text": {"prompt_tokens": "seven", "completion_tokens": "2"},
    "nothing": None,
    "list": [7, 2],
    "empty": {},
}
"""Usages that say nothing, or nothing that could be read: the gateway counts."""


def reply(name: str, usage: Any) -> str:
    """A script's reply to a question that holds `name`, streamed or not."""
    head = {"id": "chatcmpl-1", "created": 1, "model": "tiny"}
    whole = {
        **head,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": " again again"}, "finish_reason": "stop"}],
        "usage": usage,
    }
    delta = {"index": 0, "delta": {"role": "assistant", "content": " again again"}, "finish_reason": "stop"}
    chunks = [
        {**head, "object": "chat.completion.chunk", "choices": [delta]},
        {**head, "object": "chat.completion.chunk", "choices": [], "usage": usage},
    ]
    stream = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    raw = {"body": stream, "content_type": "text/event-stream"}
    told = {"body": json.dumps(whole), "content_type": "application/json"}
    return "".join(
        f"  - {json.dumps({'when': {'contains': name, 'stream': is_stream}, 'raw': body})}\n"
        for is_stream, body in ((True, raw), (False, told))
    )


SCRIPT = f"""
models: ["tiny*"]
replies:
{"".join(reply(f"say {name}.", usage) for name, usage in (USAGES | ESTIMATED).items())}
  - {{when: {{endpoint: transcriptions}}, text: "one two", usage: {{input_tokens: 100}}, delay: {{head: 0.5}}}}
  - {{text: " again again", usage: {{input_tokens: 7}}}}
"""
BUDGETS = """
budgets:
  - {scope: "team:default", usd: 100/total}
  - {scope: "team:uploads", usd: 0.002/total}
"""
CAP = 2_000_000


@dataclass(frozen=True)
class Place:
    """A gateway, and the books."""

    gateway: Gateway
    caller: Caller
    books: Books


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("counts")
    with provider(folder, SCRIPT) as up, running(folder, config=written(folder, up, more=BUDGETS)) as gateway:
        yield Place(gateway, Caller(gateway.port, gateway.key), Books.of(gateway, up))


@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
@pytest.mark.parametrize("count", USAGES)
async def test_a_count_that_cannot_be_true_is_not_believed_and_harms_nobody(
    place: Place, count: str, stream: bool
) -> None:
    answer = await place.caller.post(chat(f"say {count}.", stream=stream, max_tokens=5))
    assert answer.status == 200 and answer.ended
    (attempt,) = place.books.request(answer.id)
    assert attempt.settlement is not None
    assert attempt.state in ("settled", "estimated")
    ended = attempt.settlement
    if count == "negative":  # below nothing is nothing
        assert (ended.input_tokens, ended.cost_nano) == (0, 2 * OUTPUT)
    else:
        assert ended.cost_nano is None or ended.source == "estimated"
    after = await place.caller.post(chat(max_tokens=5))
    assert after.status == 200
    assert place.gateway.metric("gateway_in_flight_requests") == 0
    await asyncio.sleep(0.3)  # the budgets have been told
    assert (await place.caller.post(chat(max_tokens=5))).status == 200
    assert place.gateway.logged("budgets_unreachable") == place.gateway.logged("unexpected") == []


@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
@pytest.mark.parametrize("count", ESTIMATED)
async def test_where_no_count_can_be_read_the_gateway_counts(place: Place, count: str, stream: bool) -> None:
    answer = await place.caller.post(chat(f"say {count}.", stream=stream, max_tokens=5))
    assert answer.status == 200 and answer.ended
    (attempt,) = place.books.request(answer.id)
    assert attempt.settlement is not None
    assert (attempt.state, attempt.settlement.source) == ("estimated", "estimated")
    ended = attempt.settlement
    assert ended.output_tokens == 2
    assert ended.cost_nano == ended.input_tokens * INPUT + 2 * OUTPUT


async def test_uploads_at_the_cap_do_not_pass_it_either(place: Place) -> None:
    made = place.gateway.admin("POST", "/admin/v1/keys", json={"team": "uploads"})
    head = {"authorization": f"Bearer {made.json()['key']}"}
    caller = Caller(place.gateway.port, made.json()["key"])
    await asyncio.to_thread(eventually, lambda: asyncio.run(caller.get("/v1/models")).status == 200)
    async with httpx.AsyncClient(base_url=place.gateway.url, headers=head, timeout=20, trust_env=False) as client:
        answers = await asyncio.gather(
            *[
                client.post("/v1/audio/transcriptions", data={"model": "tiny"}, files={"file": ("a.wav", bytes(2000))})
                for _ in range(60)
            ]
        )
    assert {answer.status_code for answer in answers} == {200, 429}
    await asyncio.to_thread(place.books.closed)
    rows = [row for row in place.books.attempts() if row.reservation.team == "uploads"]
    assert most_at_once(rows) <= CAP
