"""uvicorn's HTTP/1.1 protocol with the bounds that a public port needs.

uvicorn with httptools sets no limit to headers, waits for them for ever, and cannot see an absolute-form target from
inside the application. This subclass adds: a cap on the head, deadlines for head and body, a check of the framing
before anything is dispatched, an end to clients that do not read, and errors in OpenAI's shape. Trailers are dropped:
uvicorn appends them to the headers, where one could pass for a header that a proxy in front had taken out.

What is left of uvicorn is the connection's life and its shutdown. A request's own part is `cycle.py`, and no timer is
set for it: connections that idle are found by the sweep that looks at them anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import httptools
import structlog
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway import framing
from gateway.cycle import Cycle
from gateway.dialects.openai import error_body
from gateway.telemetry.ids import request_id
from gateway.upstream.sweep import Sweep

WRITE_HIGH_WATER = 4 * 1024
"""Bytes that wait for a slow client before the provider is paused: each of thousands of streams may hold as many."""

_BODY_GRACE_S = 10.0
_DISCARD = 64 * 1024 * 1024
"""Bytes of a refused body that are read over, so that its client gets to read why, before the connection is cut."""

_FRAMING_ALLOWANCE = 64 * 1024
"""Bytes that chunk sizes, chunk extensions and trailers may take beyond a share of the body."""
MAX_WAITING = 16
"""Requests that may wait behind the one that is being answered, before the socket is no longer read."""

LAST_CALL_S = 0.3
"""Seconds that an idle connection is kept when the process ends: a request may be on its way already."""

_LINGER_S = 2.0
"""Seconds a refused client may go on sending: closing on unread bytes resets the connection, and with it our answer."""

_HEAD = (
    b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\nx-request-id: %b\r\ncontent-length: %d\r\n"
    b"connection: close\r\n\r\n"
)
_REASONS = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bytes and seconds; `body_rate` is bytes a second, 0 for none. `count` is told the code of each refusal."""

    head_bytes: int
    head_s: float
    body_rate: int
    write_stall_s: float
    count: Callable[[str], None]


_log = structlog.get_logger("gateway")


class BadFraming(Exception):
    """Raised out of a parser callback, so that nothing after it is read."""


class Protocol(HttpToolsProtocol):
    """One connection of a client."""

    cycle: Cycle  # type: ignore[assignment]

    def __init__(self, *args: Any, bounds: Bounds, sweep: Sweep, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._bounds = bounds
        self._sweep = sweep
        self._head_bytes = 0
        self._in_head = True
        self._since = 0.0  # when the head, or the body, began; 0 between requests
        self._body_bytes = 0
        self._wire_bytes = 0  # of the body and all that frames it
        self._discarded = 0
        self._stalled_since = 0.0
        self._closing_since = 0.0
        self._is_deaf = False  # refused: what still comes is thrown away
        self._problem = ""
        self._idle_since = 0.0
        self._scope: dict[str, Any] = {}
        self._is_last = False  # the process is ending: after the next answer the connection closes
        self._running: Cycle | None = None  # being answered; `cycle` is the last that came

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.BaseProtocol`. A connection that says nothing is given as long as a head."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        self._scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": "",
        }
        self._since = self._sweep.now
        self._sweep.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        self._sweep.discard(self)
        running = self._running
        if running is not None and not running.response_complete:
            running.disconnected = True  # uvicorn tells the last request that came, which may wait behind this one
            running.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._is_deaf:
            self._discard(len(data))
            return
        self._idle_since = 0.0
        if not self._in_head:
            self._wire_bytes += len(data)
            self._feed(data)
            return
        if not self._since:
            self._since = self._sweep.now
        before = self._head_bytes = self._head_bytes + len(data)
        self._feed(data)
        if self._in_head and before == self._head_bytes > self._bounds.head_bytes:
            self._refuse_head()

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(400, "malformed_http", self._problem or "The request is not valid HTTP/1.1.")

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > _DISCARD:
            self.transport.abort()

    def _refuse_head(self) -> None:
        self._refuse(431, "headers_too_large", f"The headers are longer than {self._bounds.head_bytes} bytes.")

    def on_message_begin(self) -> None:
        """See httptools."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """As uvicorn's, but httptools calls it for trailers too. (A call up would cost 0.2 us a header.)"""
        if self._in_head:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """See httptools. Refuses what two parsers might read differently before anything is dispatched."""
        parser = self.parser
        method, version = parser.get_method(), parser.get_http_version()
        problem = framing.fault(method, self.url, version, self.headers)
        if problem is None and parser.should_upgrade():
            problem = "The connection cannot be upgraded: WebSocket and HTTP/2 are not served; use plain HTTP/1.1."
        if problem is not None:
            self._problem = problem
            raise BadFraming(problem)
        if self._head_bytes > self._bounds.head_bytes and self._head_size() > self._bounds.head_bytes:
            self._refuse_head()  # it came in one piece with its end, so nobody has counted it yet
            raise BadFraming("the head is too long")
        self._in_head = False
        self._head_bytes = 0
        self._body_bytes = self._wire_bytes = self._discarded = 0
        self._since = self._sweep.now
        # Answered without the body that it expects to send, a client may or may not send it: what follows could be read
        # two ways.
        keep_alive = version != "1.0" and not (self.expect_100_continue or self._is_last) and parser.should_keep_alive()
        self._dispatch(method, version, keep_alive)

    def _dispatch(self, method: bytes, version: str, keep_alive: bool) -> None:
        path, _, query = self.url.partition(b"?")
        text = path.decode("ascii")
        scope = self._scope.copy()
        scope["method"] = method.decode("ascii")
        scope["http_version"] = version
        scope["path"] = unquote(text) if "%" in text else text
        scope["raw_path"] = path
        scope["query_string"] = query
        scope["headers"] = self.headers
        before = self.cycle
        self.cycle = cycle = Cycle(
            scope,
            self.transport,
            self.flow,
            self.loop,
            self.server_state.default_headers,
            keep_alive,
            self.expect_100_continue,
            self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._begin(cycle)
        else:
            # It was sent before the one ahead of it was answered: it waits its turn. Reading goes on for some more,
            # since whoever reads nothing does not notice that the client has left.
            self.pipeline.appendleft((cycle, self.app))  # type: ignore[arg-type]
            if len(self.pipeline) >= MAX_WAITING:
                self.flow.pause_reading()

    def _begin(self, cycle: Cycle) -> None:
        self._running = cycle
        cycle.task = self.loop.create_task(self._run(cycle))
        self.tasks.add(cycle.task)

    async def _run(self, cycle: Cycle) -> None:
        """Let the application answer. It looks after its own failures; what it leaves open is closed here."""
        try:
            await self.app(cycle.scope, cycle.receive, cycle.send)
        except asyncio.CancelledError:
            pass  # the process is shutting down
        except Exception:
            _log.exception("unexpected", path=cycle.scope["path"])
        finally:
            if cycle.task is not None:
                self.tasks.discard(cycle.task)
            if not cycle.response_complete and not cycle.disconnected:
                self.transport.close()

    def shutdown(self) -> None:
        """See uvicorn. What is on its way here already is still answered: an idle connection closes a moment later."""
        self._is_last = True
        if self._running is None:
            self.loop.call_later(LAST_CALL_S, self._close_if_idle)
        for cycle in (self._running, self.cycle, *(waiting[0] for waiting in self.pipeline)):
            if cycle is not None:
                cycle.keep_alive = False

    def _close_if_idle(self) -> None:
        if self._running is None and not self._head_bytes and not self.transport.is_closing():
            self.transport.close()

    def on_response_complete(self) -> None:
        """See uvicorn."""
        self._running = None
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._begin(self.pipeline.pop()[0])  # type: ignore[arg-type]
        else:
            self._idle_since = self._sweep.now

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        self._body_bytes += len(body)
        cycle = self.cycle
        if cycle.response_complete:
            self._discard(len(body))
            return
        cycle.body = cycle.body + body if cycle.body else body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.set()

    def on_message_complete(self) -> None:
        """See httptools."""
        self._since = 0.0
        self._in_head = True
        cycle = self.cycle
        if cycle.response_complete:
            self._idle_since = self._sweep.now  # it was answered before its body had come
        else:
            cycle.more_body = False
            cycle.set()

    def pause_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self._stalled_since = self._sweep.now
        super().pause_writing()

    def resume_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self._stalled_since = 0.0
        super().resume_writing()

    def check(self, now: float) -> None:
        """See `sweep.Watched`."""
        bounds = self._bounds
        if self._stalled_since and now - self._stalled_since > bounds.write_stall_s:
            self.transport.abort()  # what waits to be written will never be read
        elif self.transport.is_closing():
            self._check_closing(now)
        elif self._is_deaf:
            if now - self._since > _LINGER_S:
                self.transport.close()
        elif self._idle_since:
            if now - self._idle_since > self.timeout_keep_alive:
                self.transport.close()
        elif not self._since:
            return
        elif self._in_head:
            if self._running is not None:
                self._since = now  # the next request's head may wait: an answer is on its way
            elif now - self._since > bounds.head_s:
                self._give_up_head()
        else:
            self._check_body(now)

    def _check_closing(self, now: float) -> None:
        """A transport closes when its last bytes are taken, and waits for that for ever."""
        if not self._closing_since:
            self._closing_since = now
        elif now - self._closing_since > self._bounds.write_stall_s:
            self.transport.abort()

    def _give_up_head(self) -> None:
        if self._head_bytes:
            self._refuse(408, "header_timeout", f"The headers took longer than {self._bounds.head_s:g} s.")
        else:
            self.transport.close()  # it was opened in advance and never used: nobody waits for an answer

    def _check_body(self, now: float) -> None:
        rate = self._bounds.body_rate
        if self.flow.read_paused:  # the application is slow, not the client
            self._since, self._body_bytes, self._wire_bytes = now, 0, 0
            return
        elapsed = now - self._since
        if rate and elapsed > _BODY_GRACE_S and self._body_bytes < rate * (elapsed - _BODY_GRACE_S):
            self._since = 0.0
            self.transport.abort()
        elif self._wire_bytes > _FRAMING_ALLOWANCE + 8 * self._body_bytes:
            self.transport.abort()  # one-byte chunks take six bytes each; only an attack takes more

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answer without the application, and close: what follows on this connection cannot be told apart any more."""
        if self._is_deaf or self.transport.is_closing():
            return
        self._is_deaf = True
        self._since = self._sweep.now
        self._bounds.count(code)
        running = self._running
        if running is not None and running.response_started:
            self.transport.close()  # the answer that has begun cannot be another
            return
        if running is not None:
            running.disconnected = True
            running.set()
        body = error_body(message, "invalid_request_error", None, code)
        head = _HEAD % (status, _REASONS[status], request_id().encode(), len(body))
        self.transport.write(head + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()  # TLS cannot close one direction only
