"""The response object, which Responses repeat whole in the first and the last events of a stream.

Source: https://platform.openai.com/docs/api-reference/responses/object, component `Response`. It says again what was
asked for (`Head.asked`), with the API's defaults where nothing was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.dialects.base import Head
from gateway.errors import GatewayError
from gateway.model.events import StopReason, UsageReport
from gateway.model.usage import Usage

_DEFAULTS: dict[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": False,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
_NOT_NULL = ("prompt", "user")
"""Members that the published schema has no null for: they are left out where there is nothing to say."""

_TIERS = {
    "auto": "auto",
    "default": "default",
    "flex": "flex",
    "scale": "scale",
    "priority": "priority",
    "fast": "fast",
    "ultrafast": "ultrafast",
    "standard": "default",
}
"""`service_tier` of an answer, by the word of whoever served it. Others have no word in OpenAI's API."""

_REASONS: dict[StopReason, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}


def response_id(head: Head) -> str:
    """The id of the response, from ours for the call."""
    return head.id if head.id.startswith("resp_") else f"resp_{head.id}"


def begun(head: Head) -> dict[str, Any]:
    """A response of which nothing is known but what was asked for."""
    found: dict[str, Any] = {
        "id": response_id(head),
        "object": "response",
        "created_at": head.created,
        "status": "in_progress",
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "model": head.model,
        "output": [],
    }
    for name, default in _DEFAULTS.items():
        said = head.asked.get(name)
        found[name] = default if said is None else _repeated(name, said)
        if found[name] is None and name in _NOT_NULL:
            del found[name]
    return found


def _repeated(name: str, said: Any) -> Any:
    """A member as the answer repeats it: a tool says all that it is, and a text its format."""
    if name == "tools" and isinstance(said, list):
        return [_tool(one) for one in said]
    if name == "text" and isinstance(said, Mapping):
        return {**_DEFAULTS["text"], **said}
    return said


def _tool(said: Any) -> Any:
    if not isinstance(said, Mapping) or said.get("type") != "function":
        return said
    return {"description": None, "parameters": None, "strict": None, **said}


def incomplete(reason: StopReason | None, *, refused: bool) -> str:
    """Why an answer is not whole, in OpenAI's word; empty if it is. A refusal without words was filtered."""
    if reason == "refusal":
        return "" if refused else "content_filter"
    return _REASONS.get(reason or "stop", "")


def ended(response: dict[str, Any], output: list[Any], why: str, report: UsageReport | None) -> None:
    """Complete `response`, or leave it incomplete for the reason `why`."""
    response["status"] = "incomplete" if why else "completed"
    response["incomplete_details"] = {"reason": why} if why else None
    response["completed_at"] = None if why else response["created_at"]
    _fill(response, output, report)


def failed(response: dict[str, Any], output: list[Any], error: GatewayError, report: UsageReport | None) -> None:
    """`response` ends in `error`, for which OpenAI has few codes."""
    response["status"] = "failed"
    code = "rate_limit_exceeded" if error.status == 429 else "server_error"
    response["error"] = {"code": code, "message": error.message}
    _fill(response, output, report)


def _fill(response: dict[str, Any], output: list[Any], report: UsageReport | None) -> None:
    response["output"] = output
    if report is not None:
        response["usage"] = _usage(report.usage)
        response["service_tier"] = _TIERS.get(report.tier, response["service_tier"])


def _usage(usage: Usage) -> dict[str, Any]:
    """Counts by kind. `cache_write_tokens` includes those kept for an hour, which have no member of their own."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
