"""One attempt to deliver: a signed POST over the gateway's own connections, and what came of it.

The pool resolves the name at each dial and refuses private addresses unless the endpoint allows them
(`gateway/upstream/resolve.py`), so that nobody who can write a URL into a configuration reaches the inner network by
it. It follows no redirect, keeps no cookie and asks no proxy. Of an answer only the status and `Retry-After` are read.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from gateway.errors import Unreachable, UpstreamError, UpstreamTimeout
from gateway.model.route import Timeouts
from gateway.upstream.pool import Origin, Pool
from gateway.upstream.pool import Outcome as PoolOutcome
from gateway.upstream.resolve import Resolver
from gateway.upstream.sweep import Sweep
from gateway.upstream.wire import Request, header
from gateway.webhooks.endpoint import Endpoint
from gateway.webhooks.signing import sign

CONNECTIONS: Final = 4
"""Attempts at once to one endpoint, by one worker."""
_BODY_BYTES: Final = 64 * 1024  # read off, so that the connection can be used again

Outcome = Literal[
    "ok",
    "redirect",
    "client_error",
    "server_error",
    "gone",
    "timeout",
    "refused",
    "dns",
    "tls",
    "address_refused",
    "broken",
]
"""What came of an attempt. `ok` is any 2xx, `gone` a 410; `refused` means that no connection could be made."""

_UNREACHABLE: Final[dict[str, Outcome]] = {
    "upstream_dns_error": "dns",
    "upstream_tls_error": "tls",
    "upstream_address_refused": "address_refused",
}


@dataclass(frozen=True, slots=True)
class Result:
    """How an attempt ended: `status` is 0 if no answer came, `retry_after_s` what the receiver asked for, if it did."""

    outcome: Outcome
    status: int = 0
    retry_after_s: float | None = None


class Sender:
    """Sends to one endpoint. `aclose` when done.

    `tls` is made here if it is not given, which takes some 20 ms: too long for a loop that serves calls.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        sweep: Sweep,
        resolver: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.endpoint = endpoint
        parts = urlsplit(endpoint.url)
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
        origin = Origin(
            scheme,
            parts.hostname or "",
            parts.port or {"http": 80, "https": 443}[scheme],
            allow_private=endpoint.allow_private,
            tls=(tls or ssl.create_default_context()) if scheme == "https" else None,
        )
        self._pool = Pool(origin, sweep, _Nobody(), max_connections=CONNECTIONS, resolver=resolver)

    def __repr__(self) -> str:
        return f"<Sender to {self.endpoint.name}>"

    async def send(self, id: str, body: bytes, now: float) -> Result:
        """Try once. `now` in epoch seconds, which the signature carries. Never raises for what the receiver does."""
        limit_s = self.endpoint.timeout_s
        timestamp = int(now)
        headers = [
            (b"content-type", b"application/json"),
            (b"user-agent", b"llm-gateway-webhooks"),
            (b"webhook-id", id.encode()),
            (b"webhook-timestamp", str(timestamp).encode()),
            (b"webhook-signature", sign(self.endpoint.secrets, id, timestamp, body).encode()),
            *self.endpoint.headers,
        ]
        timeouts = Timeouts(connect=limit_s, first_byte=limit_s, idle=limit_s, total=limit_s)
        try:
            reply = await self._pool.send(Request("POST", self._target, body, headers, timeouts))
        except UpstreamError as error:
            return Result(_failure(error))
        try:
            with suppress(UpstreamError):  # the status has come, and that is what counts
                await reply.read_all(_BODY_BYTES)
            return Result(_outcome(reply.status), reply.status, _retry_after(header(reply.headers, b"retry-after")))
        finally:
            reply.close()

    async def aclose(self) -> None:
        """Close its connections."""
        await self._pool.aclose()


class _Nobody:
    """The pool's observer: how attempts end is counted one level up."""

    def connected(self, outcome: PoolOutcome) -> None:
        """See `pool.Observer`."""

    def retried(self) -> None:
        """See `pool.Observer`."""


def _outcome(status: int) -> Outcome:
    if 200 <= status < 300:
        return "ok"
    if status == 410:
        return "gone"
    if 300 <= status < 400:
        return "redirect"
    return "client_error" if status < 500 else "server_error"


def _failure(error: UpstreamError) -> Outcome:
    if isinstance(error, UpstreamTimeout):
        return "timeout"
    if isinstance(error, Unreachable):
        return _UNREACHABLE.get(error.code, "refused")
    return "broken"


def _retry_after(value: bytes | None) -> float | None:
    """The header in seconds; a date in it is passed over."""
    return float(value) if value is not None and value.isdigit() and len(value) <= 9 else None
