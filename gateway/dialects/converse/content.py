"""The content blocks of Converse's answers, streamed or whole, told as deltas: text, reasoning, calls in order.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlockDelta.html. Thought that only
the provider can read comes in pieces, each base64 of its own, and must go back as one; the end of its block is not
always told (seen with Claude), so it ends where another block begins.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

import msgspec
import orjson

from gateway.dialects.converse import citations, wire
from gateway.model.conversation import Media, Opaque
from gateway.model.events import Break, CitationDelta, Event, PartDelta, ReasoningDelta, TextDelta, ToolDelta


class Content:
    """The content blocks of one message, told as deltas of one text, one reasoning and calls in order."""

    def __init__(self) -> None:
        self._index = -1  # of the block of text or reasoning that was told last
        self._kind = ""  # of the last block that was told: text, reasoning, or another
        self._calls: dict[int, int] = {}  # index of a block: number of its call
        self._silent: set[int] = set()  # calls without arguments so far
        self._opaque: dict[int, tuple[dict[str, Any], list[Any]]] = {}
        self._images: dict[int, tuple[str, list[str]]] = {}
        self._redacted: dict[int, list[str]] = {}  # pieces of thoughts that only the provider can read

    def is_in_text(self, index: int) -> bool:
        """Whether more text at `index` goes on with the text that came last."""
        return index == self._index and self._kind == "text"

    def _enter(self, index: int, kind: str) -> Iterator[Event]:
        if kind == self._kind and index != self._index and kind in ("text", "reasoning"):
            yield Break()
        self._index, self._kind = index, kind

    def _leave(self, index: int) -> Iterator[Event]:
        """End what came before `index` and waits for its end, which is not always told: parts keep their order."""
        if self._redacted or self._opaque or self._images:
            for before in sorted({*self._redacted, *self._opaque, *self._images}):
                if before < index:
                    yield from self.end(before)

    def begin(self, index: int, start: wire.BlockStart) -> Iterator[Event]:
        """A call of a tool, its result or a picture begins."""
        yield from self._leave(index)
        call = start.tool_use
        if call is not None and call.type is None:
            yield from self._enter(index, "call")
            self._calls[index] = len(self._calls)
            self._silent.add(index)
            yield ToolDelta(self._calls[index], "", call.name or "", call.tool_use_id or "")
        elif call is not None:
            said = {"toolUseId": call.tool_use_id, "name": call.name, "type": call.type}
            self._opaque[index] = ({"toolUse": said}, [])
        elif start.tool_result is not None:
            self._opaque[index] = ({"toolResult": dict(start.tool_result)}, [])
        elif start.image is not None:
            self._images[index] = (start.image.format or "png", [])

    def grow(self, index: int, delta: wire.Delta) -> Iterator[Event]:
        """More of a block."""
        yield from self._leave(index)
        if delta.text:
            yield from self._enter(index, "text")
            yield TextDelta(delta.text)
        elif delta.tool_use is not None:
            yield from self._argue(index, delta.tool_use.input)
        elif (thought := delta.reasoning_content) is not None:
            if thought.redacted_content:
                self._redacted.setdefault(index, []).append(thought.redacted_content)
            if thought.text or thought.signature:
                yield from self._enter(index, "reasoning")
                yield ReasoningDelta(thought.text or "", signature=thought.signature or "")
        elif delta.citation is not None:
            yield from self._enter(index, "text")
            yield CitationDelta(citations.read(delta.citation))
        elif delta.tool_result is not None and index in self._opaque:
            self._opaque[index][1].extend(delta.tool_result)
        elif delta.image is not None and delta.image.source is not None and index in self._images:
            self._images[index][1].append(delta.image.source.bytes or "")

    def _argue(self, index: int, piece: str | None) -> Iterator[Event]:
        if not piece:
            return
        if index in self._calls:
            self._silent.discard(index)
            yield ToolDelta(self._calls[index], piece)
        elif index in self._opaque:
            self._opaque[index][1].append(piece)

    def end(self, index: int) -> Iterator[Event]:
        """A block is complete."""
        if index in self._redacted:
            yield from self._enter(index, "reasoning")
            yield ReasoningDelta("", redacted=_joined(self._redacted.pop(index)))
        if index in self._silent:
            self._silent.discard(index)
            yield ToolDelta(self._calls[index], "{}")
        elif index in self._opaque:
            said, pieces = self._opaque.pop(index)
            if "toolUse" in said:
                said["toolUse"]["input"] = _parsed("".join(pieces))
            else:
                said["toolResult"]["content"] = pieces
            yield from self._whole(index, Opaque("converse", f"content[{index}]", said))
        elif index in self._images:
            format_, data = self._images.pop(index)
            yield from self._whole(index, Media("image", _joined(data), media_type=f"image/{format_}"))

    def rest(self) -> Iterator[Event]:
        """What is owed of blocks whose end was not told."""
        for index in sorted({*self._redacted, *self._silent, *self._opaque, *self._images}):
            yield from self.end(index)

    def _whole(self, index: int, part: Opaque | Media) -> Iterator[Event]:
        yield from self._enter(index, "other")
        yield PartDelta(part)

    def tell(self, index: int, raw: bytes) -> Iterator[Event]:
        """A block of a whole message."""
        try:
            block = wire.decode_block(raw)
        except (msgspec.DecodeError, RecursionError):
            block = wire.leniently(raw, wire.Block) or wire.Block()
        call, thought, cited, image = block.tool_use, block.reasoning_content, block.citations_content, block.image
        if block.text is not None:
            yield from self.grow(index, wire.Delta(text=block.text))
        elif call is not None and call.type is None:
            yield from self._enter(index, "call")
            given = bytes(call.input).decode()
            number = self._calls[index] = len(self._calls)
            yield ToolDelta(
                number, given if given not in ("", "null") else "{}", call.name or "", call.tool_use_id or ""
            )
        elif thought is not None:
            text = thought.reasoning_text or wire.ReasoningText()
            delta = wire.Reasoning(text=text.text, signature=text.signature, redacted_content=thought.redacted_content)
            yield from self.grow(index, wire.Delta(reasoning_content=delta))
            yield from self.end(index)
        elif cited is not None:
            words = "".join([one["text"] for one in cited.content or () if isinstance(one.get("text"), str)])
            yield from self.grow(index, wire.Delta(text=words))
            for citation in cited.citations or ():
                yield from self.grow(index, wire.Delta(citation=citation))
        elif image is not None and image.source is not None and image.source.bytes:
            yield from self._whole(
                index, Media("image", image.source.bytes, media_type=f"image/{image.format or 'png'}")
            )
        elif (whole := wire.whole(raw)) is not None:
            yield from self._whole(index, Opaque("converse", f"content[{index}]", whole))


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return {"INVALID_JSON": text}


def _joined(pieces: list[str]) -> str:
    """Base64 of several stretches as one; where one is not base64, they are put together as they stand."""
    if len(pieces) == 1:
        return pieces[0]
    try:
        return base64.b64encode(b"".join([base64.b64decode(piece, validate=True) for piece in pieces])).decode()
    except (binascii.Error, ValueError):
        return "".join(pieces)
