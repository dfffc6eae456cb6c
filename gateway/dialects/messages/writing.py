"""A conversation to Anthropic's request.

Source: https://platform.claude.com/docs/en/api/messages/create. Instructions go to the top, turns of one role become
one, results of tools come first in their turn. Values are never bent: what is out of range is named like what cannot
be said. Three labels are left out unsaid, since they ask for nothing: the name of a schema, an item's id of a thought,
`detail: auto` of a picture.
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway.dialects.base import Drops, Unsupported
from gateway.dialects.messages.blocks import Blocks, cached
from gateway.dialects.messages.model import Model
from gateway.model.conversation import Conversation, Opaque, Thinking, Tool, ToolChoice

MIN_BUDGET = 1024
"""The fewest tokens of thinking that may be asked for."""

_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 32768}
"""Tokens for an effort, for models that know no efforts; our own choice."""

_EFFORTS = {"minimal": "low"}
"""Efforts by Anthropic's names, where they differ; `none` turns thinking off."""

_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}


def write(asked: Conversation, model: str, drops: Drops, abilities: Model) -> bytes:
    """The body. What cannot be said goes to `drops`; without any turn of a user or an assistant it is refused."""
    body: dict[str, Any] = {"model": model, "max_tokens": _max_tokens(asked, abilities)}
    system, turns = Blocks(drops, asked.source, system_turns=abilities.system_turns).split(asked.messages)
    if not turns:
        raise Unsupported("messages", "messages", "it needs a message that is not an instruction")
    if system:
        body["system"] = short(system)
    body["messages"] = [{"role": role, "content": short(blocks)} for role, blocks in turns]
    tools = _offered(asked)
    if tools:
        body["tools"] = [tool for at, one in enumerate(tools) if (tool := _tool(one, at, drops, abilities)) is not None]
        _set(body, "tool_choice", _choice(asked))
    thinks = _thinking(asked, body, drops, abilities)
    _sampling(asked, body, drops, abilities, thinks=thinks)
    _format(asked, body, drops, abilities)
    if asked.user:
        body["metadata"] = {"user_id": asked.user}
    if asked.service_tier:
        if asked.service_tier not in _TIERS:
            drops.add("service_tier", "it has `auto` and `default`")
        _set(body, "service_tier", _TIERS.get(asked.service_tier))
    if asked.stream:
        body["stream"] = True
    _unsaid(asked, drops)
    _rest(asked, body, drops)
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        raise Unsupported("messages", "messages", "it is nested too deeply") from None


def short(blocks: list[dict[str, Any]]) -> Any:
    """One plain text as a string."""
    return blocks[0]["text"] if len(blocks) == 1 and blocks[0].keys() == {"type", "text"} else blocks


def _set(body: dict[str, Any], name: str, value: Any) -> None:
    if value is not None:
        body[name] = value


def _max_tokens(asked: Conversation, abilities: Model) -> int:
    """The caller's, else the default, beside what thinking may take of it."""
    if asked.max_output is not None:
        return asked.max_output
    budget = asked.thinking.budget if asked.thinking is not None else None
    return abilities.max_tokens + max(0, budget or 0)


def _unsaid(asked: Conversation, drops: Drops) -> None:
    """Members for which there is no word; what changes nothing need not be said."""
    if asked.choices is not None and asked.choices != 1:
        drops.add("choices")
    for name in ("seed", "logprobs"):
        if getattr(asked, name) is not None:
            drops.add(name)
    for name in ("presence_penalty", "frequency_penalty", "metadata"):
        if getattr(asked, name):
            drops.add(name)
    if asked.verbosity not in ("", "medium"):
        drops.add("verbosity")


def _sampling(asked: Conversation, body: dict[str, Any], drops: Drops, abilities: Model, *, thinks: bool) -> None:
    for name in ("temperature", "top_p", "top_k"):
        value = getattr(asked, name)
        if value is None:
            continue
        if not abilities.sampling:
            if name == "top_k" or value != 1:
                drops.add(name, "this model takes no sampling parameters")
        elif name == "temperature" and not 0 <= value <= 1:
            drops.add(name, "it must be from 0 to 1")
        elif thinks and (name == "top_k" or (name == "temperature" and value != 1)):
            drops.add(name, "not together with thinking")
        else:
            body[name] = value
    if asked.stop:
        body["stop_sequences"] = list(asked.stop)


def _format(asked: Conversation, body: dict[str, Any], drops: Drops, abilities: Model) -> None:
    wanted = asked.format
    if wanted is None:
        return
    if wanted.kind == "json" or wanted.schema is None:
        drops.add("format", "JSON only by a schema")
    elif not abilities.formats:
        drops.add("format", "not by this model")
    else:
        schema = dict(wanted.schema)
        if wanted.description:
            schema.setdefault("description", wanted.description)
        body.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": schema}


# Thinking


def _thinking(asked: Conversation, body: dict[str, Any], drops: Drops, abilities: Model) -> bool:
    """Say how much to think; whether it will."""
    wanted = asked.thinking
    if wanted is None:
        return False
    if wanted.effort not in (None, "none") and abilities.adaptive:
        body["output_config"] = {"effort": _EFFORTS.get(wanted.effort or "", wanted.effort)}
    if wanted.budget == 0 or wanted.effort == "none":
        body["thinking"] = {"type": "disabled"}
        return False
    said = _amount(asked, wanted, body["max_tokens"], drops, abilities)
    if said is None:
        return False
    if wanted.show is not None or wanted.summary:
        said["display"] = "omitted" if wanted.show is False else "summarized"
    body["thinking"] = said
    if said["type"] == "enabled" and asked.max_output is None:
        body["max_tokens"] = abilities.max_tokens + said["budget_tokens"]
    if asked.tools and asked.tool_choice is not None and asked.tool_choice.mode in ("required", "named"):
        drops.add("tool_choice", "no tool can be forced together with thinking")
        body.pop("tool_choice", None)
    return True


def _amount(asked: Conversation, wanted: Thinking, most: int, drops: Drops, abilities: Model) -> dict[str, Any] | None:
    budget = wanted.budget
    if budget is not None and budget > 0:
        if not abilities.budgets:
            drops.add("thinking", "this model takes an effort, not tokens")
        elif budget < MIN_BUDGET:
            drops.add("thinking", f"at least {MIN_BUDGET} tokens")
        elif budget >= most:
            drops.add("thinking", "fewer tokens than the whole answer may have")
        else:
            return {"type": "enabled", "budget_tokens": budget}
        return None
    if budget is None and (asked.source == "messages" or (wanted.effort is None and not wanted.show)):
        return None  # in Anthropic's own words an effort alone leaves open whether to think
    if abilities.adaptive:
        return {"type": "adaptive"}
    budget = _BUDGETS[wanted.effort or "medium"]
    if asked.max_output is not None and budget >= asked.max_output:
        budget = asked.max_output // 2
        if budget < MIN_BUDGET:
            drops.add("thinking", f"it takes at least {MIN_BUDGET} tokens of an answer that may have more")
            return None
    return {"type": "enabled", "budget_tokens": budget}


# Tools


def _offered(asked: Conversation) -> tuple[Tool | Opaque, ...]:
    """All tools, or of several named ones only those: the same as to name them."""
    names = asked.tool_choice.names if asked.tool_choice is not None else ()
    if len(names) < 2 and not (asked.tool_choice is not None and asked.tool_choice.mode == "auto" and names):
        return asked.tools
    return tuple(tool for tool in asked.tools if isinstance(tool, Opaque) or tool.name in names)


def _tool(tool: Tool | Opaque, at: int, drops: Drops, abilities: Model) -> dict[str, Any] | None:
    if isinstance(tool, Opaque):
        if tool.dialect == "messages":
            return dict(tool.value)
        drops.add(tool.field)
        return None
    said: dict[str, Any] = {"name": tool.name}
    if tool.description:
        said["description"] = tool.description
    schema = tool.schema or {}
    said["input_schema"] = schema if "type" in schema else {"type": "object", **schema}
    if tool.strict and not abilities.formats:
        drops.add(f"tools[{at}].strict", "not by this model")
    else:
        _set(said, "strict", tool.strict)
    return cached(said, tool.cache)


def _choice(asked: Conversation) -> dict[str, Any] | None:
    choice, parallel = asked.tool_choice, asked.parallel_tools
    if choice is None:
        if parallel is not False:
            return None  # several calls are what it allows anyway
        choice = ToolChoice("auto")
    if choice.mode == "none":
        return {"type": "none"}
    said: dict[str, Any] = {"type": {"auto": "auto", "required": "any", "named": "any"}[choice.mode]}
    if choice.mode == "named" and len(choice.names) == 1:
        said = {"type": "tool", "name": choice.names[0]}
    if parallel is not None:
        said["disable_parallel_tool_use"] = not parallel
    return said


# What only one dialect knows


def _rest(asked: Conversation, body: dict[str, Any], drops: Drops) -> None:
    """Anthropic's own members go back to where they stood; those of others it does not know."""
    for path, value in asked.rest.items():
        if asked.source != "messages" or "messages[" in path or "system[" in path:
            drops.add(path)
            continue
        place, _, name = path.rpartition(".")
        if not place:
            body[name] = value
        elif place.startswith("tools["):
            body["tools"][int(place[6:-1])][name] = value
        else:
            body.setdefault(place, {})[name] = value
