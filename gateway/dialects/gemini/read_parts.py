"""Gemini's contents to messages.

Calls without an id get one here, and results without one answer the first call of their name that has no answer yet.
What a client recorded of a stream comes back in as many contents as it had chunks: turns of the model that follow one
another are one message, and their texts and thoughts one part, so that a signature stands beside all that it proves.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

import orjson

from gateway.dialects.gemini.spelling import Object, camel, text_of, typed, wrong
from gateway.dialects.gemini.words import FILES, NO_SIGNATURE, kept_thought, kind_of
from gateway.errors import InvalidRequest
from gateway.model.conversation import Media, Message, Opaque, Part, Reasoning, Role, Text, ToolCall, ToolResult

_NOTHING = Text("")
_RESOLUTIONS = {"MEDIA_RESOLUTION_LOW": "low", "MEDIA_RESOLUTION_HIGH": "high"}


class Contents:
    """Reads contents in their order. What parts of them have no place goes into `rest`."""

    def __init__(self, rest: dict[str, Any]) -> None:
        self._rest = rest
        self._calls = 0
        self._waiting: dict[str, list[str]] = {}  # ids of calls without a result, by name
        self._known: set[str] = set()

    def system(self, found: object) -> Message:
        """`systemInstruction`, which may be a mere string."""
        if isinstance(found, str):
            return Message("system", (Text(found),))
        if not isinstance(found, dict):
            raise wrong("systemInstruction", found, 'an object such as {"parts": [{"text": "..."}]}')
        return Message("system", self._parts(found, "systemInstruction"))

    def messages(self, found: list[Any]) -> list[Message]:
        """One message or more for each content: results of tools are messages of their own."""
        messages: list[Message] = []
        for at, content in enumerate(found):
            path = f"contents[{at}]"
            if not isinstance(content, dict):
                raise wrong(path, content, 'an object such as {"role": "user", "parts": [{"text": "..."}]}')
            role = content.get("role") or "user"
            if role not in ("user", "model", "function", "tool"):
                raise InvalidRequest(
                    f"`{path}.role` must be `user` or `model`.", code="invalid_value", param=f"{path}.role"
                )
            for message in _turns("assistant" if role == "model" else "user", self._parts(content, path)):
                if message.role == "assistant" and message.parts in ((), (_NOTHING,)):
                    continue
                if messages and message.role == messages[-1].role in ("assistant", "tool"):
                    messages[-1] = Message(message.role, _joined((*messages[-1].parts, *message.parts)))
                else:
                    messages.append(message)
        return messages

    def _parts(self, content: Object, path: str) -> tuple[Part, ...]:
        found = content.get("parts")
        if isinstance(found, dict):
            found = [found]
        if not isinstance(found, list):
            raise wrong(f"{path}.parts", found, "an array of parts")
        parts: list[Part] = []
        for at, one in enumerate(found):
            if type(one) is dict and len(one) == 1 and type(text := one.get("text")) is str:
                parts.append(Text(text))  # the usual case
                continue
            if not isinstance(one, dict):
                raise wrong(f"{path}.parts[{at}]", one, 'an object such as {"text": "..."}')
            parts += self._part({name: value for name, value in camel(one).items() if value is not None}, one, path, at)
        return _joined(parts) if content.get("role") == "model" and len(parts) != 1 else tuple(parts)

    def _part(self, part: Object, raw: Object, path: str, at: int) -> list[Part]:
        """One part, or two: a signature that proves words that were no thought is a thought without words."""
        field = f"{path}.parts[{at}]"
        more = part.keys() - {"thought", "thoughtSignature"}
        signature = typed(part, "thoughtSignature", str, "base64", field) or ""
        signature = "" if signature == NO_SIGNATURE else signature
        if part.get("thought") is True and more <= {"text", "partMetadata"}:
            text = typed(part, "text", str, "a string", field) or ""
            if "partMetadata" not in part:
                return [Reasoning(text, signature)]
            kept = kept_thought(text, signature, typed(part, "partMetadata", dict, "an object", field))
            return [kept if kept is not None else Opaque("gemini", field, raw)]
        proof: list[Part] = [Reasoning("", signature)] if signature else []
        if more <= {"text"}:
            text = typed(part, "text", str, "a string", field) or ""
            return [Text(text), *proof] if text or not proof else proof
        if more == {"functionCall"}:
            return [self._call(part["functionCall"], signature, f"{field}.functionCall", raw, field)]
        if more == {"functionResponse"}:
            return [self._result(part["functionResponse"], f"{field}.functionResponse", raw, field)]
        if more <= {"inlineData", "fileData", "mediaResolution"}:
            found = self._media(part, field)
            if found is not None:
                return [found, *proof]
        return [Opaque("gemini", field, raw)]

    def _media(self, part: Object, field: str) -> Media | None:
        """None where its resolution has no word elsewhere."""
        resolution, detail = part.get("mediaResolution"), ""
        if resolution is not None:
            level = resolution.get("level") if isinstance(resolution, dict) else None
            if not isinstance(level, str) or level not in _RESOLUTIONS:
                return None
            detail = _RESOLUTIONS[level]
        if "inlineData" in part:
            return self._blob(part["inlineData"], f"{field}.inlineData", detail)
        if "fileData" in part:
            return self._file(part["fileData"], f"{field}.fileData", detail)
        return None

    def _blob(self, found: object, path: str, detail: str = "") -> Media:
        if not isinstance(found, dict):
            raise wrong(path, found, 'an object such as {"mimeType": "image/png", "data": "..."}')
        said = camel(found)
        media_type, name = text_of(said, "mimeType", path), typed(said, "displayName", str, "a string", path) or ""
        data = text_of(said, "data", path)
        if "-" in data or "_" in data:  # Google takes both alphabets, others only one
            data = data.replace("-", "+").replace("_", "/")
        return Media(kind_of(media_type), data, media_type=media_type, name=name, detail=detail)

    def _file(self, found: object, path: str, detail: str = "") -> Media:
        if not isinstance(found, dict):
            raise wrong(path, found, 'an object such as {"mimeType": "image/png", "fileUri": "..."}')
        said = camel(found)
        uri, media_type = text_of(said, "fileUri", path), typed(said, "mimeType", str, "a MIME type", path) or ""
        name, kind = typed(said, "displayName", str, "a string", path) or "", kind_of(media_type, uri)
        if FILES in uri or "://" not in uri:
            return Media(kind, file_id=uri, media_type=media_type, name=name, detail=detail)
        return Media(kind, url=uri, media_type=media_type, name=name, detail=detail)

    def _call(self, found: object, signature: str, path: str, raw: Object, field: str) -> Part:
        if not isinstance(found, dict):
            raise wrong(path, found, 'an object such as {"name": "f", "args": {}}')
        said = camel(found)
        if said.keys() - {"id", "name", "args"}:
            return Opaque("gemini", field, raw)
        name, id_ = text_of(said, "name", path), typed(said, "id", str, "a string", path)
        arguments = _dumped(typed(said, "args", dict, "an object", path) or {}, f"{path}.args")
        id_ = id_ or f"call_{self._calls}"
        self._calls += 1
        self._known.add(id_)
        self._waiting.setdefault(name, []).append(id_)
        return ToolCall(id_, name, arguments, signature)

    def _result(self, found: object, path: str, raw: Object, field: str) -> Part:
        if not isinstance(found, dict):
            raise wrong(path, found, 'an object such as {"name": "f", "response": {}}')
        said = camel(found)
        if said.keys() - {"id", "name", "response", "parts"}:
            return Opaque("gemini", field, raw)
        name, id_ = text_of(said, "name", path), typed(said, "id", str, "a string", path)
        waiting = self._waiting.get(name, [])
        if id_ in waiting:
            waiting.remove(id_)
        elif id_ not in self._known:
            id_ = waiting.pop(0) if waiting else id_ or name
        parts, is_error = _answer(typed(said, "response", dict, "an object", path) or {}, path)
        media = typed(said, "parts", list, "an array of media", path) or []
        more = [self._media_of(one, f"{path}.parts[{at}]") for at, one in enumerate(media)]
        return ToolResult(id_, (*parts, *more), name, is_error)

    def _media_of(self, found: object, path: str) -> Part:
        said = camel(found) if isinstance(found, dict) else {}
        if said.keys() == {"inlineData"}:
            return self._blob(said["inlineData"], f"{path}.inlineData")
        if said.keys() == {"fileData"}:
            return self._file(said["fileData"], f"{path}.fileData")
        return Opaque("gemini", path, found)


def _answer(response: dict[str, Any], path: str) -> tuple[list[Part], bool]:
    """A function's result. `output` and `error` are Gemini's own names; any other object is the result itself."""
    if not response:
        return [], False
    if len(response) == 1:
        name, value = next(iter(response.items()))
        if name in ("output", "error"):
            is_error = name == "error"
            if isinstance(value, str):
                return [Text(value)], is_error
            if isinstance(value, list) and all(isinstance(one, str) for one in value):
                return [Text(one) for one in value], is_error
            if is_error:
                return [Text(_dumped(value, path))], True
    return [Text(_dumped(response, path))], False


def _dumped(value: Any, path: str) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        raise InvalidRequest(f"`{path}` is nested too deeply.", code="invalid_value", param=path) from None


def _turns(role: Role, parts: tuple[Part, ...]) -> list[Message]:
    """A content as messages: what tools gave back apart from what was said."""
    if not any(type(part) is ToolResult for part in parts):
        return [Message(role, parts)]
    groups = groupby(parts, lambda part: type(part) is ToolResult)
    return [Message("tool" if is_result else role, tuple(group)) for is_result, group in groups]


def _joined(parts: list[Part] | tuple[Part, ...]) -> tuple[Part, ...]:
    """Pieces of one text, and of one thought, put together. A text without words, which ends streams, is none."""
    joined: list[Part] = []
    for part in parts:
        if part == _NOTHING:
            continue
        before = joined[-1] if joined else None
        match before, part:
            case Text(), Text():
                joined[-1] = Text(before.text + part.text)
            case Reasoning(signature="", redacted="", id="") as first, Reasoning(id="", redacted=""):
                joined[-1] = Reasoning(first.text + part.text, part.signature)
            case _:
                joined.append(part)
    return tuple(joined)
