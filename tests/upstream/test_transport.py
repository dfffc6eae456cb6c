"""The pools behind `httpx.AsyncClient`: what httpx promises its users holds here too."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from gateway.upstream.pool import Origin, Pool
from gateway.upstream.sweep import Sweep
from gateway.upstream.transport import PoolTransport
from tests.upstream.providers import OK, Line, Play, Provider, Tally, eventually, obliging, serving
from tests.upstream.replies import chunked


@asynccontextmanager
async def client(*, allow_private: bool = True, limit_s: float = 5.0) -> AsyncIterator[httpx.AsyncClient]:
    sweep = Sweep(asyncio.get_running_loop())
    sweep.start()

    def make(origin: Origin) -> Pool:
        return Pool(origin, sweep, Tally())

    transport = PoolTransport(make, allow_private=allow_private)
    try:
        async with httpx.AsyncClient(transport=transport, timeout=limit_s) as one:
            yield one
    finally:
        sweep.stop()
    assert len(sweep) == 0


@asynccontextmanager
async def against(play: Play, *, limit_s: float = 5.0) -> AsyncIterator[tuple[httpx.AsyncClient, str, Provider]]:
    async with serving(play) as provider, client(limit_s=limit_s) as one:
        yield one, f"http://127.0.0.1:{provider.port}", provider


async def mirror(line: Line) -> None:
    while request := await line.request():
        await line.send(b"HTTP/1.1 200 OK\r\nX-Seen: 1\r\nContent-Length: %d\r\n\r\n%b" % (len(request), request))


async def test_what_is_asked_goes_out_with_its_query_its_headers_and_its_body() -> None:
    async with against(mirror) as (one, base, _):
        reply = await one.get(base + "/a/b?c=d%20e", headers={"X-Mine": "yes"})
        assert (reply.status_code, reply.headers["x-seen"]) == (200, "1")
        assert reply.text.startswith("GET /a/b?c=d%20e HTTP/1.1\r\n") and "x-mine: yes\r\n" in reply.text
        reply = await one.post(base + "/a", json={"b": 1})
        assert reply.text.startswith("POST /a HTTP/1.1\r\n") and reply.text.endswith('\r\n\r\n{"b":1}')
        assert reply.text.lower().count("host:") == reply.text.lower().count("content-length:") == 1
        assert (await one.post(base + "/a")).text.endswith("content-length: 0\r\n\r\n")


async def test_connections_are_kept_by_origin() -> None:
    async with serving(obliging) as first, serving(obliging) as second, client() as one:
        for provider in (first, second, first, second):
            assert (await one.get(f"http://127.0.0.1:{provider.port}/")).text == "ok"
        assert (len(first.lines), len(second.lines)) == (1, 1)


async def test_a_head_request_ends_with_its_head() -> None:
    async def play(line: Line) -> None:
        while await line.request():
            await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")

    async with against(play) as (one, base, _):
        reply = await one.head(base + "/")
        assert (reply.status_code, reply.headers["content-length"], reply.content) == (200, "5000", b"")


async def test_a_stream_is_read_as_it_comes() -> None:
    go = asyncio.Event()

    async def play(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await go.wait()
        await line.send(chunked(b"two", 3))

    async with against(play) as (one, base, _), one.stream("GET", base + "/") as reply:
        arriving = reply.aiter_bytes()
        assert await anext(arriving) == b"one"
        go.set()
        assert [part async for part in arriving] == [b"two"]


async def test_a_stream_left_early_closes_its_connection() -> None:
    async def play(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome")
        await line.closed()

    async with against(play) as (one, base, provider):
        async with one.stream("GET", base + "/"):
            pass
        await eventually(lambda: provider.open == 0)


async def silent(line: Line) -> None:
    await line.closed()


async def half(line: Line) -> None:
    await line.request()
    await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome")
    await line.closed()


async def torn(line: Line) -> None:
    await line.request()
    await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome")


async def nonsense(line: Line) -> None:
    await line.request()
    await line.send(b"SSH-2.0\r\n\r\n")


@pytest.mark.parametrize(
    ("play", "error"),
    [
        pytest.param(silent, httpx.ReadTimeout, id="no head in time"),
        pytest.param(half, httpx.ReadTimeout, id="no body in time"),
        pytest.param(torn, httpx.ReadError, id="cut short"),
        pytest.param(nonsense, httpx.RemoteProtocolError, id="no HTTP"),
    ],
)
async def test_errors_are_told_in_httpxs_words(play: Play, error: type[Exception]) -> None:
    async with against(play, limit_s=0.2) as (one, base, _):
        with pytest.raises(error):
            await one.get(base + "/")


async def test_nobody_there_is_a_connect_error() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        async with client() as one:
            with pytest.raises(httpx.ConnectError):
                await one.get(f"http://127.0.0.1:{reserved.getsockname()[1]}/")


async def test_a_private_address_is_a_connect_error() -> None:
    async with serving(obliging) as provider, client(allow_private=False) as one:
        for host in ("127.0.0.1", "localhost", "[::1]", "2130706433"):
            with pytest.raises(httpx.ConnectError, match="allow_private"):
                await one.get(f"http://{host}:{provider.port}/")
        assert provider.lines == []


async def test_a_full_queue_is_a_connect_timeout() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            async with client(limit_s=0.1) as one:
                with pytest.raises(httpx.ConnectTimeout):
                    await one.get(f"http://127.0.0.1:{port}/")


async def test_only_http_is_spoken() -> None:
    async with client() as one:
        with pytest.raises(httpx.UnsupportedProtocol):
            await one.get("ftp://127.0.0.1/")


async def test_a_redirect_is_not_followed() -> None:
    async def play(line: Line) -> None:
        while await line.request():
            await line.send(OK.replace(b"200 OK\r\n", b"302 Found\r\nLocation: http://127.0.0.1:1/\r\n"))

    async with against(play) as (one, base, _):
        assert (await one.get(base + "/")).status_code == 302
