"""The open loop: arrivals planned ahead, latencies from the moment they were due, everybody accounted for."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from loadtest import traffic
from loadtest.mock_upstream import serve
from loadtest.openloop import arrivals, open_loop


@pytest.fixture
async def port() -> AsyncIterator[int]:
    server = await serve("127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that takes requests and says nothing."""
    try:
        await reader.read()
    except ConnectionError:  # the generator has lost its patience
        pass
    finally:
        writer.close()


def test_the_same_seed_gives_the_same_arrivals() -> None:
    assert arrivals(500, 1, seed=7) == arrivals(500, 1, seed=7)
    assert arrivals(500, 1, seed=7) != arrivals(500, 1, seed=8)


def test_arrivals_are_a_poisson_process_of_the_rate_that_was_asked_for() -> None:
    due_s = arrivals(1000, 20, seed=1)
    gaps_s = [after - before for before, after in pairwise(due_s)]
    assert len(due_s) == pytest.approx(20_000, rel=0.03)
    assert statistics.stdev(gaps_s) == pytest.approx(statistics.mean(gaps_s), rel=0.05)
    assert 0 < due_s[0] and due_s[-1] < 20


async def test_every_arrival_is_answered_and_counted(port: int) -> None:
    request = traffic.request(port, "key", traffic.unary_body())
    result = await open_loop(port, request, arrivals(300, 0.5, seed=1))
    assert (result.failed, result.unfinished) == (0, 0)
    assert result.arrivals == len(arrivals(300, 0.5, seed=1))
    assert 0 < result.p50_ms <= result.p99_ms <= result.max_ms < 1000


async def test_what_was_due_before_the_warm_up_ended_is_not_counted(port: int) -> None:
    request = traffic.request(port, "key", traffic.unary_body())
    result = await open_loop(port, request, [0.01, 0.02, 0.1, 0.11], warm_s=0.05)
    assert result.arrivals == 2


async def test_latency_counts_from_when_a_request_was_due_so_that_a_silent_server_is_charged_for_all() -> None:
    async with await asyncio.start_server(_silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        due_s = [0.0, 0.1, 0.2]
        result = await open_loop(port, b"GET / HTTP/1.1\r\n\r\n", due_s, patience_s=0.3)
    assert result.unfinished == 3
    assert result.max_ms == pytest.approx(500, abs=80)
    assert result.p50_ms == pytest.approx(400, abs=80)


async def test_an_error_status_is_a_failure(port: int) -> None:
    result = await open_loop(port, b'POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\n{"stream"', [0.0, 0.01])
    assert result.failed == 2


async def test_a_plan_without_arrivals_ends_at_once(port: int) -> None:
    result = await open_loop(port, b"", [])
    assert (result.arrivals, result.failed, result.unfinished) == (0, 0, 0)


async def test_nobody_listening_is_an_error_and_no_result() -> None:
    async with await asyncio.start_server(_silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    with pytest.raises(OSError):
        await open_loop(port, b"", [0.0])
