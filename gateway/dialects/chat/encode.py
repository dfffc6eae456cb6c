"""Events to the chunks of a streamed chat completion, as OpenAI writes them.

Thoughts go in `reasoning_content`, and what proves them in `reasoning_details`; pictures in `images`; Gemini's thought
signatures in `extra_content` of their call: OpenAI has no words for these, and its clients read past them or keep them.
Citations of documents, which OpenAI cannot point at, and what only another dialect knows are left out of an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from gateway.dialects import openai
from gateway.dialects.base import Head
from gateway.dialects.chat import pieces, reasoning, usage
from gateway.dialects.chat.write_messages import custom_call, signature
from gateway.errors import GatewayError
from gateway.model.conversation import Media, Opaque, Reasoning
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

DONE = b"data: [DONE]\n\n"


class _Told:
    """What has been told of one choice."""

    __slots__ = ("calls", "customs", "details", "head", "images", "length", "refused", "since", "thought")

    def __init__(self, head: bytes) -> None:
        self.head = head  # of each of its chunks, as far as the delta
        self.calls: dict[int, int] = {}  # the numbers of calls, counted from 0 without a gap
        self.customs = 0
        self.details = 0
        self.images = 0
        self.length = 0  # characters of text
        self.since = 0  # where the text that is being told began
        self.refused = False
        self.thought: list[str] = []  # the thought at hand, until it is proved


class StreamEncoder:
    """Events to chunks: one a delta, then the finish reason, then usage if it was asked for, then `[DONE]`."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._choices: dict[int, _Told] = {}
        self._usage: UsageReport | None = None
        self._begin = b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,"choices":[' % (
            orjson.dumps(head.id),
            head.created,
            orjson.dumps(head.model),
        )
        usage_so_far = b',"usage":null' if head.wants_usage else b""
        self._end = b"]%b}\n\n" % usage_so_far
        self._delta_end = b',"logprobs":null,"finish_reason":null}' + self._end

    def feed(self, events: Sequence[Event]) -> bytes:
        """The chunks of `events`; empty where none of them is for a client's eyes."""
        out: list[bytes] = []
        for at, event in enumerate(events):
            kind = type(event)
            if kind is TextDelta:
                told = self._told(event.index, out)  # type: ignore[union-attr]
                text = event.text  # type: ignore[union-attr]
                told.length += len(text)
                told.thought.clear()
                following = events[at + 1] if at + 1 < len(events) else None
                if type(following) is LogprobsDelta and following.index == event.index:  # type: ignore[union-attr]
                    continue  # goes with them
                out.append(told.head + b'{"content":' + orjson.dumps(text) + b"}" + self._delta_end)
            elif kind is LogprobsDelta:
                self._logprobs(event, events[at - 1] if at else None, out)  # type: ignore[arg-type]
            elif kind is UsageReport:
                self._usage = event  # type: ignore[assignment]
            else:
                taker = _TAKERS.get(kind)
                if taker is not None:
                    taker(self, event, out)
        return b"".join(out)

    def _told(self, index: int, out: list[bytes]) -> _Told:
        told = self._choices.get(index)
        if told is None:
            told = self._choices[index] = _Told(self._begin + b'{"index":%d,"delta":' % index)
            out.append(told.head + b'{"role":"assistant","content":"","refusal":null}' + self._delta_end)
        return told

    def _chunk(self, told: _Told, delta: dict[str, Any]) -> bytes:
        return told.head + orjson.dumps(delta) + self._delta_end

    def _logprobs(self, event: LogprobsDelta, before: Event | None, out: list[bytes]) -> None:
        told = self._told(event.index, out)
        with_text = isinstance(before, TextDelta) and before.index == event.index
        text = before.text if with_text and isinstance(before, TextDelta) else ""
        found = pieces.logprobs(event.tokens, refused=told.refused)
        delta = b'{"content":%b}' % orjson.dumps(text) if with_text else b"{}"
        out.append(told.head + delta + b',"logprobs":' + orjson.dumps(found) + b',"finish_reason":null}' + self._end)

    def _thought(self, event: ReasoningDelta, out: list[bytes]) -> None:
        told = self._told(event.index, out)
        delta: dict[str, Any] = {}
        if event.text:
            told.thought.append(event.text)
            delta["reasoning_content"] = event.text
        if event.signature or event.redacted:
            thought = Reasoning("".join(told.thought), event.signature, event.redacted, event.id)
            told.thought.clear()
            delta["reasoning_details"] = reasoning.write(thought, told.details)
            told.details += 1
        if delta:
            out.append(self._chunk(told, delta))

    def _refusal(self, event: RefusalDelta, out: list[bytes]) -> None:
        told = self._told(event.index, out)
        told.refused = True
        out.append(self._chunk(told, {"refusal": event.text}))

    def _call(self, event: ToolDelta, out: list[bytes]) -> None:
        told = self._told(event.index, out)
        number = told.calls.get(event.call)
        if number is not None and not event.signature:
            if event.arguments:
                out.append(
                    told.head
                    + b'{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}'
                    % (number, orjson.dumps(event.arguments))
                    + self._delta_end
                )
            return
        call: dict[str, Any]
        if number is None:
            number = told.calls[event.call] = len(told.calls) + told.customs
            call = {
                "index": number,
                "id": event.id or pieces.made_id(self._head, event.index, number),
                "type": "function",
                "function": {"name": event.name, "arguments": event.arguments},
            }
        else:
            call = {"index": number, "function": {"arguments": event.arguments}}
        if event.signature:
            call["extra_content"] = signature(event.signature)
        out.append(self._chunk(told, {"tool_calls": [call]}))

    def _citation(self, event: CitationDelta, out: list[bytes]) -> None:
        told = self._told(event.index, out)
        found = pieces.annotation(event.citation, told.since, told.length)
        if found is not None:
            out.append(self._chunk(told, {"annotations": [found]}))

    def _part(self, event: PartDelta, out: list[bytes]) -> None:
        told = self._told(event.index, out)
        part = event.part
        if isinstance(part, Media) and part.kind == "image":
            out.append(self._chunk(told, {"images": [pieces.image(part, told.images)]}))
            told.images += 1
        elif isinstance(part, Media) and part.kind == "audio" and part.data:
            out.append(self._chunk(told, {"audio": pieces.audio(part, self._head, event.index)}))
        elif isinstance(part, Opaque) and (custom := custom_call(part)) is not None:
            number = len(told.calls) + told.customs
            told.customs += 1
            out.append(self._chunk(told, {"tool_calls": [{"index": number, **custom}]}))

    def _break(self, event: Break, out: list[bytes]) -> None:
        told = self._told(event.index, out)
        told.since = told.length
        told.thought.clear()

    def _stop(self, event: Stop, out: list[bytes]) -> None:
        told = self._told(event.index, out)
        reason = pieces.finish_reason(event.reason, called=bool(told.calls or told.customs), refused=told.refused)
        out.append(told.head + b'{},"logprobs":null,"finish_reason":"%b"}' % reason.encode() + self._end)

    def close(self) -> bytes:
        """Usage, if it was asked for and told, and the end."""
        found = self._usage
        if found is None or not self._head.wants_usage:
            return DONE
        tier = usage.TIERS.get(found.tier)
        said = b',"service_tier":"%b"' % tier.encode() if tier else b""
        return self._begin + b'],"usage":%b%b}\n\n' % (orjson.dumps(usage.write(found.usage)), said) + DONE

    def fail(self, error: GatewayError) -> bytes:
        """An error event, which is the last."""
        return b"data: %b\n\n" % error_body(error)


_TAKERS: dict[type, Any] = {
    ReasoningDelta: StreamEncoder._thought,
    RefusalDelta: StreamEncoder._refusal,
    ToolDelta: StreamEncoder._call,
    CitationDelta: StreamEncoder._citation,
    PartDelta: StreamEncoder._part,
    Break: StreamEncoder._break,
    Stop: StreamEncoder._stop,
}


def error_body(error: GatewayError) -> bytes:
    """An error in OpenAI's shape."""
    return openai.error_body(error.message, error.type, error.param, error.code)
