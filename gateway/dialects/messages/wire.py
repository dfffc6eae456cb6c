"""Anthropic's replies as they are on the wire: what the gateway reads of them, and no more.

Decoding by type (msgspec) reads past what is not named here without building it.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from gateway.dialects.messages.counts import Counts
from gateway.errors import BrokenReply

_T = TypeVar("_T")

_NO_JSON = msgspec.Raw()


class StopDetails(msgspec.Struct):
    explanation: str | None = None


class Delta(msgspec.Struct):
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: dict[str, Any] | None = None
    content: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None


class Block(msgspec.Struct):
    type: str = ""
    text: str | None = None
    citations: list[dict[str, Any]] | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = _NO_JSON
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None


class Message(msgspec.Struct):
    type: str | None = None
    id: str | None = None
    model: str | None = None
    content: list[msgspec.Raw] | None = None
    usage: Counts | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    error: Problem | None = None


class Problem(msgspec.Struct):
    message: str | None = None


class Event(msgspec.Struct):
    type: str = ""
    index: int = 0
    delta: Delta | None = None
    content_block: msgspec.Raw = _NO_JSON
    message: Message | None = None
    usage: Counts | None = None
    error: Problem | None = None


decode_event = msgspec.json.Decoder(Event).decode
decode_message = msgspec.json.Decoder(Message).decode
decode_block = msgspec.json.Decoder(Block).decode


def whole(body: bytes) -> dict[str, Any] | None:
    """`body` as an object, None if it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def leniently(body: bytes, kind: type[_T], *, strict: bool = False) -> _T:
    """`body` as far as it can be understood, with what Python's encoder writes though JSON has it not: NaN, half a
    surrogate. Members of a shape that they should not have are left out: an answer must not be free because of a field.

    What is no object is nothing, or where `strict` a `BrokenReply`.
    """
    found = whole(body)
    if found is None:
        if strict:
            raise BrokenReply("The provider's reply is not valid JSON.", code="upstream_invalid_json")
        return kind()
    return _salvage(found, kind)


def _salvage(given: dict[str, Any], kind: type[_T]) -> _T:
    found = kind()
    for field in msgspec.structs.fields(kind):  # type: ignore[arg-type]
        value = given.get(field.name)
        if value is not None:
            try:
                setattr(found, field.name, _convert(value, field.name, field.type))
            except (msgspec.MsgspecError, TypeError, ValueError):
                continue
    return found


_NESTED: dict[str, Any] = {"delta": Delta, "message": Message, "usage": Counts}


def _convert(value: Any, name: str, kind: Any) -> Any:
    nested = _NESTED.get(name)
    if nested is not None and isinstance(value, dict):
        return _salvage(value, nested)
    if name in ("content_block", "input"):
        return _raw(value)
    if name == "content" and isinstance(value, list):
        return [_raw(one) for one in value]
    return msgspec.convert(value, kind, strict=False)


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value, separators=(",", ":")).encode())
