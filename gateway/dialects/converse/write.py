"""A conversation to Converse's request. The model and whether it streams stand in the path, not in the body.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html. Instructions go to the top,
turns of one role become one. Values are never bent: what is out of range is named like what cannot be said. Labels are
left out unsaid where they ask for nothing: an item's id of a thought, `detail: auto` of a picture.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from gateway.dialects.base import Drops, Unsupported
from gateway.dialects.converse.blocks import Blocks, cache_point
from gateway.dialects.converse.families import Family
from gateway.dialects.converse.thinking import thinking
from gateway.model.conversation import Conversation, Format, Opaque, Tool, ToolCall, ToolResult

_TIERS = {"auto": "", "default": "default", "standard_only": "default"} | {
    tier: tier for tier in ("flex", "priority", "reserved")
}
_LABEL = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,\-.]{1,256}")
_MOST_LABELS = 16


def write(asked: Conversation, drops: Drops, family: Family) -> bytes:
    """The body. What cannot be said goes to `drops`; without any turn of a user or an assistant it is refused."""
    system, turns = Blocks(drops).split(asked.messages)
    if not turns:
        raise Unsupported("messages", "converse", "it needs a message that is not an instruction")
    body: dict[str, Any] = {"messages": [{"role": role, "content": blocks} for role, blocks in turns]}
    if system:
        body["system"] = system
    if tools := _tools(asked, drops, family):
        body["toolConfig"] = tools
    is_thinking = thinking(asked, body, drops, family)
    if inference := _inference(asked, drops, family, thinks=is_thinking):
        body["inferenceConfig"] = inference
    _sampling(asked, body, drops, family, thinks=is_thinking)
    if asked.format is not None:
        _format(asked.format, body, drops, family)
    _account(asked, body, drops)
    _unsaid(asked, drops)
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        raise Unsupported("messages", "converse", "it is nested too deeply") from None


def _inference(asked: Conversation, drops: Drops, family: Family, *, thinks: bool) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if asked.max_output is not None:
        said["maxTokens"] = asked.max_output
    for member, name in (("temperature", "temperature"), ("top_p", "topP")):
        value = getattr(asked, member)
        if value is None:
            continue
        if family.thinks == "claude" and not family.claude.sampling:
            if value != 1:
                drops.add(member, "this model takes no sampling parameters")
        elif not 0 <= value <= 1:
            drops.add(member, "it must be from 0 to 1")
        elif member == "temperature" and thinks and family.thinks == "claude" and value != 1:
            drops.add(member, "not together with thinking")
        else:
            said[name] = value
    if asked.stop:
        said["stopSequences"] = list(asked.stop)
    return said


def _sampling(asked: Conversation, body: dict[str, Any], drops: Drops, family: Family, *, thinks: bool) -> None:
    """What goes to the model in its maker's words."""
    if asked.top_k is not None:
        if not family.top_k or (family.thinks == "claude" and (thinks or not family.claude.sampling)):
            drops.add("top_k")
        else:
            *way, name = ("additionalModelRequestFields", *family.top_k)
            place = body
            for step in way:
                place = place.setdefault(step, {})
            place[name] = asked.top_k
    if asked.stop and family.stops:
        body["additionalModelResponseFieldPaths"] = ["/stop_sequence"]


def _tools(asked: Conversation, drops: Drops, family: Family) -> dict[str, Any] | None:
    choice = asked.tool_choice
    if choice is not None and choice.mode == "none" and asked.tools:
        if not _was_called(asked):
            return None  # without tools there is nothing to call
        drops.add("tool_choice", "tools that were called before cannot be switched off")
    if asked.parallel_tools is False:
        drops.add("parallel_tools")
    names = choice.names if choice is not None and len(choice.names) > 1 else ()
    said: list[dict[str, Any]] = []
    for at, tool in enumerate(asked.tools):
        if isinstance(tool, Opaque):
            if tool.dialect == "converse":
                said.append(dict(tool.value))
            else:
                drops.add(tool.field)
        elif not names or tool.name in names:
            if tool.strict and not family.claude.formats:
                drops.add(f"tools[{at}].strict", "not by this model")
            said += _tool(tool, strict=bool(tool.strict) and family.claude.formats)
    if not said:
        return None
    config: dict[str, Any] = {"tools": said}
    if choice is not None and choice.mode != "none":
        is_one = choice.mode == "named" and len(choice.names) == 1
        word = {"auto": "auto", "required": "any", "named": "any"}[choice.mode]
        config["toolChoice"] = {"tool": {"name": choice.names[0]}} if is_one else {word: {}}
    return config


def _tool(tool: Tool, *, strict: bool) -> list[dict[str, Any]]:
    schema = tool.schema or {}
    spec: dict[str, Any] = {"name": tool.name}
    if tool.description:
        spec["description"] = tool.description
    spec["inputSchema"] = {"json": schema if "type" in schema else {"type": "object", **schema}}
    if strict:
        spec["strict"] = True  # that they need not follow the schema is so anyway
    return [{"toolSpec": spec}] + ([cache_point(tool.cache)] if tool.cache is not None else [])


def _was_called(asked: Conversation) -> bool:
    return any(isinstance(part, ToolCall | ToolResult) for message in asked.messages for part in message.parts)


def _format(wanted: Format, body: dict[str, Any], drops: Drops, family: Family) -> None:
    if wanted.kind == "json" or wanted.schema is None:
        drops.add("format", "JSON only by a schema")
        return
    if not family.claude.formats:
        drops.add("format", "not by this model")
        return
    said = {"schema": orjson.dumps(wanted.schema).decode()}
    if wanted.name:
        said["name"] = wanted.name
    if wanted.description:
        said["description"] = wanted.description
    form = {"type": "json_schema", "structure": {"jsonSchema": said}}
    body.setdefault("outputConfig", {})["textFormat"] = form


def _account(asked: Conversation, body: dict[str, Any], drops: Drops) -> None:
    """The tier of service, and labels for the log of invocations, of which the user is one."""
    if asked.service_tier:
        tier = _TIERS.get(asked.service_tier)
        if tier is None:
            drops.add("service_tier")
        elif tier:
            body["serviceTier"] = {"type": tier}
    labels: dict[str, str] = {}
    for member, pairs in (("metadata", asked.metadata), ("user", {"user": asked.user} if asked.user else {})):
        fits = {
            name: value
            for name, value in pairs.items()
            if _LABEL.fullmatch(name) and (not value or _LABEL.fullmatch(value)) and name not in labels
        }
        if len(fits) < len(pairs) or len(labels) + len(fits) > _MOST_LABELS:
            drops.add(member, "labels are at most 16, of letters, digits and ` :_@$#=/+,-.`")
        labels |= dict(list(fits.items())[: _MOST_LABELS - len(labels)])
    if labels:
        body["requestMetadata"] = labels


def _unsaid(asked: Conversation, drops: Drops) -> None:
    """Members for which there is no word; what changes nothing need not be said."""
    if asked.choices is not None and asked.choices != 1:
        drops.add("choices")
    for name in ("seed", "logprobs"):
        if getattr(asked, name) is not None:
            drops.add(name)
    for name in ("presence_penalty", "frequency_penalty"):
        if getattr(asked, name):
            drops.add(name)
    if asked.verbosity not in ("", "medium"):
        drops.add("verbosity")
    for path in asked.rest:
        drops.add(path)
