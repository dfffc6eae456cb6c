"""Anthropic's request to a conversation: every kind of block, cache marks, tools, thinking.

Source: https://platform.claude.com/docs/en/api/messages/create. What only Anthropic knows stays whole: blocks and tools
as `Opaque`, other members in `rest` under their paths (`messages[2].content[0].transformations`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

import orjson

from gateway.dialects.messages import checks, citations
from gateway.dialects.messages.checks import Object
from gateway.errors import InvalidRequest
from gateway.model.conversation import (
    Conversation,
    Format,
    Media,
    Message,
    Opaque,
    Part,
    Reasoning,
    SearchResult,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

_SAID = frozenset(
    "model messages system max_tokens stream temperature top_p top_k stop_sequences tools tool_choice thinking "
    "output_config output_format metadata service_tier".split()
)
"""Members that become members of the conversation; all others go into `rest`."""

_EFFORTS = ("low", "medium", "high", "xhigh", "max")


def read(parsed: Object, model: str, *, stream: bool) -> Conversation:
    """A request. Raises `InvalidRequest` with the field's path."""
    return _Reader(parsed).conversation(model, stream=stream)


class _Reader:
    def __init__(self, parsed: Object) -> None:
        self._parsed = parsed
        self._rest: dict[str, Any] = {}

    def conversation(self, model: str, *, stream: bool) -> Conversation:
        parsed, rest = self._parsed, self._rest
        rest.update((name, value) for name, value in parsed.items() if name not in _SAID and value is not None)
        choice, parallel = self._choice()
        tier = checks.typed(parsed, "service_tier", str, "a string") or ""
        return Conversation(
            source="messages",
            model=model,
            messages=self._messages(),
            tools=self._tools(),
            tool_choice=choice,
            parallel_tools=parallel,
            max_output=checks.typed(parsed, "max_tokens", int, "a whole number"),
            temperature=checks.typed(parsed, "temperature", float, "a number"),
            top_p=checks.typed(parsed, "top_p", float, "a number"),
            top_k=checks.typed(parsed, "top_k", int, "a whole number"),
            stop=self._stop(),
            format=self._format(),
            thinking=self._thinking(),
            user=self._user(),
            service_tier="default" if tier == "standard_only" else tier,
            stream=stream,
            wants_usage=True,
            rest=rest,
        )

    # Messages

    def _messages(self) -> tuple[Message, ...]:
        found = self._parsed.get("messages")
        if not isinstance(found, list):
            raise checks.wrong("messages", found, "an array of messages")
        messages: list[Message] = []
        system = self._parsed.get("system")
        if system:
            messages.append(Message("system", self._content(system, "system")))
        for at, message in enumerate(found):
            path = f"messages[{at}]"
            if not isinstance(message, dict):
                raise checks.wrong(path, message, 'an object such as {"role": "user", "content": "..."}')
            role = message.get("role")
            if role not in ("user", "assistant", "system"):
                raise checks.wrong(f"{path}.role", role, "`user`, `assistant` or `system`")
            self._note(message, path, _MESSAGE)
            parts = self._content(message.get("content"), f"{path}.content")
            messages += _turns(parts) if role == "user" else [Message(role, parts)]
        return tuple(messages)

    def _content(self, found: object, path: str) -> tuple[Part, ...]:
        """Text, or blocks. No text is no part."""
        if isinstance(found, str):
            return (Text(found),) if found else ()
        if not isinstance(found, list):
            raise checks.wrong(path, found, "a string or an array of content blocks")
        return tuple(self._block(block, f"{path}[{at}]") for at, block in enumerate(found))

    def _block(self, block: object, path: str) -> Part:
        if not isinstance(block, dict):
            raise checks.wrong(path, block, 'an object such as {"type": "text", "text": "..."}')
        kind = block.get("type")
        if not isinstance(kind, str):
            raise checks.wrong(f"{path}.type", kind, "a string such as `text`")
        known = _BLOCKS.get(kind)
        if known is None:
            return Opaque("messages", path, block)
        reader, members = known
        part = reader(self, block, path)
        if type(part) is not Opaque:
            self._note(block, path, members)
        return part

    def _note(self, found: Object, path: str, known: frozenset[str]) -> None:
        """Remember what else `found` says."""
        for name in found.keys() - known:
            if found[name] is not None:
                self._rest[f"{path}.{name}"] = found[name]

    def _text(self, block: Object, path: str) -> Part:
        cited = block.get("citations") or []
        if not isinstance(cited, list) or not all(isinstance(one, dict) for one in cited):
            raise checks.wrong(f"{path}.citations", cited, "an array of citations")
        text = checks.string(block, "text", path)
        return Text(text, checks.cache(block, path), tuple(citations.read(one) for one in cited))

    def _image(self, block: Object, path: str) -> Part:
        source = checks.an_object(block, "source", path)
        where = checks.source_of(source, f"{path}.source")
        if where is None:
            return Opaque("messages", path, block)
        return Media(
            "image",
            **where,
            media_type=checks.optional(source, "media_type", f"{path}.source"),
            cache=checks.cache(block, path),
        )

    def _document(self, block: Object, path: str) -> Part:
        source = checks.an_object(block, "source", path)
        kind, media_type = source.get("type"), checks.optional(source, "media_type", f"{path}.source")
        where = checks.source_of(source, f"{path}.source")
        if kind == "text":
            where, media_type = {"text": checks.string(source, "data", f"{path}.source")}, "text/plain"
        elif kind == "url":
            media_type = "application/pdf"  # it fetches nothing else
        elif kind == "content":
            text = checks.joined(source.get("content"))
            if text is not None:  # where its blocks begin and end matters to citations only
                self._rest[f"{path}.source.content"] = source["content"]
                where, media_type = {"text": text}, "text/plain"
        if where is None:
            return Opaque("messages", path, block)
        return Media(
            "file",
            **where,
            media_type=media_type,
            title=checks.optional(block, "title", path),
            context=checks.optional(block, "context", path),
            cite=checks.cites(block),
            cache=checks.cache(block, path),
        )

    def _tool_use(self, block: Object, path: str) -> Part:
        arguments = checks.an_object(block, "input", path)
        caller = block.get("caller")
        if caller is not None and caller != {"type": "direct"}:
            self._rest[f"{path}.caller"] = caller
        try:
            written = orjson.dumps(arguments).decode()
        except orjson.JSONEncodeError:
            raise InvalidRequest(f"`{path}.input` is nested too deeply.", param=f"{path}.input") from None
        return ToolCall(
            checks.string(block, "id", path),
            checks.string(block, "name", path),
            written,
            cache=checks.cache(block, path),
        )

    def _tool_result(self, block: Object, path: str) -> Part:
        found = block.get("content")
        parts = self._content(found, f"{path}.content") if found is not None else ()
        is_error = checks.flag(block, "is_error", path) or False
        return ToolResult(
            checks.string(block, "tool_use_id", path), parts, is_error=is_error, cache=checks.cache(block, path)
        )

    def _reasoning(self, block: Object, path: str) -> Part:
        return Reasoning(checks.string(block, "thinking", path), checks.optional(block, "signature", path))

    def _redacted(self, block: Object, path: str) -> Part:
        return Reasoning(redacted=checks.string(block, "data", path))

    def _search_result(self, block: Object, path: str) -> Part:
        inside = block.get("content")
        if not isinstance(inside, list):
            raise checks.wrong(f"{path}.content", inside, "an array of text blocks")
        if any(not isinstance(one, dict) or one.keys() - {"type", "text"} for one in inside):
            return Opaque("messages", path, block)
        texts = tuple(checks.string(one, "text", f"{path}.content[{at}]") for at, one in enumerate(inside))
        source, title = checks.string(block, "source", path), checks.string(block, "title", path)
        return SearchResult(source, title, texts, checks.cites(block), checks.cache(block, path))

    # Everything else

    def _tools(self) -> tuple[Tool | Opaque, ...]:
        found = checks.typed(self._parsed, "tools", list, "an array of tools") or ()
        return tuple(self._tool(tool, f"tools[{at}]") for at, tool in enumerate(found))

    def _tool(self, tool: object, path: str) -> Tool | Opaque:
        if not isinstance(tool, dict):
            raise checks.wrong(path, tool, "an object with `name` and `input_schema`")
        if tool.get("type") not in (None, "custom"):
            return Opaque("messages", path, tool)
        self._note(tool, path, _TOOL)
        schema = checks.an_object(tool, "input_schema", path)
        described = checks.optional(tool, "description", path)
        return Tool(
            checks.string(tool, "name", path),
            described,
            schema,
            checks.flag(tool, "strict", path),
            checks.cache(tool, path),
        )

    def _choice(self) -> tuple[ToolChoice | None, bool | None]:
        found = checks.typed(self._parsed, "tool_choice", dict, 'an object such as {"type": "auto"}')
        if found is None:
            return None, None
        self._note(found, "tool_choice", _CHOICE)
        single = checks.flag(found, "disable_parallel_tool_use", "tool_choice")
        parallel = None if single is None else not single
        match found.get("type"):
            case "auto":
                return ToolChoice("auto"), parallel
            case "any":
                return ToolChoice("required"), parallel
            case "none":
                return ToolChoice("none"), parallel
            case "tool":
                return ToolChoice("named", (checks.string(found, "name", "tool_choice"),)), parallel
        raise checks.wrong("tool_choice.type", found.get("type"), "`auto`, `any`, `tool` or `none`")

    def _stop(self) -> tuple[str, ...]:
        found = checks.typed(self._parsed, "stop_sequences", list, "an array of strings") or ()
        if not all(isinstance(one, str) for one in found):
            raise checks.wrong("stop_sequences", found, "an array of strings")
        return tuple(found)

    def _format(self) -> Format | None:
        config = checks.typed(self._parsed, "output_config", dict, "an object") or {}
        self._note(config, "output_config", _CONFIG)
        found, path = config.get("format"), "output_config.format"
        if found is None:
            found, path = self._parsed.get("output_format"), "output_format"  # its name of old, still taken
        if found is None:
            return None
        if not isinstance(found, dict) or found.get("type") != "json_schema":
            raise checks.wrong(path, found, 'an object such as {"type": "json_schema", "schema": {...}}')
        return Format("schema", schema=checks.an_object(found, "schema", path))

    def _thinking(self) -> Thinking | None:
        effort = (self._parsed.get("output_config") or {}).get("effort")
        if effort not in (None, *_EFFORTS):
            raise checks.wrong("output_config.effort", effort, "`low`, `medium`, `high`, `xhigh` or `max`")
        budget, show = None, None
        found = checks.typed(self._parsed, "thinking", dict, 'an object such as {"type": "adaptive"}')
        if found is not None:
            show = {"summarized": True, "omitted": False}.get(checks.optional(found, "display", "thinking"))
            match found.get("type"):
                case "disabled":
                    budget = 0
                case "adaptive":
                    budget = -1
                case "enabled":
                    budget = checks.typed(found, "budget_tokens", int, "a whole number", "thinking.")
                case _:
                    self._rest["thinking"] = found
        if effort is None and budget is None and show is None:
            return None
        return Thinking(effort, budget, show)

    def _user(self) -> str:
        found = checks.typed(self._parsed, "metadata", dict, "an object") or {}
        self._note(found, "metadata", frozenset(("user_id",)))
        return checks.typed(found, "user_id", str, "a string", "metadata.") or ""


def _turns(parts: tuple[Part, ...]) -> Iterable[Message]:
    """A user's blocks as turns: results of tools are turns of their own."""
    if not parts:
        return [Message("user", ())]
    groups = groupby(parts, lambda part: type(part) is ToolResult)
    return [Message("tool" if of_tools else "user", tuple(group)) for of_tools, group in groups]


def _members(names: str) -> frozenset[str]:
    return frozenset(("type", *names.split()))


_MESSAGE = frozenset(("role", "content"))
_CHOICE = _members("name disable_parallel_tool_use")
_CONFIG = frozenset(("format", "effort"))
_TOOL = _members("name description input_schema strict cache_control")

_BLOCKS: dict[str, tuple[Callable[[_Reader, Object, str], Part], frozenset[str]]] = {
    "text": (_Reader._text, _members("text cache_control citations")),
    "image": (_Reader._image, _members("source cache_control")),
    "document": (_Reader._document, _members("source title context citations cache_control")),
    "tool_use": (_Reader._tool_use, _members("id name input caller cache_control")),
    "tool_result": (_Reader._tool_result, _members("tool_use_id content is_error cache_control")),
    "thinking": (_Reader._reasoning, _members("thinking signature")),
    "redacted_thinking": (_Reader._redacted, _members("data")),
    "search_result": (_Reader._search_result, _members("source title content citations cache_control")),
}
