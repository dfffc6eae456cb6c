"""A whole answer: events folded into a `Completion`, and unfolded again.

Every dialect writes a reply in one piece from the fold of its events, so that a stream and a unary reply cannot say
different things. `fold(unfold(c)) == c` for every completion that `fold` can give.

Parts stand in the order in which they began. A `Break` ends the part at hand, as does a delta of another kind; calls
of tools are told apart by their number, so their arguments may come in turns. A citation is of the last text.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from gateway.model.conversation import Citation, Media, Part, Reasoning, Refusal, Text, ToolCall
from gateway.model.events import (
    Break,
    CitationDelta,
    Event,
    Failed,
    LogprobsDelta,
    PartDelta,
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


class Choice(msgspec.Struct, frozen=True):
    """One of the answers. `stop` is None where none came; `logprobs` are as in `LogprobsDelta`, of all tokens."""

    parts: tuple[Part, ...] = ()
    stop: StopReason | None = None
    sequence: str = ""
    logprobs: tuple[dict[str, Any], ...] = ()

    @property
    def text(self) -> str:
        """All of its text, without refusals and reasoning."""
        return "".join(part.text for part in self.parts if type(part) is Text)


class Completion(msgspec.Struct, frozen=True):
    """An answer. `choices` by their index; `usage` is None where none was told; the rest as in `Start`, `UsageReport`.

    `failed` is what the provider said when it could not go on; empty in an answer that is whole.
    """

    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None
    model: str = ""
    id: str = ""
    created: int = 0
    tier: str = ""
    seconds: int = 0
    failed: str = ""
    searches: int = 0


def fold(events: Iterable[Event]) -> Completion:
    """What `events` add up to. Pieces of a text, a thought, a call become one part; empty ones are left out."""
    whole = _Whole()
    for event in events:
        taker = _TAKERS.get(type(event))
        if taker is not None:
            taker(whole, event)
    return Completion(
        tuple(whole.choices[index].done() for index in sorted(whole.choices)),
        whole.usage,
        whole.model,
        whole.id,
        whole.created,
        whole.tier,
        whole.seconds,
        whole.failed,
        whole.searches,
    )


def unfold(completion: Completion) -> Iterator[Event]:
    """The events of `completion`, a part in one piece, choices one after the other, as a stream would tell it."""
    yield Start(completion.model, id=completion.id, created=completion.created)
    for index, choice in enumerate(completion.choices):
        yield from _parts(choice.parts, index)
        if choice.logprobs:
            yield LogprobsDelta(choice.logprobs, index)
        if choice.stop is not None:
            yield Stop(choice.stop, index, sequence=choice.sequence)
    if completion.usage is not None:
        yield UsageReport(
            completion.usage, tier=completion.tier, seconds=completion.seconds, searches=completion.searches
        )
    if completion.failed:
        yield Failed(completion.failed)


def _parts(parts: tuple[Part, ...], index: int) -> Iterator[Event]:
    calls = 0
    before: type[Part] | None = None
    for part in parts:
        if type(part) is before and before is not ToolCall:
            yield Break(index)
        before = type(part)
        match part:
            case Text():
                if part.text:
                    yield TextDelta(part.text, index)
                for citation in part.citations:
                    yield CitationDelta(citation, index)
            case Reasoning():
                yield ReasoningDelta(part.text, index, signature=part.signature, redacted=part.redacted, id=part.id)
            case Refusal():
                yield RefusalDelta(part.text, index)
            case ToolCall():
                yield ToolDelta(calls, part.arguments, part.name, part.id, index, signature=part.signature)
                calls += 1
            case _:
                yield PartDelta(part, index)


# One part as it grows: the deltas of its kind, until `done`


class _TextPart:
    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.citations: list[Citation] = []

    def done(self) -> Part | None:
        text = "".join(self.pieces)
        return Text(text, citations=tuple(self.citations)) if text or self.citations else None


class _ReasoningPart:
    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.signature = self.redacted = self.id = ""

    def done(self) -> Part | None:
        text = "".join(self.pieces)
        found = Reasoning(text, self.signature, self.redacted, self.id)
        return found if text or self.signature or self.redacted or self.id else None


class _RefusalPart:
    def __init__(self) -> None:
        self.pieces: list[str] = []

    def done(self) -> Part | None:
        text = "".join(self.pieces)
        return Refusal(text) if text else None


class _CallPart:
    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.name = self.id = self.signature = ""

    def done(self) -> Part | None:
        return ToolCall(self.id, self.name, "".join(self.pieces), self.signature)


class _WholePart:
    def __init__(self, part: Part) -> None:
        self.parts = [part]

    def done(self) -> Part | None:
        first = self.parts[0]
        if len(self.parts) == 1 or not isinstance(first, Media):
            return first
        return msgspec.structs.replace(first, data=_joined([part.data for part in self.parts if type(part) is Media]))


def _joined(pieces: list[str]) -> str:
    """Base64 of several stretches as one; where one is not base64, they are put together as they stand."""
    try:
        return base64.b64encode(b"".join(base64.b64decode(piece, validate=True) for piece in pieces)).decode()
    except (binascii.Error, ValueError):
        return "".join(pieces)


_Growing = _TextPart | _ReasoningPart | _RefusalPart | _CallPart | _WholePart


class _Choice:
    def __init__(self) -> None:
        self.parts: list[_Growing] = []
        self.open: _Growing | None = None
        self.calls: dict[int, _CallPart] = {}
        self.stop: StopReason | None = None
        self.sequence = ""
        self.logprobs: list[dict[str, Any]] = []

    def begin(self, part: _Growing) -> None:
        self.parts.append(part)
        self.open = part

    def text(self) -> _TextPart:
        if not isinstance(self.open, _TextPart):
            self.begin(_TextPart())
        assert isinstance(self.open, _TextPart)
        return self.open

    def cited(self) -> _TextPart:
        """The text that a citation is of: the last, other parts after it or not, unless a `Break` ended it."""
        if self.open is not None and not isinstance(self.open, _TextPart):
            for part in reversed(self.parts):
                if isinstance(part, _TextPart):
                    return part
        return self.text()

    def done(self) -> Choice:
        parts = tuple(part for part in (growing.done() for growing in self.parts) if part is not None)
        return Choice(parts, self.stop, self.sequence, tuple(self.logprobs))


class _Whole:
    def __init__(self) -> None:
        self.choices: dict[int, _Choice] = {}
        self.usage: Usage | None = None
        self.model = self.id = self.tier = self.failed = ""
        self.created = self.seconds = self.searches = 0

    def choice(self, index: int) -> _Choice:
        found = self.choices.get(index)
        if found is None:
            found = self.choices[index] = _Choice()
        return found

    def take_start(self, event: Start) -> None:
        self.model = event.model or self.model
        self.id = self.id or event.id
        self.created = self.created or event.created

    def take_text(self, event: TextDelta) -> None:
        self.choice(event.index).text().pieces.append(event.text)

    def take_citation(self, event: CitationDelta) -> None:
        self.choice(event.index).cited().citations.append(event.citation)

    def take_reasoning(self, event: ReasoningDelta) -> None:
        choice = self.choice(event.index)
        open_ = choice.open
        if not isinstance(open_, _ReasoningPart) or _is_another(open_, event):
            open_ = _ReasoningPart()
            choice.begin(open_)
        open_.pieces.append(event.text)
        open_.signature = event.signature or open_.signature
        open_.redacted = event.redacted or open_.redacted
        open_.id = event.id or open_.id

    def take_refusal(self, event: RefusalDelta) -> None:
        choice = self.choice(event.index)
        if not isinstance(choice.open, _RefusalPart):
            choice.begin(_RefusalPart())
        assert isinstance(choice.open, _RefusalPart)
        choice.open.pieces.append(event.text)

    def take_call(self, event: ToolDelta) -> None:
        choice = self.choice(event.index)
        call = choice.calls.get(event.call)
        if call is None:
            call = choice.calls[event.call] = _CallPart()
            choice.begin(call)
        choice.open = call
        call.pieces.append(event.arguments)
        call.name = event.name or call.name
        call.id = event.id or call.id
        call.signature = event.signature or call.signature

    def take_part(self, event: PartDelta) -> None:
        choice = self.choice(event.index)
        open_ = choice.open
        if isinstance(open_, _WholePart) and _goes_on(open_.parts[0], event.part):
            open_.parts.append(event.part)
        else:
            choice.begin(_WholePart(event.part))

    def take_logprobs(self, event: LogprobsDelta) -> None:
        self.choice(event.index).logprobs.extend(event.tokens)

    def take_break(self, event: Break) -> None:
        self.choice(event.index).open = None

    def take_stop(self, event: Stop) -> None:
        choice = self.choice(event.index)
        choice.stop = event.reason
        choice.sequence = event.sequence

    def take_usage(self, event: UsageReport) -> None:
        self.usage = event.usage
        self.tier = event.tier or self.tier
        self.seconds = event.seconds or self.seconds
        self.searches = event.searches or self.searches

    def take_failed(self, event: Failed) -> None:
        self.failed = event.message


def _is_another(open_: _ReasoningPart, event: ReasoningDelta) -> bool:
    """What comes once a thought has come already: this is the next thought, `Break` or not."""
    return bool(
        (event.signature and open_.signature)
        or (event.redacted and open_.redacted)
        or (event.id and open_.id and event.id != open_.id)
    )


def _goes_on(part: Part, more: Part) -> bool:
    """`more` is the next stretch of the recording `part`."""
    return (
        isinstance(part, Media)
        and isinstance(more, Media)
        and part.kind == more.kind == "audio"
        and bool(part.data and more.data)
        and part.media_type == more.media_type
    )


_TAKERS: dict[type, Any] = {
    Start: _Whole.take_start,
    TextDelta: _Whole.take_text,
    CitationDelta: _Whole.take_citation,
    ReasoningDelta: _Whole.take_reasoning,
    RefusalDelta: _Whole.take_refusal,
    ToolDelta: _Whole.take_call,
    PartDelta: _Whole.take_part,
    LogprobsDelta: _Whole.take_logprobs,
    Break: _Whole.take_break,
    Stop: _Whole.take_stop,
    UsageReport: _Whole.take_usage,
    Failed: _Whole.take_failed,
}
