"""Converse's replies as they are on the wire: what the gateway reads of them, and no more.

Decoding by type (msgspec) reads past what is not named here without building it, such as the padding `p` of every
streamed event.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from gateway.dialects.converse.counts import Counts

_T = TypeVar("_T", bound=msgspec.Struct)
_NO_JSON = msgspec.Raw()


class _Wire(msgspec.Struct, rename="camel"):
    pass


class Source(_Wire):
    bytes: str | None = None


class ReasoningText(_Wire):
    text: str | None = None
    signature: str | None = None


class Reasoning(_Wire):
    """Whole (`reasoning_text`), or a delta (`text`, `signature`). `redacted_content` is base64."""

    reasoning_text: ReasoningText | None = None
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class ToolUse(_Wire):
    """Whole, or its beginning, which has no `input` yet."""

    tool_use_id: str | None = None
    name: str | None = None
    type: str | None = None
    input: msgspec.Raw = _NO_JSON


class Arguments(_Wire):
    """A piece of the JSON text of a call's input."""

    input: str | None = None


class Image(_Wire):
    format: str | None = None
    source: Source | None = None


class Delta(_Wire):
    text: str | None = None
    tool_use: Arguments | None = None
    reasoning_content: Reasoning | None = None
    citation: dict[str, Any] | None = None
    image: Image | None = None
    tool_result: list[Any] | None = None


class BlockStart(_Wire):
    tool_use: ToolUse | None = None
    tool_result: dict[str, Any] | None = None
    image: Image | None = None


class CitationsContent(_Wire):
    content: list[dict[str, Any]] | None = None
    citations: list[dict[str, Any]] | None = None


class Block(_Wire):
    """A block of a whole message."""

    text: str | None = None
    tool_use: ToolUse | None = None
    reasoning_content: Reasoning | None = None
    citations_content: CitationsContent | None = None
    image: Image | None = None


class Named(_Wire):
    """`serviceTier` by its `type`, `performanceConfig` by its `latency`."""

    type: str | None = None
    latency: str | None = None


class Event(_Wire):
    """The payload of any streamed event: which it is stands in its headers. `message` is that of an exception."""

    content_block_index: int = 0
    delta: Delta | None = None
    start: BlockStart | None = None
    stop_reason: str | None = None
    additional_model_response_fields: Any = None
    usage: Counts | None = None
    service_tier: Named | None = None
    performance_config: Named | None = None
    message: str | None = None
    original_message: str | None = None


class Message(_Wire):
    content: list[msgspec.Raw] | None = None


class Output(_Wire):
    message: Message | None = None


class Reply(_Wire):
    """A whole reply. `message` is that of an error."""

    output: Output | None = None
    stop_reason: str | None = None
    additional_model_response_fields: Any = None
    usage: Counts | None = None
    service_tier: Named | None = None
    performance_config: Named | None = None
    message: str | None = None


decode_event = msgspec.json.Decoder(Event).decode
decode_reply = msgspec.json.Decoder(Reply).decode
decode_block = msgspec.json.Decoder(Block).decode


def whole(body: bytes) -> dict[str, Any] | None:
    """`body` as an object, None if it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def leniently(body: bytes, kind: type[_T]) -> _T | None:
    """`body` as far as it can be understood: members of a shape that they should not have are left out, for an answer
    must not be free because of one. None if it is no object."""
    found = whole(body)
    return None if found is None else _salvage(found, kind)


def _salvage(given: dict[str, Any], kind: type[_T]) -> _T:
    found = kind()
    for field in msgspec.structs.fields(kind):
        value = given.get(field.encode_name)
        if value is None:
            continue
        try:
            setattr(found, field.name, _convert(value, field.type))
        except (msgspec.MsgspecError, TypeError, ValueError):
            continue
    return found


def _convert(value: Any, kind: Any) -> Any:
    if kind is msgspec.Raw:
        return _raw(value)
    struct = next((one for one in getattr(kind, "__args__", ()) if isinstance(one, type(msgspec.Struct))), None)
    if struct is not None and isinstance(value, dict):
        return _salvage(value, struct)
    if kind == list[msgspec.Raw] | None and isinstance(value, list):
        return [_raw(one) for one in value]
    return msgspec.convert(value, kind, strict=False)


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value, separators=(",", ":")).encode())
