"""Measures the ledger alone: the loop's and the thread's CPU per call at saturation, rows a second, and how long a
reservation waits, beside what an fsync takes on the same disk.

    python -m loadtest.ledger_bench [folder] [calls] [callers]
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from gateway.ledger import Ledger, Reader
from gateway.model.record import Reservation, Settlement
from gateway.telemetry.ids import request_id


def micros() -> int:
    """Unix time in microseconds."""
    return time.time_ns() // 1000


def reservation(team: str = "search") -> Reservation:
    """A typical one."""
    return Reservation(
        request_id=request_id(),
        attempt=1,
        began_at=micros(),
        endpoint="/v1/chat/completions",
        stream=True,
        key_id="k7h2m4pd0a1c9x5v",
        team=team,
        project="web",
        provider="openai",
        deployment="gpt-5-mini",
        model="gpt-5-mini",
        digest="0f343b0931126a20f133d67c2b018a3b",
        held_nano=12_000_000,
    )


def settlement() -> Settlement:
    """A typical one."""
    return Settlement(
        state="settled",
        ended_at=micros(),
        status=200,
        source="provider",
        answering_model="gpt-5-mini-2026-08-07",
        input_tokens=1200,
        output_tokens=340,
        cache_read_tokens=1024,
        cost_nano=773_600,
        lines=b'[["input",176,250000],["cache_read",1024,25000],["output",340,2000000]]',
        price_source="genai-prices",
        price_version="0.2.3",
        price_date="2026-11-01",
        latency_us=1_834_000,
        first_token_us=410_000,
    )


async def _caller(ledger: Ledger, calls: int, waits: list[float]) -> None:
    for _ in range(calls):
        began = time.perf_counter()
        ticket = ledger.reserve(reservation())
        await ticket
        waits.append(time.perf_counter() - began)
        ticket.sent(micros())
        ticket.settle(settlement())


def saturation(base: Path, callers: int = 256, calls: int = 25_600) -> float:
    """CPU microseconds that the ledger takes a call, in the loop and in its thread together, with so many callers."""
    with tempfile.TemporaryDirectory(dir=base) as name:
        return uvloop.run(_measure(Path(name), calls, callers, quiet=True))


async def _measure(folder: Path, calls: int, callers: int, *, quiet: bool = False) -> float:
    ledger = Ledger.open(folder / "ledger.db", micros, high_water=16_000)
    await ledger.reserve(reservation())  # statements are prepared, pages made
    waits: list[float] = []
    wall, loop = time.perf_counter(), time.thread_time()
    await asyncio.gather(*[_caller(ledger, calls // callers, waits) for _ in range(callers)])
    loop, wall = time.thread_time() - loop, time.perf_counter() - wall
    made = len(waits)
    work = ledger.work
    await ledger.close()
    waits.sort()
    faults = Reader(folder / "ledger.db").verify().faults
    assert not faults, faults
    each = (loop + work.cpu_s) / made * 1e6
    if quiet:
        return each
    print(
        f"{callers:5d} callers: loop {loop / made * 1e6:5.1f} us/call, thread {work.cpu_s / made * 1e6:5.1f} us/call,"
        f" {work.rows / wall:8.0f} rows/s, {work.rows / work.commits:6.1f} rows/commit,"
        f" reserve p50 {waits[made // 2] * 1e3:6.2f} ms p99 {waits[made * 99 // 100] * 1e3:6.2f} ms"
    )
    return each


async def _paced(folder: Path, rate: float, seconds: float) -> None:
    """Calls that begin at a fixed rate, whatever becomes of those before them."""
    ledger = Ledger.open(folder / "ledger.db", micros)
    await ledger.reserve(reservation())
    waits: list[float] = []
    loop = asyncio.get_running_loop()
    began = loop.time()
    calls = []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(began + number / rate - loop.time())
        calls.append(asyncio.create_task(_caller(ledger, 1, waits)))
    await asyncio.gather(*calls)
    await ledger.close()
    waits.sort()
    slowest = ledger.work.slowest_s
    print(
        f"{rate:5.0f} calls/s: reserve p50 {waits[len(waits) // 2] * 1e3:.2f} ms"
        f" p99 {waits[len(waits) * 99 // 100] * 1e3:.2f} ms, slowest commit {slowest * 1e3:.1f} ms"
    )


def _overhead(count: int = 20_000) -> float:
    """Seconds a call that belong to the making of the records, which any caller has."""
    began = time.thread_time()
    for _ in range(count):
        reservation()
        micros()
        settlement()
    return (time.thread_time() - began) / count


def fsync_s(folder: Path, count: int = 200) -> list[float]:
    """How long each of `count` fdatasyncs of a small append takes, sorted."""
    took = []
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(count):
            file.write(bytes(4096))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return sorted(took)


def main() -> None:
    """See the module."""
    base = sys.argv[1] if len(sys.argv) > 1 else None
    calls = int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
    print(f"making the records: {_overhead() * 1e6:.1f} us/call (within the loop's figure)")
    for callers in [int(sys.argv[3])] if len(sys.argv) > 3 else [1, 8, 64, 1000]:
        with tempfile.TemporaryDirectory(dir=base) as name:
            synced = fsync_s(Path(name))
            print(f"      fdatasync p50 {synced[100] * 1e3:.2f} ms, p99 {synced[198] * 1e3:.2f} ms")
            uvloop.run(_measure(Path(name), min(calls, callers * 1000), callers))
            size = sum(file.stat().st_size for file in Path(name).glob("ledger.db*") if "owner" not in file.name)
            print(f"      {size / min(calls, callers * 1000):.0f} bytes a call on disk")
    for rate in (100, 500, 2000):
        with tempfile.TemporaryDirectory(dir=base) as name:
            synced = fsync_s(Path(name))
            print(f"      fdatasync p50 {synced[100] * 1e3:.2f} ms, p99 {synced[198] * 1e3:.2f} ms")
            uvloop.run(_paced(Path(name), rate, 4.0))


if __name__ == "__main__":
    main()
