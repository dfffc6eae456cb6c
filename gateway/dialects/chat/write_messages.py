"""The model's messages to those of a chat completion's request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any, Literal

import msgspec

from gateway.dialects.base import Drops
from gateway.dialects.chat import reasoning, wire
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

MAX_ID = 40
"""Characters that OpenAI allows in the id of a call."""

_FORMATS = {media_type: name for name, media_type in wire.AUDIO.items()} | {
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mp3": "mp3",
}
_WHY: dict[type[Part], str] = {
    Reasoning: "thoughts are not taken back",
    Opaque: "only its own API knows it",
}
_BREAKPOINT = {"mode": "explicit"}


def set_said(body: dict[str, Any], name: str, value: Any) -> None:
    """Write a member that says something."""
    if value is not None and value != "" and value != []:
        body[name] = value


class Server(msgspec.Struct, frozen=True):
    """How a compatible server differs from OpenAI's own.

    `limit` is its word for the most tokens that an answer may have. `developer`: it knows that role; else it is told
    `system`. `breakpoints`: it takes cache markers. `thoughts`: it takes back what it thought (`reasoning_content` and
    `reasoning_details`); OpenAI refuses them.
    """

    limit: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    developer: bool = True
    breakpoints: bool = True
    thoughts: bool = False


class Writer:
    """Writes messages as `server` takes them; what cannot be said goes to `drops`."""

    def __init__(self, drops: Drops, server: Server) -> None:
        self._drops = drops
        self._server = server

    def messages(self, messages: Iterable[Message]) -> Iterator[dict[str, Any]]:
        """One message each; those with results of tools become one for every result, and one for what else is said."""
        for at, message in enumerate(messages):
            if (text := _only_text(message)) is not None and message.role in ("system", "user", "assistant"):
                yield {"role": message.role, "content": text}
                continue
            others: list[tuple[str, Part]] = []
            for place, part in enumerate(message.parts):
                field = f"messages[{at}].parts[{place}]"
                if isinstance(part, ToolResult):
                    yield self._result(part, field)
                else:
                    others.append((field, part))
            if others or not message.parts:
                yield self._message(message, others)

    def _message(self, message: Message, parts: list[tuple[str, Part]]) -> dict[str, Any]:
        role = message.role
        if role == "tool":
            role = "user"  # what was said beside results: only a user can say it
        if role == "developer" and not self._server.developer:
            role = "system"
        said: dict[str, Any] = {"role": role}
        set_said(said, "name", message.name)
        if role == "assistant":
            self._assistant(parts, said)
        else:
            said["content"] = _short([found for field, part in parts for found in self._content(part, field, role)])
        return said

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
        return {"role": "tool", "tool_call_id": call_id(result.call_id), "content": _short(content)}

    def _content(self, part: Part, field: str, role: str) -> Iterator[dict[str, Any]]:
        """`part` as a part of content; nothing if it cannot be."""
        match part:
            case Text():
                if part.citations:
                    self._drops.add(f"{field}.citations")
                yield {"type": "text", "text": part.text, **self._marker(part.cache, field)}
            case SearchResult():
                if part.cite:
                    self._drops.add(f"{field}.citations")
                text = "\n".join((part.title, part.source, *part.texts))
                yield {"type": "text", "text": text, **self._marker(part.cache, field)}
            case Media() if role == "user" or part.text:
                found = self._media(part, field)
                if found is not None:
                    yield found | self._marker(part.cache, field)
            case Opaque(dialect="chat"):
                yield part.value
            case _:
                self._drops.add(field, _WHY.get(type(part), f"in a message of role {role}"))

    def _marker(self, ttl: str | None, field: str) -> dict[str, Any]:
        """The mark that the prefix may be cached. It holds for half an hour at least, which is no hour."""
        if ttl is None:
            return {}
        if ttl == "1h" or not self._server.breakpoints:
            self._drops.add(f"{field}.cache")
        return {"prompt_cache_breakpoint": _BREAKPOINT} if self._server.breakpoints else {}

    def _media(self, media: Media, field: str) -> dict[str, Any] | None:
        for member in ("context", "cite"):
            if getattr(media, member):
                self._drops.add(f"{field}.{member}")
        match media.kind:
            case _ if media.text:
                return {"type": "text", "text": "\n".join(filter(None, (media.title or media.name, media.text)))}
            case "image" if media.data or media.url:
                image = {"url": media.url or data_url(media, "image/png")}
                set_said(image, "detail", media.detail)
                return {"type": "image_url", "image_url": image}
            case "audio" if media.data and media.media_type in _FORMATS:
                return {
                    "type": "input_audio",
                    "input_audio": {"data": media.data, "format": _FORMATS[media.media_type]},
                }
            case "file" if media.data or media.file_id:
                file: dict[str, Any] = {}
                set_said(file, "filename", media.name or media.title)
                set_said(file, "file_id", media.file_id)
                set_said(file, "file_data", data_url(media, "application/pdf") if media.data else "")
                return {"type": "file", "file": file}
            case _:
                self._drops.add(field, f"{media.kind} in this form")
                return None

    def _assistant(self, parts: list[tuple[str, Part]], said: dict[str, Any]) -> None:
        content: list[dict[str, Any]] = []
        refusals: list[str] = []
        calls: list[Any] = []
        thoughts: list[Reasoning] = []
        for field, part in parts:
            match part:
                case Refusal():
                    refusals.append(part.text)
                case ToolCall():
                    calls.append(self._call(part, field))
                case Opaque() if (custom := custom_call(part)) is not None:
                    calls.append(custom)
                case Reasoning() if self._server.thoughts:
                    thoughts.append(part)
                case Media(kind="audio", file_id=str(id_)) if id_:
                    said["audio"] = {"id": id_}
                case _:
                    content += self._content(part, field, "assistant")
        said["content"] = _short(content) if content or not (calls or refusals or "audio" in said) else None
        set_said(said, "refusal", "".join(refusals))
        set_said(said, "tool_calls", calls)
        set_said(said, "reasoning_content", "".join(thought.text for thought in thoughts))
        details: list[dict[str, Any]] = []
        for place, thought in enumerate(thoughts):
            details += reasoning.write(thought, place)
        set_said(said, "reasoning_details", details)

    def _call(self, call: ToolCall, field: str) -> dict[str, Any]:
        if call.cache is not None:
            self._drops.add(f"{field}.cache")
        written: dict[str, Any] = {
            "id": call_id(call.id),
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments or "{}"},
        }
        if call.signature:
            if self._server.thoughts:
                written["extra_content"] = signature(call.signature)
            else:
                self._drops.add(f"{field}.signature")
        return written


def _only_text(message: Message) -> str | None:
    """The text of a message that is nothing but text, as most are."""
    if len(message.parts) != 1 or message.name:
        return None
    part = message.parts[0]
    return part.text if isinstance(part, Text) and part.cache is None and not part.citations else None


def signature(value: str) -> dict[str, Any]:
    """`extra_content` of a call, with Gemini's thought signature in it."""
    return {"google": {"thought_signature": value}}


def custom_call(part: Opaque) -> dict[str, Any] | None:
    """A call with free text, as OpenAI's two APIs write it; None for anything else."""
    value = part.value
    if not isinstance(value, dict):
        return None
    if part.dialect == "chat" and value.get("type") == "custom":
        return value
    if part.dialect == "responses" and value.get("type") == "custom_tool_call":
        custom = {"name": value.get("name", ""), "input": value.get("input", "")}
        return {"id": call_id(str(value.get("call_id", ""))), "type": "custom", "custom": custom}
    return None


def call_id(id_: str) -> str:
    """An id of a call that OpenAI takes: one that is too long is told by its hash, in call and result alike."""
    return id_ if len(id_) <= MAX_ID else f"call_{blake2b(id_.encode(), digest_size=12).hexdigest()}"


def _short(content: list[dict[str, Any]]) -> Any:
    """A text alone goes as a string, which servers that know no parts take too."""
    if not content:
        return ""
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        return content[0]["text"]
    return content


def data_url(media: Media, otherwise: str) -> str:
    """A `data:` URL of what `media` holds; of type `otherwise` where that is not known."""
    return f"data:{media.media_type or otherwise};base64,{media.data}"
