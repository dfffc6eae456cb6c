"""ASGI's shapes, and the few things that every handler does with them.

Hot handlers are plain ASGI: Starlette's Request and Response cost 25 us a call.
Source: https://asgi.readthedocs.io/en/latest/specs/www.html.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from gateway.errors import ClientGone, InvalidRequest, TooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def declared_length(headers: dict[bytes, bytes]) -> int | None:
    """What Content-Length says; None if it says nothing, as with a chunked body."""
    value = headers.get(b"content-length")
    if value is None:
        return None
    if not value.isdigit() or len(value) > 18:
        raise InvalidRequest("Content-Length must be a number of bytes.", code="malformed_http")
    return int(value)


def check_length(headers: dict[bytes, bytes], limit: int) -> int | None:
    """The declared length of a body that may be read. Raises `TooLarge` before a byte of it is."""
    if (coding := headers.get(b"content-encoding")) is not None and coding.strip().lower() != b"identity":
        raise InvalidRequest(
            "Compressed bodies are not taken; send the body plain.", code="unsupported_content_encoding"
        )
    length = declared_length(headers)
    if length is not None and length > limit:
        raise _too_large(limit)
    return length


def refuse_idempotency(headers: dict[bytes, bytes]) -> None:
    """For endpoints whose bodies are not held: to pass over the header would be to bill a retry twice in silence."""
    if b"idempotency-key" in headers:
        raise InvalidRequest(
            "`Idempotency-Key` is honoured for JSON calls that name a model, not for files, forms and batches; leave "
            "it out here.",
            code="idempotency_not_supported",
        )


async def read_body(receive: Receive, headers: dict[bytes, bytes], limit: int) -> bytes:
    """All of a body, at most `limit` bytes. Raises `TooLarge`, `ClientGone`."""
    check_length(headers, limit)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")  # the usual request is one message
        if len(body) > limit:
            raise _too_large(limit)
        return body
    pieces = bytearray()
    while message["type"] == "http.request":
        pieces += message.get("body", b"")
        if len(pieces) > limit:
            raise _too_large(limit)
        if not message.get("more_body"):
            return bytes(pieces)
        message = await receive()
    raise ClientGone("The client left before its body was complete.")


async def stream_body(receive: Receive, limit: int) -> AsyncIterator[bytes]:
    """A body in pieces as it arrives. Raises `TooLarge`, `ClientGone`."""
    seen = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone("The client left before its body was complete.")
        piece: bytes = message.get("body", b"")
        seen += len(piece)
        if seen > limit:
            raise _too_large(limit)
        if piece:
            yield piece
        if not message.get("more_body"):
            return


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes, the limit of this endpoint.")
