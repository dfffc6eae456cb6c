"""Many server-sent event streams at once: read as they come, or held open while memory is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from loadtest.client import Connection, connect

# So many at once: opening them one by one would take seconds, all together would overrun the backlog.
_OPENED_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class StreamResult:
    """What came back: content chunks, and in how many reads of the socket they came."""

    streams: int
    failed: int
    chunks: int
    reads: int


async def read_streams(
    port: int, request: bytes, count: int, *, spread_s: float, patience_s: float = 60.0
) -> StreamResult:
    """Run `count` streams to their end, their starts spread evenly over `spread_s` seconds.

    The spreading keeps chunks of different streams apart; a proxy that wakes once for a hundred chunks is not being
    measured per chunk. What is unfinished `patience_s` seconds after the last start is counted as failed.
    """
    runs = [_Run(port, request) for _ in range(count)]
    async with asyncio.TaskGroup() as group:
        for position, run in enumerate(runs):
            group.create_task(run.go(after_s=spread_s * position / count, patience_s=patience_s + spread_s))
    return StreamResult(
        streams=count,
        failed=sum(not run.succeeded for run in runs),
        chunks=sum(run.chunks for run in runs),
        reads=sum(run.reads for run in runs),
    )


class _Run:
    """One stream from its request to its end."""

    def __init__(self, port: int, request: bytes) -> None:
        self._port = port
        self._request = request
        self._ended = asyncio.Event()
        self.succeeded = False
        self.chunks = self.reads = 0

    async def go(self, after_s: float, patience_s: float) -> None:
        try:
            connection = await connect(self._port, self._done)
        except OSError:
            return
        try:
            async with asyncio.timeout(after_s + patience_s):
                await asyncio.sleep(after_s)
                connection.send(self._request)
                await self._ended.wait()
        except TimeoutError:
            connection.busy = False
        finally:
            connection.close()
        self.chunks, self.reads = connection.chunks, connection.reads

    def _done(self, connection: Connection) -> None:
        self.succeeded = connection.succeeded
        self._ended.set()


@asynccontextmanager
async def held_streams(port: int, request: bytes, count: int, *, reading: bool) -> AsyncIterator[list[Connection]]:
    """Keep `count` streams open for the length of the block; with `reading` off, nobody reads past their heads.

    Gives the connections, so that those whose reply began (`status` 200) can be counted.
    """
    connections: list[Connection] = []
    try:
        while (missing := count - len(connections)) > 0:
            batch = [_hold(port, request, reading) for _ in range(min(missing, _OPENED_AT_ONCE))]
            connections += await asyncio.gather(*batch)
        yield connections
    finally:
        for connection in connections:
            connection.busy = False
            connection.close()
        await asyncio.sleep(0.1)  # let the aborted sockets be closed before the loop is


async def _hold(port: int, request: bytes, reading: bool) -> Connection:
    connection = await connect(port, lambda _: None, slow_reader=not reading)
    connection.pausing = not reading
    connection.send(request)
    return connection
