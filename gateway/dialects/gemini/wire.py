"""What a Gemini reply looks like, as far as the gateway reads it, and what its reasons mean.

Source: https://ai.google.dev/api/generate-content (`GenerateContentResponse`), and for Vertex AI, which sends the same,
https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/GenerateContentResponse. Replies are decoded by
type (msgspec), which reads past what is not named here without building it.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeVar

import msgspec

from gateway.model.events import StopReason

_Count = Annotated[int, msgspec.Meta(le=1_000_000_000)]
"""A number of tokens. One that no call can use is a fault of its provider's and no count."""


_T = TypeVar("_T")


class _Wire(msgspec.Struct, rename="camel"):
    """Members have the names that JSON gives them, in snake case."""


class Call(_Wire):
    """`functionCall`. `partial_args` and `will_continue` come only where arguments are streamed (Vertex AI)."""

    name: str | None = None
    id: str | None = None
    args: msgspec.Raw = msgspec.Raw()  # JSON text as it came
    partial_args: list[PartialArg] | None = None
    will_continue: bool | None = None


class PartialArg(_Wire):
    """One argument, or a piece of a string, at `json_path`."""

    json_path: str = "$"
    string_value: str | None = None
    number_value: float | int | None = None
    bool_value: bool | None = None
    null_value: str | None = None


class Blob(_Wire):
    """`inlineData`: base64."""

    mime_type: str = ""
    data: str = ""


class FileData(_Wire):
    """`fileData`."""

    file_uri: str = ""
    mime_type: str = ""


class Part(_Wire):
    """A part of an answer."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: Call | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    part_metadata: dict[str, Any] | None = None
    executable_code: dict[str, Any] | None = None
    code_execution_result: dict[str, Any] | None = None
    tool_call: dict[str, Any] | None = None
    tool_response: dict[str, Any] | None = None


OPAQUE = (
    ("executableCode", "executable_code"),
    ("codeExecutionResult", "code_execution_result"),
    ("toolCall", "tool_call"),
    ("toolResponse", "tool_response"),
)
"""Parts that only Gemini has: code that it ran, tools that it used."""


class Content(_Wire):
    """The parts of one candidate."""

    parts: list[Part] | None = None


class Token(_Wire):
    """A token and its log-probability."""

    token: str = ""
    log_probability: float | None = None


class TopTokens(_Wire):
    """The likeliest tokens at one place."""

    candidates: list[Token] | None = None


class Logprobs(_Wire):
    """`logprobsResult`."""

    chosen_candidates: list[Token] | None = None
    top_candidates: list[TopTokens] | None = None


class Candidate(_Wire):
    """One answer. What tells of its sources is kept as it came, and seldom there."""

    index: int = 0
    content: Content | None = None
    finish_reason: str | None = None
    logprobs_result: Logprobs | None = None
    grounding_metadata: dict[str, Any] | None = None
    citation_metadata: dict[str, Any] | None = None


class Modality(_Wire):
    """Tokens of one kind of content."""

    modality: str = ""
    token_count: _Count = 0


class Counts(_Wire):
    """`usageMetadata`."""

    prompt_token_count: _Count | None = None
    cached_content_token_count: _Count | None = None
    candidates_token_count: _Count | None = None
    thoughts_token_count: _Count | None = None
    tool_use_prompt_token_count: _Count | None = None
    total_token_count: _Count | None = None
    prompt_tokens_details: list[Modality] | None = None
    cache_tokens_details: list[Modality] | None = None
    candidates_tokens_details: list[Modality] | None = None
    tool_use_prompt_tokens_details: list[Modality] | None = None
    traffic_type: str | None = None
    service_tier: str | None = None


class Feedback(_Wire):
    """`promptFeedback`: why the prompt was not answered."""

    block_reason: str | None = None


class Problem(_Wire):
    """`error`, as Google writes it."""

    message: str | None = None


class Reply(_Wire):
    """One chunk of a stream, or all of an answer."""

    candidates: list[Candidate] | None = None
    usage_metadata: Counts | None = None
    model_version: str | None = None
    response_id: str | None = None
    prompt_feedback: Feedback | None = None
    error: Problem | None = None


_decode = msgspec.json.Decoder(Reply).decode


def read_reply(body: bytes) -> Reply:
    """`body` as far as it can be understood. Raises `ValueError` if it is neither a JSON object nor an array of them.

    An error that comes inside an array of one, as Google sends it where an array was asked for, is read too.
    """
    try:
        return _decode(body)
    except (msgspec.DecodeError, RecursionError):
        return _read_leniently(body)


def _read_leniently(body: bytes) -> Reply:
    """What it used is read whatever else is odd in it: an answer must not be free because of a field."""
    try:
        whole = json.loads(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if isinstance(whole, list):
        whole = whole[0] if whole else {}
    if not isinstance(whole, dict):
        raise ValueError("not an object")
    error = whole.get("error")
    reply = Reply(
        usage_metadata=_members(whole.get("usageMetadata"), Counts),
        model_version=_converted(whole.get("modelVersion"), str),
        response_id=_converted(whole.get("responseId"), str),
        prompt_feedback=_converted(whole.get("promptFeedback"), Feedback),
        error=(_converted(error, Problem) or Problem(str(error))) if error else None,
    )
    if isinstance(listed := whole.get("candidates"), list):
        reply.candidates = [_any_candidate(one) for one in listed if isinstance(one, dict)]
    return reply


def _converted(value: object, kind: type[_T]) -> _T | None:
    try:
        return msgspec.convert(value, kind, strict=False) if value is not None else None
    except msgspec.ValidationError:
        return None


def _members(found: object, kind: type[_T]) -> _T | None:
    """Those members of `found` that are as they should be."""
    if not isinstance(found, dict):
        return None
    sound = {name: value for name, value in found.items() if _converted({name: value}, kind) is not None}
    return _converted(sound, kind)


def _any_candidate(found: dict[str, Any]) -> Candidate:
    """The parts and the end of a candidate of an unusual shape."""
    index, reason, content = found.get("index"), found.get("finishReason"), found.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    return Candidate(
        index if isinstance(index, int) else 0,
        Content([_any_part(part) for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []),
        reason if isinstance(reason, str) else None,
    )


def _any_part(found: dict[str, Any]) -> Part:
    try:
        return msgspec.json.decode(json.dumps(found), type=Part)
    except (msgspec.DecodeError, RecursionError):
        text = found.get("text")
        return Part(text if isinstance(text, str) else None)


STOPS: dict[str, StopReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "ESCALATION": "content_filter",
    "CONTINUATION": "pause",
    "OTHER": "other",
    "MALFORMED_FUNCTION_CALL": "other",
    "UNEXPECTED_TOOL_CALL": "other",
    "TOO_MANY_TOOL_CALLS": "other",
    "MISSING_THOUGHT_SIGNATURE": "other",
    "MALFORMED_RESPONSE": "other",
    "IMAGE_OTHER": "other",
    "NO_IMAGE": "other",
    "PUP_LIMITED_DISABLED": "other",
}
"""Finish reasons. `STOP` is `tool_calls` where a function was called; a reason not known here is `other`."""

UNFINISHED = "FINISH_REASON_UNSPECIFIED"
"""The zero of the enumeration: nothing is said yet."""

REASONS: dict[StopReason, str] = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "refusal": "PROHIBITED_CONTENT",
    "pause": "CONTINUATION",
    "other": "OTHER",
}
