"""Messages to Gemini's contents.

The results of calls that were made at once must come at once, each with its function's name: results that follow one
another are one content, and stand in the order of the calls. Ids of calls go along where the server takes them, as the
Gemini API does, whose models of today give them; else name and order must do.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import orjson

from gateway.dialects.base import Drops
from gateway.dialects.gemini.words import (
    FILES,
    KEPT,
    NO_SIGNATURE,
    call_part,
    is_base64,
    is_object,
    media_part,
    media_type_of,
    thought,
)
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

_SCHEMES = ("https://", "http://", "gs://")
"""What the API fetches: https://ai.google.dev/gemini-api/docs/file-input-methods."""

_RESOLUTIONS = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}

Content = dict[str, Any]


class Writer:
    """Writes messages. What cannot be said goes to `drops`.

    `is_recent`: the model is Gemini 3 or later. `ids`: the server takes ids of calls.
    """

    def __init__(self, drops: Drops, *, is_recent: bool, ids: bool) -> None:
        self._drops = drops
        self._is_recent = is_recent
        self._ids = ids
        self._names: dict[str, str] = {}  # of the functions that were called, by the calls' ids

    def messages(self, messages: Iterable[Message]) -> tuple[list[Content], list[Content]]:
        """Parts of the system instruction, and contents."""
        system: list[Content] = []
        contents: list[Content] = []
        was_tool = False
        for at, message in enumerate(messages):
            path = f"messages[{at}]"
            if message.name:
                self._drops.add(f"{path}.name")
            if message.role in ("system", "developer"):
                system += self._system(message, path)
                continue
            role = "model" if message.role == "assistant" else "user"
            parts = self._parts(message, path)
            if message.role == "tool" and was_tool:
                contents[-1]["parts"] += parts
            elif parts:
                contents.append({"role": role, "parts": parts})
                was_tool = message.role == "tool"
        if not contents and system:
            self._drops.add("messages", "it wants a message of a user beside the instructions")
            return [], [{"role": "user", "parts": system}]
        return system, contents

    def _system(self, message: Message, path: str) -> list[Content]:
        parts: list[Content] = []
        for at, part in enumerate(message.parts):
            if isinstance(part, Text | SearchResult):
                parts += self._part(part, f"{path}.parts[{at}]")
            else:
                self._drops.add(f"{path}.parts[{at}]", "instructions are text")
        return parts

    def _parts(self, message: Message, path: str) -> list[Content]:
        parts: list[Content] = []
        numbered = enumerate(message.parts)
        for at, part in self._in_order(message.parts) if message.role == "tool" else numbered:
            if type(part) is Text and part.text and part.cache is None and not part.citations:
                parts.append({"text": part.text})  # the usual case
            elif type(part) is Reasoning and parts and self._is_proof(part, message.parts[at - 1]):
                parts[-1]["thoughtSignature"] = part.signature
            else:
                parts += self._part(part, f"{path}.parts[{at}]")
        if self._is_recent and message.role == "assistant":
            calls = [part for part in parts if "functionCall" in part]
            if calls and "thoughtSignature" not in calls[0]:
                calls[0]["thoughtSignature"] = NO_SIGNATURE
        return parts

    def _in_order(self, parts: tuple[Part, ...]) -> list[tuple[int, Part]]:
        """Results as their calls were made; what is none stays behind them."""
        places = {id_: at for at, id_ in enumerate(self._names)}

        def place(one: tuple[int, Part]) -> int:
            part = one[1]
            return places.get(part.call_id, len(places)) if type(part) is ToolResult else len(places)

        return sorted(enumerate(parts), key=place)

    def _is_proof(self, part: Reasoning, before: Part) -> bool:
        """Whether it is no thought, but the signature of the words before it."""
        is_bare = not part.text and not part.redacted and not part.id and is_base64(part.signature)
        return is_bare and (type(before) is Media or (type(before) is Text and bool(before.text)))

    def _part(self, part: Part, field: str) -> list[Content]:
        """`part`, or nothing if it cannot be said. A text without words is none."""
        if getattr(part, "cache", None) is not None:
            self._drops.add(f"{field}.cache", "its caches are made apart")
        match part:
            case Text():
                if part.citations:
                    self._drops.add(f"{field}.citations")
                return [{"text": part.text}] if part.text else []
            case Refusal():
                return [{"text": part.text}] if part.text else []
            case Media():
                return self._media(part, field)
            case ToolCall():
                return [self._call(part, field)]
            case ToolResult():
                return self._result(part, field)
            case Reasoning():
                return self._thought(part, field)
            case SearchResult():
                self._drops.add(field, "passages that were found can only be text")
                return [{"text": "\n".join((part.title, part.source, *part.texts))}]
            case Opaque(dialect="gemini"):
                return [part.value]
        self._drops.add(part.field)
        return []

    def _media(self, media: Media, field: str) -> list[Content]:
        for member in ("context", "cite"):
            if getattr(media, member):
                self._drops.add(f"{field}.{member}")
        if media.text:
            data = base64.b64encode(media.text.encode()).decode()
            media = Media(media.kind, data, media_type=media.media_type or "text/plain", name=media.name or media.title)
        if media.url and not media.url.startswith(_SCHEMES):
            self._drops.add(f"{field}.url", "it fetches https, http and gs")
            return []
        if media.file_id and FILES not in media.file_id and not media.file_id.startswith("files/"):
            self._drops.add(f"{field}.file_id", "the file is another provider's")
            return []
        if media.data and not media_type_of(media):
            self._drops.add(f"{field}.media_type", "it must be said")
            return []
        found = media_part(media)
        if media.detail not in ("", "auto"):
            if self._is_recent and media.detail in _RESOLUTIONS:
                found["mediaResolution"] = {"level": _RESOLUTIONS[media.detail]}
            else:
                self._drops.add(f"{field}.detail")
        return [found]

    def _thought(self, part: Reasoning, field: str) -> list[Content]:
        """What another provider keeps to itself means nothing here; an id is only its own."""
        if part.redacted or (part.signature and not is_base64(part.signature)):
            self._drops.add(field, "only its provider can read it")
        signature = part.signature if is_base64(part.signature) else ""
        if not part.text:
            return [{"text": "", "thoughtSignature": signature}] if signature else []
        found = thought(part.text, signature)
        found.pop("partMetadata", None)
        return [found]

    def _call(self, call: ToolCall, field: str) -> Content:
        self._names[call.id] = call.name
        arguments = call.arguments
        if not is_object(arguments):
            self._drops.add(f"{field}.arguments", "they must be a JSON object")
            arguments = orjson.dumps({KEPT: arguments}).decode()  # as the model wrote them, in the only way there is
        return call_part(call.name, arguments, call.id if self._ids else "", call.signature)

    def _result(self, result: ToolResult, field: str) -> list[Content]:
        name = result.name or self._names.get(result.call_id, "")
        if not name:
            self._drops.add(f"{field}.call_id", "no call before it has this id, and it needs the function's name")
            return []
        found: Content = {"name": name, "response": self._response(result, field)}
        if result.call_id and self._ids:
            found["id"] = result.call_id
        media = [
            written
            for at, part in enumerate(result.parts)
            if isinstance(part, Media)
            for written in self._media(part, f"{field}.parts[{at}]")
        ]
        if media:
            found["parts"] = media
        return [{"functionResponse": found}]

    def _response(self, result: ToolResult, field: str) -> Any:
        """A JSON object goes as it is; any other text under `output`, or `error`, which are Gemini's own names."""
        texts: list[str] = []
        for at, part in enumerate(result.parts):
            match part:
                case Media():
                    pass
                case Text() | SearchResult() | Refusal():
                    texts += [one["text"] for one in self._part(part, f"{field}.parts[{at}]")]
                case _:
                    self._drops.add(f"{field}.parts[{at}]")
        if result.is_error:
            return {"error": texts[0] if len(texts) == 1 else texts}
        if not texts:
            return {}
        if len(texts) > 1:
            return {"output": texts}
        return orjson.Fragment(texts[0]) if _is_response(texts[0]) else {"output": texts[0]}


def _is_response(text: str) -> bool:
    """Whether `text` is a JSON object that would not be taken for `output` or `error`."""
    if text[:1] != "{":
        return False
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return isinstance(found, dict) and bool(found) and found.keys() not in ({"output"}, {"error"})
