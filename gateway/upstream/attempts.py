"""Walks a plan: try a deployment, and the next one only while nothing of an answer has been shown to anybody.

What is tried elsewhere: a provider that cannot be reached, breaks or stays silent before its first byte, is out of its
limits (429), fails (5xx), or refuses our key. What the caller got wrong is its own to mend and ends the walk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.errors import UpstreamError
from gateway.model.route import Candidate
from gateway.providers.base import Outcome
from gateway.upstream.wire import Reply, header

MAX_ERROR = 1024 * 1024
"""Bytes of a provider's error that are read."""

MAX_UNARY = 64 * 1024 * 1024
"""Bytes of an answer that is held whole: 2,000 embeddings of 3,072 dimensions, or ten images, as JSON."""


@dataclass(slots=True)
class Opened:
    """An attempt that brought an answer. `data` is its first bytes, or all of them if `whole`."""

    candidate: Candidate
    reply: Reply
    outcome: Outcome
    data: bytes
    whole: bool
    media_type: bytes


class Observer(Protocol):
    """Who counts attempts."""

    def attempted(self, candidate: Candidate) -> None:
        """An attempt begins."""

    async def failed(self, candidate: Candidate, error: UpstreamError | int) -> None:
        """It failed: by an error, or with a status that is not the caller's fault."""


Send = Callable[[Candidate], Awaitable[Reply]]
Classify = Callable[[Candidate, int], Outcome]


async def walk(plan: list[Candidate], send: Send, classify: Classify, observer: Observer, *, raw: bool) -> Opened:
    """The first attempt of `plan` that brings an answer, or the last one's failure.

    `raw`: the answer is handed on in pieces whatever it is (files, speech). Raises `UpstreamError`.
    """
    last = len(plan) - 1
    for at, candidate in enumerate(plan):
        observer.attempted(candidate)
        try:
            opened = await _open(candidate, await send(candidate), classify, raw=raw)
        except UpstreamError as error:
            await observer.failed(candidate, error)
            if at == last:
                raise
            continue
        if opened.outcome not in ("ok", "caller"):
            await observer.failed(candidate, opened.reply.status)
            if at != last:
                opened.reply.close()
                continue
        return opened
    raise AssertionError("a plan has at least one candidate")


async def _open(candidate: Candidate, reply: Reply, classify: Classify, *, raw: bool) -> Opened:
    """Read as much of `reply` as must be here before anything is shown: all that is not a stream, else its start."""
    outcome = classify(candidate, reply.status)
    media_type = header(reply.headers, b"content-type") or b""
    try:
        if outcome != "ok":
            return Opened(candidate, reply, outcome, await _error_body(reply), True, media_type)
        # of what names a model even a raw endpoint's JSON is read: it says what was used
        if media_type.startswith(b"application/json") and (candidate.model or not raw):
            return Opened(candidate, reply, outcome, await reply.read_all(MAX_UNARY), True, media_type)
        return Opened(candidate, reply, outcome, await reply.read(), False, media_type)
    except BaseException:
        reply.close()
        raise


async def _error_body(reply: Reply) -> bytes:
    """What a provider says of its refusal. That it refused is known by its status, however its words break off."""
    try:
        return await reply.read_all(MAX_ERROR)
    except UpstreamError:
        return b""
