"""Items of an answer as they grow: each says its own events, and what it is when it is done."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

import orjson

from gateway.dialects.chat import pieces
from gateway.dialects.responses import citations, thoughts
from gateway.dialects.responses.write_items import custom_call, function_call
from gateway.model.conversation import Citation, Media, Opaque, Part, Reasoning

Say = Callable[..., None]
"""Appends an event to the stream: its type, then its members."""

Status = Literal["in_progress", "completed", "incomplete"]


def dump(value: Any) -> bytes:
    """JSON; half a surrogate, which Python's own encoder escapes, is no reason to fail."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return json.dumps(value).encode()


def delta_head(kind: str, at: dict[str, Any]) -> bytes:
    """The beginning of deltas of `kind` at one place, as far as their number."""
    name = kind.encode()
    return b'event: response.%b.delta\ndata: {"type":"response.%b.delta",%b,"sequence_number":' % (
        name,
        name,
        orjson.dumps(at)[1:-1],
    )


class Piece:
    """A part of a message: text or a refusal. `head` is the beginning of its deltas."""

    def __init__(self, kind: str, item_id: str, item: int, place: int) -> None:
        self.kind = kind
        self.at = {"item_id": item_id, "output_index": item, "content_index": place}
        self.texts: list[str] = []
        self.annotations: list[dict[str, Any]] = []
        self.logprobs: list[dict[str, Any]] = []
        self.head = delta_head(kind, self.at)

    def whole(self) -> dict[str, Any]:
        """The part as it is by now."""
        text = "".join(self.texts)
        if self.kind == "refusal":
            return {"type": "refusal", "refusal": text}
        return {"type": self.kind, "text": text, "annotations": list(self.annotations), "logprobs": self.logprobs}

    def cite(self, citation: Citation) -> dict[str, Any] | None:
        """The annotation for `citation`, if it can be said."""
        found = citations.write(citation, 0, sum(map(len, self.texts)))
        if found is not None:
            self.annotations.append(found)
        return found

    def add_logprobs(self, tokens: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
        """The log-probabilities of `tokens`, with all members that clients count on."""
        found: list[dict[str, Any]] = pieces.logprobs(tokens, refused=False)["content"]
        whole = [
            token | {"bytes": token["bytes"] or [], "top_logprobs": [_bytes(one) for one in token["top_logprobs"]]}
            for token in found
        ]
        self.logprobs += whole
        return whole

    def begin(self, say: Say) -> None:
        say("response.content_part.added", **self.at, part=self.whole())

    def end(self, say: Say) -> None:
        whole = self.whole()
        if self.kind == "refusal":
            say("response.refusal.done", **self.at, refusal=whole["refusal"])
        else:
            say("response.output_text.done", **self.at, text=whole["text"], logprobs=self.logprobs)
        say("response.content_part.done", **self.at, part=whole)


def _bytes(token: dict[str, Any]) -> dict[str, Any]:
    return token | {"bytes": token["bytes"] or []}


class MessageItem:
    """What the model says: its parts, one after another."""

    def __init__(self, id_: str, index: int) -> None:
        self.id, self.index = id_, index
        self.pieces: list[Piece] = []
        self.open: Piece | None = None

    def piece(self, kind: str, say: Say) -> Piece:
        """The part of `kind` at hand, or a new one."""
        if self.open is not None and self.open.kind == kind:
            return self.open
        self.shut(say)
        piece = self.open = Piece(kind, self.id, self.index, len(self.pieces))
        self.pieces.append(piece)
        piece.begin(say)
        return piece

    def shut(self, say: Say) -> None:
        """End the part at hand."""
        if self.open is not None:
            self.open.end(say)
            self.open = None

    def end(self, say: Say) -> None:
        self.shut(say)

    def whole(self, status: Status) -> dict[str, Any]:
        content = [piece.whole() for piece in self.pieces]
        return {"id": self.id, "type": "message", "status": status, "role": "assistant", "content": content}


class ReasoningItem:
    """A thought: one part of a summary, and what proves it."""

    def __init__(self, id_: str, index: int) -> None:
        self.id, self.index = id_, index
        self.at = {"item_id": id_, "output_index": index, "summary_index": 0}
        self.head = delta_head("reasoning_summary_text", self.at)
        self.texts: list[str] = []
        self.signature = self.redacted = ""

    def begin(self, say: Say) -> None:
        """Its text begins."""
        say("response.reasoning_summary_part.added", **self.at, part=thoughts.summary(""))

    def end(self, say: Say) -> None:
        if self.texts:
            text = "".join(self.texts)
            say("response.reasoning_summary_text.done", **self.at, text=text)
            say("response.reasoning_summary_part.done", **self.at, part=thoughts.summary(text))

    def whole(self, status: Status) -> dict[str, Any]:
        _, encrypted = thoughts.proof(Reasoning("", self.signature, self.redacted))
        return thoughts.item(self.id, "".join(self.texts), encrypted, status)


class CallItem:
    """A call of a function, its arguments in pieces."""

    def __init__(self, id_: str, index: int, call: str, name: str) -> None:
        self.id, self.index, self.call, self.name = id_, index, call, name
        self.head = delta_head("function_call_arguments", {"item_id": id_, "output_index": index})
        self.texts: list[str] = []
        self.signature = ""

    def end(self, say: Say) -> None:
        say(
            "response.function_call_arguments.done",
            item_id=self.id,
            output_index=self.index,
            name=self.name,
            arguments="".join(self.texts),
        )

    def whole(self, status: Status) -> dict[str, Any]:
        return function_call(self.id, self.call, self.name, "".join(self.texts), self.signature, status)


class WholeItem:
    """An item that comes in one piece."""

    def __init__(self, index: int, item: dict[str, Any]) -> None:
        self.index, self.item = index, item

    def end(self, say: Say) -> None:
        pass

    def whole(self, status: Status) -> dict[str, Any]:
        return self.item


def alone(part: Part, make_id: Callable[[str], str]) -> dict[str, Any] | None:
    """The item for a part that comes in one piece; None where there is no word for it."""
    if isinstance(part, Media) and part.kind == "image" and part.data:
        format_ = part.media_type.rpartition("/")[2] or "png"
        item = {"type": "image_generation_call", "id": make_id("ig"), "status": "completed"}
        return item | {"result": part.data, "output_format": format_}
    if isinstance(part, Opaque) and part.dialect == "responses":
        return part.value if isinstance(part.value, dict) else None
    custom = custom_call(part) if isinstance(part, Opaque) else None
    return {"id": make_id("ctc"), **custom} if custom is not None else None


Growing = MessageItem | ReasoningItem | CallItem | WholeItem
