"""A client that leaves after k chunks, every k, JSON and SSE: booked, and equal to the bill of the provider.

All of them leave one gateway at the same time. A stream's model says where it stalls: `tiny-12` falls silent after 12
events, so that a client that leaves then stops provider and gateway at the same word, however busy the machine is.
Others leave streams that go on: what is on its way just then may be on the bill and not be booked, but no more.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.model.record import Attempt
from tests.gateway_process import Gateway, provider, running
from tests.money.books import FOR_ONE_WORD, Books, Line, check_equal, written
from tests.money.callers import CHAT, MANNERS, Answer, Caller, Leave, Manner, chat

WORDS = 36


@dataclass(frozen=True)
class Kind:
    """A kind of stream: where it is asked for, how, in how many events it comes, and which of them tells usage."""

    path: str
    body: dict[str, Any]
    events: int
    tells_at: int
    estimate: int = FOR_ONE_WORD

    def asks(self, model: str) -> dict[str, Any]:
        """The body for a model, which is `tiny` or says where to stall."""
        return {**self.body, "model": f"{self.body['model']}{model}"}


ASKED: dict[str, Any] = {"stream_options": {"include_usage": True}}
PROMPT = {"prompt": "x", "stream": True}
KINDS = {
    "told": Kind(CHAT, chat(stream=True, **ASKED), WORDS + 4, WORDS + 3),
    "untold": Kind(CHAT, chat(model="untold", stream=True), WORDS + 3, WORDS + 99),
    "completions": Kind("/v1/completions", {"model": "tiny", **PROMPT, **ASKED}, WORDS + 3, WORDS + 2, 1),
}
"""`untold` is a chat of a provider that is never asked for usage."""

MODELS = """\
  "tiny-*": {deployments: [{provider: up, model: "tiny-*"}]}
  untold: {deployments: [{provider: mute, model: tiny}]}
  "untold-*": {deployments: [{provider: mute, model: "tiny-*"}]}
"""
STREAM = 'text: " again", repeat: 36, usage: {input_tokens: %d}, delay: {first: 0.6, chunk: %g}'
STALLS = "".join(
    f"  - {{when: {{model: tiny-{at}, endpoint: {name}}}, {STREAM % (tokens, 0.01)},"
    f" fault: {{kind: hang, after_chunks: {at}}}}}\n"
    for name, tokens in (("chat", FOR_ONE_WORD), ("completions", 1))
    for at in range(WORDS + 5)
)
SCRIPT = f"""
models: ["tiny*"]
replies:
  - {{when: {{contains: quick}}, text: " again again again", usage: {{input_tokens: 7}}, delay: {{head: 0.25}}}}
  - {{when: {{contains: slow}}, text: " again again again", usage: {{input_tokens: 7}}, delay: {{head: 3}}}}
  - when: {{contains: pieces}}
    text: " again again again"
    usage: {{input_tokens: 7}}
    fault: {{kind: drip, bytes: 200, every: 0.08}}
  - when: {{contains: drops}}
    text: " again again again"
    usage: {{input_tokens: 7}}
    fault: {{kind: drip, bytes: 60, every: 0.3}}
  - {{when: {{contains: large}}, text: " again", repeat: 300000, usage: {{input_tokens: 7}}}}
{STALLS}
  - {{when: {{endpoint: completions}}, {STREAM % (1, 0.05)}}}
  - {{{STREAM % (FOR_ONE_WORD, 0.05)}}}
"""
WHOLE: dict[str, Leave] = {
    "quick": Leave(seconds=0.1),
    "slow": Leave(seconds=0.2),
    "pieces": Leave(seconds=0.15),
    "drops": Leave(seconds=0.2),
    "large": Leave(bytes=1),
    "x": Leave(seconds=20),
}
"""Calls that are not streamed, by what they ask for, and when their clients leave; the last after the whole answer."""


@dataclass(frozen=True)
class Left:
    """What the clients did: their answers and when they had left, by the name they gave as `user`; and the books."""

    answers: dict[str, Answer]
    left_at: dict[str, float]
    rows: dict[str, list[Attempt]]
    bill: dict[str, Line]
    gateway: Gateway

    def was_never_sent(self, user: str) -> bool:
        """Whether the client was gone before a connection to the provider stood: void, and in nobody's bill."""
        (row,) = self.rows[user]
        if row.state != "void":
            return False
        assert row.sent_at is None and row.settlement is not None and row.settlement.cost_nano == 0
        assert f"{row.reservation.request_id}-{row.reservation.attempt}" not in self.bill
        return True

    def booked(self, user: str) -> tuple[Attempt, Line]:
        """The one attempt of a client, and the one line it is billed with."""
        (attempt,) = self.rows[user]
        return attempt, self.bill[f"{attempt.reservation.request_id}-{attempt.reservation.attempt}"]


def called(kind: str, chunks: int, manner: Manner, *, moving: bool = False) -> str:
    return f"{'moving-' if moving else ''}{kind}-{chunks}-{manner}"


def places(kind: Kind) -> range:
    """After how many chunks to leave: before the first, after each, and after all."""
    return range(kind.events + 1)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Left]:
    folder = tmp_path_factory.mktemp("leaving")
    with provider(folder, SCRIPT) as up, running(folder, config=written(folder, up, models=MODELS)) as gateway:
        books = Books.of(gateway, up)
        answers, left_at = asyncio.run(_leave(Caller(gateway.port, gateway.key)))
        books.closed(calls=len(answers))
        rows: dict[str, list[Attempt]] = {user: [] for user in answers}
        for attempt in books.attempts():
            rows[attempt.reservation.user].append(attempt)
        yield Left(answers, left_at, rows, books.bill(), gateway)


async def _leave(caller: Caller) -> tuple[dict[str, Answer], dict[str, float]]:
    answers: dict[str, Answer] = {}
    left_at: dict[str, float] = {}
    chance = random.Random(5)

    async def one(user: str, path: str, body: dict[str, Any], leave: Leave, within_s: float) -> None:
        await asyncio.sleep(within_s * chance.random())  # they leave at all times, not all at the same
        answers[user] = await caller.post({**body, "user": user}, path, leave=leave)
        left_at[user] = time.time()

    async with asyncio.TaskGroup() as group:
        for manner in MANNERS:
            for name, kind in KINDS.items():
                for chunks in places(kind):
                    leave = Leave(chunks=chunks, manner=manner) if chunks else Leave(seconds=0.4, manner=manner)
                    body = kind.asks(f"-{chunks}")
                    group.create_task(one(called(name, chunks, manner), kind.path, body, leave, 1.5))
                    user = called(name, chunks, manner, moving=True)
                    group.create_task(one(user, kind.path, kind.asks(""), leave, 1.5))
    async with asyncio.TaskGroup() as group:  # by themselves, since it is looked at how long some of them take
        for manner in MANNERS:
            for content, how in WHOLE.items():
                leave = Leave(how.chunks, how.bytes, how.seconds, manner)
                group.create_task(one(f"{content}-{manner}", CHAT, chat(content), leave, 0.1))
    return answers, left_at


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_that_is_left_after_any_chunk_is_booked_once_and_as_billed(
    left: Left, kind: str, manner: Manner
) -> None:
    for chunks in places(KINDS[kind]):
        user = called(kind, chunks, manner)
        if left.was_never_sent(user):
            assert chunks == 0
            continue
        attempt, line = left.booked(user)
        assert left.answers[user].data.count(b"data: ") == chunks, user
        assert (user, attempt.state) == (user, "settled" if chunks >= KINDS[kind].tells_at else "estimated")
        check_equal(attempt, line)


@pytest.mark.parametrize("kind", KINDS)
def test_an_aborted_stream_is_billed_as_delivered(left: Left, kind: str) -> None:
    before = 1 if kind == "completions" else 2  # the chunk of the first word
    for chunks in range(before, before + WORDS):
        attempt, _ = left.booked(called(kind, chunks, "closes"))
        assert attempt.settlement is not None
        assert attempt.settlement.output_tokens == chunks - before + 1


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_that_is_left_as_it_goes_is_booked_with_no_less_than_was_delivered_and_no_more_than_is_billed(
    left: Left, kind: str, manner: Manner
) -> None:
    short = 0
    for chunks in places(KINDS[kind]):
        user = called(kind, chunks, manner, moving=True)
        if left.was_never_sent(user):
            continue
        attempt, line = left.booked(user)
        ended = attempt.settlement
        assert ended is not None
        assert (user, ended.input_tokens) == (user, KINDS[kind].estimate)
        assert left.answers[user].data.count(b" again") <= ended.output_tokens <= line["output_tokens"]
        short += line["output_tokens"] - ended.output_tokens
        if attempt.state == "settled":
            check_equal(attempt, line)
    assert short <= 2 * len(places(KINDS[kind])), "a word or two were on their way"


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("content", ["quick", "pieces"])
def test_an_answer_that_comes_soon_after_its_client_left_is_waited_for_and_booked_exactly(
    left: Left, content: str, manner: Manner
) -> None:
    attempt, line = left.booked(f"{content}-{manner}")
    assert (attempt.state, line["completed"]) == ("settled", True)
    check_equal(attempt, line)


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("content", ["slow", "drops"])
def test_an_answer_that_costs_is_awaited_to_its_end_however_long_its_client_has_left(
    left: Left, content: str, manner: Manner
) -> None:
    user = f"{content}-{manner}"
    attempt, line = left.booked(user)
    assert line["at"] - left.left_at[user] > 1.0
    assert (attempt.state, line["completed"]) == ("settled", True)
    assert attempt.settlement is not None and attempt.settlement.code == "client_closed_request"
    check_equal(attempt, line)


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("content", ["large", "x"])
def test_an_answer_that_was_here_is_booked_exactly_however_much_of_it_was_taken(
    left: Left, content: str, manner: Manner
) -> None:
    attempt, line = left.booked(f"{content}-{manner}")
    assert left.answers[f"{content}-{manner}"].ended is (content == "x")
    assert (attempt.state, line["completed"]) == ("settled", True)
    check_equal(attempt, line)


def test_who_leaves_leaves_a_row_and_nothing_in_flight(left: Left) -> None:
    assert {user: len(rows) for user, rows in left.rows.items()} == dict.fromkeys(left.answers, 1)
    assert left.gateway.metric("gateway_in_flight_requests") == 0
    assert left.gateway.metric("gateway_streams") == 0
    unsent = sum(map(left.was_never_sent, left.answers))
    assert len(left.bill) == len(left.answers) - unsent
    assert unsent <= 12, "the machine was too slow to show much"
