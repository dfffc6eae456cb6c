"""The same pools behind httpx's own interface, for the control plane: an `httpx.AsyncClient` with this transport.

The one file that imports httpx. The hot path does not pass here: building an `httpx.Request` alone costs 22 us.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from typing import Literal

import httpx

from gateway.errors import Unreachable, UpstreamError, UpstreamTimeout
from gateway.model.route import Timeouts
from gateway.upstream.pool import Origin, Pool
from gateway.upstream.wire import Reply, Request

_OURS = frozenset((b"host", b"content-length", b"transfer-encoding", b"accept-encoding", b"connection"))


class PoolTransport(httpx.AsyncBaseTransport):
    """Sends requests through one `Pool` an origin; `make_pool` builds it when an origin is first asked for."""

    def __init__(self, make_pool: Callable[[Origin], Pool], *, allow_private: bool = False) -> None:
        self._make_pool = make_pool
        self._allow_private = allow_private
        self._tls = ssl.create_default_context()
        self._pools: dict[tuple[str, str, int], Pool] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx. Errors are renamed into httpx's at this border."""
        if request.url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol("Only http:// and https:// are spoken here.", request=request)
        try:
            reply = await self._pool(request.url).send(await _translate(request))
        except ValueError as error:
            raise httpx.LocalProtocolError(str(error), request=request) from error
        except UpstreamTimeout as error:
            kind = httpx.ConnectTimeout if error.which == "connect" else httpx.ReadTimeout
            raise kind(error.message, request=request) from error
        except Unreachable as error:
            raise httpx.ConnectError(error.message, request=request) from error
        except UpstreamError as error:
            raise httpx.RemoteProtocolError(error.message, request=request) from error
        return httpx.Response(reply.status, headers=reply.headers, stream=_Body(reply))

    def _pool(self, url: httpx.URL) -> Pool:
        scheme: Literal["http", "https"] = "https" if url.scheme == "https" else "http"
        key = (scheme, url.host, url.port or {"http": 80, "https": 443}[scheme])
        if key not in self._pools:
            tls = self._tls if scheme == "https" else None
            origin = Origin(scheme, key[1], key[2], allow_private=self._allow_private, tls=tls)
            self._pools[key] = self._make_pool(origin)
        return self._pools[key]

    async def aclose(self) -> None:
        """Close all pools."""
        for pool in self._pools.values():
            await pool.aclose()


async def _translate(request: httpx.Request) -> Request:
    limits = request.extensions.get("timeout", {})
    timeouts = Timeouts(
        connect=limits.get("connect") or 5.0, first_byte=limits.get("read") or 60.0, idle=limits.get("read") or 60.0
    )
    headers = [(name.lower(), value) for name, value in request.headers.raw if name.lower() not in _OURS]
    body = await request.aread()
    return Request(
        request.method,
        request.url.raw_path.decode(),
        body if body or request.method in ("POST", "PUT", "PATCH") else None,
        headers,
        timeouts,
    )


class _Body(httpx.AsyncByteStream):
    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while data := await self._reply.read():
                yield data
        except UpstreamTimeout as error:
            raise httpx.ReadTimeout(error.message) from error
        except UpstreamError as error:
            raise httpx.ReadError(error.message) from error

    async def aclose(self) -> None:
        self._reply.close()
