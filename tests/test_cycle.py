"""What a connection does around its requests: early answers, pipelines, stray bytes, HTTP/1.0, the process's end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.api.asgi import Receive, Scope, Send
from gateway.config.server import Server
from gateway.protocol import Protocol
from gateway.upstream.sweep import Sweep
from gateway.worker import Listener, listener

HEAD = b"POST /%b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
GET = b"GET /%b HTTP/1.1\r\nhost: x\r\n\r\n"


class App:
    """`/early` answers before it reads, `/slow` streams until told, anything else answers at once."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/slow":
            await self._slow(receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def _slow(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        watching = asyncio.create_task(self._watch(receive))
        await self.go.wait()
        watching.cancel()
        await send({"type": "http.response.body", "body": b"ended"})

    async def _watch(self, receive: Receive) -> None:
        if (await receive())["type"] == "http.disconnect":
            self.left.set()
            self.go.set()


@asynccontextmanager
async def serving(app: App, **limits: float) -> AsyncIterator[tuple[int, Listener]]:
    sweep = Sweep(asyncio.get_running_loop(), period_s=0.02)
    sweep.start()
    settings = Server.model_validate({"port": 0, "limits": limits})
    server = listener(app, settings, None, sweep, lambda code: None)
    server.config.port = 0
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 (uvicorn offers no event)
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1], server
    finally:
        app.go.set()
        server.should_exit = True
        await task
        sweep.stop()


async def dial(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


async def ended(reader: asyncio.StreamReader, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            return await reader.read(1000) == b""
    except TimeoutError:
        return False


async def test_a_connection_answered_before_its_body_came_idles_out_too() -> None:
    async with serving(App(), keep_alive=0.3) as (port, _):
        reader, writer = await dial(port)
        writer.write(HEAD % (b"early", 5))
        assert b"200" in await reader.read(1000)
        writer.write(b"12345")
        assert await ended(reader, 3.0)
        writer.close()


@pytest.mark.parametrize("stray", [b"\r\n", b"POST /v1"], ids=["line end", "begun head"])
async def test_a_stream_outlives_the_deadline_of_the_next_head(stray: bytes) -> None:
    app = App()
    async with serving(app, header_timeout=0.2) as (port, _):
        reader, writer = await dial(port)
        writer.write(GET % b"slow")
        await reader.readuntil(b"begun")
        writer.write(stray)
        await asyncio.sleep(0.6)
        app.go.set()
        assert await reader.readuntil(b"ended")
        writer.close()


async def test_a_client_that_leaves_with_a_second_request_waiting_is_noticed() -> None:
    app = App()
    async with serving(app) as (port, _):
        reader, writer = await dial(port)
        writer.write(GET % b"slow")
        await reader.readuntil(b"begun")
        writer.write(GET % b"next")
        await asyncio.sleep(0.1)
        writer.transport.abort()
        async with asyncio.timeout(2.0):
            await app.left.wait()


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with serving(App()) as (port, _):
        reader, writer = await dial(port)
        writer.write(GET % b"a" + GET % b"b" + GET % b"c")
        got = b""
        while got.count(b"ok") < 3:
            got += await reader.read(1000)
        assert got.count(b"200 OK") == 3
        writer.close()


async def test_http_1_0_gets_a_body_that_ends_with_the_connection() -> None:
    app = App()
    app.go.set()
    async with serving(app) as (port, _):
        reader, writer = await dial(port)
        writer.write(b"GET /slow HTTP/1.0\r\nhost: x\r\n\r\n")
        got = await reader.read(-1)
        assert b"transfer-encoding" not in got and got.endswith(b"\r\n\r\nbegunended")
        writer.close()


async def test_what_is_on_its_way_when_the_process_ends_is_answered() -> None:
    async with serving(App()) as (port, server):
        reader, writer = await dial(port)
        writer.write(GET % b"a")
        await reader.readuntil(b"ok")
        for connection in list(server.server_state.connections):
            assert isinstance(connection, Protocol)
            connection.shutdown()
        writer.write(GET % b"b")
        got = await reader.read(-1)
        assert b"connection: close" in got and got.endswith(b"ok")
        writer.close()


async def test_a_refusal_before_dispatch_carries_a_request_id() -> None:
    async with serving(App()) as (port, _):
        reader, writer = await dial(port)
        writer.write(b"GET http://evil/ HTTP/1.1\r\nhost: x\r\n\r\n")
        got = await reader.read(-1)
        assert b" 400 " in got and b"x-request-id: req_" in got
        writer.close()
