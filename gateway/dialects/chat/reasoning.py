"""Thoughts in chat completions, for which OpenAI has no words: those of DeepSeek and of OpenRouter.

`reasoning_content` is the text. What proves a thought to its provider (a signature, an encrypted thought) goes in
`reasoning_details`, and must come back there: https://openrouter.ai/docs/use-cases/reasoning-tokens. A thought without
such proof is text only.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.model.conversation import Reasoning


class Detail(msgspec.Struct):
    """One entry of `reasoning_details`: of `type` reasoning.text, reasoning.summary or reasoning.encrypted."""

    type: str = ""
    text: str | None = None
    summary: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    index: int | None = None


def is_same(one: Detail, other: Detail) -> bool:
    """Both are of one thought: they have its number, or its id."""
    return (one.index is not None and one.index == other.index) or bool(one.id and one.id == other.id)


def read(details: list[Detail]) -> list[Reasoning]:
    """Thoughts in order; entries of the same number or id are one."""
    found: list[Reasoning] = []
    for at, detail in enumerate(details):
        thought = Reasoning(text_of(detail), detail.signature or "", detail.data or "", detail.id or "")
        if at and is_same(detail, details[at - 1]):
            last = found.pop()
            thought = Reasoning(
                last.text + thought.text,
                thought.signature or last.signature,
                thought.redacted or last.redacted,
                last.id or thought.id,
            )
        found.append(thought)
    return [thought for thought in found if thought != Reasoning(id=thought.id)]


def text_of(detail: Detail) -> str:
    """Its words, or those of the summary."""
    return detail.text or detail.summary or ""


def write(thought: Reasoning, at: int) -> list[dict[str, Any]]:
    """The entries for thought number `at` of those that are proved; none where its text says it all."""
    named = {"index": at, "id": thought.id} if thought.id else {"index": at}
    if thought.redacted:
        hidden = {"type": "reasoning.encrypted", "data": thought.redacted, **named}
        if thought.signature:
            hidden["signature"] = thought.signature
        summary = {"type": "reasoning.summary", "summary": thought.text, **named}
        return [summary, hidden] if thought.text else [hidden]
    if thought.signature:
        return [{"type": "reasoning.text", "text": thought.text, "signature": thought.signature, **named}]
    return []


def words(thinking: Any) -> str:
    """The text of a part of type `thinking`: Anthropic's is a string, Mistral's are parts of text."""
    if isinstance(thinking, str):
        return thinking
    listed = thinking if isinstance(thinking, list) else []
    return "".join(str(part.get("text", "")) for part in listed if isinstance(part, dict))
