"""The model to a request that OpenAI's Responses API takes.

What it has no word for is named to `Drops`: stop sequences, seeds, penalties, several choices, sampling by `top_k`,
budgets of thinking, thoughts of others, sound and films, errors of tools. OpenAI is told to keep nothing (`store`),
which it otherwise does, and therefore to give its thoughts back encrypted where thinking was asked for.
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway.dialects.base import Drops
from gateway.dialects.chat.read import name_of
from gateway.dialects.chat.write_messages import set_said
from gateway.dialects.responses.read import ENCRYPTED, LOGPROBS
from gateway.dialects.responses.write_items import Writer, plain_text
from gateway.errors import InvalidRequest
from gateway.model.conversation import Conversation, Opaque, Thinking, Tool

MIN_OUTPUT = 16
MAX_LOGPROBS = 20
"""What OpenAI allows: tokens of an answer at least, alternatives of a token at most."""

_TIERS = {
    "auto": "auto",
    "default": "default",
    "flex": "flex",
    "scale": "scale",
    "priority": "priority",
    "fast": "fast",
    "ultrafast": "ultrafast",
    "standard_only": "default",
    "standard": "default",
}
_SHARED = frozenset(
    {"prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "safety_identifier", "store"}
)
"""Members that mean the same in OpenAI's two APIs."""


def write(asked: Conversation, model: str, drops: Drops) -> bytes:
    """The body. What cannot be said goes to `drops`."""
    body: dict[str, Any] = {"model": model}
    messages = asked.messages
    if messages and messages[0].role == "system" and (instructions := plain_text(messages[0])):
        body["instructions"] = instructions
        messages = messages[1:]
    skipped = len(asked.messages) - len(messages)
    body["input"] = list(Writer(drops).items(messages, skipped))
    if asked.tools:
        set_said(body, "tools", [found for at, one in enumerate(asked.tools) for found in _tool(one, at, drops)])
        set_said(body, "tool_choice", _choice(asked))
        set_said(body, "parallel_tool_calls", asked.parallel_tools)
    _limits(asked, body, drops)
    _unsaid(asked, drops)
    text: dict[str, Any] = {}
    set_said(text, "format", _format(asked))
    set_said(text, "verbosity", asked.verbosity)
    if text:
        body["text"] = text
    reasoning = _reasoning(asked.thinking, drops) if asked.thinking is not None else {}
    if reasoning:
        body["reasoning"] = reasoning
    set_said(body, "user", asked.user)
    if asked.metadata:
        body["metadata"] = dict(asked.metadata)
    if asked.service_tier:
        if asked.service_tier not in _TIERS:
            drops.add("service_tier")
        set_said(body, "service_tier", _TIERS.get(asked.service_tier))
    body["store"] = False
    include = [LOGPROBS] if asked.logprobs is not None else []
    if reasoning.get("effort", "none") != "none" or reasoning.get("summary"):
        include.append(ENCRYPTED)
    set_said(body, "include", include)
    if asked.stream:
        body["stream"] = True
    _rest(asked, body, drops)
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:  # it reads what is nested deeper than it writes
        raise InvalidRequest("The body is nested too deeply.", code="invalid_value") from None


def _limits(asked: Conversation, body: dict[str, Any], drops: Drops) -> None:
    if asked.max_output is not None:
        if asked.max_output < MIN_OUTPUT:
            drops.add("max_output", f"it takes {MIN_OUTPUT} at least")
        body["max_output_tokens"] = max(asked.max_output, MIN_OUTPUT)
    for name in ("temperature", "top_p"):
        set_said(body, name, getattr(asked, name))
    if asked.logprobs:
        if asked.logprobs > MAX_LOGPROBS:
            drops.add("logprobs", f"it gives {MAX_LOGPROBS} alternatives")
        body["top_logprobs"] = min(asked.logprobs, MAX_LOGPROBS)


def _unsaid(asked: Conversation, drops: Drops) -> None:
    """Members for which there is no word; what changes nothing need not be said."""
    if asked.choices is not None and asked.choices != 1:
        drops.add("choices")
    for name in ("top_k", "seed"):
        if getattr(asked, name) is not None:
            drops.add(name)
    for name in ("stop", "presence_penalty", "frequency_penalty"):
        if getattr(asked, name):
            drops.add(name)


def _format(asked: Conversation) -> dict[str, Any] | None:
    wanted = asked.format
    if wanted is None:
        return None
    if wanted.kind == "json" or wanted.schema is None:
        return {"type": "json_object"}
    found: dict[str, Any] = {"type": "json_schema", "name": wanted.name or "answer", "schema": wanted.schema}
    set_said(found, "description", wanted.description)
    set_said(found, "strict", wanted.strict)
    return found


def _reasoning(thinking: Thinking, drops: Drops) -> dict[str, Any]:
    """Effort and summary; where tokens were said, the nearest effort, and that is no more than near."""
    found: dict[str, Any] = {}
    if thinking.effort is not None:
        found["effort"] = thinking.effort
    elif thinking.budget == 0:
        found["effort"] = "none"
    elif thinking.budget is not None and thinking.budget > 0:
        drops.add("thinking", "it takes an effort, not tokens")
        found["effort"] = "low" if thinking.budget <= 2048 else "medium" if thinking.budget <= 8192 else "high"
    if thinking.summary or thinking.show:
        summary = thinking.summary or "auto"
        if summary not in ("auto", "concise", "detailed"):
            drops.add("thinking", "a summary is `auto`, `concise` or `detailed`")
            summary = "auto"
        found["summary"] = summary
    return found


# Tools


def _tool(tool: Tool | Opaque, at: int, drops: Drops) -> list[dict[str, Any]]:
    if isinstance(tool, Opaque):
        if tool.dialect == "responses":
            return [dict(tool.value)]
        custom = _custom_tool(tool)
        if custom is None:
            drops.add(tool.field)
        return [custom] if custom is not None else []
    if tool.cache is not None:
        drops.add(f"tools[{at}].cache")
    function: dict[str, Any] = {"type": "function", "name": tool.name}
    set_said(function, "description", tool.description)
    function["parameters"] = tool.schema
    # this API's own default is to be strict, which would make every argument a required one
    function["strict"] = tool.strict is True
    return [function]


def _custom_tool(tool: Opaque) -> dict[str, Any] | None:
    """A tool that takes free text, which chat completions say in one level more."""
    custom = tool.value.get("custom") if tool.dialect == "chat" and isinstance(tool.value, dict) else None
    if not isinstance(custom, dict):
        return None
    found = {"type": "custom"} | {name: custom[name] for name in ("name", "description", "format") if name in custom}
    grammar = custom.get("format")
    if isinstance(grammar, dict) and isinstance(grammar.get("grammar"), dict):
        found["format"] = {"type": "grammar", **grammar["grammar"]}
    return found


def _choice(asked: Conversation) -> Any:
    choice = asked.tool_choice
    if choice is None:
        return None
    if choice.mode != "named":
        return choice.mode
    customs = {_name(tool) for tool in asked.tools if isinstance(tool, Opaque)}
    named = [{"type": "custom" if name in customs else "function", "name": name} for name in choice.names]
    return named[0] if len(named) == 1 else {"type": "allowed_tools", "mode": "required", "tools": named}


def _name(tool: Opaque) -> str:
    return name_of(tool) or (str(tool.value.get("name", "")) if isinstance(tool.value, dict) else "")


# What only one dialect knows


def _rest(asked: Conversation, body: dict[str, Any], drops: Drops) -> None:
    """The API's own members go back to where they stood; those of others it does not know."""
    for path, value in asked.rest.items():
        place, _, name = path.rpartition(".")
        if asked.source == "chat" and path in _SHARED:
            body[path] = value
        elif asked.source != "responses" or place.startswith("input["):
            drops.add(path)
        elif path == "include":
            body["include"] = [*body.get("include", ()), *value]
        elif place.startswith("tools["):
            body["tools"][int(place[6:-1])][name] = value
        elif place in ("text", "reasoning"):
            body.setdefault(place, {})[name] = value
        elif path != "stream_options" or asked.stream:
            body[path] = value
