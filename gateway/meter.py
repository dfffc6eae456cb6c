"""Counts one answer as it goes by: the provider's own usage where it comes, else the text, for an estimate.

Most answers end with the provider's count, so nothing is tokenized on the way. The text is kept only as far as
`SAMPLE` characters: a thousand slow streams may be open at once, and each would hold its answer. A longer answer is
estimated by the tokens per character of that beginning.
"""

from __future__ import annotations

import asyncio

import orjson

from gateway.model.chat import ChatRequest
from gateway.model.events import (
    Event,
    Failed,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    ToolDelta,
    UsageReport,
)
from gateway.model.usage import Usage
from gateway.pricing.tokens import count_request, count_text, is_loaded

SAMPLE = 4 * 1024
_PIECES = 64
"""Deltas kept apart: a short `str` takes ten times the room of its letters, which is 90 KiB a stream of short words."""
_INLINE = 1024
"""Characters that are counted on the loop (about 40 us); more goes to a thread, which tiktoken lets run beside it."""


class Meter:
    """`see` every event, then ask for `usage`."""

    __slots__ = (
        "_beyond",
        "_body",
        "_model",
        "_pieces",
        "_room",
        "answering_model",
        "reported",
        "searches",
        "seconds",
        "started",
        "tier",
    )

    def __init__(self, request: ChatRequest | None) -> None:
        # the bytes, not what they say: that takes several times as much, and is seldom wanted again
        self._body = request.body if request is not None else None
        self._model = request.model if request is not None else ""
        self._pieces: list[str] = []
        self._room = SAMPLE
        self._beyond = 0  # characters that were not kept
        self.answering_model = ""
        self.reported: Usage | None = None
        self.tier = ""  # of service, in the provider's word
        self.seconds = 0  # of audio
        self.searches = 0  # of the web, by the provider
        self.started = False  # something of an answer came, be it not a word of text

    def see(self, event: Event) -> None:
        """Take one event into account."""
        kind = type(event)
        if kind is TextDelta:
            self._keep(event.text)  # type: ignore[union-attr]
        elif kind is UsageReport:
            self.reported = event.usage  # type: ignore[union-attr]
            self.tier = event.tier  # type: ignore[union-attr]
            self.seconds = event.seconds  # type: ignore[union-attr]
            self.searches = event.searches  # type: ignore[union-attr]
        elif kind is ToolDelta:
            self._keep(event.name + event.arguments)  # type: ignore[union-attr]
        elif kind is ReasoningDelta or kind is RefusalDelta:
            self._keep(event.text)  # type: ignore[union-attr]
        elif kind is Start:
            self.answering_model = event.model  # type: ignore[union-attr]
        elif kind is Failed:
            return
        self.started = True

    def _keep(self, text: str) -> None:
        if self._room > 0:
            kept = text[: self._room]
            self._pieces.append(kept)
            if len(self._pieces) == _PIECES:
                self._pieces = ["".join(self._pieces)]
            self._room -= len(kept)
            self._beyond += len(text) - len(kept)
        else:
            self._beyond += len(text)

    async def usage(self) -> Usage | None:
        """What the provider counted, else an estimate; None where there is nothing to count."""
        if self.reported is not None:
            return self.reported
        if self._body is None or not self.started:
            return None
        is_short = SAMPLE - self._room + len(self._body) <= _INLINE
        if is_short and is_loaded(self.answering_model or self._model):
            return self._estimate(self._body)
        return await asyncio.to_thread(self._estimate, self._body)

    def usage_now(self) -> Usage | None:
        """The same without waiting, for whoever is told to stop: it may hold the loop for some milliseconds."""
        if self.reported is not None or self._body is None or not self.started:
            return self.reported
        return self._estimate(self._body)

    def _estimate(self, body: bytes) -> Usage:
        model = self.answering_model or self._model
        sample = "".join(self._pieces)
        made = count_text(model, sample)
        if self._beyond:
            made += round(made * self._beyond / len(sample))
        return Usage(count_request(model, orjson.loads(body)), made, source="estimated")
