"""A chat completion, or a chunk of one, as it stands in JSON, with the members that are understood.

Source: https://platform.openai.com/docs/api-reference/chat, components `CreateChatCompletionResponse` and
`CreateChatCompletionStreamResponse`. Beside OpenAI's own members these of compatible servers are read: thoughts
(`reasoning_content`, `reasoning`, `reasoning_details`, parts of type `thinking`), `images`, `extra_content` and vLLM's
`stop_reason`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.dialects import openai
from gateway.dialects.chat.reasoning import Detail


class Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: Function | None = None
    custom: dict[str, Any] | None = None
    extra_content: Any = None


class Part(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    thinking: Any = None


class UrlCitation(msgspec.Struct):
    url: str = ""
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class Annotation(msgspec.Struct):
    type: str = ""
    url_citation: UrlCitation | None = None


class Audio(msgspec.Struct):
    data: str | None = None
    transcript: str | None = None


class ImageUrl(msgspec.Struct):
    url: str = ""


class Image(msgspec.Struct):
    image_url: ImageUrl | None = None


class Delta(msgspec.Struct):
    content: str | list[Part] | None = None
    tool_calls: list[Call] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Detail] | None = None
    refusal: str | None = None
    annotations: list[Annotation] | None = None
    audio: Audio | None = None
    images: list[Image] | None = None
    function_call: Function | None = None


class Logprobs(msgspec.Struct):
    content: list[dict[str, Any]] | None = None
    refusal: list[dict[str, Any]] | None = None


class Choice(msgspec.Struct):
    index: int = 0
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None
    stop_reason: str | int | None = None


class Reply(msgspec.Struct):
    id: str | None = None
    created: int | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: openai._Usage | None = None
    error: openai._Problem | None = None
    service_tier: str | None = None


_decode = msgspec.json.Decoder(Reply).decode


def parse(body: bytes) -> Reply:
    """`body` as far as it can be understood. Raises `ValueError` if it is no JSON object or array."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, RecursionError):
        # of an unusual shape: then at least what the light decoder makes of it
        return msgspec.convert(_sound(msgspec.to_builtins(openai._read_leniently(body))), Reply)


def _sound(value: Any) -> Any:
    """`value` without halves of characters, which Python's encoder writes and no UTF-8 can hold."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_sound(one) for one in value]
    return {name: _sound(one) for name, one in value.items()} if isinstance(value, dict) else value
