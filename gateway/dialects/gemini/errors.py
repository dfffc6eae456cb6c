"""Errors as Google's APIs write them.

Source: https://google.aip.dev/193 (the shape) and google/rpc/code.proto (the status that goes with each HTTP code).
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway.errors import GatewayError

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_DETAIL = "type.googleapis.com/google.rpc."


def status_name(code: int) -> str:
    """The canonical status of an HTTP status."""
    return _STATUSES.get(code) or ("INVALID_ARGUMENT" if 400 <= code < 500 else "INTERNAL")


def error_body(error: GatewayError) -> bytes:
    """`{"error": {"code", "message", "status", "details"}}`. Our code is the reason, in Google's spelling."""
    details: list[dict[str, Any]] = [
        {"@type": f"{_DETAIL}ErrorInfo", "reason": error.code.upper(), "domain": "gateway", "metadata": {}}
    ]
    if error.param is not None:
        violation = {"field": error.param, "description": error.message}
        details.append({"@type": f"{_DETAIL}BadRequest", "fieldViolations": [violation]})
    if error.retry_after_s is not None:
        details.append({"@type": f"{_DETAIL}RetryInfo", "retryDelay": f"{error.retry_after_s}s"})
    status = status_name(error.status)
    return orjson.dumps(
        {"error": {"code": error.status, "message": error.message, "status": status, "details": details}}
    )
