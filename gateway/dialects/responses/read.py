"""A request of OpenAI's Responses API, as clients write it, to the model.

Members that the model has no place for are kept in `Conversation.rest`. `instructions` are a first message of role
system. `store`, and `previous_response_id` with it, are a matter of whoever keeps responses (`state`), not of the
provider: `store` is read past, whatever it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.dialects.responses import wire
from gateway.dialects.responses.read_items import Items
from gateway.dialects.responses.wire import missing
from gateway.errors import InvalidRequest
from gateway.model.conversation import Conversation, Format, Message, Opaque, Text, Thinking, Tool, ToolChoice

LOGPROBS = "message.output_text.logprobs"
ENCRYPTED = "reasoning.encrypted_content"
"""Entries of `include` that the model understands; what is encrypted is always given."""

_UNDERSTOOD = frozenset(wire.Request.__struct_fields__) | {"model", "stream"}
_DEFAULTS: dict[str, Any] = {"background": False, "truncation": "disabled", "stream_options": {}}
"""What these mean where they are not said: to say it asks for nothing."""
_GOES_ON = ("previous_response_id", "conversation", "prompt")
"""Members that hold an input of their own."""


def read(parsed: Mapping[str, Any], model: str, *, stream: bool) -> Conversation:
    """A request to the model. Raises `InvalidRequest` that names the member."""
    asked = wire.convert(parsed, wire.Request)
    items = Items()
    messages = _messages(asked, parsed, items)
    rest = {
        name: value
        for name, value in parsed.items()
        if name not in _UNDERSTOOD and value is not None and value != _DEFAULTS.get(name)
    }
    if not (rest.get("stream_options") or {"include_obfuscation": True}).get("include_obfuscation"):
        rest.pop("stream_options", None)
    rest |= items.rest
    _inner(parsed, "text", wire.TextOptions, rest)
    _inner(parsed, "reasoning", wire.Thinking, rest)
    others = [one for one in asked.include or () if one not in (LOGPROBS, ENCRYPTED)]
    if others:
        rest["include"] = others
    if asked.user and asked.safety_identifier:
        rest["safety_identifier"] = asked.safety_identifier
    tools, choice = _tools(asked, rest)
    wants_logprobs = LOGPROBS in (asked.include or ()) or bool(asked.top_logprobs)
    text = asked.text or wire.TextOptions()
    return Conversation(
        source="responses",
        model=model,
        messages=messages,
        tools=tools,
        tool_choice=choice,
        parallel_tools=asked.parallel_tool_calls,
        max_output=asked.max_output_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        logprobs=(asked.top_logprobs or 0) if wants_logprobs else None,
        format=_format(text.format),
        thinking=_thinking(asked.reasoning),
        verbosity=text.verbosity or "",
        user=asked.user or asked.safety_identifier or "",
        metadata=asked.metadata or {},
        service_tier=asked.service_tier or "",
        stream=stream,
        wants_usage=True,
        rest=rest,
    )


def _messages(asked: wire.Request, parsed: Mapping[str, Any], items: Items) -> tuple[Message, ...]:
    if asked.input is None and all(parsed.get(name) is None for name in _GOES_ON):
        raise missing("input")
    first = (Message("system", (Text(asked.instructions),)),) if asked.instructions else ()
    if asked.input is None:
        return first
    if isinstance(asked.input, str):
        return (*first, Message("user", (Text(asked.input),)))
    return (*first, *items.read(asked.input))


def _inner(parsed: Mapping[str, Any], name: str, kind: Any, rest: dict[str, Any]) -> None:
    """Members of an object that are not understood, by their paths."""
    for inner, value in (parsed.get(name) or {}).items():
        if inner not in kind.__struct_fields__ and value is not None:
            rest[f"{name}.{inner}"] = value


def _thinking(asked: wire.Thinking | None) -> Thinking | None:
    if asked is None:
        return None
    summary = asked.summary or asked.generate_summary or ""
    if asked.effort is None and not summary:
        return None
    return Thinking(asked.effort, show=True if summary else None, summary=summary)


def _format(asked: wire.Format | None) -> Format | None:
    match asked:
        case None | wire.Format(type="text"):
            return None
        case wire.Format(type="json_object"):
            return Format("json")
        case wire.Format(type="json_schema", name=str() as name):
            return Format("schema", name, asked.schema, asked.strict, asked.description or "")
        case wire.Format(type="json_schema"):
            raise missing("text.format.name")
    raise InvalidRequest(
        "`text.format.type` must be `text`, `json_object` or `json_schema`.",
        code="invalid_value",
        param="text.format.type",
    )


# Tools


def _tools(asked: wire.Request, rest: dict[str, Any]) -> tuple[tuple[Tool | Opaque, ...], ToolChoice | None]:
    tools = [_tool(tool, f"tools[{at}]", rest) for at, tool in enumerate(asked.tools or ())]
    wanted = asked.tool_choice
    if wanted is None:
        return tuple(tools), None
    if isinstance(wanted, dict):
        return _choose(wanted, tools, rest)
    if wanted not in ("auto", "none", "required"):
        raise InvalidRequest(
            "`tool_choice` must be `auto`, `none`, `required` or an object.", code="invalid_value", param="tool_choice"
        )
    return tuple(tools), ToolChoice(wanted)  # type: ignore[arg-type]


def _tool(tool: dict[str, Any], path: str, rest: dict[str, Any]) -> Tool | Opaque:
    if tool.get("type") != "function":
        if not isinstance(tool.get("type"), str):
            raise missing(f"{path}.type")
        return Opaque("responses", path, tool)
    function = wire.convert(tool, wire.Function, path)
    for name in tool.keys() - set(wire.Function.__struct_fields__):
        if tool[name] is not None and tool[name] is not False:
            rest[f"{path}.{name}"] = tool[name]
    return Tool(function.name, function.description or "", function.parameters, function.strict)


def _choose(
    wanted: dict[str, Any], tools: list[Tool | Opaque], rest: dict[str, Any]
) -> tuple[tuple[Tool | Opaque, ...], ToolChoice | None]:
    """A choice that names tools. Where any of several may be called, or none, the others are left out of `tools`."""
    kind = wanted.get("type")
    if kind in ("function", "custom"):
        name = _name(wanted)
        if not name:
            raise missing("tool_choice.name")
        return tuple(tools), ToolChoice("named", (name,))
    if kind != "allowed_tools":
        rest["tool_choice"] = wanted  # a tool that only OpenAI has
        return tuple(tools), None
    listed = wanted.get("tools")
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise missing("tool_choice.tools")
    names = tuple(_name(one) for one in listed)
    required = wanted.get("mode") == "required"
    if required and all(names):
        return tuple(tools), ToolChoice("named", names)
    left = tuple(tool for tool in tools if any(_is_named(tool, one) for one in listed))
    return left, ToolChoice("required" if required else "auto")


def _is_named(tool: Tool | Opaque, one: dict[str, Any]) -> bool:
    """`one` of a choice means `tool`: by its name, its server, or its type alone."""
    if isinstance(tool, Tool):
        return one.get("type") == "function" and _name(one) == tool.name
    if one.get("type") != tool.value.get("type"):
        return False
    return all(one.get(name) == tool.value.get(name) for name in ("name", "server_label") if name in tool.value)


def _name(one: dict[str, Any]) -> str:
    name = one.get("name") if one.get("type") in ("function", "custom") else None
    return name if isinstance(name, str) else ""
