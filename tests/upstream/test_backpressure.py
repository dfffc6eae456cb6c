"""A provider that sends faster than anybody reads is stopped: what is held is bounded, measured on real sockets."""

from __future__ import annotations

import asyncio
import ssl

import pytest
import trustme

from gateway.upstream.reply import HIGH_WATER
from gateway.upstream.wire import Request
from tests.upstream.providers import Line, pooling, serving

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
TOTAL = 64 * 1024 * 1024
LARGE = b"10000\r\n%b\r\n" % bytes(0x10000)
SMALL = b"2\r\nxy\r\n" * 8192


class Flood:
    """Sends up to `TOTAL` bytes and counts what the network took."""

    def __init__(self, piece: bytes) -> None:
        self.piece = piece
        self.taken = 0

    async def __call__(self, line: Line) -> None:
        """See `providers.Play`."""
        await line.request()
        await line.send(HEAD)
        while self.taken < TOTAL:
            await line.send(self.piece)
            self.taken += len(self.piece)


@pytest.mark.parametrize("piece", [LARGE, SMALL], ids=["large chunks", "tiny chunks"])
async def test_a_flood_that_nobody_reads_is_stopped(piece: bytes) -> None:
    flood = Flood(piece)
    async with serving(flood) as provider, pooling(provider.port) as (pool, _):
        reply = await pool.send(Request("GET", "/x"))
        most = 0
        for _ in range(20):
            await asyncio.sleep(0.01)
            most = max(most, reply.held)
        before = flood.taken
        await asyncio.sleep(0.1)
        assert flood.taken == before < TOTAL, "what the kernel's buffers hold has gone out, and nothing since"
        assert most <= 2 * HIGH_WATER == 4 * 1024
        assert await reply.read()
        reply.close()


async def test_a_flood_goes_on_as_it_is_read_and_no_more_is_held() -> None:
    flood = Flood(LARGE)
    async with serving(flood) as provider, pooling(provider.port) as (pool, _):
        reply = await pool.send(Request("GET", "/x"))
        seen = 0
        while seen < 4 * 1024 * 1024:
            data = await reply.read()
            assert 0 < len(data) <= 2 * HIGH_WATER
            assert data.count(0) == len(data)
            seen += len(data)
        reply.close()


async def test_a_flood_over_tls_is_stopped_too() -> None:
    authority, flood = trustme.CA(), Flood(LARGE)
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("api.example.com").configure_cert(server)
    authority.configure_trust(client)
    async with (
        serving(flood, server) as provider,
        pooling(provider.port, host="api.example.com", tls=client) as (pool, _),
    ):
        reply = await pool.send(Request("GET", "/x"))
        await asyncio.sleep(0.3)
        before = flood.taken
        await asyncio.sleep(0.1)
        assert flood.taken == before < TOTAL
        assert reply.held <= 2 * HIGH_WATER
        seen = 0
        while seen < 1024 * 1024:
            seen += len(await reply.read())
        reply.close()
