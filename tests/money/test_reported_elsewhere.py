"""What users of other gateways reported about their bills, one test each, over the wire.

A client that leaves, an aborted stream, budgets passed by concurrent calls and a shutdown that forgets have files of
their own beside this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.model.record import Settlement
from tests.gateway_process import provider, running
from tests.money.books import CACHE_READ, CACHE_WRITE, INPUT, OUTPUT, PRICES, Books, check_equal, written
from tests.money.callers import CHAT, Answer, Caller, chat

SCRIPT = """
models: ["tiny*", tiered]
replies:
  - {when: {contains: zero}, text: " again again", usage: {input_tokens: 0, output_tokens: 0}}
  - {when: {contains: cache reads}, text: " again", usage: {input_tokens: 1000, cache_read_tokens: 900, output_tokens: 20}}
  - when: {contains: cache writes}
    text: " again"
    usage: {input_tokens: 1000, cache_read_tokens: 500, cache_write_tokens: 400, output_tokens: 20}
  - {when: {contains: reasoning}, text: " again", usage: {input_tokens: 10, output_tokens: 500, reasoning_tokens: 490}}
  - {when: {contains: at 200k}, text: " again", usage: {input_tokens: 200000, output_tokens: 100}}
  - when: {contains: over 200k}
    text: " again"
    usage: {input_tokens: 200001, cache_read_tokens: 100000, output_tokens: 100}
  - {when: {contains: priority}, text: " again", usage: {input_tokens: 10, output_tokens: 5}, extra: {service_tier: priority}}
  - {when: {contains: flex}, text: " again", usage: {input_tokens: 10, output_tokens: 5}, extra: {service_tier: flex}}
  - {when: {contains: last chunk}, text: " again again", usage: {input_tokens: 11}, stream_usage: last}
  - {when: {contains: tool}, tool_calls: [{name: look, arguments: {city: Paris}}], usage: {input_tokens: 9, output_tokens: 77}}
  - {when: {contains: impossible}, text: " again", usage: {input_tokens: 5, cache_read_tokens: 50, output_tokens: 1}}
  - {text: " again again", usage: {input_tokens: 7}}
"""  # noqa: E501

TIERED = (
    PRICES
    + """\
- provider: up
  model: tiered
  from: 2026-01-01
  usd_per_million: {input: 1.00, cache_read: 0.10, output: 4.00}
  long_context: [{above: 200000, usd_per_million: {input: 2.00, cache_read: 0.20, output: 6.00}}]
- {provider: up, model: tiered, from: 2026-01-01, service_tier: priority, usd_per_million: {input: 3.00, output: 9.00}}
"""
)


@dataclass(frozen=True)
class Place:
    """A gateway, and the books."""

    caller: Caller
    books: Books


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("reported")
    with provider(folder, SCRIPT) as up:
        config = written(folder, up, models="  tiered: {deployments: [{provider: up, model: tiered}]}\n")
        (folder / "prices.yaml").write_text(TIERED)
        with running(folder, config=config) as gateway:
            yield Place(Caller(gateway.port, gateway.key), Books.of(gateway, up))


async def ask(
    place: Place, content: str, *, path: str = CHAT, body: dict[str, Any] | None = None, **more: Any
) -> tuple[Answer, Settlement]:
    """The answer and the one end of its one attempt."""
    answer = await place.caller.post(body if body is not None else chat(content, **more), path)
    (attempt,) = place.books.request(answer.id)
    assert attempt.settlement is not None
    return answer, attempt.settlement


both = pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])


@both
async def test_an_explicit_zero_of_the_provider_stays_zero(place: Place, stream: bool) -> None:
    _, ended = await ask(place, "zero", stream=stream)
    assert (ended.state, ended.source) == ("settled", "provider")
    assert (ended.input_tokens, ended.output_tokens, ended.cost_nano) == (0, 0, 0)


@both
async def test_cached_reads_are_at_the_price_of_the_cache(place: Place, stream: bool) -> None:
    _, ended = await ask(place, "cache reads", stream=stream)
    assert ended.cache_read_tokens == 900
    assert ended.cost_nano == 100 * INPUT + 900 * CACHE_READ + 20 * OUTPUT


@both
async def test_tokens_of_the_cache_are_not_charged_twice(place: Place, stream: bool) -> None:
    answer, ended = await ask(place, "cache writes", stream=stream)
    assert (ended.input_tokens, ended.cache_read_tokens, ended.cache_write_tokens) == (1000, 500, 400)
    assert ended.cost_nano == 100 * INPUT + 500 * CACHE_READ + 400 * CACHE_WRITE + 20 * OUTPUT
    check_equal(place.books.request(answer.id)[0], place.books.bill()[f"{answer.id}-1"])


@both
async def test_reasoning_is_output_and_charged_once(place: Place, stream: bool) -> None:
    _, ended = await ask(place, "reasoning", stream=stream)
    assert (ended.output_tokens, ended.reasoning_tokens) == (500, 490)
    assert ended.cost_nano == 10 * INPUT + 500 * OUTPUT


@both
async def test_over_200k_tokens_the_whole_call_is_at_the_price_of_long_prompts(place: Place, stream: bool) -> None:
    _, ended = await ask(place, "at 200k", model="tiered", stream=stream)
    assert ended.cost_nano == 200_000 * 1_000 + 100 * 4_000
    _, ended = await ask(place, "over 200k", model="tiered", stream=stream)
    assert ended.cost_nano == 100_001 * 2_000 + 100_000 * 200 + 100 * 6_000


@both
async def test_the_priority_tier_that_a_reply_names_is_priced(place: Place, stream: bool) -> None:
    # Whatever was asked for: the reply says what was served.
    for asked in (None, "auto", "priority"):
        _, ended = await ask(place, "priority", model="tiered", stream=stream, service_tier=asked)
        assert ended.cost_nano == 10 * 3_000 + 5 * 9_000
    _, ended = await ask(place, "standard", model="tiered", stream=stream, service_tier="priority")
    assert ended.cost_nano == 7 * 1_000 + 2 * 4_000, "asked for and not served"


@both
async def test_a_tier_without_a_price_is_unpriced_not_standard(place: Place, stream: bool) -> None:
    _, ended = await ask(place, "flex", model="tiered", stream=stream)
    assert (ended.state, ended.input_tokens, ended.cost_nano) == ("settled", 10, None)


async def test_delivered_deltas_are_not_billed_as_one_token(place: Place) -> None:
    _, ended = await ask(place, "x", model="tiny-untold", stream=True)
    assert (ended.state, ended.output_tokens) == ("estimated", 2)


async def test_usage_on_the_chunk_with_the_finish_reason_counts(place: Place) -> None:
    _, ended = await ask(place, "last chunk", stream=True)
    assert (ended.state, ended.input_tokens, ended.output_tokens) == ("settled", 11, 2)


@both
async def test_tool_calls_are_booked_as_the_provider_counts_them(place: Place, stream: bool) -> None:
    _, ended = await ask(place, "tool", stream=stream)
    assert (ended.state, ended.cost_nano) == ("settled", 9 * INPUT + 77 * OUTPUT)


@both
async def test_parts_that_exceed_their_whole_are_not_believed(place: Place, stream: bool) -> None:
    answer, ended = await ask(place, "impossible", stream=stream)
    assert answer.status == 200
    assert ended.cost_nano is None, "unknown, not free and not negative"


async def test_embeddings_and_completions_are_booked_like_chats(place: Place) -> None:
    answer, ended = await ask(place, "", path="/v1/embeddings", body={"model": "tiny", "input": ["one two", "three"]})
    assert (answer.status, ended.state) == (200, "settled")
    assert ended.cost_nano == 3 * INPUT
    answer, ended = await ask(place, "", path="/v1/completions", body={"model": "tiny", "prompt": "one two"})
    assert (answer.status, ended.cost_nano) == (200, 7 * INPUT + 2 * OUTPUT)
