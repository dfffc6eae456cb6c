"""Messages of a chat completion's request to the model's."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from typing import Any

from gateway.dialects.chat import reasoning, wire
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


def missing(param: str) -> InvalidRequest:
    """The member at `param` must be there."""
    return InvalidRequest(f"`{param}` is missing.", code="missing_field", param=param)


class Messages:
    """Turns messages into the model's; results that follow one another are one message of role `tool`."""

    def __init__(self, raw: list[dict[str, Any]]) -> None:
        self._raw = raw
        self._named: dict[str, str] = {}  # ids made for calls of the form that has none, by the function's name

    def read(self, messages: list[wire.Message]) -> Iterator[Message]:
        results: list[Part] = []
        for at, message in enumerate(messages):
            if message.role in ("tool", "function"):
                results.append(self._result(message, at))
                continue
            if results:
                yield Message("tool", tuple(results))
                results = []
            yield self._message(message, at, message.role)  # type: ignore[arg-type]
        if results:
            yield Message("tool", tuple(results))

    def _result(self, message: wire.Message, at: int) -> ToolResult:
        parts = tuple(self._content(message, at))
        if message.role == "function":
            name = message.name or ""
            return ToolResult(self._named.get(name, name), parts, name)
        if message.tool_call_id is None:
            raise missing(f"messages[{at}].tool_call_id")
        return ToolResult(message.tool_call_id, parts, message.name or "")

    def _message(self, message: wire.Message, at: int, role: Role) -> Message:
        parts: list[Part] = []
        if role == "assistant":
            parts += _thoughts(message)
        elif message.content is None:
            raise missing(f"messages[{at}].content")
        parts += self._content(message, at)
        if role == "assistant":
            parts += self._said(message, at)
        return Message(role, tuple(parts), message.name or "")

    def _content(self, message: wire.Message, at: int) -> Iterator[Part]:
        if isinstance(message.content, str):
            if message.content:
                yield Text(message.content, cache_of(message))
            return
        for place, part in enumerate(message.content or ()):
            yield _part(part, f"messages[{at}].content[{place}]", self._raw[at]["content"][place])

    def _said(self, message: wire.Message, at: int) -> Iterator[Part]:
        """What only an assistant has: a refusal, sound, calls."""
        if message.refusal:
            yield Refusal(message.refusal)
        for place, image in enumerate(message.images or ()):
            yield _part(image, f"messages[{at}].images[{place}]", self._raw[at]["images"][place])
        if message.audio is not None:
            yield Media("audio", file_id=message.audio.id)
        for place, call in enumerate(message.tool_calls or ()):
            field = f"messages[{at}].tool_calls[{place}]"
            if call.function is not None:
                signature = thought_signature(call.extra_content)
                yield ToolCall(call.id, call.function.name, call.function.arguments, signature)
            elif call.type == "function":
                raise missing(f"{field}.function")
            else:
                yield Opaque("chat", field, self._raw[at]["tool_calls"][place])
        if message.function_call is not None:
            name = message.function_call.name
            self._named[name] = f"call_{at}"
            yield ToolCall(self._named[name], name, message.function_call.arguments)


def thought_signature(extra: Any) -> str:
    """Gemini's thought signature where its OpenAI-compatible API puts it (ai.google.dev, "Thought signatures")."""
    google = extra.get("google") if isinstance(extra, dict) else None
    found = google.get("thought_signature") if isinstance(google, dict) else None
    return found if isinstance(found, str) else ""


def _thoughts(message: wire.Message) -> list[Reasoning]:
    if message.reasoning_details:
        return reasoning.read(message.reasoning_details)
    text = message.reasoning_content or message.reasoning
    return [Reasoning(text)] if isinstance(text, str) and text else []


def _part(part: wire.Part, field: str, raw: Any) -> Part:
    cache = cache_of(part)
    match part.type:
        case "text" if part.text is not None:
            return Text(part.text, cache)
        case "refusal" if part.refusal is not None:
            return Refusal(part.refusal)
        case "image_url" if part.image_url is not None:
            return _image(part.image_url, cache)
        case "video_url" if part.video_url is not None:
            media_type, data = split_data_url(part.video_url.url)
            url = "" if data else part.video_url.url
            return Media("video", data, url, media_type=media_type, cache=cache)
        case "input_audio" if part.input_audio is not None:
            kind = part.input_audio.format
            return Media("audio", part.input_audio.data, media_type=wire.AUDIO.get(kind, f"audio/{kind}"), cache=cache)
        case "file" if part.file is not None:
            return _file(part.file, cache, field)
        case "thinking" if part.thinking is not None:
            return Reasoning(reasoning.words(part.thinking), part.signature or "")
        case "text" | "refusal" | "image_url" | "input_audio" | "file" | "video_url":
            raise missing(f"{field}.{part.type}")
        case _:
            return Opaque("chat", field, raw)


def cache_of(part: wire.Part | wire.Tool | wire.Message) -> CacheTtl | None:
    """How long what comes up to here may be cached, if it is marked."""
    if part.cache_control is not None:
        return part.cache_control.ttl or "5m"
    # its half hour has no word elsewhere: what is kept for less costs less
    return "5m" if isinstance(part, wire.Part) and part.prompt_cache_breakpoint is not None else None


def _image(image: wire.ImageUrl, cache: CacheTtl | None) -> Media:
    media_type, data = split_data_url(image.url)
    return Media(
        "image", data, "" if data else image.url, media_type=media_type, detail=image.detail or "", cache=cache
    )


def _file(file: wire.File, cache: CacheTtl | None, field: str) -> Media:
    name = file.filename or ""
    if file.file_id:
        return Media("file", file_id=file.file_id, name=name, cache=cache)
    if not file.file_data:
        raise missing(f"{field}.file.file_data")
    media_type, data = split_data_url(file.file_data)
    if not data:
        media_type, data = mimetypes.guess_type(name)[0] or "", file.file_data
    return Media("file", data, media_type=media_type, name=name, cache=cache)


def split_data_url(url: str) -> tuple[str, str]:
    """MIME type and base64 of a `data:` URL; two empty strings for any other."""
    head, found, data = url.partition(";base64,")
    return (head[5:].split(";", 1)[0], data) if found and head[:5] == "data:" else ("", "")
