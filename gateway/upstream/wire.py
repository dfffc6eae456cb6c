"""What the gateway says to a provider and hears from it: a request, a reply whose body arrives in pieces.

Whatever offers `send` can stand for a provider: the network pool (`pool.py`), the script player (`scripted.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Protocol

from gateway.errors import GatewayError
from gateway.model.route import Timeouts as Timeouts

Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Request:
    """One request under a provider's base: `target` begins with a slash and may carry a query.

    `headers` are those that differ from call to call; the provider's own (host, key, content coding) are added by
    whoever sends. `length` is the length in bytes of an iterated body where it is known; `None` sends it chunked.
    `on_send` is called before the first byte goes out, once a connection is there; what it raises keeps the request
    from being sent. `retries` counts how often it was sent again because a reused connection had died.
    """

    method: str
    target: str
    body: bytes | AsyncIterator[bytes] | None = None
    headers: Headers = field(default_factory=list)
    timeouts: Timeouts = field(default_factory=Timeouts)
    length: int | None = None
    on_send: Callable[[], None] | None = None
    retries: int = 0


class Reply(Protocol):
    """A reply whose head is known and whose body may still be on its way."""

    status: int
    headers: Headers
    """Names in lower case."""

    async def read(self) -> bytes:
        """The next bytes of the body as they arrive; `b""` is the clean end. Raises `UpstreamError`."""

    async def read_all(self, limit: int) -> bytes:
        """The whole body; `BrokenReply` if it is longer than `limit` bytes."""

    def close(self) -> None:
        """Done with it, early or not; may be called twice."""

    def fail(self, error: GatewayError) -> None:
        """Wake whoever reads with this error: a deadline passed, the client left."""


class Upstream(Protocol):
    """One provider, as something that can be sent a request."""

    async def send(self, request: Request) -> Reply:
        """Send, and return when the reply's head is here. Raises `UpstreamError`."""

    async def aclose(self) -> None:
        """Drop every connection."""


def header(headers: Headers, name: bytes) -> bytes | None:
    """The first value of `name` (lower case), or None."""
    for key, value in headers:
        if key == name:
            return value
    return None
