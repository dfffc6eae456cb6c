"""Streams by the hundred: read to their end and counted, or held open unread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from loadtest import traffic
from loadtest.mock_upstream import serve
from loadtest.streams import held_streams, read_streams


@pytest.fixture
async def port() -> AsyncIterator[int]:
    server = await serve("127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_every_chunk_of_every_stream_is_counted(port: int) -> None:
    request = traffic.request(port, "key", traffic.stream_body(chunks=7, interval_ms=2))
    result = await read_streams(port, request, 20, spread_s=0.01)
    assert (result.streams, result.failed, result.chunks) == (20, 0, 140)
    assert result.reads >= 20


async def test_a_stream_that_does_not_end_in_time_has_failed(port: int) -> None:
    request = traffic.request(port, "key", traffic.stream_body(chunks=1000, interval_ms=50))
    result = await read_streams(port, request, 3, spread_s=0.0, patience_s=0.1)
    assert result.failed == 3


async def test_held_streams_have_begun_and_stay_open_for_the_block(port: int) -> None:
    request = traffic.request(port, "key", traffic.stream_body(chunks=1000, interval_ms=50))
    async with held_streams(port, request, 45, reading=True) as connections:
        await asyncio.sleep(0.2)
        assert [connection.status for connection in connections] == [200] * 45
        assert all(connection.busy for connection in connections)
    assert not any(connection.reusable for connection in connections)


async def test_an_unread_stream_takes_little_more_than_its_head(port: int) -> None:
    request = traffic.request(port, "key", traffic.flood_body(chunks=4096))
    async with held_streams(port, request, 2, reading=False) as connections:
        await asyncio.sleep(0.2)
        assert [connection.status for connection in connections] == [200, 200]
        assert all(connection.body_bytes < 2 * 2**20 for connection in connections)
