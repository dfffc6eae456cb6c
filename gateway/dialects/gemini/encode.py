"""Events to Gemini's replies, streamed in either way or whole.

A function call is written when its arguments are whole: Gemini's clients expect an object. Arguments that are none
become what Gemini itself makes of them, the finish reason MALFORMED_FUNCTION_CALL with the call in its message. The
finish reasons wait for the end of the stream, where usage stands beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from gateway.dialects.base import Head
from gateway.dialects.gemini import sources
from gateway.dialects.gemini.counts import usage_metadata
from gateway.dialects.gemini.errors import error_body
from gateway.dialects.gemini.wire import REASONS
from gateway.dialects.gemini.words import call_part, is_base64, is_object, media_part, thought
from gateway.errors import GatewayError
from gateway.model.completion import fold, unfold
from gateway.model.conversation import Citation, Media, Opaque, Part
from gateway.model.events import (
    Break,
    CitationDelta,
    Event,
    LogprobsDelta,
    PartDelta,
    ReasoningDelta,
    RefusalDelta,
    Stop,
    TextDelta,
    ToolDelta,
    UsageReport,
)


class _Candidate:
    """What has come of one choice and is not written yet.

    `pads`: where there is no part to write, an empty text is one, as Google's own client forgets a turn of which a
    chunk had none.
    """

    def __init__(self, index: int, *, pads: bool) -> None:
        self.index = index
        self._pads = pads
        self.stop: Stop | None = None
        self._parts: list[dict[str, Any]] = []
        self._text: list[str] = []  # of the part that is being made
        self._is_thought = False  # it, or if there is none, the last one
        self._calls: dict[int, tuple[ToolDelta, list[str]]] = {}  # they may come in turns
        self._tokens: list[dict[str, Any]] = []
        self._citations: list[Citation] = []
        self._malformed = ""

    @property
    def is_plain(self) -> bool:
        """Whether text that comes next begins a part that is nothing else."""
        return not self._calls and not self._is_thought and not self._parts and not self._text

    def see(self, event: Event) -> None:
        """Take one event of this choice."""
        if type(event) is TextDelta or type(event) is RefusalDelta:
            self._add_text(event.text, is_thought=False)
        elif type(event) is ReasoningDelta:
            self._think(event)
        elif type(event) is ToolDelta:
            self._add_call(event)
        elif type(event) is CitationDelta:
            self._citations.append(event.citation)
        elif type(event) is PartDelta:
            self._add_part(event.part)
        elif type(event) is LogprobsDelta:
            self._tokens += event.tokens
        elif type(event) is Stop:
            self._end_calls()
            self.stop = event
        elif type(event) is Break:
            self._end_calls()

    def _add_text(self, text: str, *, is_thought: bool) -> None:
        self._end_calls()
        if is_thought != self._is_thought:
            self._end_text()
            self._is_thought = is_thought
        if text:
            self._text.append(text)

    def _end_text(self) -> None:
        if self._text:
            part: dict[str, Any] = {"text": "".join(self._text)}
            if self._is_thought:
                part["thought"] = True
            self._parts.append(part)
            self._text.clear()

    def _think(self, event: ReasoningDelta) -> None:
        if event.text or event.redacted or event.id:
            self._add_text(event.text, is_thought=True)
        if not (event.signature or event.redacted or event.id):
            return
        text = "".join(self._text)  # a signature belongs to what was just said or thought
        self._text.clear()
        if not self._is_thought and is_base64(event.signature):
            self._parts.append({"text": text, "thoughtSignature": event.signature})
        else:
            self._parts.append(thought(text, event.signature, event.redacted, event.id))

    def _add_call(self, event: ToolDelta) -> None:
        self._end_text()
        if event.call not in self._calls:
            self._calls[event.call] = event, [event.arguments]
            return
        one, arguments = self._calls[event.call]
        arguments.append(event.arguments)
        if event.name or event.id or event.signature:
            name, id_, signature = one.name or event.name, one.id or event.id, one.signature or event.signature
            self._calls[event.call] = ToolDelta(one.call, "", name, id_, signature=signature), arguments

    def _end_calls(self) -> None:
        for _, (call, arguments) in sorted(self._calls.items(), key=lambda one: one[0]):
            text = "".join(arguments)
            if is_object(text):
                self._parts.append(call_part(call.name, text, call.id, call.signature))
            else:
                self._malformed = f"{call.name}({text})"
        self._calls.clear()

    def _add_part(self, part: Part) -> None:
        self._end_calls()
        self._end_text()
        if isinstance(part, Media) and (part.data or part.url):
            self._parts.append(media_part(part))
        elif isinstance(part, Opaque) and part.dialect == "gemini":
            self._parts.append(part.value)

    def take(self, *, at_end: bool) -> dict[str, Any] | None:
        """The candidate with what there is to write; None if there is nothing."""
        if at_end:
            self._end_calls()
        self._end_text()
        found: dict[str, Any] = {}
        if self._parts:
            found["content"] = {"parts": self._parts, "role": "model"}
            self._parts = []
        if self._tokens:
            found["logprobsResult"] = _logprobs(self._tokens)
            self._tokens = []
        if at_end:
            self._finish(found)
        if not found:
            return None
        if self._pads and "content" not in found and found.get("finishReason") != "SAFETY":
            found["content"] = {"parts": [{"text": ""}], "role": "model"}
        found["index"] = self.index
        return found

    def _finish(self, found: dict[str, Any]) -> None:
        if self._citations:
            found["groundingMetadata"] = sources.grounding(self._citations)
        if self.stop is None:
            return
        found["finishReason"] = REASONS[self.stop.reason]
        if self._malformed:
            found["finishMessage"] = f"Malformed function call: {self._malformed}"
            if self.stop.reason in ("stop", "tool_calls"):
                found["finishReason"] = "MALFORMED_FUNCTION_CALL"


def _logprobs(tokens: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {"chosenCandidates": [_token(one) for one in tokens]}
    if any(one.get("top_logprobs") for one in tokens):
        tops = [one.get("top_logprobs") or () for one in tokens]
        found["topCandidates"] = [{"candidates": [_token(top) for top in each]} for each in tops]
    return found


def _token(one: dict[str, Any]) -> dict[str, Any]:
    return {"token": one.get("token", ""), "logProbability": one.get("logprob", 0.0)}


class _Fold:
    """Events of all choices, until they are written."""

    def __init__(self, head: Head, *, pads: bool) -> None:
        self._pads = pads
        self._candidates: dict[int, _Candidate] = {}
        self._report: UsageReport | None = None
        self._tail = {"modelVersion": head.model, "responseId": head.id}

    def see(self, event: Event) -> None:
        """Take one event."""
        if type(event) is UsageReport:
            self._report = event
        elif (index := getattr(event, "index", None)) is not None:
            if index not in self._candidates:
                self._candidates[index] = _Candidate(index, pads=self._pads)
            self._candidates[index].see(event)

    @property
    def is_plain(self) -> bool:
        """Whether text of the first choice may go out past this: nothing is held that comes before it."""
        first = self._candidates.get(0)
        return first is None or first.is_plain

    def chunk(self, *, at_end: bool = False) -> bytes:
        """What came and is not written yet, as JSON; empty if that is nothing."""
        each = (one.take(at_end=at_end) for _, one in sorted(self._candidates.items()))
        found: dict[str, Any] = {}
        if candidates := [one for one in each if one is not None]:
            found["candidates"] = candidates
        if at_end and self._report is not None:
            found["usageMetadata"] = usage_metadata(self._report)
        return orjson.dumps({**found, **self._tail}) if found or at_end else b""


_BEFORE_TEXT = b'{"candidates":[{"content":{"parts":[{"text":'
_AFTER_TEXT = b'}],"role":"model"},"index":0}],"modelVersion":%b,"responseId":%b}'


class StreamEncoder:
    """Events to a stream. `frame` puts a chunk's JSON into it, given whether it is the first; `tail` ends it."""

    def __init__(self, head: Head, frame: Callable[[bytes, bool], bytes], tail: bytes) -> None:
        self._fold = _Fold(head, pads=True)
        self._frame = frame
        self._tail = tail
        self._is_first = True
        self._after_text = _AFTER_TEXT % (orjson.dumps(head.model), orjson.dumps(head.id))

    def feed(self, events: Sequence[Event]) -> bytes:
        """See `base.Encoder`."""
        text = ""
        for event in events:
            if type(event) is TextDelta and not text and not event.index and self._fold.is_plain:
                text = event.text
                continue
            if text:  # there is more than one piece after all
                self._fold.see(TextDelta(text))
                text = ""
            self._fold.see(event)
        if text:  # the usual case: a template takes half the time
            return self._framed(b"%b%b%b" % (_BEFORE_TEXT, orjson.dumps(text), self._after_text))
        return self._framed(self._fold.chunk())

    def _framed(self, body: bytes) -> bytes:
        if not body:
            return b""
        is_first, self._is_first = self._is_first, False
        return self._frame(body, is_first)

    def close(self) -> bytes:
        """See `base.Encoder`."""
        return self._framed(self._fold.chunk(at_end=True)) + self._tail

    def fail(self, error: GatewayError) -> bytes:
        """See `base.Encoder`. Google's own clients look for an `error` in every chunk."""
        return self._framed(error_body(error)) + self._tail


def as_event(body: bytes, is_first: bool) -> bytes:
    """A chunk as a server-sent event."""
    return b"data: %b\r\n\r\n" % body


def as_element(body: bytes, is_first: bool) -> bytes:
    """A chunk as an element of one array."""
    return b"[%b" % body if is_first else b"\r\n,\r\n%b" % body


ARRAY_END = b"\r\n]"


def unary(head: Head, events: Sequence[Event]) -> bytes:
    """The whole reply that `events` add up to."""
    whole = _Fold(head, pads=False)
    for event in unfold(fold(events)):
        whole.see(event)
    return whole.chunk(at_end=True)
