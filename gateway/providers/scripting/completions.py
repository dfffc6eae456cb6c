"""`POST /v1/completions`, the older form: one text for each prompt.

Source: https://platform.openai.com/docs/api-reference/completions, component `CreateCompletionResponse`.
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway.model.usage import Usage
from gateway.providers.scripting import tokens
from gateway.providers.scripting.chat import (
    DONE,
    EVENT_STREAM,
    FINGERPRINT,
    choices_of,
    limit_of,
    said,
    stops_of,
)
from gateway.providers.scripting.play import Answer
from gateway.providers.scripting.refusals import wrong
from gateway.providers.scripting.request import text_of
from gateway.providers.scripting.scene import Scene, openai_usage

Said = tuple[int, str, str]
"""Index, text and finish reason."""


def answer(scene: Scene) -> Answer:
    """The whole answer. Raises `Refused` if the request is not one."""
    question = scene.question
    prompts = _prompts(question.body.get("prompt", "<|endoftext|>"))
    choices = [_choice(scene, index) for index in range(len(prompts) * choices_of(question))]
    usage = scene.usage(sum(map(_input_tokens, prompts)), sum(tokens.count(text) for _, text, _ in choices))
    head: dict[str, Any] = {
        "id": scene.id("cmpl-"),
        "object": "text_completion",
        "created": scene.now,
        "model": question.model,
        "system_fingerprint": FINGERPRINT,
        **scene.reply.extra,
    }
    if question.stream:
        return _stream(scene, choices, usage, head)
    body = {**head, "choices": [_object(*one) for one in choices], **scene.told(openai_usage(usage))}
    return Answer((orjson.dumps(body),), id=head["id"], model=question.model, usage=usage)


def _prompts(prompt: Any) -> list[Any]:
    """A text, a list of texts, a list of tokens, or a list of such lists, as a list of prompts."""
    if isinstance(prompt, str):
        return [prompt]
    if isinstance(prompt, list) and prompt:
        return [prompt] if isinstance(prompt[0], int) else prompt
    raise wrong("prompt", "Invalid value for 'prompt': expected a text or a list that is not empty.")


def _input_tokens(prompt: Any) -> int:
    if isinstance(prompt, str):
        return tokens.count(text_of(prompt))
    if isinstance(prompt, list):
        return len(prompt)
    raise wrong("prompt", "Invalid value for 'prompt': expected texts, or lists of tokens.")


def _choice(scene: Scene, index: int) -> Said:
    text, is_cut = tokens.shorten(said(scene, index), limit_of(scene.question), stops_of(scene.question))
    return index, text, scene.reply.finish_reason or ("length" if is_cut else "stop")


def _object(index: int, text: str, finish: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}


def _stream(scene: Scene, choices: list[Said], usage: Usage, head: dict[str, Any]) -> Answer:
    options = scene.question.body.get("stream_options")
    asked = isinstance(options, dict) and options.get("include_usage") is True
    where = scene.reply.stream_usage
    told = openai_usage(usage) if scene.tells_usage and (asked or where != "asked") else None
    null: dict[str, Any] = {"usage": None} if told is not None and where != "last" else {}
    parts: list[bytes] = []
    carries: list[bool] = []
    for index, text, finish in choices:
        for piece in tokens.pieces(text, scene.reply.chunk):
            parts.append(_event({**head, "choices": [_object(index, piece, None)], **null}))
            carries.append(True)
        last = {"usage": told} if where == "last" and told and index == choices[-1][0] else null
        parts.append(_event({**head, "choices": [_object(index, "", finish)], **last}))
        carries.append(False)
    if told is not None and where != "last":
        parts.append(_event({**head, "choices": [], "usage": told}))
        carries.append(False)
    parts.append(DONE)
    carries.append(False)
    return Answer(
        tuple(parts),
        content_type=EVENT_STREAM,
        id=head["id"],
        model=scene.question.model,
        usage=usage,
        tokens=tokens.spread(usage.output_tokens, carries),
    )


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"
