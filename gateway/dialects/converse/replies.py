"""Converse's replies to events: event streams cut anywhere, and whole messages.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html. A stream is complete
when `messageStop` came; `metadata` with the usage comes after it. Only calls of tools, their results and pictures have
a `contentBlockStart`: where text or thought begins, the index tells. Neither says which model answers; the request's id
is in the header `x-amzn-requestid`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.dialects import eventstream
from gateway.dialects.converse import counts, wire
from gateway.dialects.converse.content import Content
from gateway.errors import BrokenReply
from gateway.model.events import Event, Failed, Passed, Start, Stop, StopReason, TextDelta, UsageReport

STOPS: dict[str, StopReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    # Anthropic's own, of which AWS's list has nothing
    "refusal": "refusal",
    "pause_turn": "pause",
}
"""What is not here is `other`: `malformed_model_output`, `malformed_tool_use`, whatever is new."""

_decode = wire.decode_event


class StreamDecoder:
    """A streamed reply: `feed` bytes cut anywhere, get events whose `raw` together are those bytes."""

    def __init__(self) -> None:
        self._splitter = eventstream.Splitter()
        self._blocks = Content()
        self._ended = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes. Raises `BrokenReply` where it cannot be a stream."""
        events: list[Event] = []
        for message in self._splitter.feed(data):
            self._take(message, events)
        return events

    def _take(self, message: eventstream.Message, events: list[Event]) -> None:
        headers, raw = message.headers, message.raw
        try:
            event = _decode(message.payload)
        except (msgspec.DecodeError, RecursionError):
            event = wire.leniently(message.payload, wire.Event) or wire.Event()
        delta = event.delta
        if delta is not None and delta.text and self._blocks.is_in_text(event.content_block_index):
            events.append(TextDelta(delta.text, 0, raw))
            return
        before = len(events)
        if headers.get(":message-type") in ("exception", "error"):
            self._ended = True
            events.append(Failed(_words(event, headers), raw))
            return
        events += self._read(headers.get(":event-type"), event)
        if len(events) == before:
            events.append(Passed(raw))
        else:
            events[before] = msgspec.structs.replace(events[before], raw=raw)

    def _read(self, kind: object, event: wire.Event) -> Iterator[Event]:
        index = event.content_block_index
        if kind == "contentBlockDelta" and event.delta is not None:
            yield from self._blocks.grow(index, event.delta)
        elif kind == "contentBlockStart" and event.start is not None:
            yield from self._blocks.begin(index, event.start)
        elif kind == "contentBlockStop":
            yield from self._blocks.end(index)
        elif kind == "messageStart":
            yield Start("")
        elif kind == "messageStop":
            self._ended = True
            yield from self._blocks.rest()
            yield _stop(event)
        elif kind == "metadata":
            yield from _report(event)

    def close(self) -> list[Event]:
        """The body ended cleanly. Raises `BrokenReply` if the answer had not."""
        self._splitter.close()
        if not self._ended:
            raise BrokenReply("The provider's stream ended before its answer did.", code="upstream_truncated")
        return []


def _stop(found: wire.Event | wire.Reply) -> Stop:
    """Which sequence was met the model's own fields say, where they were asked for."""
    fields = found.additional_model_response_fields
    sequence = fields.get("stop_sequence") if isinstance(fields, dict) else None
    return Stop(STOPS.get(found.stop_reason or "", "other"), sequence=sequence if isinstance(sequence, str) else "")


def _report(found: wire.Event | wire.Reply) -> Iterator[Event]:
    """The tier is the speed where that is not the usual one: it has prices of its own."""
    usage = counts.usage(found.usage) if found.usage is not None else None
    if usage is not None:
        speed = found.performance_config.latency if found.performance_config is not None else None
        tier = found.service_tier.type if found.service_tier is not None else None
        yield UsageReport(usage, tier=speed if speed not in (None, "", "standard") else tier or "")


def _words(event: wire.Event, headers: Any) -> str:
    said = event.message or event.original_message or headers.get(":error-message")
    kind = headers.get(":exception-type") or headers.get(":error-code")
    if isinstance(said, str) and said:
        return said
    return f"The provider reported an error ({kind})." if kind else "The provider reported an error."


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
            reply: wire.Reply | None = wire.decode_reply(body)
        except (msgspec.DecodeError, RecursionError):
            reply = wire.leniently(body, wire.Reply)
        if reply is None:
            raise BrokenReply("The provider's reply is not valid JSON.", code="upstream_invalid_json")
        if reply.output is None and reply.message:
            return [Failed(reply.message, body)]
        events: list[Event] = [Start("", body)]
        blocks = Content()
        message = (reply.output or wire.Output()).message or wire.Message()
        for index, block in enumerate(message.content or ()):
            events += blocks.tell(index, bytes(block))
        if reply.stop_reason is not None:
            events.append(_stop(reply))
        events += _report(reply)
        return events
