"""Events to a whole chat completion, as OpenAI writes it: what a stream of them would add up to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from gateway.dialects.base import Head
from gateway.dialects.chat import pieces, reasoning, usage
from gateway.dialects.chat.write_messages import custom_call, signature
from gateway.model.completion import Choice, fold
from gateway.model.conversation import Media, Opaque, Reasoning, Refusal, Text, ToolCall
from gateway.model.events import Event


def unary(head: Head, events: Iterable[Event]) -> bytes:
    """The whole completion that `events` add up to."""
    found = fold(events)
    choices = found.choices or (Choice(),)
    body: dict[str, Any] = {
        "id": head.id,
        "object": "chat.completion",
        "created": head.created,
        "model": head.model,
        "choices": [_choice(head, index, choice) for index, choice in enumerate(choices)],
    }
    if found.usage is not None:
        body["usage"] = usage.write(found.usage)
    if found.tier in usage.TIERS:
        body["service_tier"] = usage.TIERS[found.tier]
    return orjson.dumps(body)


def _choice(head: Head, index: int, choice: Choice) -> dict[str, Any]:
    message = _message(head, index, choice)
    refused = message["refusal"] is not None
    return {
        "index": index,
        "message": message,
        "logprobs": pieces.logprobs(choice.logprobs, refused=refused) if choice.logprobs else None,
        "finish_reason": pieces.finish_reason(choice.stop, called="tool_calls" in message, refused=refused),
    }


def _message(head: Head, index: int, choice: Choice) -> dict[str, Any]:
    texts: list[str] = []
    more: dict[str, list[Any]] = {}
    thoughts: list[str] = []
    refusals: list[str] = []
    length = 0
    for part in choice.parts:
        match part:
            case Text():
                since, length = length, length + len(part.text)
                texts.append(part.text)
                for citation in part.citations:
                    if (found := pieces.annotation(citation, since, length)) is not None:
                        more.setdefault("annotations", []).append(found)
            case Reasoning():
                thoughts.append(part.text)
                details = reasoning.write(part, len(thoughts))
                if details:
                    more.setdefault("reasoning_details", []).extend(details)
            case Refusal():
                refusals.append(part.text)
            case ToolCall():
                calls = more.setdefault("tool_calls", [])
                calls.append(_call(part, part.id or pieces.made_id(head, index, len(calls))))
            case Media(kind="image"):
                more.setdefault("images", []).append(pieces.image(part, len(more.get("images", ()))))
            case Media(kind="audio") if part.data:
                more["audio"] = [pieces.audio(part, head, index)]
            case Opaque() if (custom := custom_call(part)) is not None:
                more.setdefault("tool_calls", []).append(custom)
            case _:
                pass
    only_other = not texts and (refusals or "tool_calls" in more or "audio" in more)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if only_other else "".join(texts),
        "refusal": "".join(refusals) if refusals else None,
    }
    if any(thoughts):
        message["reasoning_content"] = "".join(thoughts)
    audios = more.pop("audio", None)
    return {**message, **more, **({"audio": audios[0]} if audios else {})}


def _call(call: ToolCall, id_: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": id_,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
    if call.signature:
        found["extra_content"] = signature(call.signature)
    return found
