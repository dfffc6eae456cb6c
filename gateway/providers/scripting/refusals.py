"""Requests that a vendor would refuse, in OpenAI's words and shape."""

from __future__ import annotations

from typing import Any

import orjson


class Refused(Exception):
    """The request cannot be answered: an HTTP status and OpenAI's error object."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = error_body(message, type, param, code)


def error_body(message: str, type: str, param: str | None, code: str | None) -> bytes:
    """OpenAI's error object as JSON."""
    return orjson.dumps({"error": {"message": message, "type": type, "param": param, "code": code}})


def no_model(model: str) -> Refused:
    """The model is not one of the script's."""
    return Refused(404, f"The model `{model}` does not exist or you do not have access to it.", code="model_not_found")


def no_path(method: str, path: str) -> Refused:
    """No such endpoint."""
    return Refused(404, f"Unknown request URL: {method} {path}. Please check the URL for typos.", code="unknown_url")


def no_method(method: str, path: str) -> Refused:
    """The endpoint is there, the method is not."""
    return Refused(405, f"Not allowed to {method} on {path}.", code="method_not_supported")


def no_object(kind: str, id: str) -> Refused:
    """No such file or batch."""
    return Refused(404, f"No such {kind}: {id}", param="id", code="not_found")


def wrong(param: str, message: str) -> Refused:
    """A parameter is missing or of the wrong kind."""
    return Refused(400, message, param=param)


def json_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object. Raises `Refused`."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refused(400, "We could not parse the JSON body of your request. It must be valid JSON.") from None
    if not isinstance(value, dict):
        raise Refused(400, "The JSON body of your request must be an object.")
    return value
