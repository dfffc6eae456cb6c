"""Counts one answer as it goes by: the provider's own usage where it comes, else the text, for an estimate.

Text is counted in pieces of `PIECE` characters off the event loop while the answer streams, so a long answer is never
held to be counted at its end.
"""

from __future__ import annotations

import asyncio

from gateway.model.chat import ChatRequest
from gateway.model.events import Event, Failed, Start, TextDelta, ToolDelta, UsageReport
from gateway.model.usage import Usage
from gateway.pricing.tokens import count_request, count_text

PIECE = 16 * 1024
_INLINE = 1024
"""Characters that are counted on the loop (about 40 us); more goes to a thread, which tiktoken lets run beside it."""


class Meter:
    """`see` every event, then ask for `usage`."""

    __slots__ = ("_counted", "_held", "_pieces", "_request", "answering_model", "reported", "started")

    def __init__(self, request: ChatRequest | None) -> None:
        self._request = request
        self._pieces: list[str] = []
        self._held = 0
        self._counted: list[asyncio.Future[int]] = []
        self.answering_model = ""
        self.reported: Usage | None = None
        self.started = False  # something of an answer came, be it not a word of text

    def see(self, event: Event) -> None:
        """Take one event into account."""
        kind = type(event)
        if kind is TextDelta:
            self._keep(event.text)  # type: ignore[union-attr]
        elif kind is UsageReport:
            self.reported = event.usage  # type: ignore[union-attr]
        elif kind is ToolDelta:
            self._keep(event.name + event.arguments)  # type: ignore[union-attr]
        elif kind is Start:
            self.answering_model = event.model  # type: ignore[union-attr]
        elif kind is Failed:
            return
        self.started = True

    def _keep(self, text: str) -> None:
        self._pieces.append(text)
        self._held += len(text)
        if self._held > PIECE:
            whole = self._take()
            self._counted.append(asyncio.get_running_loop().run_in_executor(None, count_text, self._model, whole))

    def _take(self) -> str:
        whole = "".join(self._pieces)
        self._pieces.clear()
        self._held = 0
        return whole

    @property
    def _model(self) -> str:
        return self.answering_model or (self._request.model if self._request is not None else "")

    async def usage(self) -> Usage | None:
        """What the provider counted, else an estimate; None where there is nothing to count."""
        if self.reported is not None:
            return self.reported
        if self._request is None or not self.started:
            return None
        made = sum([await counted for counted in self._counted])
        rest = self._take()
        if len(rest) + len(self._request.body) <= _INLINE:
            return self._estimate(rest, made)
        return await asyncio.to_thread(self._estimate, rest, made)

    def _estimate(self, rest: str, made: int) -> Usage:
        assert self._request is not None
        given = count_request(self._model, self._request.parsed)
        return Usage(given, made + count_text(self._model, rest), source="estimated")
