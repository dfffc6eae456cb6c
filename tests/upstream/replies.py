"""Replies as providers send them, each with what is to be understood by it."""

from __future__ import annotations

import gzip
from dataclasses import dataclass

SSE = b"".join(b'data: {"n": %d, "text": "w\xc3\xb6rd"}\n\n' % at for at in range(3)) + b"data: [DONE]\n\n"
JSON = b'{"id": "chatcmpl-1", "choices": [{"message": {"content": "Gr\xc3\xbc\xc3\x9fe"}}]}'
GZIPPED = gzip.compress(JSON, mtime=0)


@dataclass(frozen=True, slots=True)
class Recorded:
    """Bytes on the wire; `closes`: the provider then closes; `keeps`: the connection may serve again."""

    name: str
    wire: bytes
    body: bytes
    status: int = 200
    media_type: bytes = b"application/json"
    closes: bool = False
    keeps: bool = True


def chunked(body: bytes, size: int, trailers: bytes = b"") -> bytes:
    """`body` in chunks of `size` bytes, with trailer lines before the end."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailers + b"\r\n"


def head(*lines: bytes, status: bytes = b"200 OK", media_type: bytes = b"application/json") -> bytes:
    """Status line and headers."""
    return b"\r\n".join([b"HTTP/1.1 " + status, b"Content-Type: " + media_type, *lines]) + b"\r\n\r\n"


def sized(body: bytes, *lines: bytes, status: bytes = b"200 OK") -> bytes:
    """A reply that says its length."""
    return head(b"Content-Length: %d" % len(body), *lines, status=status) + body


EVENTS = b"text/event-stream"

RECORDED = [
    Recorded("json", sized(JSON, b"X-Request-Id: r1"), JSON),
    Recorded("empty", sized(b""), b""),
    Recorded("error", sized(JSON, b"Retry-After: 3", status=b"429 Too Many Requests"), JSON, 429),
    Recorded(
        "stream with trailers",
        head(b"Transfer-Encoding: chunked", media_type=EVENTS) + chunked(SSE, 29, b"X-Cost: 1\r\nX-Two: 2\r\n"),
        SSE,
        media_type=EVENTS,
    ),
    Recorded(
        "stream with chunk extensions",
        head(b"Transfer-Encoding: Chunked", media_type=EVENTS) + b"5;a=b\r\nhello\r\n0;last\r\n\r\n",
        b"hello",
        media_type=EVENTS,
    ),
    Recorded(
        "interim replies",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 7\r\n\r\n"
        + sized(JSON),
        JSON,
    ),
    Recorded("no content", b"HTTP/1.1 204 No Content\r\nContent-Type: application/json\r\n\r\n", b"", 204),
    Recorded("not modified", head(b"Content-Length: 99", status=b"304 Not Modified"), b"", 304),
    Recorded("until the end", head() + JSON, JSON, closes=True, keeps=False),
    Recorded("asked to close", sized(JSON, b"Connection: close"), JSON, keeps=False),
    Recorded("old", sized(JSON).replace(b"1.1", b"1.0"), JSON, keeps=False),
    Recorded("old but kept", sized(JSON, b"Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0"), JSON),
    Recorded("gzip", sized(GZIPPED, b"Content-Encoding: gzip"), JSON),
    Recorded(
        "gzip in chunks", head(b"Content-Encoding: gzip", b"Transfer-Encoding: chunked") + chunked(GZIPPED, 11), JSON
    ),
]
