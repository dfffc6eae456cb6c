"""What is measured of one running peer: each function gives numbers with their units in the names."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import uvloop

from loadtest import procstat, traffic
from loadtest.client import Connection
from loadtest.closedloop import closed_loop
from loadtest.machine import BenchError
from loadtest.openloop import OpenLoopResult, arrivals, open_loop
from loadtest.peers.base import Peer, Running
from loadtest.processes import Child
from loadtest.settings import Settings
from loadtest.streams import StreamResult, held_streams, read_streams

StreamKind = Literal["slow", "unread"]
STREAM_KINDS: tuple[StreamKind, ...] = get_args(StreamKind)
"""A provider that sends little by little; one that floods a client that does not read."""

_DRIPS = 100_000
_OPENING_PATIENCE_S = 30.0
_OPENING_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Saturation:
    """One worker with all it can take. `busy` is its share of one core: well under 1, something else was the limit."""

    rps: float
    cpu_us_per_request: float | None
    busy: float | None
    p50_ms: float
    p99_ms: float
    failed: int


@dataclass(frozen=True, slots=True)
class ChunkCost:
    """CPU of one more chunk in a stream. `reads_per_chunk` well under 1: chunks travelled together."""

    cpu_us_per_chunk: float
    reads_per_chunk: float
    failed: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident MiB, and KiB that one more open stream takes; so many of `asked` began."""

    idle_mib: float
    after_load_mib: float
    kib_per_stream: float
    asked: int
    opened: int


def saturate(running: Running, requests: Sequence[bytes], seconds: int, connections: int, scratch: Path) -> Saturation:
    """Closed loop: as many `requests`, in turn, as the peer can take in `seconds`."""
    cpu_before_s, began = _cpu_s(running.child), time.perf_counter()
    result = closed_loop(running.port, requests, duration_s=seconds, connections=connections, scratch=scratch)
    cpu_used_s, wall_s = _cpu_s(running.child) - cpu_before_s, time.perf_counter() - began
    answered = result.requests - result.failed
    if answered <= 0:
        raise BenchError(f"{running.name} answered no request of {result.requests}, {result.failed} failed")
    proxied = running.child is not None
    return Saturation(
        rps=answered / result.duration_s,
        cpu_us_per_request=cpu_used_s / answered * 1e6 if proxied else None,
        busy=cpu_used_s / wall_s if proxied else None,
        p50_ms=result.p50_ms,
        p99_ms=result.p99_ms,
        failed=result.failed,
    )


def cost_of_a_chunk(peer: Peer, running: Running, settings: Settings) -> ChunkCost:
    """The slope between short and long streams, so that the cost of the request itself falls out."""
    _cpu_of_streams(peer, running, settings.short_stream_chunks, settings.chunk_interval_ms)  # warm, not counted
    short_s, short = _cpu_of_streams(peer, running, settings.short_stream_chunks, settings.chunk_interval_ms)
    long_s, long = _cpu_of_streams(peer, running, settings.long_stream_chunks, settings.chunk_interval_ms)
    return ChunkCost(
        cpu_us_per_chunk=(long_s - short_s) / max(1, long.chunks - short.chunks) * 1e6,
        reads_per_chunk=long.reads / max(1, long.chunks),
        failed=short.failed + long.failed,
    )


def latency(running: Running, rate: int, round_number: int, settings: Settings) -> OpenLoopResult:
    """Open loop at `rate` requests a second; the arrivals are the same for every peer of a round."""
    due_s = arrivals(rate, settings.open_warm_s + settings.open_s, settings.seed + round_number)
    request = running.request(traffic.unary_body())
    return uvloop.run(open_loop(running.port, request, due_s, warm_s=settings.open_warm_s))


def memory(running: Running, child: Child, kind: StreamKind, settings: Settings, scratch: Path) -> Memory:
    """Of a process that has just been started: idle, after a second of load, with slow streams open.

    One kind of stream a process: what another has left in the heap, and what a proxy loads at the first stream that
    ends, would be counted for it or hide it.
    """
    idle = procstat.rss_bytes(child.pid)
    saturate(running, [running.request(traffic.unary_body())], 1, settings.connections, scratch)
    loaded = procstat.rss_bytes(child.pid)
    if kind == "slow":
        body = traffic.stream_body(_DRIPS, settings.drip_interval_ms)
    else:
        body = traffic.flood_body(settings.flood_chunks)
    held, opened = uvloop.run(_rss_with_streams(running, child, running.request(body), settings, kind))
    return Memory(
        idle_mib=idle / 2**20,
        after_load_mib=loaded / 2**20,
        kib_per_stream=(held - loaded) / 1024 / max(1, opened),
        asked=settings.held_streams,
        opened=opened,
    )


def _cpu_of_streams(peer: Peer, running: Running, chunks: int, interval_ms: float) -> tuple[float, StreamResult]:
    request = running.request(traffic.stream_body(chunks, interval_ms))
    before_s = _cpu_s(running.child)
    result = uvloop.run(read_streams(running.port, request, peer.streams, spread_s=interval_ms / 1000))
    return _cpu_s(running.child) - before_s, result


async def _rss_with_streams(
    running: Running, child: Child, request: bytes, settings: Settings, kind: StreamKind
) -> tuple[int, int]:
    """Resident bytes while the streams are open, and how many of them are."""
    async with held_streams(running.port, request, settings.held_streams, reading=kind == "slow") as connections:
        await _until_begun(connections)
        await asyncio.sleep(settings.hold_s)
        return procstat.rss_bytes(child.pid), _begun(connections)


async def _until_begun(connections: Sequence[Connection]) -> None:
    """Wait for all of them, but not for ever; the result says how many there were."""
    for _ in range(int(_OPENING_PATIENCE_S / _OPENING_POLL_S)):
        if _begun(connections) == len(connections):
            return
        await asyncio.sleep(_OPENING_POLL_S)


def _begun(connections: Sequence[Connection]) -> int:
    return sum(connection.status == 200 for connection in connections)


def _cpu_s(child: Child | None) -> float:
    return 0.0 if child is None else procstat.cpu_s(child.pid)
