"""A call that is tried more than once: each attempt has a row of its own, and only what a provider bills costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.gateway_process import Gateway, Provider, provider, running
from tests.money.books import FOR_ONE_WORD, INPUT, OUTPUT, Books, check_equal, owed, written
from tests.money.callers import Answer, Caller, chat

SCRIPT = f"""
models: ["tiny*"]
replies:
  - {{when: {{model: tiny-fails}}, error: {{status: 500}}}}
  - {{when: {{model: tiny-limited}}, error: {{status: 429, retry_after: 1}}}}
  - {{when: {{model: tiny-resets}}, text: never, fault: {{kind: reset, before_head: true}}}}
  - when: {{model: tiny-breaks, stream: true}}
    text: " again again again again again again"
    usage: {{input_tokens: {FOR_ONE_WORD}}}
    fault: {{kind: reset, after_chunks: 4}}
  - when: {{model: tiny-breaks}}
    text: " again again again again again again"
    usage: {{input_tokens: {FOR_ONE_WORD}}}
    fault: {{kind: close_early, after_bytes: 50}}
  - {{when: {{model: tiny-page}}, raw: {{body: "<html>Welcome</html>", content_type: text/html}}}}
  - {{text: " again again", usage: {{input_tokens: 7}}}}
"""
NOBODY = '  nobody: {kind: openai, base_url: "http://127.0.0.1:9/v1", api_key: none, allow_private: true}\n'
FAILING = {"fails": "up", "limited": "up", "resets": "mute", "breaks": "up", "page": "up"}
"""How models fail, and at which provider. `mute` has no connection that idles: none of its calls ends well."""


@dataclass(frozen=True)
class Place:
    """A gateway whose models `tiny-...` fail first and then fall back to `tiny`."""

    gateway: Gateway
    up: Provider
    books: Books
    caller: Caller


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("attempts")
    models = "".join(
        f"  tiny-{how}: {{deployments: [{{provider: {who}, model: tiny-{how}}}], fallbacks: [tiny]}}\n"
        f"  alone-{how}: {{deployments: [{{provider: {who}, model: tiny-{how}}}]}}\n"
        for how, who in FAILING.items()
    )
    twice = "  tiny-twice: {deployments: [{provider: up, model: tiny-fails}, {provider: mute, model: tiny-resets}]}\n"
    nobody = "  tiny-nobody: {deployments: [{provider: nobody, model: tiny}], fallbacks: [tiny]}\n"
    with provider(folder, SCRIPT) as up:
        config = written(folder, up, models=models + twice + nobody)
        config = config.replace("providers:\n", f"providers:\n{NOBODY}")
        with running(folder, config=config) as gateway:
            yield Place(gateway, up, Books.of(gateway, up), Caller(gateway.port, gateway.key))


async def ask(place: Place, model: str, **more: Any) -> tuple[Answer, list[tuple[str, str, int | None]]]:
    """The answer, and (kind, state, cost) of each attempt; the numbers count from 1."""
    answer = await place.caller.post(chat(model=model, **more))
    rows = place.books.request(answer.id)
    assert [row.reservation.attempt for row in rows] == list(range(1, len(rows) + 1))
    found = [(row.reservation.kind, row.state, row.settlement.cost_nano) for row in rows if row.settlement is not None]
    return answer, [(str(kind), str(state), cost) for kind, state, cost in found]


@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
@pytest.mark.parametrize("how", ["fails", "limited"])
async def test_an_error_is_void_and_the_fallback_settled(place: Place, how: str, stream: bool) -> None:
    answer, rows = await ask(place, f"tiny-{how}", stream=stream)
    assert answer.status == 200
    assert rows == [("first", "void", 0), ("fallback", "settled", 7 * INPUT + 2 * OUTPUT)]
    bill = place.books.bill()
    assert f"{answer.id}-1" not in bill
    check_equal(place.books.request(answer.id)[1], bill[f"{answer.id}-2"])


async def test_a_provider_that_nobody_can_reach_is_void_and_was_never_sent_to(place: Place) -> None:
    answer, rows = await ask(place, "tiny-nobody")
    assert answer.status == 200
    assert rows == [("first", "void", 0), ("fallback", "settled", 7 * INPUT + 2 * OUTPUT)]


async def test_a_provider_that_took_the_request_and_broke_before_its_answer_may_have_charged_for_it(
    place: Place,
) -> None:
    answer, rows = await ask(place, "tiny-resets")
    assert answer.status == 200
    assert [(kind, state) for kind, state, _ in rows] == [("first", "estimated"), ("fallback", "settled")]
    cost = rows[0][2]
    assert cost is not None and cost >= FOR_ONE_WORD * INPUT


async def test_a_stream_that_breaks_is_estimated_at_what_came(place: Place) -> None:
    answer, rows = await ask(place, "tiny-breaks", stream=True)
    assert answer.status == 200 and b"[DONE]" not in answer.data
    assert rows == [("first", "estimated", FOR_ONE_WORD * INPUT + 3 * OUTPUT)]
    line = place.books.bill()[f"{answer.id}-1"]
    assert owed(line) == rows[0][2]


async def test_an_answer_of_200_that_breaks_is_estimated_and_falls_back(place: Place) -> None:
    answer, rows = await ask(place, "tiny-breaks")
    assert answer.status == 200
    assert [(kind, state) for kind, state, _ in rows] == [("first", "estimated"), ("fallback", "settled")]
    cost = rows[0][2]
    assert cost is not None and cost >= FOR_ONE_WORD * INPUT, "it is generated, and billed, before it is sent"


async def test_a_page_that_is_no_answer_is_not_free_of_rows(place: Place) -> None:
    answer, rows = await ask(place, "alone-page")
    assert answer.status == 502
    assert len(rows) == 1 and rows[0][:2] in (("first", "estimated"), ("first", "settled"))


async def test_two_deployments_of_a_model_make_a_retry(place: Place) -> None:
    answer, rows = await ask(place, "tiny-twice")
    assert answer.status in (500, 502)
    assert [kind for kind, _, _ in rows] == ["first", "retry"]
    assert "void" in {state for _, state, _ in rows}, "the one that answered 500"


async def test_without_a_fallback_the_error_has_one_row(place: Place) -> None:
    answer, rows = await ask(place, "alone-fails")
    assert (answer.status, rows) == (500, [("first", "void", 0)])


async def test_what_is_refused_before_a_provider_is_chosen_has_no_row(place: Place) -> None:
    before = len(place.books.attempts())
    assert (await place.caller.post(chat(model="nothing"))).status == 404
    assert (await place.caller.post({"model": "tiny"})).status == 400
    assert (await Caller(place.gateway.port, "gw-wrong").post(chat())).status == 401
    assert len(place.books.attempts()) == before


async def test_at_the_end_the_books_are_equal(place: Place) -> None:
    place.books.closed()
    for attempt, line in place.books.pairs():
        assert attempt.settlement is not None
        if attempt.state == "settled":
            check_equal(attempt, line)


async def test_a_call_that_is_sent_again_because_an_idle_connection_broke_says_so(tmp_path: Path) -> None:
    models = "  resets: {deployments: [{provider: up, model: tiny-resets}]}\n"
    with provider(tmp_path, SCRIPT) as up, running(tmp_path, config=written(tmp_path, up, models=models)) as gateway:
        caller, books = Caller(gateway.port, gateway.key), Books.of(gateway, up)
        assert (await caller.post(chat())).status == 200  # leaves a connection that idles
        answer = await caller.post(chat(model="resets"))
        assert answer.status == 502
        (attempt,) = books.request(answer.id)
        assert attempt.settlement is not None
        sendings = [line for line in up.bill() if line["client_request_id"] == f"{answer.id}-1"]
        assert attempt.settlement.retries == len(sendings) - 1
        assert attempt.state == "estimated"
