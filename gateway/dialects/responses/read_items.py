"""Items of a Responses request to the model's messages.

What the model said stands in items of its own: a message, a thought, a call. Those that follow one another are one
turn; so are results of tools.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from typing import Any

from gateway.dialects.chat.read_messages import split_data_url, thought_signature
from gateway.dialects.chat.wire import AUDIO
from gateway.dialects.responses import citations, thoughts, wire
from gateway.dialects.responses.wire import missing
from gateway.errors import InvalidRequest
from gateway.model.conversation import (
    CacheTtl,
    Media,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)

_PLAIN = {"role", "content"}
_ROLES = ("system", "developer", "user", "assistant")
_OUTPUTS = ("_output", "_response")
"""How the types of items end that answer a call of the model's."""


class Items:
    """Turns items into messages; `rest` gathers members of items for which the model has no place."""

    def __init__(self) -> None:
        self.rest: dict[str, Any] = {}

    def read(self, items: list[dict[str, Any]]) -> Iterator[Message]:
        """Messages, one a turn."""
        role: Role | None = None
        parts: list[Part] = []
        for at, item in enumerate(items):
            found, said = self._item(item, f"input[{at}]")
            if role is not None and (found != role or role not in ("assistant", "tool")):
                yield Message(role, tuple(parts))
                parts = []
            role = found
            parts += said
        if role is not None:
            yield Message(role, tuple(parts))

    def _item(self, item: dict[str, Any], path: str) -> tuple[Role, list[Part]]:
        if item.keys() == _PLAIN and type(item["content"]) is str and item["role"] in _ROLES:
            return item["role"], [Text(item["content"])] if item["content"] else []  # the usual case
        kind = item.get("type") or ("message" if "role" in item else "item_reference")
        match kind:
            case "message":
                message = wire.convert(item, wire.Message, path)
                self._unread(item, wire.Message, path)
                return message.role, list(contents(message.content, f"{path}.content"))
            case "function_call":
                call = wire.convert(item, wire.FunctionCall, path)
                self._unread(item, wire.FunctionCall, path)
                signature = thought_signature(call.extra_content)
                return "assistant", [ToolCall(call.call_id, call.name, call.arguments, signature)]
            case "function_call_output" | "custom_tool_call_output":
                output = wire.convert(item, wire.FunctionOutput, path)
                self._unread(item, wire.FunctionOutput, path)
                parts = tuple(contents(output.output, f"{path}.output"))
                return "tool", [ToolResult(output.call_id, parts, output.name or "")]
            case "reasoning":
                return "assistant", [_thought(wire.convert(item, wire.Reasoning, path))]
            case "image_generation_call" if isinstance(result := item.get("result"), str):
                return "assistant", [Media("image", result, media_type=image_type(item.get("output_format")))]
            case str():
                return "tool" if kind.endswith(_OUTPUTS) else "assistant", [Opaque("responses", path, item)]
        raise InvalidRequest(f"`{path}.type` must be a string.", code="invalid_type", param=f"{path}.type")

    def _unread(self, item: dict[str, Any], kind: Any, path: str) -> None:
        if not item.keys() <= (known := set(kind.__struct_fields__)):
            for name, value in item.items():
                if name not in known and value is not None:
                    self.rest[f"{path}.{name}"] = value


def image_type(format_: Any) -> str:
    """MIME type of a picture that the model made, by the item's `output_format`."""
    return f"image/{format_}" if isinstance(format_, str) and format_ else "image/png"


def thought_text(summary: list[wire.Thought] | None, content: list[wire.Thought] | None) -> str:
    """The parts of a summary, or of the thought itself, as one text."""
    return thoughts.BETWEEN.join(part.text for part in [*(summary or ()), *(content or ())] if part.text)


def _thought(item: wire.Reasoning) -> Reasoning:
    signature, redacted = thoughts.proved(item.encrypted_content or "")
    return Reasoning(thought_text(item.summary, item.content), signature, redacted, item.id or "")


def contents(content: str | list[dict[str, Any]], path: str) -> Iterator[Part]:
    """Parts of a message, or of what a tool gave back."""
    if isinstance(content, str):
        if content:
            yield Text(content)
        return
    for at, raw in enumerate(content):
        yield _content(raw, f"{path}[{at}]")


def _content(raw: dict[str, Any], path: str) -> Part:
    kind = raw.get("type")
    if not isinstance(kind, str):
        raise InvalidRequest(f"`{path}.type` must be a string.", code="invalid_type", param=f"{path}.type")
    if kind not in _KINDS:
        return Opaque("responses", path, raw)
    part = wire.convert(raw, wire.Content, path)
    # its half hour has no word elsewhere: what is kept for less costs less
    cache: CacheTtl | None = "5m" if part.prompt_cache_breakpoint is not None else None
    match kind:
        case "refusal" if part.refusal is not None:
            return Refusal(part.refusal)
        case "input_image" if part.image_url or part.file_id:
            return _image(part, cache)
        case "input_file" if part.file_id or part.file_url or part.file_data:
            return _file(part, cache)
        case "input_audio" if part.input_audio is not None:
            sound = part.input_audio
            return Media("audio", sound.data, media_type=AUDIO.get(sound.format, f"audio/{sound.format}"), cache=cache)
        case "input_text" | "output_text" | "text" if part.text is not None:
            cited = tuple(citations.read(one) for one in part.annotations or ())
            return Text(part.text, cache, cited)
    raise missing(f"{path}.{_KINDS[kind]}")


_KINDS = {
    "input_text": "text",
    "output_text": "text",
    "text": "text",
    "refusal": "refusal",
    "input_image": "image_url",
    "input_file": "file_data",
    "input_audio": "input_audio",
}
"""Types of parts that are understood, and the member that each must have."""


def _image(part: wire.Content, cache: CacheTtl | None) -> Media:
    detail = part.detail or ""
    if part.file_id:
        return Media("image", file_id=part.file_id, detail=detail, cache=cache)
    url = part.image_url or ""
    media_type, data = split_data_url(url)
    return Media("image", data, "" if data else url, media_type=media_type, detail=detail, cache=cache)


def _file(part: wire.Content, cache: CacheTtl | None) -> Media:
    name, detail = part.filename or "", part.detail or ""
    if part.file_id or part.file_url:
        return Media(
            "file",
            url="" if part.file_id else part.file_url or "",
            file_id=part.file_id or "",
            name=name,
            detail=detail,
            cache=cache,
        )
    given = part.file_data or ""
    media_type, data = split_data_url(given)
    if not data:
        media_type, data = mimetypes.guess_type(name)[0] or "", given
    return Media("file", data, media_type=media_type, name=name, detail=detail, cache=cache)
