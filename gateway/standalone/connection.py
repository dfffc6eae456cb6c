"""One client of the stand-alone provider: its requests parsed, their plays acted byte for byte.

A framework would refuse to send most of what a script may ask for: a wrong length, half a chunk, a reset after the
1,234th byte. So this writes its bytes itself. There is no task a request: whatever waits, waits as one timer.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from collections import deque
from collections.abc import Iterator
from http import HTTPStatus
from typing import Protocol, cast

import httptools

from gateway.providers.scripting import Ask, Play, Player, Send, bill
from gateway.providers.scripting.refusals import error_body

MAX_BODY = 512 << 20
"""Bytes of one request."""
MAX_HEAD = 256 << 10
"""Bytes of a request line and its headers."""
MAX_WAITING = 16
"""Requests that a client may send ahead on one connection before it is no longer read."""
_LINGER = struct.pack("ii", 1, 0)
_FLUSH_POLL_S = 0.001
_FLUSH_POLLS = 2_000
_BODYLESS = frozenset({204, 304})
_BAD_CHUNK = b"not-a-size\r\nnor a chunk\r\n"
_GARBAGE = b"HTTP/9.9 BANANA\r\n\x00\r\n\r\n"


class Owner(Protocol):
    """Whom a connection belongs to."""

    player: Player
    connections: set[Connection]

    def record(self, line: bytes) -> None:
        """Write one line into the provider's books."""


class Connection(asyncio.Protocol):
    """One client: parses its requests, acts their plays one after another."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self.transport: asyncio.Transport
        self._waiting: deque[tuple[Ask, bool]] = deque()
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._body_size = self._head_size = 0
        self._is_paused = self._is_deaf = False
        self._timer: asyncio.TimerHandle | None = None
        # The reply that is being acted, if any.
        self._play: Play | None = None
        self._steps: Iterator[Send] = iter(())
        self._last: Send | None = None
        self._sent = 0
        self._keep_alive = True
        self._is_chunked = self._is_bodyless = False

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._owner.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.connections.discard(self)
        self._cancel_timer()
        self._waiting.clear()
        if self._play is not None:
            self._settle(completed=False)

    def abort(self) -> None:
        """Drop the connection."""
        self.transport.abort()

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        if self._play is not None and self._timer is None:
            self._advance()

    def data_received(self, data: bytes) -> None:
        self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(400, "This is no HTTP/1.1 request that can be understood.")
        else:
            if self._head_size > MAX_HEAD:
                self._refuse(431, f"The head of a request is at most {MAX_HEAD} bytes long.")

    def _refuse(self, status: int, message: str) -> None:
        """Answer what never became a request, and hang up."""
        if self._is_deaf:
            return
        self._is_deaf = True
        self.transport.pause_reading()
        if self._play is None:
            body = error_body(message, "invalid_request_error", None, None)
            head = (
                b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
            )
            self.transport.write(head % (status, _phrase(status), len(body)) + body)
        self.transport.close()

    # The parser's side

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers = {}
        self._body = []
        self._body_size = 0

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._head_size = 0
        if self._headers.get("expect", "").lower() == "100-continue" and self._play is None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self._head_size = 0
        self._body_size += len(data)
        if self._body_size > MAX_BODY:
            self._refuse(413, f"The body of a request is at most {MAX_BODY} bytes long.")
        else:
            self._body.append(data)

    def on_message_complete(self) -> None:
        self._head_size = 0
        if self._is_deaf:
            return
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        method = self._parser.get_method().decode("latin-1")
        ask = Ask(method, self._target.decode("latin-1"), body, self._headers)
        # A client of HTTP/1.0 knows no chunks, and is told the end of the body by the end of the connection.
        self._waiting.append((ask, self._parser.should_keep_alive() and self._parser.get_http_version() == "1.1"))
        if self._play is None:
            self._next()
        elif len(self._waiting) >= MAX_WAITING:
            self.transport.pause_reading()

    # Acting

    def _next(self) -> None:
        """Begin the next reply, if a request waits."""
        while self._waiting and self._play is None and not self.transport.is_closing():
            ask, keep_alive = self._waiting.popleft()
            if len(self._waiting) == MAX_WAITING - 1:
                self.transport.resume_reading()
            play = self._play = self._owner.player.play(ask)
            self._steps = iter(play.steps)
            self._last, self._sent = None, 0
            self._is_bodyless = ask.method == "HEAD" or play.status in _BODYLESS
            self._is_chunked = play.framing == "chunked" and keep_alive
            is_delimited = play.framing == "length" or self._is_chunked
            self._keep_alive = keep_alive and play.keep_alive and is_delimited
            if play.head_delay_s:
                self._timer = self._loop.call_later(play.head_delay_s, self._begin)
            else:
                self._begin()

    def _begin(self) -> None:
        self._timer = None
        play = self._acted
        if play.head == "none":
            self._end()
            return
        if play.head == "garbage":
            self.transport.write(_GARBAGE)
        else:
            self.transport.write(self._head(play))
        self._advance()

    def _head(self, play: Play) -> bytes:
        lines = [b"HTTP/1.1 %d %b\r\n\r\n" % (status, _phrase(status)) for status in play.interim]
        lines.append(b"HTTP/1.1 %d %b\r\n" % (play.status, _phrase(play.status)))
        lines += [b"%b: %b\r\n" % header for header in play.headers]
        if self._is_chunked:
            lines.append(b"transfer-encoding: chunked\r\n")
            if play.trailers:
                lines.append(b"trailer: %b\r\n" % b", ".join(name for name, _ in play.trailers))
        elif play.framing == "length" and play.status not in _BODYLESS:
            lines.append(b"content-length: %d\r\n" % play.declared)
        if not self._keep_alive:
            lines.append(b"connection: close\r\n")
        if play.head == "huge":
            lines.append(b"x-padding: %b\r\n" % (b"x" * play.head_bytes))
        lines.append(b"\r\n")
        return b"".join(lines)

    def _advance(self) -> None:
        """Send until something has to be waited for: a delay, a client that does not read, or the end."""
        while not self._is_paused and not self.transport.is_closing():
            step = next(self._steps, None) if not self._is_bodyless else None
            if step is None:
                self._end()
                return
            if step.after_s:
                self._timer = self._loop.call_later(step.after_s, self._wake, step)
                return
            self._send(step)

    def _wake(self, step: Send) -> None:
        self._timer = None
        self._send(step)
        self._advance()

    def _send(self, step: Send) -> None:
        data = step.data
        self._last = step
        self._sent += len(data)
        if data:
            self.transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)

    def _end(self) -> None:
        """All that is to be sent was sent: end as the play says."""
        match self._acted.ending:
            case "complete":
                self._complete()
            case "hang":
                return  # silence, until the client has had enough
            case "reset":
                self._reset(_FLUSH_POLLS)
            case "bad_chunk":
                self.transport.write(_BAD_CHUNK)
                self.transport.close()
            case "close":
                self.transport.close()

    def _complete(self) -> None:
        play = self._acted
        if self._is_chunked and not self._is_bodyless:
            trailers = b"".join(b"%b: %b\r\n" % trailer for trailer in play.trailers)
            self.transport.write(b"0\r\n%b\r\n" % trailers)
        self._settle(completed=True)
        if not self._keep_alive:
            self.transport.close()
        elif self._waiting:
            self._loop.call_soon(self._next)  # not called here: a row of replies would be a tower of frames

    def _reset(self, polls: int) -> None:
        """Send a RST, but not before the client has all that comes before it: a RST discards what is queued."""
        self._timer = None
        sock = self.transport.get_extra_info("socket")
        if polls and (self.transport.get_write_buffer_size() or _queued(sock)):
            self._timer = self._loop.call_later(_FLUSH_POLL_S, self._reset, polls - 1)
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        self.transport.abort()

    def _settle(self, *, completed: bool) -> None:
        play, self._play = self._acted, None
        sent = self._sent if completed else max(0, self._sent - self.transport.get_write_buffer_size())
        owner = self._owner
        owner.record(bill.line(play, self._last, sent, completed=completed, at_s=owner.player.clock()))

    @property
    def _acted(self) -> Play:
        """The play that is being acted; only asked while there is one."""
        assert self._play is not None
        return self._play

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Scripted"


def _queued(sock: socket.socket) -> int:
    """Bytes that the kernel has not yet handed over to the peer."""
    return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0])
