"""A connection without a socket: a transport that keeps what is written, and bytes that arrive cut as one likes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import pairwise

from gateway.model.route import Timeouts
from gateway.upstream.connection import Connection
from gateway.upstream.reply import ConnectionReply
from gateway.upstream.sweep import Sweep

PATIENT = Timeouts(connect=60.0, first_byte=60.0, idle=60.0, total=60.0)


class Wire(asyncio.Transport):
    """The provider's end of one `Connection`, played by hand."""

    def __init__(self) -> None:
        super().__init__()
        loop = asyncio.get_running_loop()
        self.sweep = Sweep(loop)
        self.sent = bytearray()
        self.freed = self.gone = 0
        self.is_paused = self.is_lost = False
        self.connection = Connection(loop, self._on_free, self._on_gone)
        self.connection.connection_made(self)

    def _on_free(self, _: Connection) -> None:
        self.freed += 1

    def _on_gone(self, _: Connection) -> None:
        self.gone += 1

    def ask(self, *, bodiless: bool = False) -> ConnectionReply:
        """Begin an exchange."""
        return self.connection.begin(b"GET / HTTP/1.1\r\n\r\n", PATIENT, self.sweep, bodiless=bodiless)

    def arrive(self, data: bytes) -> None:
        """Bytes of the provider, as the loop would hand them over; none after the connection was given up."""
        while data and not self.is_lost:
            room = self.connection.get_buffer(-1)
            piece, data = data[: len(room)], data[len(room) :]
            room[: len(piece)] = piece
            self.connection.buffer_updated(len(piece))

    def end(self, error: Exception | None = None) -> None:
        """The provider closes, or resets with an error."""
        if not self.is_lost:
            self.is_lost = True
            self.connection.connection_lost(error)

    # What the connection asks of its transport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See asyncio."""
        self.sent += data

    def abort(self) -> None:
        """See asyncio."""
        self.is_lost = True

    def is_closing(self) -> bool:
        """See asyncio."""
        return self.is_lost

    def pause_reading(self) -> None:
        """See asyncio."""
        self.is_paused = True

    def resume_reading(self) -> None:
        """See asyncio."""
        self.is_paused = False


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """`data` cut at the places `cuts`."""
    edges = [0, *sorted(cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges) if start < end]


async def read(reply: ConnectionReply) -> bytes:
    """The rest of a body, piece by piece."""
    whole = b""
    while data := await reply.read():
        whole += data
    return whole
