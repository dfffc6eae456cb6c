"""Providers on real sockets that do exactly what a test says, and pools that talk to them."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from gateway.upstream.pool import Origin, Outcome, Pool
from gateway.upstream.resolve import Resolver
from gateway.upstream.sweep import Sweep

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(slots=True)
class Line:
    """One connection as the provider sees it."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def request(self) -> bytes:
        """The next request, head and body (of a known length); `b""` if the gateway closed."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return b""
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return head + await self.reader.readexactly(int(line[15:]))
        return head

    async def send(self, data: bytes) -> None:
        """Write it all."""
        self.writer.write(data)
        await self.writer.drain()

    async def closed(self) -> None:
        """Wait until the gateway has closed."""
        while await self.reader.read(65536):
            pass

    def reset(self) -> None:
        """Close with RST."""
        self.writer.transport.abort()


Play = Callable[[Line], Awaitable[None]]


@dataclass(slots=True)
class Provider:
    """What a provider has seen."""

    port: int = 0
    lines: list[Line] = field(default_factory=list)
    open: int = 0
    handshakes_failed: int = 0


@asynccontextmanager
async def serving(play: Play, tls: ssl.SSLContext | None = None) -> AsyncIterator[Provider]:
    """A provider on 127.0.0.1 that does `play` on each connection and then closes it."""
    provider = Provider()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        line = Line(len(provider.lines), reader, writer)
        provider.lines.append(line)
        provider.open += 1
        try:
            # uvloop says RuntimeError where asyncio says ConnectionError
            with suppress(ConnectionError, RuntimeError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await play(line)
        finally:
            provider.open -= 1
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, backlog=1024)
    provider.port = server.sockets[0].getsockname()[1]
    try:
        yield provider
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for line in provider.lines:
            line.writer.transport.abort()
        await asyncio.sleep(0)


async def obliging(line: Line) -> None:
    """Answers every request with `ok`."""
    while await line.request():
        await line.send(OK)


@dataclass(slots=True)
class Tally:
    """A pool's observer."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    retries: int = 0

    def connected(self, outcome: Outcome) -> None:
        """See `pool.Observer`."""
        self.outcomes[outcome] += 1

    def retried(self) -> None:
        """See `pool.Observer`."""
        self.retries += 1


async def nowhere_else(host: str, port: int) -> list[str]:
    """A resolver for which every name is this machine."""
    return ["127.0.0.1"]


@asynccontextmanager
async def pooling(
    port: int,
    *,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    headers: tuple[tuple[bytes, bytes], ...] = (),
    max_connections: int = 0,
    resolver: Resolver = nowhere_else,
    allow_private: bool = True,
) -> AsyncIterator[tuple[Pool, Tally]]:
    """A pool whose sweep runs; at the end nothing of it may be left."""
    sweep, tally = Sweep(asyncio.get_running_loop()), Tally()
    sweep.start()
    origin = Origin("http" if tls is None else "https", host, port, "/v1", headers, allow_private, tls)
    pool = Pool(origin, sweep, tally, max_connections=max_connections, resolver=resolver)
    try:
        yield pool, tally
    finally:
        await pool.aclose()
        for _ in range(3):
            await asyncio.sleep(0)
        sweep.stop()
    assert (pool.active, pool.idle, len(sweep)) == (0, 0, 0), (repr(pool), len(sweep))


async def eventually(condition: Callable[[], object]) -> None:
    """Wait, two seconds at most, until `condition` holds."""
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came true")


def sockets() -> int:
    """How many sockets this process has open."""
    found = 0
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found += os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
    return found
