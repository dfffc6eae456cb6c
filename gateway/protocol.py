"""uvicorn's HTTP/1.1 protocol with the bounds that a public port needs.

uvicorn with httptools sets no limit to headers, waits for them for ever, and cannot see an absolute-form target from
inside the application. This subclass adds: a cap on the head, deadlines for head and body, a check of the framing
before anything is dispatched, an end to clients that do not read, and errors in OpenAI's shape. Trailers are dropped:
uvicorn appends them to the headers, where one could pass for a header that a proxy in front had taken out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway import framing
from gateway.dialects.openai import error_body
from gateway.sender import use_sender
from gateway.upstream.sweep import Sweep

WRITE_HIGH_WATER = 8 * 1024
"""Bytes that wait for a slow client before the provider is paused: each of thousands of streams may hold as many."""

_BODY_GRACE_S = 10.0
_DISCARD = 64 * 1024 * 1024
"""Bytes of a refused body that are read over, so that its client gets to read why, before the connection is cut."""

_FRAMING_ALLOWANCE = 64 * 1024
"""Bytes that chunk sizes, chunk extensions and trailers may take beyond a share of the body."""
_LINGER_S = 2.0
"""Seconds a refused client may go on sending: closing on unread bytes resets the connection, and with it our answer."""

_HEAD = b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
_REASONS = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bytes and seconds; `body_rate` is bytes a second, 0 for none. `count` is told the code of each refusal."""

    head_bytes: int
    head_s: float
    body_rate: int
    write_stall_s: float
    count: Callable[[str], None]


class BadFraming(Exception):
    """Raised out of a parser callback, so that nothing after it is read."""


class Protocol(HttpToolsProtocol):
    """One connection of a client."""

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

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.BaseProtocol`. A connection that says nothing is given as long as a head."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        self._since = self._sweep.now
        self._sweep.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        self._sweep.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._is_deaf:
            self._discard(len(data))
            return
        if not self._in_head:
            self._wire_bytes += len(data)
            super().data_received(data)
            return
        if not self._since:
            self._since = self._sweep.now
        before = self._head_bytes = self._head_bytes + len(data)
        super().data_received(data)
        if self._in_head and before == self._head_bytes > self._bounds.head_bytes:
            self._refuse_head()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > _DISCARD:
            self.transport.abort()

    def _refuse_head(self) -> None:
        self._refuse(431, "headers_too_large", f"The headers are longer than {self._bounds.head_bytes} bytes.")

    def on_message_begin(self) -> None:
        """See httptools."""
        super().on_message_begin()
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
        problem = framing.fault(self.parser.get_method(), self.url, self.parser.get_http_version(), self.headers)
        if problem is None and self.parser.should_upgrade():
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
        super().on_headers_complete()
        if self.expect_100_continue:
            # Answered without its body, it may or may not send that body: what follows could be read two ways.
            self.cycle.keep_alive = False

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        use_sender(cycle)
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        self._body_bytes += len(body)
        if self.cycle.response_complete:
            self._discard(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """See httptools."""
        self._since = 0.0
        self._in_head = True
        super().on_message_complete()

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
        elif not self._since:
            return
        elif self._in_head:
            if now - self._since > bounds.head_s:
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

    def send_400_response(self, msg: str) -> None:
        """See uvicorn: the parser gave up."""
        self._refuse(400, "malformed_http", self._problem or "The request is not valid HTTP/1.1.")

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answer without the application, and close: what follows on this connection cannot be told apart any more."""
        if self._is_deaf or self.transport.is_closing():
            return
        self._is_deaf = True
        self._since = self._sweep.now
        self._bounds.count(code)
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()
            return
        body = error_body(message, "invalid_request_error", None, code)
        self.transport.write(_HEAD % (status, _REASONS[status], len(body)) + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()  # TLS cannot close one direction only
