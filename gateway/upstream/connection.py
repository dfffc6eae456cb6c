"""One HTTP/1.1 connection to a provider: one exchange at a time, dropped on any doubt about its framing.

The parser is httptools (llhttp). A connection serves again only if its last reply ended as its framing said, asked
for no closing, and nothing came after it: a byte that nobody asked for would be read as the start of somebody else's
answer.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator, Callable
from typing import Literal, Protocol, cast

import httptools

from gateway.errors import BrokenReply, GatewayError, InvalidRequest
from gateway.model.route import Timeouts
from gateway.upstream.reply import ConnectionReply
from gateway.upstream.sweep import Sweep
from gateway.upstream.wire import Headers

MAX_HEAD = 64 * 1024
"""Bytes that may come without bringing any of the body: status line and headers with all interim replies before them,
one chunk's extension, trailers. It is looked at once a read, so one read more may be held."""

TLS_READ_LIMIT = 16 * 1024
"""Bytes of ciphertext after which a paused TLS connection stops its socket; the loop's own limit is 256 KiB."""

_SMALL_READ = memoryview(bytearray(2 * 1024))
_LARGE_READ = memoryview(bytearray(128 * 1024))
# One buffer for all connections of the process: it is emptied within the call that filled it. Streams read little at
# a time, so that what one read brings beyond the high-water mark stays small; files and whole bodies want throughput.

State = Literal["idle", "active", "closed"]


class Connection(asyncio.BufferedProtocol):
    """`begin` an exchange, read its `ConnectionReply`; `on_free` and `on_gone` tell the pool what became of this."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_free: Callable[[Connection], None],
        on_gone: Callable[[Connection], None],
    ) -> None:
        self._loop = loop
        self._on_free = on_free
        self._on_gone = on_gone
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._reply: ConnectionReply | None = None
        self._headers: Headers = []
        self._unproductive = 0
        self._until_eof = False
        self._bodiless = False  # an answer to HEAD: it tells of a body that does not come
        self._ended = False  # the parser has seen the whole reply
        self._keep = True
        self._poll = select.poll()
        self._paused = False
        self._sending: asyncio.Task[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self.state: State = "idle"
        self.served = 0
        self.idle_since = 0.0

    def __repr__(self) -> str:
        return f"<Connection {self.state}, {self.served} served>"

    # One exchange

    def is_quiet(self) -> bool:
        """Whether nothing has come in since the last reply: neither its end nor a byte that nobody asked for.

        The loop would notice too, but only after this connection was given away again, and would then hand those
        bytes to the next caller as the start of its answer. One system call, 0.3 us.
        """
        return self.state == "idle" and not self._poll.poll(0)

    def begin(self, data: bytes, timeouts: Timeouts, sweep: Sweep, *, bodiless: bool = False) -> ConnectionReply:
        """Write `data` (head, and body if it is small enough to be whole) in one piece and await its reply."""
        reply = self._start(timeouts, sweep)
        self._bodiless = bodiless
        assert self._transport is not None
        self._transport.write(data)
        return reply

    def begin_streaming(
        self, head: bytes, body: AsyncIterator[bytes], length: int | None, timeouts: Timeouts, sweep: Sweep
    ) -> ConnectionReply:
        """Write `head`, then `body` as it comes: chunked where `length` is None."""
        reply = self.begin(head, timeouts, sweep)
        self._sending = self._loop.create_task(self._pump(body, length, reply))
        return reply

    def _start(self, timeouts: Timeouts, sweep: Sweep) -> ConnectionReply:
        self.state = "active"
        self._headers = []
        self._unproductive = 0
        self._until_eof = self._ended = False
        self._reply = reply = ConnectionReply(self, self._loop, timeouts, sweep)
        return reply

    async def _pump(self, body: AsyncIterator[bytes], length: int | None, reply: ConnectionReply) -> None:
        """Send the body in pieces, no faster than the provider takes them."""
        sent = 0
        try:
            async for piece in body:
                if not piece:
                    continue
                sent += len(piece)
                if length is not None and sent > length:
                    raise InvalidRequest("The request's body is longer than it said.")
                await self._write(piece if length is not None else b"%x\r\n%b\r\n" % (len(piece), piece))
            if length is None:
                await self._write(b"0\r\n\r\n")
            elif sent != length:
                raise InvalidRequest("The request's body is shorter than it said.")
        except GatewayError as error:
            reply.fail(error)
        except Exception as error:
            failure = GatewayError("The request's body could not be read to its end.")
            failure.__cause__ = error
            reply.fail(failure)
        finally:
            self._sending = None

    async def _write(self, data: bytes) -> None:
        # A lost connection says nothing here: `connection_lost` ends this task, and knows whether an answer came first.
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
        if self._writable is not None:
            await self._writable

    @property
    def is_fed(self) -> bool:
        """Whether the request is still on its way and the provider takes it: whoever makes the body is awaited."""
        return self._sending is not None and self._writable is None

    # What the reply asks

    def pause(self) -> None:
        """Read no more for now."""
        if not self._paused and self._transport is not None and not self._ended:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._paused and self._transport is not None:
            self._paused = False
            if not self._transport.is_closing():  # uvloop raises here, asyncio does not
                self._transport.resume_reading()

    def release(self, *, reusable: bool) -> None:
        """The exchange is over; only a reply that was read whole leaves a connection that can be used again."""
        if reusable and self._keep and self._sending is None and self.state == "active" and not self._paused:
            self._reply = None
            self.state = "idle"
            self.served += 1
            self._on_free(self)
        else:
            self.drop()

    def drop(self) -> None:
        """Close at once."""
        if self.state == "closed":
            return
        self.state = "closed"
        self._stop_sending()
        if self._transport is not None:
            self._transport.abort()
        self._on_gone(self)

    def _stop_sending(self) -> None:
        if self._sending is not None:
            self._sending.cancel()

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BaseProtocol`."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one, but not by inheritance
        plain = transport.get_extra_info("socket")
        if plain is not None:
            self._poll.register(plain.fileno(), select.POLLIN)
        if transport.get_extra_info("sslcontext") is not None:
            cast(_Tls, transport).set_read_buffer_limits(TLS_READ_LIMIT)

    def get_buffer(self, sizehint: int) -> memoryview:
        """See `asyncio.BufferedProtocol`."""
        reply = self._reply
        return _LARGE_READ if reply is not None and reply.bulk else _SMALL_READ

    def buffer_updated(self, nbytes: int) -> None:
        """See `asyncio.BufferedProtocol`."""
        reply = self._reply
        if reply is None:
            self.drop()  # nobody asked for this
            return
        if self._ended or self.state == "closed":
            self._keep = False  # it comes after the end
            return
        reply.touched = True
        self._unproductive += nbytes
        buffer = _LARGE_READ if reply.bulk else _SMALL_READ
        try:
            self._parser.feed_data(buffer[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._break(reply)
        if self._unproductive > MAX_HEAD and not self._ended:
            reply.fail(BrokenReply("The provider's reply has too long a head or trailer."))

    def _break(self, reply: ConnectionReply) -> None:
        self._keep = False
        if not reply.complete:
            reply.fail(BrokenReply("The provider's reply is not valid HTTP/1.1."))

    def eof_received(self) -> bool:
        """See `asyncio.Protocol`. A half-open connection is of no use."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        self._transport = None
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        was, self.state = self.state, "closed"
        self._stop_sending()
        reply = self._reply
        if reply is not None and not reply.complete:
            if self._until_eof and exc is None and reply.started:
                reply.on_complete()
            else:
                message = "The provider closed the connection before its reply was complete."
                reply.fail(BrokenReply(message, code="upstream_reset"))
        if was != "closed":
            self._on_gone(self)

    def pause_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        waiter, self._writable = self._writable, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # What the parser tells

    def on_message_begin(self) -> None:
        """See httptools."""
        if self._ended:
            self._keep = False  # something follows the reply: whatever it is, it is not ours

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools. Trailers arrive here too and are read over; llhttp has merged no lines."""
        reply = self._reply
        if reply is not None and not reply.started:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """See httptools."""
        reply, headers = self._reply, self._headers
        if reply is None or self._ended:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self._headers = []  # an interim reply: the real one follows
            return
        framing = [name for name, _ in headers if name in (b"content-length", b"transfer-encoding")]
        if len(framing) > 1 or (framing == [b"transfer-encoding"] and not _is_chunked(headers)):
            raise ValueError("two ideas about where the body ends")
        self._until_eof = not framing and status not in (204, 304)
        self._keep = not self._until_eof and self._parser.should_keep_alive()
        if framing == [b"transfer-encoding"] and self._parser.get_http_version() != "1.1":
            self._keep = False  # RFC 9112, 6.1: its framing is to be taken as faulty
        self._unproductive = 0
        reply.on_head(status, headers)
        if self._bodiless:
            self._keep = False
            self._ended = True
            reply.on_complete()

    def on_body(self, data: bytes) -> None:
        """See httptools."""
        reply = self._reply
        if reply is not None and not self._ended:
            self._unproductive = 0
            reply.on_body(data)

    def on_message_complete(self) -> None:
        """See httptools."""
        reply = self._reply
        if reply is not None and reply.started and not self._ended:
            self._ended = True
            reply.on_complete()


class _Tls(Protocol):
    """What TLS transports offer beyond `asyncio.Transport`, in asyncio and in uvloop."""

    def set_read_buffer_limits(self, high: int) -> None: ...


def _is_chunked(headers: Headers) -> bool:
    return any(name == b"transfer-encoding" and value.strip().lower() == b"chunked" for name, value in headers)
