"""Each limit fails the call in time, and only for what the provider has done."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.errors import UpstreamTimeout
from gateway.model.route import Timeouts
from gateway.upstream.pool import Pool
from gateway.upstream.wire import Request
from tests.upstream.providers import OK, Line, Play, eventually, pooling, serving

LATE_S = 0.25
"""Seconds by which an error may come late. It may seem a millisecond early: the clock of uvloop counts whole ones."""
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def silent(line: Line) -> None:
    await line.closed()


async def half_a_head(line: Line) -> None:
    await line.request()
    await line.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    await line.closed()


async def a_dripping_head(line: Line) -> None:
    await line.request()
    for _ in range(100):
        await line.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        await asyncio.sleep(0.02)


async def a_head_only(line: Line) -> None:
    await line.request()
    await line.send(HEAD)
    await line.closed()


async def drip(line: Line) -> None:
    await line.request()
    await line.send(HEAD)
    while True:
        await line.send(b"1\r\nx\r\n")
        await asyncio.sleep(0.02)


async def read(pool: Pool, request: Request) -> bytes:
    reply = await pool.send(request)
    whole = b""
    try:
        while data := await reply.read():
            whole += data
    finally:
        reply.close()
    return whole


@pytest.mark.parametrize(
    ("play", "timeouts", "which"),
    [
        pytest.param(silent, Timeouts(first_byte=0.3), "first_byte", id="silence"),
        pytest.param(half_a_head, Timeouts(first_byte=0.3), "first_byte", id="half a head"),
        pytest.param(a_dripping_head, Timeouts(first_byte=0.3), "first_byte", id="interim replies for ever"),
        pytest.param(a_head_only, Timeouts(idle=0.3), "idle", id="a head and no more"),
        pytest.param(drip, Timeouts(idle=0.3, total=0.3), "total", id="dripping"),
        pytest.param(silent, Timeouts(total=0.3), "total", id="total before the head"),
    ],
)
@pytest.mark.parametrize("whole", [False, True], ids=["streamed", "whole"])
async def test_a_limit_fails_the_call_in_time(play: Play, timeouts: Timeouts, which: str, whole: bool) -> None:
    async with serving(play) as provider, pooling(provider.port) as (pool, tally):
        loop = asyncio.get_running_loop()
        reply, began = None, loop.time()
        with pytest.raises(UpstreamTimeout) as raised:
            reply = await pool.send(Request("POST", "/x", b"{}", timeouts=timeouts))
            while not whole and await reply.read():
                pass
            await reply.read_all(1 << 20)
        assert 0.29 <= loop.time() - began <= 0.3 + LATE_S
        if reply is not None:
            reply.close()
        assert (raised.value.which, raised.value.sent, raised.value.status) == (which, True, 504)
        assert tally.retries == 0, "a limit that has passed is no reason to begin again"
        await eventually(lambda: provider.open == 0)


async def test_connecting_has_its_limit() -> None:
    with socket.socket() as full:  # its queue is full, so that connecting hangs
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            async with pooling(port) as (pool, tally):
                loop = asyncio.get_running_loop()
                began = loop.time()
                with pytest.raises(UpstreamTimeout) as raised:
                    await pool.send(Request("GET", "/x", timeouts=Timeouts(connect=0.2)))
                assert 0.19 <= loop.time() - began <= 0.2 + LATE_S
                assert (raised.value.which, raised.value.sent) == ("connect", False)
                assert tally.outcomes == {"timeout": 1}


async def test_asking_for_the_address_counts_as_connecting() -> None:
    async def hang(host: str, port: int) -> list[str]:
        await asyncio.sleep(30)
        return []

    async with pooling(1, resolver=hang) as (pool, _):
        with pytest.raises(UpstreamTimeout) as raised:
            await pool.send(Request("GET", "/x", timeouts=Timeouts(connect=0.1)))
        assert raised.value.which == "connect"


async def test_a_client_that_does_not_read_is_no_idle_provider() -> None:
    async def play(line: Line) -> None:
        await line.request()
        await line.send(HEAD + b"5\r\nhello\r\n")
        await asyncio.sleep(0.7)
        await line.send(b"0\r\n\r\n")

    async with serving(play) as provider, pooling(provider.port) as (pool, _):
        reply = await pool.send(Request("GET", "/x", timeouts=Timeouts(idle=0.2)))
        assert await reply.read() == b"hello"
        await asyncio.sleep(0.65)
        assert await reply.read() == b""
        reply.close()


async def test_the_total_limit_holds_even_if_nobody_reads() -> None:
    async with serving(drip) as provider, pooling(provider.port) as (pool, _):
        await pool.send(Request("GET", "/x", timeouts=Timeouts(total=0.2)))
        await eventually(lambda: pool.active == 0)


async def test_a_client_that_uploads_slowly_is_no_silent_provider() -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(6):
            yield b"part"
            await asyncio.sleep(0.1)

    async def play(line: Line) -> None:
        await line.reader.readuntil(b"0\r\n\r\n")
        await line.send(OK)
        await line.closed()

    async with serving(play) as provider, pooling(provider.port) as (pool, _):
        assert await read(pool, Request("POST", "/x", body(), timeouts=Timeouts(first_byte=0.3))) == b"ok"


async def test_a_provider_that_does_not_take_the_upload_is_a_silent_provider() -> None:
    async def flood() -> AsyncIterator[bytes]:
        while True:
            yield bytes(65536)

    async def deaf(line: Line) -> None:
        line.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(30)

    async with serving(deaf) as provider, pooling(provider.port) as (pool, _):
        with pytest.raises(UpstreamTimeout) as raised:
            await read(pool, Request("POST", "/x", flood(), timeouts=Timeouts(first_byte=0.3)))
        assert raised.value.which == "first_byte"


async def test_a_stream_that_keeps_coming_is_never_idle() -> None:
    async def play(line: Line) -> None:
        await line.request()
        await line.send(HEAD)
        for _ in range(12):
            await line.send(b"1\r\nx\r\n")
            await asyncio.sleep(0.1)
        await line.send(b"0\r\n\r\n")

    async with serving(play) as provider, pooling(provider.port) as (pool, _):
        timeouts = Timeouts(first_byte=0.3, idle=0.4)
        assert await read(pool, Request("GET", "/x", timeouts=timeouts)) == b"x" * 12
