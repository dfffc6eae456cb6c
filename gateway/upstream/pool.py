"""Keep-alive connections to one provider, the last one used first.

Why not a library: httpx costs 1,100 us a call and the fastest one that we measured 58 us; this costs 13 us, and what it
leaves out (redirects, cookies, HTTP/2, proxies) a gateway does not want. Last in, first out keeps few connections
warm instead of many lukewarm.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Literal, Protocol

from gateway.errors import BrokenReply, Unreachable, UpstreamTimeout
from gateway.upstream.connection import Connection
from gateway.upstream.reply import ConnectionReply
from gateway.upstream.resolve import Resolver, SystemResolver, addresses
from gateway.upstream.sweep import Sweep
from gateway.upstream.wire import Headers, Request

IDLE_S = 55.0
"""Seconds a connection may idle: under the 60 s after which load balancers commonly drop it in silence."""

RACE_S = 1.0
"""Seconds after sending within which a reused connection that ends had been closed before the request came. Later, the
provider may have worked on it, and to send it again may bill it twice."""

FRESH_S = 0.5
"""Seconds of idling below which nobody checks whether a provider has spoken unasked: they do so when they time out."""

_MAX_HEADS = 256

Outcome = Literal["ok", "refused", "timeout", "dns", "tls", "address_refused"]


class Observer(Protocol):
    """Who wants to know what the pool does."""

    def connected(self, outcome: Outcome) -> None:
        """A connection was made, or not."""

    def retried(self) -> None:
        """A request was sent again, because a reused connection had died."""


@dataclass(frozen=True, slots=True)
class Origin:
    """One address of one provider: where to dial, and what every request to it carries.

    `base` is the path under which targets lie (no slash at its end); `headers` hold the provider's key, which
    therefore never goes to any other origin.
    """

    scheme: Literal["http", "https"]
    host: str
    port: int
    base: str = ""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    allow_private: bool = False
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @property
    def authority(self) -> str:
        """Host and port as the Host header says them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"


class Pool:
    """Implements `wire.Upstream` for one `Origin`."""

    def __init__(
        self,
        origin: Origin,
        sweep: Sweep,
        observer: Observer,
        *,
        max_connections: int = 0,
        resolver: Resolver | None = None,
    ) -> None:
        self._origin = origin
        self._loop = asyncio.get_running_loop()
        self._sweep = sweep
        self._observer = observer
        self._max = max_connections
        self._resolver = resolver or SystemResolver()
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._dialling = 0
        self._closed = False
        self._heads: dict[tuple[str, str], bytes] = {}
        sweep.add(self)

    def __repr__(self) -> str:
        return f"<Pool {self._origin.authority} {self.active} active, {self.idle} idle>"

    @property
    def idle(self) -> int:
        """Connections that wait for work."""
        return len(self._idle)

    @property
    def active(self) -> int:
        """Connections at work, or being made."""
        return len(self._all) - len(self._idle) + self._dialling

    async def send(self, request: Request) -> ConnectionReply:
        """See `wire.Upstream`. Sends again, once, what a reused connection certainly did not answer."""
        head = self._head(request)
        if (connection := self._take_idle()) is not None:
            reply = self._begin(connection, head, request)
            try:
                await reply.head()
                return reply
            except BrokenReply:
                # A provider may close an idle connection just as we write. Nothing came back, so it did not take it.
                if reply.touched or reply.age_s > RACE_S or not isinstance(request.body, bytes | None):
                    raise
            self._observer.retried()
            request.retries += 1
        reply = self._begin(await self._dial(request), head, request)
        await reply.head()
        return reply

    def _take_idle(self) -> Connection | None:
        """The connection that idles for the shortest time, dropping those in which something came in meanwhile."""
        while self._idle:
            connection = self._idle.pop()
            if self._sweep.now - connection.idle_since < FRESH_S or connection.is_quiet():
                return connection
            connection.drop()
        return None

    def _begin(self, connection: Connection, head: bytes, request: Request) -> ConnectionReply:
        if request.on_send is not None:
            try:
                request.on_send()
            except BaseException:
                connection.drop()
                raise
        body = request.body
        if body is None:
            bodiless = request.method == "HEAD"
            return connection.begin(head + b"\r\n", request.timeouts, self._sweep, bodiless=bodiless)
        if isinstance(body, bytes):
            data = b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)
            return connection.begin(data, request.timeouts, self._sweep)
        framing = b"transfer-encoding: chunked" if request.length is None else b"content-length: %d" % request.length
        return connection.begin_streaming(
            head + framing + b"\r\n\r\n", body, request.length, request.timeouts, self._sweep
        )

    def _head(self, request: Request) -> bytes:
        """The request line and headers, less the framing: what does not change is put together once a target."""
        known = self._heads.get((request.method, request.target))
        if known is None:
            known = self._build_head(request.method, request.target)
            if len(self._heads) < _MAX_HEADS and "?" not in request.target:
                self._heads[request.method, request.target] = known
        return known + encode(request.headers) if request.headers else known

    def _build_head(self, method: str, target: str) -> bytes:
        path = self._origin.base + target
        if not path.isascii() or not path.isprintable() or " " in path:
            raise ValueError("a request target holds characters that cannot be sent")
        fixed: Headers = [
            (b"host", self._origin.authority.encode()),
            *self._origin.headers,
            (b"accept-encoding", b"identity"),
        ]
        return f"{method} {path} HTTP/1.1\r\n".encode() + encode(fixed)

    async def _dial(self, request: Request) -> Connection:
        if self._max and len(self._all) + self._dialling >= self._max:
            raise Unreachable(
                f"All {self._max} connections to the provider are in use; raise its `max_connections`.",
                code="upstream_busy",
            )
        self._dialling += 1
        outcome: Outcome | None = None  # stays so where the caller left: that says nothing about the provider
        try:
            async with asyncio.timeout(request.timeouts.connect):
                connection = await self._connect()
            outcome = "ok"
            return connection
        except TimeoutError:
            outcome = "timeout"
            raise UpstreamTimeout("connect", request.timeouts.connect) from None
        except ssl.SSLError as error:
            outcome = "tls"
            raise Unreachable(
                f"The provider's TLS cannot be trusted: {_reason(error)}.", code="upstream_tls_error"
            ) from None
        except Unreachable as error:
            outcome = "dns" if error.code == "upstream_dns_error" else "address_refused"
            raise
        except (ConnectionResetError, ConnectionAbortedError):
            outcome = "refused" if self._origin.tls is None else "tls"
            raise self._hung_up() from None
        except OSError:
            outcome = "refused"
            raise Unreachable("The provider refuses connections.") from None
        finally:
            self._dialling -= 1
            if outcome is not None:
                self._observer.connected(outcome)

    def _hung_up(self) -> Unreachable:
        if self._origin.tls is None:
            return Unreachable("The provider closes connections before anything is asked.")
        return Unreachable("The provider ends the TLS handshake without a word.", code="upstream_tls_error")

    async def _connect(self) -> Connection:
        """Dial the addresses in turn; the last failure is the one that counts."""
        origin = self._origin
        failure: OSError | None = None
        for address in await addresses(self._resolver, origin.host, origin.port, allow_private=origin.allow_private):
            try:
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self._loop, self._on_free, self._on_gone),
                    address,
                    origin.port,
                    ssl=origin.tls,
                    server_hostname=origin.host if origin.tls is not None else None,
                )
            except OSError as error:
                failure = error
            else:
                if connection.state == "idle":
                    self._all.add(connection)
                    return connection
                failure = ConnectionResetError("closed, or spoken to, before anything was asked")
        assert failure is not None
        raise failure

    def _on_free(self, connection: Connection) -> None:
        if self._closed:
            connection.drop()
        else:
            connection.idle_since = self._sweep.now
            self._idle.append(connection)

    def _on_gone(self, connection: Connection) -> None:
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def check(self, now: float) -> None:
        """Drop what has idled too long: the oldest lie at the bottom."""
        while self._idle and now - self._idle[0].idle_since > IDLE_S:
            self._idle[0].drop()

    async def aclose(self) -> None:
        """See `wire.Upstream`. Idle connections close now, the others when their exchange ends.

        A call that began before a reload took this provider out may still dial; its connection is not kept.
        """
        self._closed = True
        self._sweep.discard(self)
        for connection in list(self._idle):
            connection.drop()


def encode(headers: Headers) -> bytes:
    """Headers as lines. Raises `ValueError` where one could break out of its line."""
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    if lines.count(b"\n") != len(headers) or lines.count(b"\r") != len(headers) or b"\0" in lines:
        raise ValueError("a header holds a line break")
    return lines


def _reason(error: ssl.SSLError) -> str:
    """What OpenSSL found wrong, less the name that it was looking for, which is nobody's business."""
    found = getattr(error, "verify_message", "").partition(",")[0]
    return found or (error.reason or "handshake failed").replace("_", " ").lower()
