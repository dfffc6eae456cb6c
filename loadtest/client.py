"""One keep-alive connection of a load generator: whole requests out, counted replies in, nothing kept.

A bare protocol on httptools, because the generator shares a machine with what it measures: a client library would cost
ten times what nginx does.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

import httptools

# Of the mock's content chunks, and of nothing else in a stream.
_CONTENT = b'"content":" word"'

_SLOW_READER_BUFFER = 16 * 1024
# The kernel sizes the other side's send buffer by segments. Those of the loopback have 64 KiB, and 2 MiB would vanish
# in the kernel without the proxy ever noticing that nobody reads.
_ETHERNET_SEGMENT = 1460


class Connection(asyncio.Protocol):
    """Sends one request at a time; calls `on_done(self)` at the end of each reply, or when the connection is lost."""

    def __init__(self, on_done: Callable[[Connection], None]) -> None:
        self._on_done = on_done
        self._parser: Any = None
        self._transport: asyncio.Transport
        self.scheduled_ns = 0  # of the request under way; the generator's to set
        self.status = 0
        self.reads = 0
        self.chunks = 0
        self.body_bytes = 0
        self.reusable = False
        self.busy = False
        self.pausing = False  # stop reading as soon as the reply begins

    @property
    def succeeded(self) -> bool:
        """The last reply was whole and its status 200."""
        return not self.busy and self.status == 200

    def send(self, request: bytes) -> None:
        """Send a request; the counters start at nought. The one before must have ended."""
        self.status = self.reads = self.chunks = self.body_bytes = 0
        self._parser = httptools.HttpResponseParser(self)
        self.busy = True
        self._transport.write(request)

    def close(self) -> None:
        """Drop the connection, reply under way or not."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's inherits from nothing
        self.reusable = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        if self.busy:
            self.busy = False
            self.status = 0
            self._on_done(self)

    def data_received(self, data: bytes) -> None:
        self.reads += 1
        if not self.busy:  # nobody asked: a reply to nothing is a broken connection
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.pausing:
            self._transport.pause_reading()

    def on_body(self, body: bytes) -> None:
        self.body_bytes += len(body)
        self.chunks += body.count(_CONTENT)

    def on_message_complete(self) -> None:
        self.reusable = self._parser.should_keep_alive()
        self.busy = False
        self._on_done(self)


async def connect(port: int, on_done: Callable[[Connection], None], *, slow_reader: bool = False) -> Connection:
    """Open a connection to 127.0.0.1; to a `slow_reader` the kernel gives buffers like those of a real network.

    Raises `OSError` where nobody listens.
    """
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    if slow_reader:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SLOW_READER_BUFFER)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _ETHERNET_SEGMENT)
    try:
        await loop.sock_connect(sock, ("127.0.0.1", port))
        _, connection = await loop.create_connection(lambda: Connection(on_done), sock=sock)
    except OSError:
        sock.close()
        raise
    return connection
