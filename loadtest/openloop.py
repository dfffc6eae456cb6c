"""Requests at a fixed rate, whatever the server does: latency as users feel it.

Arrivals are a Poisson process drawn from a seed before the first request. A latency counts from the moment at which
the request was *due*, not from when a connection was free for it; so a server that stalls is charged for all who came
meanwhile, and there is no coordinated omission (Gil Tene's word for leaving them out). Every arrival is
accounted for: answered, failed, or unfinished when the patience after the last one has run out.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections import deque
from dataclasses import dataclass

from loadtest.alarm import Alarm
from loadtest.client import Connection, connect
from loadtest.stats import percentile

_FIRST_CONNECTIONS = 32
_MOST_CONNECTIONS = 1000
_NS_PER_S = 1_000_000_000
# Between making the plan and its first arrival, so that the first is not late.
_LEAD_NS = 20_000_000


@dataclass(frozen=True, slots=True)
class OpenLoopResult:
    """What became of one plan of arrivals. Latencies and lags in milliseconds, unfinished ones at their age then."""

    arrivals: int
    failed: int
    unfinished: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    lag_p99_ms: float
    """How late the generator itself sent, where a connection was free: its share of the latencies."""


def arrivals(rate: float, duration_s: float, seed: int) -> list[float]:
    """Seconds from the start at which requests are due: a Poisson process of `rate` a second."""
    draw = random.Random(seed)
    due, at = [], draw.expovariate(rate)
    while at < duration_s:
        due.append(at)
        at += draw.expovariate(rate)
    return due


async def open_loop(
    port: int, request: bytes, due_s: list[float], *, warm_s: float = 0.0, patience_s: float = 3.0
) -> OpenLoopResult:
    """Send `request` to 127.0.0.1:`port` at each of `due_s`; those due before `warm_s` are sent but not counted.

    After the last arrival it waits up to `patience_s` for replies. Raises `OSError` where nobody listens.
    """
    generator = _OpenLoop(port, request, due_s, warm_s)
    await generator.prepare()
    gc.collect()
    gc.disable()  # a collection takes as long as several requests
    try:
        await generator.run(patience_s)
    finally:
        gc.enable()
        await generator.close()
    return generator.result()


class _OpenLoop:
    def __init__(self, port: int, request: bytes, due_s: list[float], warm_s: float) -> None:
        self._port = port
        self._request = request
        self._offsets_ns = [int(at * _NS_PER_S) for at in due_s]
        self._warm_ns = int(warm_s * _NS_PER_S)
        self._alarm = Alarm()
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._waiting: deque[int] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._next = 0
        self._left = len(due_s)
        self._start_ns = 0
        self._ended = asyncio.Event()
        self._latencies_ns: list[int] = []
        self._lags_ns: list[int] = []
        self._failed = 0
        self._unfinished = 0

    async def prepare(self) -> None:
        for _ in range(_FIRST_CONNECTIONS):
            connection = await connect(self._port, self._done)
            self._all.add(connection)
            self._idle.append(connection)

    async def run(self, patience_s: float) -> None:
        if not self._offsets_ns:
            return
        loop = asyncio.get_running_loop()
        self._start_ns = time.monotonic_ns() + _LEAD_NS
        loop.add_reader(self._alarm.fd, self._ring)
        self._alarm.set(self._start_ns + self._offsets_ns[0])
        last_s = (_LEAD_NS + self._offsets_ns[-1]) / _NS_PER_S
        try:
            async with asyncio.timeout(last_s + patience_s):
                await self._ended.wait()
        except TimeoutError:
            self._count_unfinished()
        finally:
            loop.remove_reader(self._alarm.fd)

    async def close(self) -> None:
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for connection in self._all:
            connection.busy = False  # its end is no longer of interest
            connection.close()
        self._alarm.close()
        await asyncio.sleep(0)

    def result(self) -> OpenLoopResult:
        in_ms = [value / 1e6 for value in self._latencies_ns]
        return OpenLoopResult(
            arrivals=sum(1 for offset in self._offsets_ns if offset >= self._warm_ns),
            failed=self._failed,
            unfinished=self._unfinished,
            p50_ms=percentile(in_ms, 50),
            p99_ms=percentile(in_ms, 99),
            max_ms=percentile(in_ms, 100),
            lag_p99_ms=percentile([value / 1e6 for value in self._lags_ns], 99),
        )

    def _ring(self) -> None:
        self._alarm.clear()
        while self._next < len(self._offsets_ns):
            due_ns = self._start_ns + self._offsets_ns[self._next]
            if due_ns > time.monotonic_ns():
                self._alarm.set(due_ns)
                return
            self._next += 1
            self._arrive(due_ns)

    def _arrive(self, due_ns: int) -> None:
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable:
                self._lags_ns.append(time.monotonic_ns() - due_ns)
                self._start(connection, due_ns)
                return
            self._all.discard(connection)  # closed by the other side while it was idle
        self._waiting.append(due_ns)
        if len(self._all) + len(self._opening) < _MOST_CONNECTIONS:
            self._open_another()

    def _open_another(self) -> None:
        task = asyncio.get_running_loop().create_task(self._open())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self) -> None:
        try:
            connection = await connect(self._port, self._done)
        except OSError:
            if self._waiting:
                self._account(self._waiting.popleft(), ok=False)
            return
        self._all.add(connection)
        self._rest(connection)

    def _start(self, connection: Connection, due_ns: int) -> None:
        connection.scheduled_ns = due_ns
        connection.send(self._request)

    def _done(self, connection: Connection) -> None:
        self._account(connection.scheduled_ns, ok=connection.succeeded)
        if connection.reusable:
            self._rest(connection)
            return
        self._all.discard(connection)
        connection.close()
        if self._waiting:
            self._open_another()

    def _rest(self, connection: Connection) -> None:
        """The connection is free: whoever has waited longest gets it."""
        if self._waiting:
            self._start(connection, self._waiting.popleft())
        else:
            self._idle.append(connection)

    def _account(self, due_ns: int, *, ok: bool) -> None:
        self._left -= 1
        if due_ns - self._start_ns >= self._warm_ns:
            self._latencies_ns.append(time.monotonic_ns() - due_ns)
            self._failed += not ok
        if self._left == 0:
            self._ended.set()

    def _count_unfinished(self) -> None:
        """Those still waiting have waited this long at least; leaving them out would flatter the server."""
        now_ns = time.monotonic_ns()
        busy = [connection.scheduled_ns for connection in self._all if connection.busy]
        for due_ns in (*busy, *self._waiting):
            if due_ns - self._start_ns >= self._warm_ns:
                self._latencies_ns.append(now_ns - due_ns)
                self._unfinished += 1
