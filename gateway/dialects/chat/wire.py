"""A chat completion's request as it stands in JSON, with the members that are understood.

Source: https://platform.openai.com/docs/api-reference/chat/create, component `CreateChatCompletionRequest`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from gateway.dialects.chat.reasoning import Detail
from gateway.model.conversation import CacheTtl, Effort

AUDIO = {"wav": "audio/wav", "mp3": "audio/mpeg"}
"""`input_audio.format` and what it is called elsewhere."""


class CacheControl(msgspec.Struct):
    ttl: CacheTtl | None = None


class ImageUrl(msgspec.Struct):
    url: str
    detail: str | None = None


class InputAudio(msgspec.Struct):
    data: str
    format: str


class File(msgspec.Struct):
    filename: str | None = None
    file_data: str | None = None
    file_id: str | None = None


class Part(msgspec.Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | None = None
    video_url: ImageUrl | None = None
    input_audio: InputAudio | None = None
    file: File | None = None
    prompt_cache_breakpoint: dict[str, Any] | None = None
    cache_control: CacheControl | None = None
    thinking: Any = None
    signature: str | None = None


class Function(msgspec.Struct):
    name: str
    arguments: str = ""


class Call(msgspec.Struct):
    id: str = ""
    type: str = "function"
    function: Function | None = None
    extra_content: Any = None


class AudioId(msgspec.Struct):
    id: str


class Message(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    name: str | None = None
    refusal: str | None = None
    audio: AudioId | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None
    function_call: Function | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    reasoning_details: list[Detail] | None = None
    images: list[Part] | None = None
    annotations: Any = None  # of an answer that comes back: they tell the model nothing
    cache_control: CacheControl | None = None


class FunctionObject(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(msgspec.Struct):
    type: str
    function: FunctionObject | None = None
    cache_control: CacheControl | None = None


class JsonSchema(msgspec.Struct):
    name: str
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


class ResponseFormat(msgspec.Struct):
    type: str
    json_schema: JsonSchema | None = None


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Request(msgspec.Struct):
    messages: list[Message]
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Effort | None = None
    verbosity: str | None = None
    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[str, str] | None = None
    service_tier: str | None = None
    stream_options: StreamOptions | None = None
    functions: list[FunctionObject] | None = None
    function_call: str | Function | None = None
