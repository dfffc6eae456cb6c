"""The model to a request that OpenAI's chat completions take.

What OpenAI has no word for is named to `Drops`: sampling by `top_k`, thoughts (unless the server takes them back),
budgets of thinking, media other than pictures, sound and files, results of tools that are not text, errors of tools.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from gateway.dialects.base import Drops
from gateway.dialects.chat.read import name_of
from gateway.dialects.chat.write_messages import Server, Writer, set_said
from gateway.errors import InvalidRequest
from gateway.model.conversation import Conversation, Opaque, Thinking, Tool

MAX_STOPS = 4
MAX_LOGPROBS = 20
"""What OpenAI allows: stop sequences, alternatives of a token."""

_TIERS = {
    "auto": "auto",
    "default": "default",
    "flex": "flex",
    "scale": "scale",
    "priority": "priority",
    "fast": "fast",
    "standard_only": "default",
    "standard": "default",
}
_SHARED = frozenset({"prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "safety_identifier"})
"""Members that mean the same in OpenAI's two APIs."""


def write(asked: Conversation, model: str, drops: Drops, server: Server) -> bytes:
    """The body. What cannot be said goes to `drops`."""
    body: dict[str, Any] = {"model": model, "messages": list(Writer(drops, server).messages(asked.messages))}
    if asked.tools:
        set_said(body, "tools", [tool for at, one in enumerate(asked.tools) for tool in _tool(one, at, drops)])
    set_said(body, "tool_choice", _choice(asked))
    if asked.tools:
        set_said(body, "parallel_tool_calls", asked.parallel_tools)
    set_said(body, server.limit, asked.max_output)
    _sampling(asked, body, drops)
    set_said(body, "response_format", _format(asked))
    if asked.thinking is not None:
        set_said(body, "reasoning_effort", _effort(asked.thinking, drops))
    set_said(body, "verbosity", asked.verbosity)
    set_said(body, "user", asked.user)
    if asked.metadata:
        body["metadata"] = dict(asked.metadata)
    if asked.service_tier:
        if asked.service_tier not in _TIERS:
            drops.add("service_tier")
        set_said(body, "service_tier", _TIERS.get(asked.service_tier))
    if asked.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    _rest(asked, body, drops)
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:  # it reads what is nested deeper than it writes
        raise InvalidRequest("The body is nested too deeply.", code="invalid_value") from None


def _sampling(asked: Conversation, body: dict[str, Any], drops: Drops) -> None:
    for name in ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty"):
        set_said(body, name, getattr(asked, name))
    set_said(body, "n", asked.choices)
    if asked.top_k is not None:
        drops.add("top_k")
    if asked.stop:
        if len(asked.stop) > MAX_STOPS:
            drops.add("stop", f"it takes {MAX_STOPS} sequences")
        body["stop"] = list(asked.stop[:MAX_STOPS])
    if asked.logprobs is not None:
        if asked.logprobs > MAX_LOGPROBS:
            drops.add("logprobs", f"it gives {MAX_LOGPROBS} alternatives")
        body["logprobs"] = True
        if asked.logprobs:
            body["top_logprobs"] = min(asked.logprobs, MAX_LOGPROBS)


def _effort(thinking: Thinking, drops: Drops) -> str | None:
    """The effort; where tokens were said, the nearest one, and that is no more than near."""
    if thinking.show or thinking.summary:
        drops.add("thinking", "thoughts cannot be asked for")
    if thinking.effort is not None:
        return thinking.effort
    if thinking.budget is None or thinking.budget < 0:
        return None
    if thinking.budget == 0:
        return "none"
    drops.add("thinking", "it takes an effort, not tokens")
    return "low" if thinking.budget <= 2048 else "medium" if thinking.budget <= 8192 else "high"


def _format(asked: Conversation) -> dict[str, Any] | None:
    if asked.format is None:
        return None
    if asked.format.kind == "json":
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": asked.format.name or "answer"}
    set_said(schema, "description", asked.format.description)
    if asked.format.schema is not None:
        schema["schema"] = asked.format.schema
    set_said(schema, "strict", asked.format.strict)
    return {"type": "json_schema", "json_schema": schema}


def _rest(asked: Conversation, body: dict[str, Any], drops: Drops) -> None:
    for name, value in asked.rest.items():
        if asked.source == "chat" and name == "stream_options":
            if asked.stream:
                body[name] |= value
        elif asked.source == "chat" and "." in name:
            drops.add(name)  # of a message
        elif asked.source == "chat" or (asked.source == "responses" and name in _SHARED):
            body[name] = value
        else:
            drops.add(name)


# Tools


def _tool(tool: Tool | Opaque, at: int, drops: Drops) -> Iterator[dict[str, Any]]:
    if isinstance(tool, Opaque):
        if tool.dialect == "chat":
            yield tool.value
        elif (custom := _custom_tool(tool)) is not None:
            yield custom
        else:
            drops.add(tool.field)
        return
    if tool.cache is not None:
        drops.add(f"tools[{at}].cache")
    function: dict[str, Any] = {"name": tool.name}
    set_said(function, "description", tool.description)
    if tool.schema is not None:
        function["parameters"] = tool.schema
    set_said(function, "strict", tool.strict)
    yield {"type": "function", "function": function}


def _custom_tool(tool: Opaque) -> dict[str, Any] | None:
    """A tool that takes free text, which OpenAI's Responses say in one level less."""
    value = tool.value
    if tool.dialect != "responses" or not isinstance(value, dict) or value.get("type") != "custom":
        return None
    custom = {name: value[name] for name in ("name", "description", "format") if name in value}
    grammar = custom.get("format")
    if isinstance(grammar, dict) and grammar.get("type") == "grammar":
        inner = {name: found for name, found in grammar.items() if name != "type"}
        custom["format"] = {"type": "grammar", "grammar": inner}
    return {"type": "custom", "custom": custom}


def _choice(asked: Conversation) -> Any:
    choice = asked.tool_choice
    if choice is None or not asked.tools:
        return None
    if choice.mode != "named":
        return choice.mode
    kinds = {_name(tool): "custom" for tool in asked.tools if isinstance(tool, Opaque)}
    named = [{"type": kind, kind: {"name": name}} for name in choice.names for kind in (kinds.get(name, "function"),)]
    if len(named) == 1:
        return named[0]
    return {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": named}}


def _name(tool: Opaque) -> str:
    return name_of(tool) or (str(tool.value.get("name", "")) if isinstance(tool.value, dict) else "")
