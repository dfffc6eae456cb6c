"""Parts of messages to Anthropic's content blocks, and messages to its turns."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

import orjson

from gateway.dialects.base import Drops
from gateway.dialects.messages import citations
from gateway.model.conversation import (
    CacheTtl,
    Dialect,
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

Block = dict[str, Any]
Turn = tuple[str, list[Block]]

IMAGES = frozenset(("image/jpeg", "image/png", "image/gif", "image/webp"))
"""Pictures that can be sent as bytes."""

_PDF = "JVBERi"
"""How a PDF begins (`%PDF-`), in base64."""

_ROLES = {"user": "user", "tool": "user", "assistant": "assistant"}


def cached(block: Block, ttl: CacheTtl | None) -> Block:
    """`block` with its cache mark."""
    if ttl is not None:
        block["cache_control"] = {"type": "ephemeral"} if ttl == "5m" else {"type": "ephemeral", "ttl": ttl}
    return block


def call_id(given: str) -> str:
    """`given` if Anthropic takes it as a call's id (letters, digits, `_`, `-`), else one made of it."""
    if given.isascii() and given.replace("_", "a").replace("-", "a").isalnum():
        return given
    return f"toolu_{blake2b(given.encode('utf-8', 'surrogatepass'), digest_size=12).hexdigest()}"


def call_input(arguments: str) -> Any:
    """`arguments` as an object, its text kept as it is; None if they are none."""
    if not arguments.strip():
        return {}
    try:
        parsed = orjson.loads(arguments)
    except (orjson.JSONDecodeError, RecursionError):
        return None
    return orjson.Fragment(arguments) if isinstance(parsed, dict) else None


def invalid_input(arguments: str) -> Block:
    """What stands for arguments that are no object.

    Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming.
    """
    return {"INVALID_JSON": arguments}


class Blocks:
    """Writes the messages of a conversation that came in the dialect `source`."""

    def __init__(self, drops: Drops, source: Dialect, *, system_turns: bool = False) -> None:
        self._drops = drops
        self._source = source
        self._system_turns = system_turns

    def split(self, messages: Iterable[Message]) -> tuple[list[Block], list[Turn]]:
        """What stands at the top, and the turns: neighbours of one role are one, empty ones none."""
        system: list[Block] = []
        turns: list[Turn] = []
        for at, message in enumerate(messages):
            if message.name:
                self._drops.add(f"messages[{at}].name")
            role = _ROLES.get(message.role, "system")
            field = f"messages[{at}].parts"
            blocks = [
                block
                for number, part in enumerate(message.parts)
                for block in self._part(part, f"{field}[{number}]", role)
            ]
            if not blocks:
                continue
            if role == "system" and not (self._system_turns and turns and turns[-1][0] in ("user", "system")):
                system += blocks
            elif turns and turns[-1][0] == role:
                turns[-1][1].extend(blocks)
            else:
                turns.append((role, blocks))
        for role, blocks in turns:
            if role == "user":
                blocks.sort(key=_is_no_result)  # it takes results only at the head of their turn
        return system, turns

    def _part(self, part: Part, field: str, role: str) -> Iterator[Block]:
        """`part` as blocks: none if it says nothing, or nothing that this role can say."""
        match part:
            case Text():
                if part.text or part.cache:
                    yield self._text(part, field, role)
            case Opaque(dialect="messages"):
                yield part.value
            case Refusal() if role == "assistant":
                yield {"type": "text", "text": part.text}
            case Reasoning() if role == "assistant":
                yield from self._reasoning(part, field)
            case ToolCall() if role == "assistant":
                yield self._call(part, field)
            case Media() if role == "user":
                yield from self._media(part, field)
            case SearchResult() if role == "user":
                texts = [{"type": "text", "text": text} for text in part.texts]
                found: Block = {"type": "search_result", "source": part.source, "title": part.title, "content": texts}
                yield cached(found | _cites(part.cite), part.cache)
            case ToolResult() if role == "user":
                yield self._result(part, field)
            case Opaque():
                self._drops.add(part.field)
            case _:
                self._drops.add(field, f"not in a message of role `{role}`")

    def _text(self, part: Text, field: str, role: str) -> Block:
        block: Block = {"type": "text", "text": part.text}
        if part.citations:
            found = [citations.write(one) for one in part.citations] if role == "assistant" else [None]
            if None in found:
                self._drops.add(f"{field}.citations")
            if kept := [one for one in found if one is not None]:
                block["citations"] = kept
        return cached(block, part.cache)

    def _reasoning(self, part: Reasoning, field: str) -> Iterator[Block]:
        if part.signature:
            yield {"type": "thinking", "thinking": part.text, "signature": part.signature}
        elif part.text:
            self._drops.add(field, "a thought without a signature is not taken back")
        if part.redacted:
            yield {"type": "redacted_thinking", "data": part.redacted}

    def _call(self, part: ToolCall, field: str) -> Block:
        given = call_input(part.arguments)
        if given is None:
            self._drops.add(f"{field}.arguments", "they must be a JSON object")
            given = invalid_input(part.arguments)
        if part.signature:
            self._drops.add(f"{field}.signature")
        return cached({"type": "tool_use", "id": call_id(part.id), "name": part.name, "input": given}, part.cache)

    def _result(self, part: ToolResult, field: str) -> Block:
        block: Block = {"type": "tool_result", "tool_use_id": call_id(part.call_id)}
        content = [
            inner
            for at, one in enumerate(part.parts)
            if not isinstance(one, ToolResult)
            for inner in self._part(one, f"{field}.parts[{at}]", "user")
        ]
        if content:
            is_plain = len(content) == 1 and content[0].keys() == {"type", "text"}
            block["content"] = content[0]["text"] if is_plain else content
        if part.is_error:
            block["is_error"] = True
        return cached(block, part.cache)

    # Media

    def _media(self, part: Media, field: str) -> Iterator[Block]:
        is_image = part.kind == "image" or (part.kind == "file" and part.media_type in IMAGES)
        if part.file_id and self._source != "messages":
            self._drops.add(f"{field}.file_id", "a file is known only to the provider that has it")
            return
        source = _image(part) if is_image else _document(part) if part.kind == "file" else None
        if source is None:
            self._drops.add(field, f"{part.kind} of this form or type")
            return
        if part.detail not in ("", "auto"):
            self._drops.add(f"{field}.detail")
        block: Block = {"type": "image" if is_image else "document", "source": source}
        if not is_image:
            if title := part.title or part.name:
                block["title"] = title
            if part.context:
                block["context"] = part.context
            block |= _cites(part.cite)
        yield cached(block, part.cache)


def _is_no_result(block: Block) -> bool:
    return bool(block["type"] != "tool_result")


def _cites(cite: bool) -> Block:
    return {"citations": {"enabled": True}} if cite else {}


def _image(part: Media) -> Block | None:
    if part.data and part.media_type in IMAGES:
        return {"type": "base64", "media_type": part.media_type, "data": part.data}
    return _elsewhere(part)


def _document(part: Media) -> Block | None:
    if part.text:
        return {"type": "text", "media_type": "text/plain", "data": part.text}
    if not part.data:
        return _elsewhere(part)
    if part.media_type == "application/pdf" or (not part.media_type and part.data.startswith(_PDF)):
        return {"type": "base64", "media_type": "application/pdf", "data": part.data}
    if part.media_type.startswith("text/"):
        try:
            text = base64.b64decode(part.data, validate=True).decode()
        except (binascii.Error, ValueError):
            return None
        return {"type": "text", "media_type": "text/plain", "data": text}
    return None


def _elsewhere(part: Media) -> Block | None:
    if part.url:
        return {"type": "url", "url": part.url}
    return {"type": "file", "file_id": part.file_id} if part.file_id else None
