"""Errors in Anthropic's shape.

Source: https://platform.claude.com/docs/en/api/errors.
"""

from __future__ import annotations

import orjson

from gateway.errors import GatewayError

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def type_of(status: int) -> str:
    """Anthropic's word for an HTTP status."""
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")


def error_body(error: GatewayError, request_id: str = "") -> bytes:
    """`error` as Anthropic's clients raise it; `request_id` is ours for the call."""
    said = {"type": type_of(error.status), "message": error.message}
    return orjson.dumps({"type": "error", "error": said, "request_id": request_id or None})


def is_error(body: bytes) -> bool:
    """Whether `body` is an error as Anthropic writes them, which any of its clients can read."""
    return words_of_error(body) is not None


def words_of_error(body: bytes) -> str | None:
    """What an error of Anthropic's says; None if `body` is none."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    error = parsed.get("error") if isinstance(parsed, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else None
