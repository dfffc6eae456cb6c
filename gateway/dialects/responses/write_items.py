"""The model's messages to items of a Responses request."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

from gateway.dialects.base import Drops
from gateway.dialects.chat.write_messages import data_url, set_said, signature
from gateway.dialects.responses import citations, thoughts
from gateway.model.conversation import (
    Media,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    SearchResult,
    Text,
    ToolCall,
    ToolResult,
)

MAX_ID = 64
"""Characters that OpenAI allows in the id of a call."""

_BREAKPOINT = {"mode": "explicit"}


class Writer:
    """Writes messages as items; what cannot be said goes to `drops`."""

    def __init__(self, drops: Drops) -> None:
        self._drops = drops
        self._customs: set[str] = set()  # ids of calls with free text, whose results are items of their own kind

    def items(self, messages: Iterable[Message], skipped: int = 0) -> Iterator[dict[str, Any]]:
        """The items, in order. `skipped` messages came before these."""
        for at, message in enumerate(messages, skipped):
            if (text := plain_text(message)) and message.role != "tool":
                yield {"role": message.role, "content": text}
                continue
            path = f"messages[{at}]"
            if message.name:
                self._drops.add(f"{path}.name")
            if message.role == "assistant":
                yield from self._assistant(message.parts, path)
                continue
            said: list[dict[str, Any]] = []
            for place, part in enumerate(message.parts):
                field = f"{path}.parts[{place}]"
                if isinstance(part, ToolResult):
                    yield self._result(part, field)
                elif isinstance(part, Opaque) and _is_item(part):
                    yield part.value
                else:
                    said += self._content(part, field, message.role)
            if said or not message.parts:
                # what was said beside results only a user can say
                yield {"role": "user" if message.role == "tool" else message.role, "content": _short(said)}

    def _result(self, result: ToolResult, field: str) -> dict[str, Any]:
        if result.is_error:
            self._drops.add(f"{field}.is_error")
        content = [
            found
            for place, part in enumerate(result.parts)
            for found in self._content(part, f"{field}.parts[{place}]", "tool")
        ]
        if result.cache is not None and content:
            content[-1] |= self._marker(result.cache, field)
        kind = "custom_tool_call_output" if result.call_id in self._customs else "function_call_output"
        return {"type": kind, "call_id": call_id(result.call_id), "output": _short(content)}

    def _content(self, part: Part, field: str, role: str) -> Iterator[dict[str, Any]]:
        """`part` as a part of content that is given to the model; nothing if it cannot be."""
        match part:
            case Text():
                if part.citations:
                    self._drops.add(f"{field}.citations")
                yield {"type": "input_text", "text": part.text, **self._marker(part.cache, field)}
            case SearchResult():
                if part.cite:
                    self._drops.add(f"{field}.citations")
                text = "\n".join((part.title, part.source, *part.texts))
                yield {"type": "input_text", "text": text, **self._marker(part.cache, field)}
            case Media():
                found = self._media(part, field)
                if found is not None:
                    yield found | self._marker(part.cache, field)
            case Opaque(dialect="responses"):
                yield part.value
            case _:
                self._drops.add(field, f"in a message of role {role}")

    def _marker(self, ttl: str | None, field: str) -> dict[str, Any]:
        """The mark that the prefix may be cached. It holds for half an hour at least, which is no hour."""
        if ttl is None:
            return {}
        if ttl == "1h":
            self._drops.add(f"{field}.cache")
        return {"prompt_cache_breakpoint": _BREAKPOINT}

    def _media(self, media: Media, field: str) -> dict[str, Any] | None:
        for member in ("context", "cite"):
            if getattr(media, member):
                self._drops.add(f"{field}.{member}")
        found: dict[str, Any] = {}
        match media.kind:
            case _ if media.text:
                text = "\n".join(filter(None, (media.title or media.name, media.text)))
                return {"type": "input_text", "text": text}
            case "image" if media.data or media.url or media.file_id:
                found = {"type": "input_image", "detail": media.detail or "auto"}
                set_said(found, "file_id", media.file_id)
                set_said(found, "image_url", data_url(media, "image/png") if media.data else media.url)
                return found
            case "file" if media.data or media.url or media.file_id:
                found = {"type": "input_file"}
                if not media.file_id:
                    set_said(found, "filename", media.name or media.title or (_file_name(media) if media.data else ""))
                set_said(found, "file_id", media.file_id)
                set_said(found, "file_url", media.url)
                set_said(found, "file_data", data_url(media, "application/pdf") if media.data else "")
                set_said(found, "detail", media.detail)
                return found
        self._drops.add(field, f"{media.kind} in this form")
        return None

    # What the model said

    def _assistant(self, parts: tuple[Part, ...], path: str) -> Iterator[dict[str, Any]]:
        """Texts and refusals that follow one another are one message; everything else is an item of its own."""
        said: list[dict[str, Any]] = []
        for place, part in thoughts.rejoined(parts):
            field = f"{path}.parts[{place}]"
            found = self._said(part, field)
            if found is not None:
                said.append(found)
                continue
            if said:
                yield _message(said, f"{path}.{place}")
                said = []
            yield from self._alone(part, field)
        if said or not parts:
            yield _message(said, f"{path}.{len(parts)}")

    def _said(self, part: Part, field: str) -> dict[str, Any] | None:
        """A part of a message of the model's; None if `part` does not stand in one."""
        match part:
            case Text():
                if part.cache is not None:
                    self._drops.add(f"{field}.cache")
                listed = [citations.write(one, 0, len(part.text)) for one in part.citations]
                if None in listed:
                    self._drops.add(f"{field}.citations")
                known = [one for one in listed if one is not None]
                return {"type": "output_text", "text": part.text, "annotations": known, "logprobs": []}
            case Refusal():
                return {"type": "refusal", "refusal": part.text}
        return None

    def _alone(self, part: Part, field: str) -> Iterator[dict[str, Any]]:
        match part:
            case ToolCall():
                yield self._call(part, field)
            case Reasoning() if thoughts.is_own(part):
                id_, encrypted = thoughts.opened(part)
                yield thoughts.item(id_, part.text, encrypted)
            case Reasoning():
                self._drops.add(field, "thoughts of others are not taken back")
            case Opaque() if (item := custom_call(part)) is not None:
                self._customs |= {item["call_id"], _given_id(part)}
                yield item
            case Opaque(dialect="responses"):
                yield part.value
            case _:
                self._drops.add(field, "in a message of role assistant")

    def _call(self, call: ToolCall, field: str) -> dict[str, Any]:
        if call.cache is not None:
            self._drops.add(f"{field}.cache")
        if call.signature:
            self._drops.add(f"{field}.signature")
        return function_call("", call.id, call.name, call.arguments or "{}")


def _file_name(media: Media) -> str:
    """A name for a file that came without one: by its ending OpenAI knows what is in it."""
    return f"document{mimetypes.guess_extension(media.media_type or 'application/pdf') or ''}"


def plain_text(message: Message) -> str:
    """The text of a message that is nothing but text, as most are; else empty."""
    if len(message.parts) != 1 or message.name:
        return ""
    part = message.parts[0]
    return part.text if isinstance(part, Text) and part.cache is None and not part.citations else ""


def function_call(id_: str, call: str, name: str, arguments: str, proof: str = "", status: str = "") -> dict[str, Any]:
    """An item that calls a function. `proof` is Gemini's thought signature, for which OpenAI has no word."""
    found = {"type": "function_call", "call_id": call_id(call), "name": name, "arguments": arguments}
    if id_:
        found["id"] = id_
    if status:
        found["status"] = status
    return found | ({"extra_content": signature(proof)} if proof else {})


def custom_call(part: Opaque) -> dict[str, Any] | None:
    """A call with free text as an item, from either of OpenAI's APIs; None for anything else."""
    value = part.value
    if not isinstance(value, dict):
        return None
    if part.dialect == "responses" and value.get("type") == "custom_tool_call":
        return value | {"call_id": call_id(str(value.get("call_id", "")))}
    custom = value.get("custom")
    if part.dialect != "chat" or value.get("type") != "custom" or not isinstance(custom, dict):
        return None
    call, name, given = (str(found) for found in (value.get("id", ""), custom.get("name", ""), custom.get("input", "")))
    return {"type": "custom_tool_call", "call_id": call_id(call), "name": name, "input": given}


def _given_id(part: Opaque) -> str:
    return str(part.value.get("id" if part.dialect == "chat" else "call_id", ""))


def _is_item(part: Opaque) -> bool:
    """It is an item of its own, not a part of a message's content."""
    return part.dialect == "responses" and ".content[" not in part.field and ".output[" not in part.field


def _message(said: list[dict[str, Any]], place: str) -> dict[str, Any]:
    """A message of the model's. One with more than a plain text must have an id."""
    if not said or (len(said) == 1 and said[0].get("text") is not None and not said[0]["annotations"]):
        return {"role": "assistant", "content": said[0]["text"] if said else ""}
    id_ = f"msg_{blake2b(place.encode(), digest_size=16).hexdigest()}"
    return {"type": "message", "id": id_, "role": "assistant", "status": "completed", "content": said}


def call_id(id_: str) -> str:
    """An id of a call that OpenAI takes: one that is too long is told by its hash, in call and result alike."""
    return id_ if len(id_) <= MAX_ID else f"call_{blake2b(id_.encode(), digest_size=12).hexdigest()}"


def _short(content: list[dict[str, Any]]) -> Any:
    """A text alone goes as a string."""
    if not content:
        return ""
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        return content[0]["text"]
    return content
