"""Parts of messages to Converse's content blocks, and messages to its turns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

from gateway.dialects.base import Drops
from gateway.dialects.converse import citations, formats
from gateway.dialects.messages.blocks import call_input, invalid_input
from gateway.model.conversation import (
    CacheTtl,
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

_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_ROLES = {"user": "user", "tool": "user", "assistant": "assistant"}


def call_id(given: str) -> str:
    """`given` if Converse takes it as a call's id, else one made of it."""
    if _ID.fullmatch(given):
        return given
    return f"tooluse_{blake2b(given.encode('utf-8', 'surrogatepass'), digest_size=12).hexdigest()}"


def cache_point(ttl: CacheTtl) -> Block:
    """What comes up to here may be kept in the cache for so long."""
    return {"cachePoint": {"type": "default"} if ttl == "5m" else {"type": "default", "ttl": ttl}}


class Blocks:
    """Writes the messages of a conversation."""

    def __init__(self, drops: Drops) -> None:
        self._drops = drops
        self._names = formats.Names()

    def split(self, messages: Iterable[Message]) -> tuple[list[Block], list[Turn]]:
        """What stands at the top, and the turns: neighbours of one role are one, empty ones none."""
        system: list[Block] = []
        turns: list[tuple[str, list[list[Block]]]] = []
        for at, message in enumerate(messages):
            if message.name:
                self._drops.add(f"messages[{at}].name")
            role = _ROLES.get(message.role, "system")
            field = f"messages[{at}].parts"
            parts = [
                blocks
                for number, part in enumerate(message.parts)
                if (blocks := self._marked(part, f"{field}[{number}]", role))
            ]
            if role == "system":
                system += [block for blocks in parts for block in blocks]
            elif turns and turns[-1][0] == role:
                turns[-1][1].extend(parts)
            elif parts:
                turns.append((role, parts))
        for role, parts in turns:
            if role == "user":
                parts.sort(key=_is_no_result)  # Claude takes results only at the head of their turn
        return system, [(role, [block for blocks in parts for block in blocks]) for role, parts in turns]

    def _marked(self, part: Part, field: str, role: str) -> list[Block]:
        """`part` as blocks, with its cache mark; empty if it says nothing, or nothing that this role can say."""
        blocks = list(self._part(part, field, role))
        ttl = getattr(part, "cache", None)
        if ttl is not None:
            blocks.append(cache_point(ttl))
        return blocks

    def _part(self, part: Part, field: str, role: str) -> Iterator[Block]:
        match part:
            case Text():
                if part.text.strip():  # it takes no text that says nothing
                    yield self._text(part, field, role)
            case Opaque(dialect="converse"):
                yield part.value
            case Opaque():
                self._drops.add(part.field)
            case Refusal() if role == "assistant":
                if part.text.strip():
                    yield {"text": part.text}
            case Reasoning() if role == "assistant":
                yield from self._reasoning(part, field)
            case ToolCall() if role == "assistant":
                yield self._call(part, field)
            case Media() if role == "user":
                yield from self._media(part, field)
            case SearchResult() if role == "user":
                yield _found(part)
            case ToolResult() if role == "user":
                yield self._result(part, field)
            case _:
                self._drops.add(field, f"not in a message of role `{role}`")

    def _text(self, part: Text, field: str, role: str) -> Block:
        if not part.citations:
            return {"text": part.text}
        found = [citations.write(one) for one in part.citations] if role == "assistant" else [None]
        if None in found:
            self._drops.add(f"{field}.citations")
        kept = [one for one in found if one is not None]
        if not kept:
            return {"text": part.text}
        return {"citationsContent": {"content": [{"text": part.text}], "citations": kept}}

    def _reasoning(self, part: Reasoning, field: str) -> Iterator[Block]:
        if part.signature:
            yield {"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}}
        elif part.text:
            self._drops.add(field, "a thought without a signature is not taken back")
        if part.redacted:
            if formats.is_base64(part.redacted):
                yield {"reasoningContent": {"redactedContent": part.redacted}}
            else:
                self._drops.add(f"{field}.redacted", "it must be base64")

    def _call(self, part: ToolCall, field: str) -> Block:
        given = call_input(part.arguments)
        if given is None:
            self._drops.add(f"{field}.arguments", "they must be a JSON object")
            given = invalid_input(part.arguments)
        if part.signature:
            self._drops.add(f"{field}.signature")
        return {"toolUse": {"toolUseId": call_id(part.id), "name": part.name, "input": given}}

    def _result(self, part: ToolResult, field: str) -> Block:
        content: list[Block] = []
        for at, one in enumerate(part.parts):
            place = f"{field}.parts[{at}]"
            if isinstance(one, ToolResult) or (isinstance(one, Media) and one.kind == "audio"):
                self._drops.add(place, "not in a tool's result")
                continue
            content += self._part(one, place, "user")
            if getattr(one, "cache", None) is not None:
                self._drops.add(f"{place}.cache", "in a tool's result; mark the result itself")
        said: Block = {"toolUseId": call_id(part.call_id), "content": content}
        if part.is_error:
            said["status"] = "error"
        return {"toolResult": said}

    def _media(self, part: Media, field: str) -> Iterator[Block]:
        if part.detail not in ("", "auto"):
            self._drops.add(f"{field}.detail")
        if part.file_id:
            self._drops.add(f"{field}.file_id", "a file is known only to the provider that has it")
            return
        if part.url and not part.url.startswith("s3://"):
            self._drops.add(f"{field}.url", "it takes bytes, or an address in S3")
            return
        block = formats.block(part, self._names)
        if block is None:
            self._drops.add(field, f"{part.kind} of this form or type")
        else:
            yield block


def _found(part: SearchResult) -> Block:
    said: Block = {"source": part.source, "title": part.title, "content": [{"text": text} for text in part.texts]}
    if part.cite:
        said["citations"] = {"enabled": True}
    return {"searchResult": said}


def _is_no_result(blocks: list[Block]) -> bool:
    return "toolResult" not in blocks[0]
