"""Fuzzes the provider's side of a connection: no bytes may crash it, hang it, or answer a question not yet asked.

Needs atheris, which is not among the requirements: `python -m loadtest.fuzz_pool -max_total_time=60` in an environment
that has it. Each input is a list of reads; what must hold afterwards is in `check`.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import pairwise
from typing import Any

from gateway.errors import GatewayError
from gateway.model.route import Timeouts
from gateway.upstream.connection import Connection
from gateway.upstream.reply import ConnectionReply
from gateway.upstream.sweep import Sweep

LIMIT = 1 << 20
SEEDS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08",
)


class End(asyncio.Transport):
    """The transport of a connection without a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.is_lost = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nobody listens."""

    def abort(self) -> None:
        """See asyncio."""
        self.is_lost = True

    def is_closing(self) -> bool:
        """See asyncio."""
        return self.is_lost

    def pause_reading(self) -> None:
        """See asyncio."""

    def resume_reading(self) -> None:
        """See asyncio."""


def arrive(connection: Connection, end: End, data: bytes) -> None:
    """One read."""
    while data and not end.is_lost:
        room = connection.get_buffer(-1)
        piece, data = data[: len(room)], data[len(room) :]
        room[: len(piece)] = piece
        connection.buffer_updated(len(piece))


async def outcome(reply: ConnectionReply) -> tuple[int, bytes] | None:
    """Status and body, or None for a broken reply."""
    try:
        await reply.head()
        return reply.status, await reply.read_all(LIMIT)
    except GatewayError:
        return None
    finally:
        reply.close()


async def play(parts: list[bytes]) -> tuple[tuple[int, bytes] | None, str]:
    """What a reply in these reads comes to, and the connection's state after it."""
    loop = asyncio.get_running_loop()
    sweep, end = Sweep(loop), End()
    connection = Connection(loop, lambda _: None, lambda _: None)
    connection.connection_made(end)
    reply = connection.begin(b"", Timeouts(), sweep)
    for part in parts:
        arrive(connection, end, part)
    if not reply.complete and not end.is_lost:
        end.is_lost = True
        connection.connection_lost(None)
    async with asyncio.timeout(5):
        found = await outcome(reply)
    assert len(sweep) == 0
    return found, connection.state


async def check(data: bytes, cuts: list[int]) -> None:
    """However `data` is cut it comes to the same, and a connection that is kept has read no byte too many."""
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    parts = [data[start:end] for start, end in pairwise(edges)]
    once, state = await play([data])
    again, cut_state = await play(parts)
    assert once == again, (once, again)
    # The parser reads over a blank line after a reply where both come in one read; it is nobody's answer either way.
    assert state == cut_state or data.endswith((b"\r", b"\n")), (state, cut_state)
    if state == "idle":
        more, after = await play([data, b"HTTP/1.1 200 OK\r\n"])
        assert (more, after) == (once, "closed")


def main() -> None:
    """Fuzz until told to stop."""
    import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

    runner = asyncio.Runner()

    def one(data: bytes) -> None:
        provider: Any = atheris.FuzzedDataProvider(data)
        cuts = [provider.ConsumeIntInRange(0, 4096) for _ in range(3)]
        seed = SEEDS[provider.ConsumeIntInRange(0, len(SEEDS) - 1)]
        start, skipped = provider.ConsumeIntInRange(0, len(seed)), provider.ConsumeIntInRange(0, 20)
        wire = seed[:start] + provider.ConsumeBytes(1 << 16) + seed[start + skipped :]
        runner.run(check(wire, cuts))

    atheris.instrument_all()
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
