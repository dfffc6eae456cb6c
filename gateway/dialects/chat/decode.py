"""A chat completion, streamed or whole, to all of the model's events.

`dialects.openai` reads as much of a reply as the gateway needs where its bytes go on as they are; here all of it is
read, since every word must be said again in another dialect. A stream's framing and its end are judged there, by the
same rules.

The first event of a chunk carries its bytes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.dialects import openai
from gateway.dialects.chat import reasoning
from gateway.dialects.chat.chunks import Call, Choice, Delta, Function, Reply, parse
from gateway.dialects.chat.read_messages import split_data_url, thought_signature
from gateway.dialects.chat.reasoning import Detail
from gateway.errors import BrokenReply
from gateway.model.conversation import Citation, Media, Opaque
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


class _Answer:
    """What is known of one choice as it is told."""

    __slots__ = ("called", "calls", "customs", "detail", "last", "refused", "stopped", "thought")

    def __init__(self) -> None:
        self.called = False
        self.refused = False
        self.stopped = False
        self.calls = 0  # numbers given to calls that came without one
        self.last: str | None = None  # the id of the last of these
        self.customs: dict[int, dict[str, Any]] = {}  # calls with free text, gathered until the answer ends
        self.thought: list[str] = []  # what has come of the thought at hand in `reasoning_content` alone
        self.detail: Detail | None = None  # the last of `reasoning_details`, if nothing came after it


class _Teller:
    """Chunks, or a whole reply, to events."""

    def __init__(self) -> None:
        self._answers: dict[int, _Answer] = {}
        self._started = False

    def start(self, reply: Reply, raw: bytes) -> Start | None:
        """The beginning, once, as soon as something of an answer comes."""
        if self._started or not (reply.model or reply.choices):
            return None
        self._started = True
        return Start(reply.model or "", raw, reply.id or "", reply.created or 0)

    def tell(self, choice: Choice, raw: bytes, events: list[Event]) -> None:
        """Append the events of one choice, the first of them with `raw`."""
        index = choice.index
        answer = self._answers.get(index)
        if answer is None:
            answer = self._answers[index] = _Answer()
        at = len(events)
        delta = choice.delta or choice.message
        if delta is not None:
            content = delta.content
            if (
                type(content) is str
                and content
                and delta.reasoning_content is None
                and delta.reasoning is None
                and delta.reasoning_details is None
            ):
                events.append(TextDelta(content, index, raw))  # the usual case, with its bytes at once
                raw = b""
                delta.content = None
                answer.detail = None
                if answer.thought:
                    answer.thought.clear()
            _say(delta, index, answer, events)
        if choice.logprobs is not None:
            tokens = (choice.logprobs.content or []) + (choice.logprobs.refusal or [])
            if tokens:
                events.append(LogprobsDelta(tuple(tokens), index))
        if choice.finish_reason is not None and not answer.stopped:  # some servers say it twice, with usage beside
            answer.stopped = True
            events += [PartDelta(Opaque("chat", "tool_calls", call), index) for call in answer.customs.values()]
            answer.customs = {}
            sequence = choice.stop_reason if isinstance(choice.stop_reason, str) else ""
            events.append(Stop(_reason(choice.finish_reason, answer), index, sequence=sequence))
        if raw and len(events) > at:
            events[at] = msgspec.structs.replace(events[at], raw=raw)


def _reason(found: str, answer: _Answer) -> StopReason:
    """Why it ended. That it calls a tool or refuses is seen in the answer, whatever word some servers have for it."""
    reason = openai._STOPS.get(found, "other")
    if reason == "stop":
        if answer.called:
            return "tool_calls"
        if answer.refused:
            return "refusal"
    return reason


def _say(delta: Delta, index: int, answer: _Answer, events: list[Event]) -> None:
    """Thoughts, then text, then what stands beside it."""
    if delta.reasoning_details:
        _detail(delta.reasoning_details, index, answer, events)
    elif thought := delta.reasoning_content or delta.reasoning:
        if answer.detail is not None:
            answer.detail = None
            events.append(Break(index))  # what was proved is over
        answer.thought.append(thought)
        events.append(ReasoningDelta(thought, index))
    content = delta.content
    if isinstance(content, str):
        if content:
            events.append(TextDelta(content, index))
    elif content is not None:
        for part in content:
            if part.thinking:
                events.append(ReasoningDelta(reasoning.words(part.thinking), index))
            elif part.text:
                events.append(TextDelta(part.text, index))
    for annotation in delta.annotations or ():
        found = annotation.url_citation
        if found is not None:
            citation = Citation("url", "", found.title or "", found.url, None, found.start_index, found.end_index)
            events.append(CitationDelta(citation, index))
    if delta.tool_calls is not None:
        for call in delta.tool_calls:
            _call(call, index, answer, events)
    if delta.refusal:
        answer.refused = True
        events.append(RefusalDelta(delta.refusal, index))
    if delta.function_call is not None:
        answer.called = True
        function = delta.function_call
        events.append(ToolDelta(0, function.arguments or "", function.name or "", index=index))
    if delta.audio is not None or delta.images is not None:
        _beside(delta, index, events)


def _detail(details: list[Detail], index: int, answer: _Answer, events: list[Event]) -> None:
    """Thoughts in `reasoning_details`: in pieces as they come, or whole once the text was told, with their proof."""
    for detail in details:
        text = reasoning.text_of(detail)
        if answer.thought:
            text = "" if text == "".join(answer.thought) else text
            answer.thought.clear()
        elif answer.detail is not None and not reasoning.is_same(detail, answer.detail):
            if detail.index is not None or detail.data:  # else one more piece, of a server that numbers nothing
                events.append(Break(index))
        answer.detail = detail
        events.append(ReasoningDelta(text, index, b"", detail.signature or "", detail.data or "", detail.id or ""))


def _call(call: Call, index: int, answer: _Answer, events: list[Event]) -> None:
    answer.called = True
    number = call.index
    if number is None:  # some servers number none: a new id is a new call
        if answer.calls == 0 or (call.id and call.id != answer.last) or (not call.id and _named(call)):
            answer.calls += 1
            answer.last = call.id
        number = answer.calls - 1
    if call.custom is not None or number in answer.customs:
        _gather(call, number, answer)
        return
    function = call.function or Function()
    events.append(
        ToolDelta(
            number,
            function.arguments or "",
            function.name or "",
            call.id or "",
            index,
            b"",
            thought_signature(call.extra_content) if call.extra_content is not None else "",
        )
    )


def _named(call: Call) -> bool:
    return bool(call.function is not None and call.function.name)


def _gather(call: Call, number: int, answer: _Answer) -> None:
    """A call with free text: no other dialect has it, so it is told in one piece, as a whole reply writes it."""
    found = answer.customs.setdefault(number, {"id": "", "type": "custom", "custom": {"name": "", "input": ""}})
    found["id"] = call.id or found["id"]
    said = call.custom or {}
    found["custom"]["name"] = said.get("name") or found["custom"]["name"]
    found["custom"]["input"] += said.get("input") or ""


def _beside(delta: Delta, index: int, events: list[Event]) -> None:
    if delta.audio is not None:
        if delta.audio.transcript:
            events.append(TextDelta(delta.audio.transcript, index))
        if delta.audio.data:
            events.append(PartDelta(Media("audio", data=delta.audio.data), index))
    for image in delta.images or ():
        if image.image_url is not None and image.image_url.url:
            media_type, data = split_data_url(image.image_url.url)
            media = Media("image", data, "" if data else image.image_url.url, media_type=media_type)
            events.append(PartDelta(media, index))


class StreamDecoder(openai.StreamDecoder):
    """A streamed reply, read wholly; framing, completeness and errors as in the light decoder."""

    def __init__(self) -> None:
        super().__init__()
        self._teller = _Teller()

    def _take(self, body: bytes | None, raw: bytes, events: list[Event]) -> None:
        if body is None or body == b"[DONE]":
            super()._take(body, raw, events)
            return
        try:
            reply = parse(body)
        except ValueError:
            events.append(Passed(raw))
            return
        if reply.error is not None:
            self._failed = True
            events.append(Failed(reply.error.message or "The provider reported an error.", raw))
            return
        self._tell(reply, raw, events)

    def _tell(self, reply: Reply, raw: bytes, events: list[Event]) -> None:
        before = len(events)
        start = self._teller.start(reply, raw)
        if start is not None:
            events.append(start)
            raw = b""
        if reply.service_tier is not None:
            self._tier = reply.service_tier
        for choice in reply.choices or ():
            self._teller.tell(choice, raw, events)
            if len(events) > before:
                raw = b""
            if choice.finish_reason is not None:
                self._stopped.add(choice.index)
                self._open.discard(choice.index)
            elif choice.index not in self._stopped:
                self._open.add(choice.index)
        usage = openai._usage(reply.usage) if reply.usage is not None else None
        if usage is not None:
            events.append(UsageReport(usage, not reply.choices, raw, self._tier))
        elif len(events) == before:
            events.append(Passed(raw))


class UnaryDecoder(openai.UnaryDecoder):
    """A whole reply, read wholly. Raises `BrokenReply` where it is no chat completion."""

    def close(self) -> list[Event]:
        """All events, the first of them with the whole body."""
        body = b"".join(self._pieces)
        try:
            reply = parse(body)
        except ValueError:
            raise BrokenReply("The provider's reply is not valid JSON.", code="upstream_invalid_json") from None
        if reply.error is not None:
            return [Failed(reply.error.message or "The provider reported an error.", body)]
        if not reply.choices:
            raise BrokenReply("The provider's reply is no chat completion: it has no choices.")
        teller = _Teller()
        events: list[Event] = [teller.start(reply, body) or Start("", body)]
        for choice in reply.choices:
            choice.finish_reason = choice.finish_reason or "stop"
            for at, call in enumerate((choice.message.tool_calls if choice.message is not None else None) or ()):
                call.index = at
            teller.tell(choice, b"", events)
        usage = openai._usage(reply.usage) if reply.usage is not None else None
        if usage is not None:
            events.append(UsageReport(usage, tier=reply.service_tier or ""))
        return events
