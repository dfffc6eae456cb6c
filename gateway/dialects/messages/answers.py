"""Events to Anthropic's replies: a stream of content blocks, or a whole message.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming. A block is opened by the first delta of its
kind and closed by the next of another; calls of tools are blocks of their own. There is one choice, and no word for
log-probabilities, sound and pictures in an answer: those are left out. Words in which a model declines are the
`explanation` of the stop.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, assert_never

import orjson

from gateway.dialects.base import Head
from gateway.dialects.messages import citations, counts, failures
from gateway.dialects.messages.blocks import call_id, call_input, invalid_input
from gateway.errors import GatewayError, UpstreamError
from gateway.model.completion import Choice, fold
from gateway.model.conversation import Opaque, Part, Reasoning, Refusal, Text, ToolCall
from gateway.model.events import (
    Break,
    CitationDelta,
    Event,
    Failed,
    LogprobsDelta,
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
from gateway.model.usage import Usage

_REASONS: dict[StopReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
    "other": "end_turn",
}

_NO_USAGE = Usage()


class StreamEncoder:
    """Events to a client's stream. Choices but the first are left out."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._started = self._ended = False
        self._next = 0  # index of the block after those that were opened
        self._open = ""  # text, thinking or tool; empty: none
        self._signed = False  # the thought that is open has its signature
        self._calls: dict[int, int] = {}  # number of a call: index of its block
        self._unnamed: dict[int, str] = {}  # arguments that came before their call had a name
        self._refusal: list[str] = []
        self._reason: StopReason | None = None
        self._sequence = ""
        self._usage: Usage | None = None

    def feed(self, events: Sequence[Event]) -> bytes:
        """What `events` are; empty if nothing is to be said yet."""
        return b"".join([self._say(event) for event in events])

    def _say(self, event: Event) -> bytes:
        match event:
            case TextDelta():
                if event.index or not event.text:
                    return b""
                return self._in("text", _TEXT) + _delta(self._next - 1, b"text_delta", b"text", event.text)
            case ToolDelta():
                return self._tool(event) if not event.index else b""
            case ReasoningDelta():
                return self._thought(event) if not event.index else b""
            case CitationDelta():
                found = citations.write(event.citation, loosely=True)
                if event.index or found is None:
                    return b""
                said = {"type": "citations_delta", "citation": found}
                return self._in("text", _TEXT) + _frame("content_block_delta", index=self._next - 1, delta=said)
            case Start():
                return self._start(event.usage)
            case Break():
                return self._shut() if not event.index else b""
            case PartDelta():
                return self._whole(event.part) if not event.index else b""
            case RefusalDelta():
                if not event.index:
                    self._refusal.append(event.text)
            case Stop():
                if not event.index:
                    self._reason, self._sequence = event.reason, event.sequence
            case UsageReport():
                self._usage = event.usage
            case Failed():
                return self.fail(UpstreamError(event.message))
            case LogprobsDelta() | Passed():
                pass
            case _:
                assert_never(event)
        return b""

    def close(self) -> bytes:
        """The end of the stream: why it stopped, what was used, `message_stop`. Nothing after a failure."""
        if self._ended:
            return b""
        self._ended = True
        unnamed = b"".join([self._begin_call(call, "", "") for call in list(self._unnamed)])
        reason = _reason(self._reason, self._sequence, has_calls=bool(self._calls), has_refusal=bool(self._refusal))
        delta = {"stop_reason": reason, "stop_sequence": self._sequence or None, "stop_details": None}
        if reason == "refusal":
            delta["stop_details"] = _stop_details("".join(self._refusal))  # type: ignore[assignment]
        end = _frame("message_delta", delta=delta, usage=counts.told(self._usage or _NO_USAGE, whole=False))
        return self._start() + unnamed + self._shut() + end + _frame("message_stop")

    def fail(self, error: GatewayError) -> bytes:
        """The last event of a stream that failed."""
        self._ended = True
        return b"event: error\ndata: %b\n\n" % failures.error_body(error, self._head.id)

    def _start(self, usage: Usage | None = None) -> bytes:
        if self._started:
            return b""
        self._started = True
        return _frame("message_start", message=_message(self._head, [], usage or _NO_USAGE))

    def _in(self, kind: str, block: bytes) -> bytes:
        """Into a block of `kind`: the one that is open, or a new one."""
        if self._open == kind:
            return b""
        return self._shut() + self._begin(kind, block)

    def _begin(self, kind: str, block: bytes) -> bytes:
        before = self._start()
        self._open = kind
        self._signed = False
        self._next += 1
        return before + _START % (self._next - 1, block)

    def _shut(self) -> bytes:
        if not self._open:
            return b""
        self._open = ""
        return _STOP % (self._next - 1)

    def _thought(self, event: ReasoningDelta) -> bytes:
        out = b""
        if event.text or event.signature:
            if self._open == "thinking" and self._signed and event.signature:
                out += self._shut()
            out += self._in("thinking", _THINKING)
        if event.text:
            out += _delta(self._next - 1, b"thinking_delta", b"thinking", event.text)
        if event.signature:
            self._signed = True
            out += _delta(self._next - 1, b"signature_delta", b"signature", event.signature)
        if event.redacted:
            out += self._shut() + self._begin("redacted", _dump({"type": "redacted_thinking", "data": event.redacted}))
            out += self._shut()
        return out

    def _tool(self, event: ToolDelta) -> bytes:
        call = event.call
        index = self._calls.get(call)
        if index is None:
            given = self._unnamed.pop(call, "") + event.arguments
            if not event.name:
                self._unnamed[call] = given
                return b""
            return self._begin_call(call, event.name, event.id, given)
        if not event.arguments:
            return b""
        # of a call that is closed already these come late, but clients go by the index
        return _delta(index, b"input_json_delta", b"partial_json", event.arguments)

    def _begin_call(self, call: int, name: str, given_id: str, arguments: str = "") -> bytes:
        arguments = self._unnamed.pop(call, "") + arguments
        id_ = call_id(given_id or f"toolu_{self._head.id}_{call}")
        block = {"type": "tool_use", "id": id_, "name": name, "input": {}}
        out = self._shut() + self._begin("tool", _dump(block))
        self._calls[call] = self._next - 1
        return out + (_delta(self._next - 1, b"input_json_delta", b"partial_json", arguments) if arguments else b"")

    def _whole(self, part: Part) -> bytes:
        if not isinstance(part, Opaque) or part.dialect != "messages":
            return b""
        return self._shut() + self._begin("other", _dump(part.value)) + self._shut()


_START = b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":%b}\n\n'
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":%b}}\n\n'
)
_TEXT = b'{"type":"text","text":""}'
_THINKING = b'{"type":"thinking","thinking":"","signature":""}'


def _delta(index: int, kind: bytes, member: bytes, text: str) -> bytes:
    return _DELTA % (index, kind, member, _dump(text))


def _frame(name: str, **members: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _dump({"type": name, **members}))


def _dump(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # half a surrogate, which Python's own encoder escapes
        return json.dumps(value).encode()


def _reason(reason: StopReason | None, sequence: str, *, has_calls: bool, has_refusal: bool) -> str:
    """Anthropic's word. Some servers say `stop` where they call tools, and OpenAI does where it declines."""
    if reason in (None, "stop", "other"):
        if sequence:
            return "stop_sequence"
        if has_calls or has_refusal:
            return "tool_use" if has_calls else "refusal"
    return _REASONS[reason or "stop"]


def _stop_details(words: str) -> dict[str, Any]:
    return {"type": "refusal", "category": None, "explanation": words or None}


def _message(head: Head, content: list[Any], usage: Usage) -> dict[str, Any]:
    return {
        "id": head.id if head.id.startswith("msg_") else f"msg_{head.id}",
        "type": "message",
        "role": "assistant",
        "model": head.model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": counts.told(usage, whole=True),
    }


def unary(head: Head, events: Sequence[Event]) -> bytes:
    """The whole reply that `events` add up to."""
    whole = fold(events)
    choice = whole.choices[0] if whole.choices else Choice()
    content = [block for at, part in enumerate(choice.parts) for block in _blocks(part, head, at)]
    words = "".join(part.text for part in choice.parts if isinstance(part, Refusal))
    has_calls = any(isinstance(part, ToolCall) for part in choice.parts)
    message = _message(head, content, whole.usage or _NO_USAGE)
    reason = _reason(choice.stop, choice.sequence, has_calls=has_calls, has_refusal=bool(words))
    message["stop_reason"] = reason
    message["stop_sequence"] = choice.sequence or None
    if reason == "refusal":
        message["stop_details"] = _stop_details(words)
    if whole.tier in ("standard", "priority", "batch"):
        message["usage"]["service_tier"] = whole.tier
    return _dump(message)


def _blocks(part: Part, head: Head, at: int) -> list[dict[str, Any]]:
    match part:
        case Text():
            found = [citation for one in part.citations if (citation := citations.write(one, loosely=True)) is not None]
            return [{"type": "text", "text": part.text} | ({"citations": found} if found else {})]
        case Reasoning():
            blocks = []
            if part.text or part.signature:
                blocks.append({"type": "thinking", "thinking": part.text, "signature": part.signature})
            if part.redacted:
                blocks.append({"type": "redacted_thinking", "data": part.redacted})
            return blocks
        case ToolCall():
            given = call_input(part.arguments)
            given = invalid_input(part.arguments) if given is None else given
            id_ = call_id(part.id or f"toolu_{head.id}_{at}")
            return [{"type": "tool_use", "id": id_, "name": part.name, "input": given}]
        case Opaque(dialect="messages"):
            return [dict(part.value)]
    return []
