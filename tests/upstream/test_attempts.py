"""What goes on to the next candidate, and what is the answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from gateway.errors import (
    BrokenReply,
    ClientGone,
    GatewayError,
    InvalidRequest,
    Unreachable,
    UpstreamError,
    UpstreamTimeout,
)
from gateway.model.route import Candidate, Timeouts
from gateway.providers.openai import PROVIDER
from gateway.upstream.attempts import MAX_ERROR, MAX_UNARY, Opened, walk
from gateway.upstream.reply import too_long
from gateway.upstream.wire import Headers, Reply

JSON: Headers = [(b"content-type", b"application/json; charset=utf-8")]
EVENTS: Headers = [(b"content-type", b"text/event-stream")]
NAMES = ("first", "second", "third")


@dataclass
class Played:
    """A reply that says its parts and then ends, or fails."""

    status: int = 200
    headers: Headers = field(default_factory=lambda: JSON)
    parts: list[bytes | GatewayError] = field(default_factory=lambda: [b"{}"])
    closed: int = 0
    limit: int = 0

    async def read(self) -> bytes:
        """See `wire.Reply`."""
        part = self.parts.pop(0) if self.parts else b""
        if isinstance(part, GatewayError):
            raise part
        return part

    async def read_all(self, limit: int) -> bytes:
        """See `wire.Reply`."""
        self.limit = limit
        whole = b""
        while part := await self.read():
            whole += part
        if len(whole) > limit:
            raise too_long(limit)
        return whole

    def close(self) -> None:
        """See `wire.Reply`."""
        self.closed += 1

    def fail(self, error: GatewayError) -> None:
        """See `wire.Reply`."""
        self.parts = [error]


Step = Played | GatewayError


def fresh(step: Step) -> Step:
    """A step of a table, whose parts are read away each time."""
    return replace(step, parts=[*step.parts]) if isinstance(step, Played) else step


class Walked:
    """One walk over up to three candidates, and what its observer was told."""

    def __init__(self, *steps: Step) -> None:
        self.steps = dict(zip(NAMES, steps, strict=False))
        self.tried: list[str] = []
        self.failures: list[tuple[str, str | int]] = []
        self.model = "m"

    def attempted(self, candidate: Candidate) -> None:
        """See `attempts.Observer`."""
        self.tried.append(candidate.provider)

    async def failed(self, candidate: Candidate, error: UpstreamError | int) -> None:
        """See `attempts.Observer`."""
        self.failures.append((candidate.provider, error if isinstance(error, int) else error.code))

    async def send(self, candidate: Candidate) -> Reply:
        """Play the candidate's step."""
        step = self.steps[candidate.provider]
        if isinstance(step, GatewayError):
            raise step
        return step

    async def walk(self, *, raw: bool = False) -> Opened:
        """Walk."""
        plan = [Candidate(name, self.model, "m", Timeouts()) for name in self.steps]
        return await walk(plan, self.send, lambda _, status: PROVIDER.classify(status), self, raw=raw)


GOES_ON: dict[str, tuple[Step, str | int]] = {
    "unreachable": (Unreachable("no"), "upstream_unreachable"),
    "no address": (Unreachable("no", code="upstream_dns_error"), "upstream_dns_error"),
    "no trust": (Unreachable("no", code="upstream_tls_error"), "upstream_tls_error"),
    "all connections in use": (Unreachable("no", code="upstream_busy"), "upstream_busy"),
    "silent": (UpstreamTimeout("first_byte", 1), "upstream_timeout"),
    "reset before the head": (BrokenReply("no", code="upstream_reset"), "upstream_reset"),
    "reset within a whole answer": (Played(parts=[b"{", BrokenReply("no")]), "upstream_broken_reply"),
    "reset before the first byte of a stream": (
        Played(headers=EVENTS, parts=[BrokenReply("no")]),
        "upstream_broken_reply",
    ),
    "idle within a whole answer": (Played(parts=[b"{", UpstreamTimeout("idle", 1)]), "upstream_timeout"),
    "too long an error": (Played(500, parts=[bytes(MAX_ERROR + 1)]), 500),
    "our key refused": (Played(401), 401),
    "our key forbidden": (Played(403), 403),
    "too slow": (Played(408), 408),
    "out of its limits": (Played(429), 429),
    "failed": (Played(500), 500),
    "overloaded": (Played(503), 503),
    "not an HTTP status that anybody knows": (Played(599), 599),
    "a redirect": (Played(302), 302),
}

ENDS_WALK = {
    "an answer": Played(),
    "created": Played(201),
    "the caller's fault": Played(400),
    "no such model there": Played(404),
    "too large": Played(413),
    "unprocessable": Played(422),
}


@pytest.mark.parametrize(("step", "told"), GOES_ON.values(), ids=GOES_ON.keys())
async def test_what_goes_on_to_the_next(step: Step, told: str | int) -> None:
    answer = Played(parts=[b'{"a"', b": 1}"])
    step = fresh(step)
    walked = Walked(step, answer, Played())
    opened = await walked.walk()
    assert (opened.candidate.provider, opened.data, opened.whole) == ("second", b'{"a": 1}', True)
    assert (walked.tried, walked.failures) == (["first", "second"], [("first", told)])
    assert not isinstance(step, Played) or step.closed == 1, "what is left behind is closed"
    assert answer.closed == 0, "what is handed on is not"


@pytest.mark.parametrize("step", ENDS_WALK.values(), ids=ENDS_WALK.keys())
async def test_what_is_the_answer(step: Played) -> None:
    step = replace(step, parts=[*step.parts])
    walked = Walked(step, Played())
    opened = await walked.walk()
    assert (opened.reply, walked.tried, walked.failures) == (step, ["first"], [])


@pytest.mark.parametrize("step", [ClientGone("left"), InvalidRequest("short")], ids=["client left", "caller's fault"])
async def test_what_is_no_providers_fault_ends_the_walk(step: GatewayError) -> None:
    walked = Walked(step, Played())
    with pytest.raises(type(step)):
        await walked.walk()
    assert (walked.tried, walked.failures) == (["first"], [])


async def test_the_last_failure_is_the_one_that_is_told() -> None:
    walked = Walked(Played(429), Unreachable("no"), UpstreamTimeout("first_byte", 1))
    with pytest.raises(UpstreamTimeout):
        await walked.walk()
    assert [name for name, _ in walked.failures] == ["first", "second", "third"]


async def test_the_last_status_is_the_one_that_is_told_with_its_body() -> None:
    last = Played(429, parts=[b'{"error": {}}'])
    walked = Walked(Unreachable("no"), last)
    opened = await walked.walk()
    assert (opened.outcome, opened.data, opened.whole, last.closed) == ("rate_limited", b'{"error": {}}', True, 0)
    assert walked.failures == [("first", "upstream_unreachable"), ("second", 429)]


async def test_a_stream_is_handed_on_with_its_first_bytes_and_not_awaited() -> None:
    stream = Played(headers=EVENTS, parts=[b"data: 1\n\n", BrokenReply("later: not the walk's business")])
    walked = Walked(stream, Played())
    opened = await walked.walk()
    assert (opened.data, opened.whole, opened.media_type) == (b"data: 1\n\n", False, b"text/event-stream")
    assert (walked.tried, stream.closed) == (["first"], 0)


@pytest.mark.parametrize(
    ("raw", "status", "limit"), [(False, 200, MAX_UNARY), (False, 500, MAX_ERROR), (True, 500, MAX_ERROR)]
)
async def test_what_is_held_whole_has_its_cap(raw: bool, status: int, limit: int) -> None:
    reply = Played(status)
    assert (await Walked(reply).walk(raw=raw)).whole
    assert reply.limit == limit


async def test_what_is_passed_on_raw_is_not_held_though_it_is_json() -> None:
    reply = Played(parts=[b"{", b"}"])
    walked = Walked(reply)
    walked.model = ""
    opened = await walked.walk(raw=True)
    assert (opened.data, opened.whole, reply.limit) == (b"{", False, 0)


async def test_json_of_a_model_is_held_even_where_the_endpoint_is_raw_because_it_says_what_was_used() -> None:
    reply = Played(parts=[b"{", b"}"])
    opened = await Walked(reply).walk(raw=True)
    assert (opened.data, opened.whole, reply.limit) == (b"{}", True, MAX_UNARY)
