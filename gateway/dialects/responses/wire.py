"""A request of OpenAI's Responses API as it stands in JSON, with the members that are understood.

Source: https://platform.openai.com/docs/api-reference/responses/create, component `CreateResponse`. Items and parts
are read one by one, by their `type`: those that only this API has are kept as they are.
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeVar

import msgspec

from gateway.errors import InvalidRequest
from gateway.model.conversation import Effort

_T = TypeVar("_T")


class Message(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[dict[str, Any]]
    type: str = "message"
    id: str | None = None
    status: str | None = None


class InputAudio(msgspec.Struct):
    data: str
    format: str


class Content(msgspec.Struct):
    """A part of a message, or of what a tool gave back."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    file_data: str | None = None
    filename: str | None = None
    detail: str | None = None
    input_audio: InputAudio | None = None
    annotations: list[dict[str, Any]] | None = None
    logprobs: Any = None  # of an answer that comes back: they tell the model nothing
    prompt_cache_breakpoint: dict[str, Any] | None = None


class FunctionCall(msgspec.Struct):
    call_id: str
    name: str
    arguments: str
    type: str = ""
    id: str | None = None
    status: str | None = None
    created_by: str | None = None
    extra_content: Any = None


class FunctionOutput(msgspec.Struct):
    """Of a function, or of a tool that takes free text."""

    call_id: str
    output: str | list[dict[str, Any]]
    type: str = ""
    name: str | None = None
    id: str | None = None
    status: str | None = None
    created_by: str | None = None


class Thought(msgspec.Struct):
    text: str = ""
    type: str = ""


class Reasoning(msgspec.Struct):
    type: str = ""
    id: str | None = None
    summary: list[Thought] | None = None
    content: list[Thought] | None = None
    encrypted_content: str | None = None
    status: str | None = None


class Function(msgspec.Struct):
    """A tool of type `function`."""

    name: str
    type: str = ""
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Format(msgspec.Struct):
    type: str
    name: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


class TextOptions(msgspec.Struct):
    format: Format | None = None
    verbosity: str | None = None


class Thinking(msgspec.Struct):
    effort: Effort | None = None
    summary: str | None = None
    generate_summary: str | None = None  # the former word for `summary`


class Request(msgspec.Struct):
    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    include: list[str] | None = None
    text: TextOptions | None = None
    reasoning: Thinking | None = None
    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[str, str] | None = None
    service_tier: str | None = None
    store: bool | None = None


def convert(value: Any, kind: type[_T], path: str = "") -> _T:
    """`value`, which stands at `path`, as `kind`. Raises `InvalidRequest` that names the member."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _invalid(error, path) from None


def _invalid(error: msgspec.ValidationError, path: str) -> InvalidRequest:
    """msgspec's `Expected `str`, got `int` - at `$.text.verbosity``, in our words."""
    what, _, place = str(error).partition(" - at `$")
    absent = re.search(r"missing required field `(\w+)`", what)
    param = (path + place.rstrip("`") + (f".{absent[1]}" if absent else "")).lstrip(".")
    code = "missing_field" if absent else "invalid_type" if what.startswith("Expected") else "invalid_value"
    return InvalidRequest(f"`{param or 'body'}` is not as it should be: {what}.", code=code, param=param or None)


def missing(param: str) -> InvalidRequest:
    """The member at `param` must be there."""
    return InvalidRequest(f"`{param}` is missing.", code="missing_field", param=param)
