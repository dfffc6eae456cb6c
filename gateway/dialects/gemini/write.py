"""A conversation to Gemini's request.

Source: https://ai.google.dev/api/generate-content; Vertex AI takes the same. Schemas go as JSON Schema, which both
take. System messages are put together at the beginning, wherever they stood: Gemini has one place for them.
"""

from __future__ import annotations

import re
from typing import Any

from gateway.dialects.base import Drops
from gateway.dialects.gemini.write_parts import Writer
from gateway.model.conversation import Conversation, Effort, Opaque, Thinking, Tool

_LEVELS: dict[Effort, str] = {
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "XHIGH",
    "max": "XHIGH",
}
_BUDGETS: dict[Effort, int] = {
    "none": 0,
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24576,
    "xhigh": 24576,
    "max": 24576,
}
"""What an effort is worth in tokens, where a model takes no level: as Google's own OpenAI-compatible API has it
(https://ai.google.dev/gemini-api/docs/openai#thinking)."""

_TIERS = {"auto": "", "default": "standard", "standard": "standard", "flex": "flex", "priority": "priority"}
_LABEL_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
_OF_OLD = re.compile(r"gemini-(?:1\.|2\.|pro$|pro-vision)")
_SEEDS = 1 << 31


def takes_levels(model: str) -> bool:
    """Whether `model` thinks by levels and wants its signatures back: Gemini 3 and what follows."""
    return "gemini" in model and _OF_OLD.search(model) is None


def write(asked: Conversation, model: str, drops: Drops, *, ids: bool) -> dict[str, Any]:
    """The body, before it is JSON. What cannot be said goes to `drops`; `ids`: the server takes ids of calls."""
    writer = Writer(drops, is_recent=takes_levels(model), ids=ids)
    system, contents = writer.messages(asked.messages)
    body: dict[str, Any] = {"contents": contents}
    if system:
        body["systemInstruction"] = {"parts": system}
    if asked.tools:
        body["tools"] = _tools(asked.tools, drops)
    if calling := _calling(asked):
        body["toolConfig"] = {"functionCallingConfig": calling}
    if generation := _generation(asked, model, drops):
        body["generationConfig"] = generation
    _account(asked, body, drops)
    for name in ("parallel_tools", "verbosity", "user"):
        # that several tools may be called at once is what Gemini does anyway
        if getattr(asked, name) not in (None, "", True):
            drops.add(name)
    _rest(asked, body, drops)
    return body


def _tools(tools: tuple[Tool | Opaque, ...], drops: Drops) -> list[dict[str, Any]]:
    declarations: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for at, tool in enumerate(tools):
        if isinstance(tool, Opaque):
            if tool.dialect == "gemini":
                others.append(tool.value)
            else:
                drops.add(tool.field)
            continue
        if tool.cache is not None:
            drops.add(f"tools[{at}].cache")
        declaration: dict[str, Any] = {"name": tool.name}
        if tool.description:
            declaration["description"] = tool.description
        if tool.schema is not None:
            declaration["parametersJsonSchema"] = tool.schema
        declarations.append(declaration)
    return [{"functionDeclarations": declarations}, *others] if declarations else others


def _calling(asked: Conversation) -> dict[str, Any] | None:
    """How tools may be called. Where arguments must follow their schemas that is VALIDATED; ANY sees to it anyway."""
    choice = asked.tool_choice
    is_strict = any(isinstance(tool, Tool) and tool.strict for tool in asked.tools)
    if choice is None or choice.mode == "auto":
        if is_strict:
            return {"mode": "VALIDATED"}
        return {"mode": "AUTO"} if choice is not None else None
    if choice.mode == "none":
        return {"mode": "NONE"}
    if choice.mode == "required" or not choice.names:
        return {"mode": "ANY"}
    return {"mode": "ANY", "allowedFunctionNames": list(choice.names)}


def _generation(asked: Conversation, model: str, drops: Drops) -> dict[str, Any]:
    if asked.seed is not None and not -_SEEDS <= asked.seed < _SEEDS:
        drops.add("seed", "it takes 32 bits")
    said = {
        "temperature": asked.temperature,
        "topP": asked.top_p,
        "topK": asked.top_k,
        "candidateCount": asked.choices,
        "maxOutputTokens": asked.max_output,
        "stopSequences": list(asked.stop) or None,
        "seed": asked.seed if asked.seed is None or -_SEEDS <= asked.seed < _SEEDS else None,
        "presencePenalty": asked.presence_penalty,
        "frequencyPenalty": asked.frequency_penalty,
        "responseLogprobs": True if asked.logprobs is not None else None,
        "logprobs": asked.logprobs or None,
        "thinkingConfig": _thinking(asked.thinking, model, drops) if asked.thinking is not None else None,
    }
    found: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    if asked.format is not None:
        found["responseMimeType"] = "application/json"
        schema = asked.format.schema
        if schema is not None:
            described = asked.format.description and "description" not in schema
            found["responseJsonSchema"] = {**schema, "description": asked.format.description} if described else schema
    return found


def _thinking(thinking: Thinking, model: str, drops: Drops) -> dict[str, Any] | None:
    """A level or a budget, never both, which the API refuses."""
    found: dict[str, Any] = {}
    show = thinking.show if thinking.show is not None or not thinking.summary else True
    if thinking.summary not in ("", "auto", "none"):
        drops.add("thinking.summary")
    if show is not None:
        found["includeThoughts"] = show
    effort, budget = thinking.effort, thinking.budget
    if effort is not None and takes_levels(model):
        if effort == "none":
            drops.add("thinking", "this model always thinks")
        found["thinkingLevel"] = _LEVELS.get(effort, "MINIMAL")
    elif budget is not None and (budget >= 0 or effort is None):
        found["thinkingBudget"] = budget
    elif effort is not None:
        found["thinkingBudget"] = _BUDGETS[effort]
    return found or None


def _account(asked: Conversation, body: dict[str, Any], drops: Drops) -> None:
    """The tier of service, and labels where the metadata are such."""
    if asked.service_tier:
        tier = _TIERS.get(asked.service_tier)
        if tier is None:
            drops.add("service_tier")
        elif tier:
            body["serviceTier"] = tier
    if asked.metadata:
        fits = {
            name: value
            for name, value in asked.metadata.items()
            if _LABEL_NAME.fullmatch(name) and _LABEL_VALUE.fullmatch(value)
        }
        if len(fits) < len(asked.metadata):
            drops.add("metadata", "labels are small letters, digits, `-` and `_`")
        if fits:
            body["labels"] = fits


def _rest(asked: Conversation, body: dict[str, Any], drops: Drops) -> None:
    """What only the source knows; Gemini's own goes back to where it stood."""
    for path, value in asked.rest.items():
        if asked.source != "gemini" or "[" in path:
            drops.add(path)
            continue
        *way, name = path.split(".")
        place = body
        for step in way:
            place = place.setdefault(step, {})
        place[name] = value
