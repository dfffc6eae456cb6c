"""A response, and an event of a streamed one, as they stand in JSON, with the members that are understood.

Source: https://platform.openai.com/docs/api-reference/responses-streaming, components `ResponseStreamEvent` and
`Response`. What is inside is kept as bytes and decoded where it is asked for: most events have none of it.
"""

from __future__ import annotations

import json
from typing import Any, TypedDict, TypeVar

import msgspec

from gateway.dialects import openai
from gateway.dialects.chat.chunks import _sound

_T = TypeVar("_T")
_NONE = msgspec.Raw(b"null")


class Alternative(TypedDict, total=False):
    token: str
    logprob: float
    bytes: list[int] | None


class Token(Alternative, total=False):
    """A token and its log-probability."""

    top_logprobs: list[Alternative] | None


class Event(msgspec.Struct):
    type: str = ""
    delta: str | None = None
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    logprobs: list[Token] | None = None
    annotation: msgspec.Raw = _NONE
    item: msgspec.Raw = _NONE
    response: msgspec.Raw = _NONE
    error: msgspec.Raw = _NONE
    message: str | None = None
    status: str | None = None


class Content(msgspec.Struct):
    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: list[dict[str, Any]] | None = None
    logprobs: list[Token] | None = None


class Item(msgspec.Struct):
    type: str = ""
    id: str | None = None
    content: list[Content] | None = None
    summary: list[Content] | None = None
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    result: str | None = None
    output_format: str | None = None
    extra_content: Any = None


class Reason(msgspec.Struct):
    reason: str | None = None


class Problem(msgspec.Struct):
    message: str | None = None


class Response(msgspec.Struct):
    id: str | None = None
    object: str | None = None
    created_at: float | None = None
    model: str | None = None
    status: str | None = None
    error: Problem | None = None
    incomplete_details: Reason | None = None
    output: list[msgspec.Raw] | None = None
    usage: openai._Usage | None = None
    service_tier: str | None = None


class Action(msgspec.Struct):
    type: str | None = None


class Kind(msgspec.Struct):
    """As much of an item as tells what it was."""

    type: str = ""
    action: Action | None = None


_decode = msgspec.json.Decoder(Event).decode
_decoders: dict[type, Any] = {kind: msgspec.json.Decoder(kind).decode for kind in (Item, Response, Kind, Problem)}


def parse(body: bytes) -> Event:
    """An event, as far as it can be understood. Raises `ValueError` if it is no JSON object."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, RecursionError):
        return _leniently(body, Event)


def inner(raw: msgspec.Raw | bytes, kind: type[_T]) -> _T:
    """What `raw` holds, as far as it can be understood. Raises `ValueError` if it is no JSON object."""
    try:
        found: _T = _decoders[kind](raw)
    except (msgspec.DecodeError, RecursionError):
        return _leniently(bytes(raw), kind)
    return found


def whole(raw: msgspec.Raw) -> Any:
    """All of `raw`."""
    try:
        return _sound(json.loads(bytes(raw)))
    except (ValueError, RecursionError):
        return None


def _leniently(body: bytes, kind: type[_T]) -> _T:
    """`body` with what Python's encoder writes though JSON has it not (NaN, half a surrogate), and without members of a
    shape that they should not have: an answer must not be free because of a field."""
    try:
        found = _sound(json.loads(body))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("no object")
    made = kind()
    for field in msgspec.structs.fields(kind):  # type: ignore[arg-type]
        value = found.get(field.name)
        if value is not None:
            try:
                setattr(made, field.name, _convert(value, field.name, field.type))
            except (msgspec.MsgspecError, TypeError, ValueError):
                continue
    return made


def _convert(value: Any, name: str, kind: Any) -> Any:
    if kind is msgspec.Raw:
        return _raw(value)
    if name == "output":
        return [_raw(one) for one in value]
    return msgspec.convert(value, kind, strict=False)


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value, separators=(",", ":")).encode())
