"""Anthropic's replies to events: streams cut anywhere, and whole messages.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming. A stream is complete when `message_stop` came.
Events are decoded by type (msgspec), which reads past what the gateway does not know without building it. The same
decoder serves a translation and a client of the same dialect: it costs 1 us a text delta, and keeps every byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import orjson

from gateway.dialects import sse
from gateway.dialects.messages import citations, counts, wire
from gateway.dialects.messages.counts import Counts
from gateway.errors import BrokenReply
from gateway.model.conversation import Opaque
from gateway.model.events import (
    Break,
    CitationDelta,
    Event,
    Failed,
    PartDelta,
    Passed,
    ReasoningDelta,
    RefusalDelta,
    Start,
    Stop,
    StopReason,
    TextDelta,
    ToolDelta,
    UsageReport,
)

STOPS: dict[str, StopReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "refusal",
}

_decode = wire.decode_event

_CUT = "The provider's stream ended before its answer did."


_DELTA = b"event: content_block_delta\ndata: "


def _payload(event: bytes) -> bytes | None:
    """`sse.payload`, quicker for the shape that Anthropic sends: one line of a name, one of data."""
    if event.startswith(_DELTA) and event.find(b"\n", len(_DELTA)) == len(event) - 2:
        return event[len(_DELTA) : -2]
    return sse.payload(event)


class StreamDecoder:
    """A streamed reply: `feed` bytes cut anywhere, get events whose `raw` together are those bytes."""

    def __init__(self) -> None:
        self._splitter = sse.Splitter()
        self._counts: Counts | None = None
        self._blocks = _Blocks()
        self._ended = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes. Raises `BrokenReply` where it cannot be a stream."""
        events: list[Event] = []
        for raw in self._splitter.feed(data):
            self._take(raw, events)
        return events

    def _take(self, raw: bytes, events: list[Event]) -> None:
        body = _payload(raw)
        if body is None:
            events.append(Passed(raw))
            return
        try:
            event = _decode(body)
        except (msgspec.DecodeError, RecursionError):
            event = wire.leniently(body, wire.Event)
        delta = event.delta
        if delta is not None and event.type == "content_block_delta":
            if delta.text:
                events.append(TextDelta(delta.text, 0, raw))
            else:
                events.append(self._blocks.grow(event.index, delta, raw))
            return
        before = len(events)
        events += self._read(event)
        if len(events) == before:
            events.append(Passed(raw))
        else:
            events[before] = msgspec.structs.replace(events[before], raw=raw)

    def _read(self, event: wire.Event) -> Iterator[Event]:
        kind = event.type
        if kind == "content_block_start":
            yield from self._blocks.begin(event.index, bytes(event.content_block))
        elif kind == "content_block_stop":
            yield from self._blocks.end(event.index)
        elif kind == "message_start" and event.message is not None:
            message = event.message
            self._counts = message.usage
            told = counts.usage(message.usage) if message.usage is not None else None
            yield Start(message.model or "", id=message.id or "", usage=told)
        elif kind == "message_delta":
            yield from self._close_message(event)
        elif kind == "message_stop":
            self._ended = True
        elif kind == "error":
            self._ended = True
            yield Failed(_words(event.error))

    def _close_message(self, event: wire.Event) -> Iterator[Event]:
        delta = event.delta or wire.Delta()
        yield from _stop(delta.stop_reason, delta.stop_sequence, delta.stop_details)
        if event.usage is not None:
            self._counts = counts.merge(self._counts, event.usage)
            yield from _report(self._counts)

    def close(self) -> list[Event]:
        """The body ended cleanly. Raises `BrokenReply` if the answer had not."""
        events: list[Event] = []
        rest = self._splitter.close()
        if rest:
            self._take(rest, events)  # a last event without its empty line counts, if it is whole
        if not self._ended:
            raise BrokenReply(_CUT, code="upstream_truncated")
        return events


class _Blocks:
    """The content blocks of one message, told as deltas of one text, one reasoning and calls in order."""

    def __init__(self) -> None:
        self._kind = ""  # of the last block that was told
        self._calls: dict[int, int] = {}  # index of a block: number of its call
        self._silent: set[int] = set()  # calls without arguments so far
        self._opaque: dict[int, tuple[dict[str, Any], list[str]]] = {}

    def begin(self, index: int, raw: bytes) -> Iterator[Event]:
        try:
            block = wire.decode_block(raw)
        except (msgspec.DecodeError, RecursionError):
            block = wire.leniently(raw, wire.Block)
        kind = _KINDS.get(block.type, "")
        if kind and kind == self._kind:
            yield Break()
        self._kind = kind
        if kind == "text":
            if block.text:
                yield TextDelta(block.text)
            for one in block.citations or ():
                yield CitationDelta(citations.read(one))
        elif kind == "reasoning":
            if block.thinking or block.signature or block.data:
                yield ReasoningDelta(block.thinking or "", signature=block.signature or "", redacted=block.data or "")
        elif block.type == "tool_use":
            call = self._calls[index] = len(self._calls)
            given = bytes(block.input).decode()
            if given in _NOTHING:
                given = ""
                self._silent.add(index)
            yield ToolDelta(call, given, block.name or "", block.id or "")
        else:
            whole = wire.whole(raw)
            if whole is not None:
                self._opaque[index] = (whole, [])

    def grow(self, index: int, delta: wire.Delta, raw: bytes) -> Event:
        """What a delta without text adds."""
        if delta.partial_json:
            if index in self._calls:
                self._silent.discard(index)
                return ToolDelta(self._calls[index], delta.partial_json, raw=raw)
            if index in self._opaque:
                self._opaque[index][1].append(delta.partial_json)
        elif delta.thinking or delta.signature:
            return ReasoningDelta(delta.thinking or "", 0, raw, delta.signature or "")
        elif delta.citation is not None:
            return CitationDelta(citations.read(delta.citation), 0, raw)
        elif delta.content and index in self._opaque:  # of a compaction
            whole = self._opaque[index][0]
            before = whole.get("content")
            whole["content"] = (before if isinstance(before, str) else "") + delta.content
        return Passed(raw)

    def end(self, index: int) -> Iterator[Event]:
        if index in self._silent:
            self._silent.discard(index)
            yield ToolDelta(self._calls[index], "{}")
        elif index in self._opaque:
            whole, pieces = self._opaque.pop(index)
            if pieces:
                try:
                    whole["input"] = orjson.loads("".join(pieces))
                except orjson.JSONDecodeError:
                    whole["input"] = {"INVALID_JSON": "".join(pieces)}
            yield PartDelta(Opaque("messages", f"content[{index}]", whole))


_KINDS = {"text": "text", "thinking": "reasoning", "redacted_thinking": "reasoning"}
_NOTHING = ("", "{}", "null")


def _stop(reason: str | None, sequence: str | None, details: wire.StopDetails | None) -> Iterator[Event]:
    if reason is None:
        return
    if details is not None and details.explanation:
        yield RefusalDelta(details.explanation)
    yield Stop(STOPS.get(reason, "other"), sequence=sequence or "")


def _report(found: Counts) -> Iterator[Event]:
    usage = counts.usage(found)
    if usage is not None:
        yield UsageReport(usage, tier=counts.tier(found), searches=counts.searches(found))


def _words(problem: wire.Problem | None) -> str:
    return (problem.message if problem is not None else "") or "The provider reported an error."


class UnaryDecoder:
    """A reply in one piece: all of its events appear at `close`, the first of them carrying the whole body."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> list[Event]:
        """Take a piece; no event is complete before the body is."""
        self._pieces.append(data)
        return []

    def close(self) -> list[Event]:
        """All events. Raises `BrokenReply` where the body is not the JSON object that it should be."""
        body = b"".join(self._pieces)
        try:
            message = wire.decode_message(body)
        except (msgspec.DecodeError, RecursionError):
            message = wire.leniently(body, wire.Message, strict=True)
        if message.type == "error":
            return [Failed(_words(message.error), body)]
        events: list[Event] = [Start(message.model or "", body, message.id or "")]
        blocks = _Blocks()
        for index, block in enumerate(message.content or ()):
            events += blocks.begin(index, bytes(block))
            events += blocks.end(index)
        events += _stop(message.stop_reason, message.stop_sequence, message.stop_details)
        if message.usage is not None:
            events += _report(message.usage)
        return events
