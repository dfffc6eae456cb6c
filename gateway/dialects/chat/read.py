"""The request of a chat completion as OpenAI's clients write it, to the model.

Every member of the published API is read; those that the model has no place for are kept in `Conversation.rest`. Two
conventions of others are read as well, since clients of many providers write them: `cache_control` on a part
(Anthropic's marker), and thoughts that come back in `reasoning_content`, `reasoning` or `reasoning_details`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.dialects.chat import wire
from gateway.dialects.chat.read_messages import Messages, cache_of, missing
from gateway.errors import InvalidRequest
from gateway.model.conversation import CacheTtl, Conversation, Format, Opaque, Thinking, Tool, ToolChoice

_OF_MESSAGES = frozenset(wire.Message.__struct_fields__)
_UNDERSTOOD = frozenset(wire.Request.__struct_fields__) | {"model", "stream"}
_DEFAULTS: dict[str, Any] = {"store": False, "modalities": ["text"], "logit_bias": {}}
"""What these mean where they are not said: to say it asks for nothing."""


def read(parsed: Mapping[str, Any], model: str, *, stream: bool) -> Conversation:
    """A request to the model. Raises `InvalidRequest` that names the member."""
    try:
        asked = msgspec.convert(parsed, wire.Request)
    except msgspec.ValidationError as error:
        raise _invalid(error) from None
    if not asked.messages:
        raise InvalidRequest("`messages` is empty; send at least one.", code="invalid_value", param="messages")
    rest = {
        name: value
        for name, value in parsed.items()
        if name not in _UNDERSTOOD and value is not None and value != _DEFAULTS.get(name)
    }
    for at, message in enumerate(parsed["messages"]):
        if not message.keys() <= _OF_MESSAGES:
            rest |= {f"messages[{at}].{name}": message[name] for name in message.keys() - _OF_MESSAGES}
    tools, choice = _tools(asked, parsed)
    options = asked.stream_options or wire.StreamOptions()
    if options.include_obfuscation:
        rest["stream_options"] = {"include_obfuscation": True}
    if asked.user and asked.safety_identifier:
        rest["safety_identifier"] = asked.safety_identifier
    if asked.logprobs is not True and asked.top_logprobs:
        raise InvalidRequest("`top_logprobs` needs `logprobs` to be true.", code="invalid_value", param="top_logprobs")
    return Conversation(
        source="chat",
        model=model,
        messages=tuple(Messages(parsed["messages"]).read(asked.messages)),
        tools=tools,
        tool_choice=choice,
        parallel_tools=asked.parallel_tool_calls,
        max_output=asked.max_completion_tokens if asked.max_completion_tokens is not None else asked.max_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        choices=asked.n,
        stop=(asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ()),
        seed=asked.seed,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        logprobs=(asked.top_logprobs or 0) if asked.logprobs else None,
        format=_format(asked.response_format),
        thinking=Thinking(effort=asked.reasoning_effort) if asked.reasoning_effort is not None else None,
        verbosity=asked.verbosity or "",
        user=asked.user or asked.safety_identifier or "",
        metadata=asked.metadata or {},
        service_tier=asked.service_tier or "",
        stream=stream,
        wants_usage=options.include_usage is True,
        rest=rest,
    )


def _invalid(error: msgspec.ValidationError) -> InvalidRequest:
    """msgspec's `Expected `str`, got `int` - at `$.messages[0].role``, in our words."""
    what, _, path = str(error).partition(" - at `$")
    missing = re.search(r"missing required field `(\w+)`", what)
    param = (path.rstrip("`") + (f".{missing[1]}" if missing else "")).lstrip(".")
    code = "missing_field" if missing else "invalid_type" if what.startswith("Expected") else "invalid_value"
    return InvalidRequest(f"`{param or 'body'}` is not as it should be: {what}.", code=code, param=param or None)


def _tools(asked: wire.Request, parsed: Mapping[str, Any]) -> tuple[tuple[Tool | Opaque, ...], ToolChoice | None]:
    tools: list[Tool | Opaque] = []
    for at, tool in enumerate(asked.tools or ()):
        if tool.function is not None:
            tools.append(_tool(tool.function, cache_of(tool)))
        elif tool.type == "function":
            raise missing(f"tools[{at}].function")
        else:
            tools.append(Opaque("chat", f"tools[{at}]", parsed["tools"][at]))
    tools += [_tool(function, None) for function in asked.functions or ()]
    wanted = asked.tool_choice if asked.tool_choice is not None else asked.function_call
    if wanted is None:
        return tuple(tools), None
    if isinstance(wanted, wire.Function):
        return tuple(tools), ToolChoice("named", (wanted.name,))
    if isinstance(wanted, dict):
        return _choose(wanted, tools)
    if wanted not in ("auto", "none", "required"):
        raise InvalidRequest(
            "`tool_choice` must be `auto`, `none`, `required` or an object.", code="invalid_value", param="tool_choice"
        )
    return tuple(tools), ToolChoice(wanted)  # type: ignore[arg-type]


def _tool(function: wire.FunctionObject, cache: CacheTtl | None) -> Tool:
    return Tool(function.name, function.description or "", function.parameters, function.strict, cache)


def _choose(wanted: dict[str, Any], tools: list[Tool | Opaque]) -> tuple[tuple[Tool | Opaque, ...], ToolChoice]:
    """A choice that names tools. Where any of several may be called, or none, the others are left out of `tools`."""
    if wanted.get("type") != "allowed_tools":
        return tuple(tools), ToolChoice("named", (_name_in(wanted, "tool_choice"),))
    allowed = wanted.get("allowed_tools")
    listed = allowed.get("tools") if isinstance(allowed, dict) else None
    if not isinstance(allowed, dict) or not isinstance(listed, list):
        raise missing("tool_choice.allowed_tools.tools")
    names = tuple(_name_in(one, f"tool_choice.allowed_tools.tools[{at}]") for at, one in enumerate(listed))
    if allowed.get("mode") == "required":
        return tuple(tools), ToolChoice("named", names)
    return tuple(tool for tool in tools if name_of(tool) in names), ToolChoice("auto")


def _name_in(wanted: Any, field: str) -> str:
    name = _named(wanted)
    if not name:
        raise missing(f"{field}.function.name")
    return name


def name_of(tool: Tool | Opaque) -> str:
    """What a tool is called; empty for one of another dialect that is not called by a name."""
    if isinstance(tool, Tool):
        return tool.name
    return _named(tool.value)


def _named(value: Any) -> str:
    """The name in `{"type": "x", "x": {"name": ...}}`; empty if there is none."""
    kind = value.get("type") if isinstance(value, dict) else None
    found = value.get(kind) if isinstance(kind, str) else None
    name = found.get("name") if isinstance(found, dict) else None
    return name if isinstance(name, str) else ""


def _format(asked: wire.ResponseFormat | None) -> Format | None:
    match asked:
        case None | wire.ResponseFormat(type="text"):
            return None
        case wire.ResponseFormat(type="json_object"):
            return Format("json")
        case wire.ResponseFormat(type="json_schema", json_schema=wire.JsonSchema() as given):
            return Format("schema", given.name, given.schema, given.strict, given.description or "")
        case wire.ResponseFormat(type="json_schema"):
            raise missing("response_format.json_schema")
        case _:
            raise InvalidRequest(
                "`response_format.type` must be `text`, `json_object` or `json_schema`.",
                code="invalid_value",
                param="response_format.type",
            )
