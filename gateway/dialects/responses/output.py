"""The items of an answer, streamed or whole, told as the model's events."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gateway.dialects.chat.read_messages import thought_signature
from gateway.dialects.responses import chunks, citations, thoughts
from gateway.dialects.responses.chunks import Item
from gateway.dialects.responses.read_items import image_type
from gateway.model.conversation import Media, Opaque
from gateway.model.events import (
    Break,
    CitationDelta,
    Event,
    LogprobsDelta,
    PartDelta,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolDelta,
)

_NO_PART = -2
"""The place of a thought of which no part came yet."""

AFTER_SUMMARY = 1 << 20
"""Where the parts of a thought itself are numbered from, after those of its summary."""


class Output:
    """The items of one response, told as deltas: one text after another, thoughts, calls in order."""

    def __init__(self) -> None:
        self._kind = ""  # of the last part that was told
        self._place = (-1, -1)  # of that part: its item and its number there
        self._calls: dict[int, int] = {}  # index of an item: number of its call
        self._silent: set[int] = set()  # calls without arguments so far
        self._told: set[int] = set()  # items of which something was told
        self.called = self.refused = False

    def part(self, kind: str, item: int, place: int) -> Iterator[Event]:
        """What comes next is part `place` of item `item`."""
        if (item, place) == self._place and kind == self._kind:
            return
        again = kind == self._kind
        same_thought = again and kind == "reasoning" and item == self._place[0]
        is_first = self._place[1] == _NO_PART
        self._kind, self._place = kind, (item, place)
        if place != _NO_PART:
            self._told.add(item)
        if same_thought:
            if not is_first:
                yield ReasoningDelta(thoughts.BETWEEN)
        elif again:
            yield Break()

    def begin(self, index: int, item: Item) -> Iterator[Event]:
        """An item was added; what its beginning says already."""
        if item.type == "function_call":
            self._kind = "call"
            self.called = True
            number = self._calls[index] = len(self._calls)
            if not item.arguments:
                self._silent.add(index)
            signature = thought_signature(item.extra_content) if item.extra_content is not None else ""
            yield ToolDelta(number, item.arguments or "", item.name or "", item.call_id or "", signature=signature)
        elif item.type == "reasoning" and item.id:
            yield from self.part("reasoning", index, _NO_PART)
            yield ReasoningDelta("", id=item.id)

    def arguments(self, index: int, delta: str) -> Iterator[Event]:
        if index in self._calls:
            self._silent.discard(index)
            yield ToolDelta(self._calls[index], delta)

    def refusal(self, index: int, place: int, delta: str) -> Iterator[Event]:
        self.refused = True
        yield from self.part("refusal", index, place)
        yield RefusalDelta(delta)

    def end(self, index: int, item: Item, raw: msgspec.Raw) -> Iterator[Event]:
        """An item is done: what was not told of it yet."""
        if item.type == "message":
            if index not in self._told:
                yield from self._message(index, item)
        elif item.type == "reasoning":
            yield from self._thought(index, item)
        elif item.type == "function_call":
            if index not in self._calls:
                yield from self.begin(index, item)  # all of it
            elif index in self._silent and item.arguments:
                yield from self.arguments(index, item.arguments)
            self._silent.discard(index)
        elif item.type == "image_generation_call" and item.result:
            self._kind = "image"
            yield PartDelta(Media("image", item.result, media_type=image_type(item.output_format)))
        elif (value := chunks.whole(raw)) is not None:
            self.called = self.called or item.type == "custom_tool_call"
            self._kind = "other"
            yield PartDelta(Opaque("responses", f"output[{index}]", value))

    def _message(self, index: int, item: Item) -> Iterator[Event]:
        for place, part in enumerate(item.content or ()):
            if part.refusal:
                yield from self.refusal(index, place, part.refusal)
            if not part.text:
                continue
            yield from self.part("text", index, place)
            yield TextDelta(part.text)
            if part.logprobs:
                yield LogprobsDelta(tuple(dict(token) for token in part.logprobs))
            for one in part.annotations or ():
                yield CitationDelta(citations.read(one))

    def _thought(self, index: int, item: Item) -> Iterator[Event]:
        if index not in self._told:
            texts = [part.text for part in (*(item.summary or ()), *(item.content or ())) if part.text]
            for place, text in enumerate(texts):
                yield from self.part("reasoning", index, place)
                yield ReasoningDelta(text)
        id_ = item.id or ""
        if not (item.encrypted_content or id_):
            return
        yield from self.part("reasoning", index, self._place[1] if self._place[0] == index else _NO_PART)
        signature, redacted = thoughts.proved(item.encrypted_content or "")
        yield ReasoningDelta("", signature=signature, redacted=thoughts.sealed(id_, redacted), id=id_)
