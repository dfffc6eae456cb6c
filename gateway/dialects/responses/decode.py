"""A response, streamed or whole, to the model's events.

Source: https://platform.openai.com/docs/api-reference/responses-streaming. A stream is complete when a terminal event
came: `response.completed`, `.incomplete`, `.failed` or `error`. What is said twice is read once: deltas count, and of
the `done` events only what no delta said. Tools that the provider ran itself, and calls with free text, come in one
piece when their item is done. Several parts of one summary are one thought.

The first event of a chunk carries its bytes; what only repeats or announces is `Passed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from gateway.dialects import openai, sse
from gateway.dialects.responses import chunks, citations
from gateway.dialects.responses.chunks import Item, Response
from gateway.dialects.responses.output import AFTER_SUMMARY, Output
from gateway.errors import BrokenReply
from gateway.model.events import (
    CitationDelta,
    Event,
    Failed,
    LogprobsDelta,
    Passed,
    ReasoningDelta,
    Start,
    Stop,
    StopReason,
    TextDelta,
    UsageReport,
)

_NAME = b"event: "
_DATA = b"\ndata: "
_FAILED = "The provider reported an error."


def _payload(event: bytes) -> bytes | None:
    """`sse.payload`, quicker for the shape that OpenAI sends: one line of a name, one of data."""
    if event.startswith(_NAME):
        at = event.find(b"\n")
        if event.startswith(_DATA, at) and event.find(b"\n", at + 7) == len(event) - 2:
            return event[at + 7 : -2]
    return sse.payload(event)


def _last(found: Response, output: Output) -> Iterator[Event]:
    """Why it ended, and the count."""
    if found.status in ("failed", "cancelled") or (found.error is not None and found.error.message):
        yield from _report(found)
        message = found.error.message if found.error is not None else None
        yield Failed(message or ("The provider cancelled the answer." if found.status == "cancelled" else _FAILED))
        return
    reason: StopReason = "tool_calls" if output.called else "refusal" if output.refused else "stop"
    if found.status == "incomplete":
        why = found.incomplete_details.reason if found.incomplete_details is not None else None
        reason = _STOPS.get(why or "", "other")
    elif found.status in ("queued", "in_progress"):
        reason = "other"
    yield Stop(reason)
    yield from _report(found)


_STOPS: dict[str, StopReason] = {"max_output_tokens": "length", "content_filter": "content_filter"}


def _report(found: Response) -> Iterator[Event]:
    usage = openai._usage(found.usage) if found.usage is not None else None
    if usage is not None:
        yield UsageReport(usage, tier=found.service_tier or "", searches=_searches(found.output or ()))


def _searches(items: Iterable[msgspec.Raw]) -> int:
    """Web searches that the provider ran; to open a page or to look through it is not one."""
    count = 0
    for raw in items:
        if b"web_search" in bytes(raw):
            found = chunks.inner(raw, chunks.Kind)
            action = found.action.type if found.action is not None else None
            count += found.type == "web_search_call" and action in (None, "search")
    return count


def _start(found: Response) -> Start:
    return Start(found.model or "", id=found.id or "", created=int(found.created_at or 0))


_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")


class StreamDecoder:
    """A streamed reply: `feed` bytes cut anywhere, get events whose `raw` together are those bytes."""

    def __init__(self) -> None:
        self._splitter = sse.Splitter()
        self._output = Output()
        self._open = (-1, -1)  # item and part of the text that is being told
        self._started = self._ended = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes. Raises `BrokenReply` where it cannot be a stream."""
        events: list[Event] = []
        for raw in self._splitter.feed(data):
            self._take(raw, events)
        return events

    def _take(self, raw: bytes, events: list[Event]) -> None:
        body = _payload(raw)
        if body is None or body == b"[DONE]":
            events.append(Passed(raw))
            return
        try:
            event = chunks.parse(body)
            if event.type == "response.output_text.delta":
                if (event.output_index, event.content_index) == self._open and event.delta and not event.logprobs:
                    events.append(TextDelta(event.delta, 0, raw))
                    return
            else:
                self._open = (-1, -1)
            found = list(self._read(event))
        except ValueError:
            events.append(Passed(raw))  # not ours to judge: it goes on as it came
            return
        if found:
            found[0] = msgspec.structs.replace(found[0], raw=raw)
            events += found
        else:
            events.append(Passed(raw))

    def _read(self, event: chunks.Event) -> Iterator[Event]:
        kind, delta, index = event.type, event.delta, event.output_index
        if kind == "response.output_text.delta":
            yield from self._text(event)
        elif kind == "response.function_call_arguments.delta":
            yield from self._output.arguments(index, delta) if delta else ()
        elif kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta") and delta:
            # parts of a summary and of the thought itself are numbered each from 0
            place = event.summary_index if "summary" in kind else AFTER_SUMMARY + event.content_index
            yield from self._output.part("reasoning", index, place)
            yield ReasoningDelta(delta)
        elif kind == "response.refusal.delta" and delta:
            yield from self._output.refusal(index, event.content_index, delta)
        elif kind == "response.output_text.annotation.added":
            cited = chunks.whole(event.annotation)
            if isinstance(cited, dict):
                yield CitationDelta(citations.read(cited))
        elif kind == "response.output_item.added":
            yield from self._output.begin(index, chunks.inner(event.item, Item))
        elif kind == "response.output_item.done":
            yield from self._output.end(index, chunks.inner(event.item, Item), event.item)
        elif kind == "response.created" and not self._started:
            self._started = True
            yield _start(chunks.inner(event.response, Response))
        elif kind in _ENDS:
            self._ended = True
            yield from self._end(event)
        elif kind == "error" or (not kind and bytes(event.error) != b"null"):
            self._ended = True
            yield Failed(_words(event))

    def _text(self, event: chunks.Event) -> Iterator[Event]:
        if event.delta:
            yield from self._output.part("text", event.output_index, event.content_index)
            self._open = (event.output_index, event.content_index)
            yield TextDelta(event.delta)
        if event.logprobs:
            yield LogprobsDelta(tuple(dict(token) for token in event.logprobs))

    def _end(self, event: chunks.Event) -> Iterator[Event]:
        try:
            found = chunks.inner(event.response, Response)
        except ValueError:
            found = Response()
        found.status = event.type.removeprefix("response.")
        if not self._started:
            self._started = True
            yield _start(found)
        yield from _last(found, self._output)

    def close(self) -> list[Event]:
        """The body ended cleanly. Raises `BrokenReply` if the answer had not."""
        events: list[Event] = []
        rest = self._splitter.close()
        if rest:
            self._take(rest, events)  # a last event without its empty line counts, if it is whole
        if not self._ended:
            raise BrokenReply("The provider's stream ended before its answer did.", code="upstream_truncated")
        return events


def _words(event: chunks.Event) -> str:
    if event.message:
        return event.message
    try:
        return chunks.inner(event.error, chunks.Problem).message or _FAILED
    except ValueError:
        return _FAILED


class UnaryDecoder:
    """A reply in one piece: all of its events appear at `close`, the first of them carrying the whole body."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> list[Event]:
        """Take a piece; no event is complete before the body is."""
        self._pieces.append(data)
        return []

    def close(self) -> list[Event]:
        """All events. Raises `BrokenReply` where the body is no response."""
        body = b"".join(self._pieces)
        try:
            found = chunks.inner(body, Response)
        except ValueError:
            raise BrokenReply("The provider's reply is not valid JSON.", code="upstream_invalid_json") from None
        if found.output is None and found.error is not None:
            return [Failed(found.error.message or _FAILED, body)]
        if found.output is None and found.status is None:
            raise BrokenReply("The provider's reply is no response: it has no output.")
        events: list[Event] = [msgspec.structs.replace(_start(found), raw=body)]
        output = Output()
        for index, raw in enumerate(found.output or ()):
            try:
                events += output.end(index, chunks.inner(raw, Item), raw)
            except ValueError:
                continue  # no object: nothing can be told of it
        events += _last(found, output)
        return events
