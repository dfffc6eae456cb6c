"""How much a model behind Converse shall think, in the words of its maker.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html and
claude-messages-adaptive-thinking.html, https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html.
"""

from __future__ import annotations

from typing import Any

from gateway.dialects.base import Drops
from gateway.dialects.converse.families import Family
from gateway.dialects.messages.writing import MIN_BUDGET
from gateway.model.conversation import Conversation, Effort, Thinking

_BUDGETS: dict[Effort, int] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 24576,
    "max": 32768,
}
"""Tokens for an effort, for models that know no efforts; as in `messages`, our own choice."""

_EFFORTS: dict[Effort, str] = {"minimal": "low"}
"""Efforts by Anthropic's names, where they differ."""

_LEVELS: dict[Effort, str] = {"minimal": "low", "xhigh": "high", "max": "high"}
"""Efforts by Amazon's and OpenAI's names, where they differ."""


def thinking(asked: Conversation, body: dict[str, Any], drops: Drops, family: Family) -> bool:
    """Say in `body` how much to think; whether it will."""
    wanted = asked.thinking
    if wanted is None:
        return False
    is_off = wanted.effort == "none" or wanted.budget == 0
    match family.thinks:
        case "claude":
            return _claude(asked, wanted, body, drops, family, is_off=is_off)
        case "nova":
            if not is_off and wanted.effort is None:
                drops.add("thinking", "this model takes an effort, not tokens")
                return False
            said: dict[str, Any] = {"type": "disabled"}
            if not is_off and wanted.effort is not None:
                said = {"type": "enabled", "maxReasoningEffort": _LEVELS.get(wanted.effort, wanted.effort)}
            _fields(body)["reasoningConfig"] = said
            return not is_off
        case "effort":
            if is_off or wanted.effort is None:
                drops.add("thinking", "this model always thinks, by an effort")
                return True
            _fields(body)["reasoning_effort"] = _LEVELS.get(wanted.effort, wanted.effort)
            return True
    if not is_off:
        drops.add("thinking", "not by this model, as far as its name tells")
    return False


def _claude(
    asked: Conversation, wanted: Thinking, body: dict[str, Any], drops: Drops, family: Family, *, is_off: bool
) -> bool:
    if wanted.effort not in (None, "none") and family.claude.adaptive:
        body["outputConfig"] = {"effort": _EFFORTS.get(wanted.effort, wanted.effort)}
    if is_off:
        _fields(body)["thinking"] = {"type": "disabled"}
        return False
    said = _amount(asked, wanted, drops, family)
    if said is None:
        return False
    if wanted.show is not None or wanted.summary:
        said["display"] = "omitted" if wanted.show is False else "summarized"
    _fields(body)["thinking"] = said
    if asked.tool_choice is not None and asked.tool_choice.mode in ("required", "named") and "toolConfig" in body:
        drops.add("tool_choice", "no tool can be forced together with thinking")
        body["toolConfig"].pop("toolChoice", None)
    return True


def _amount(asked: Conversation, wanted: Thinking, drops: Drops, family: Family) -> dict[str, Any] | None:
    budget, most = wanted.budget, asked.max_output
    if budget is not None and budget > 0:
        if not family.claude.budgets:
            drops.add("thinking", "this model takes an effort, not tokens")
        elif budget < MIN_BUDGET:
            drops.add("thinking", f"at least {MIN_BUDGET} tokens")
        elif most is not None and budget >= most:
            drops.add("thinking", "fewer tokens than the whole answer may have")
        else:
            return {"type": "enabled", "budget_tokens": budget}
        return None
    if budget is None and (asked.source == "messages" or (wanted.effort is None and not wanted.show)):
        return None  # in Anthropic's own words an effort alone leaves open whether to think
    if family.claude.adaptive:
        return {"type": "adaptive"}
    budget = _BUDGETS[wanted.effort or "medium"]
    if most is not None and budget >= most:
        budget = most // 2
        if budget < MIN_BUDGET:
            drops.add("thinking", f"it takes at least {MIN_BUDGET} tokens of an answer that may have more")
            return None
    return {"type": "enabled", "budget_tokens": budget}


def _fields(body: dict[str, Any]) -> dict[str, Any]:
    fields = body.setdefault("additionalModelRequestFields", {})
    assert isinstance(fields, dict)
    return fields
