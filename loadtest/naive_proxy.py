"""The proxy that anybody would write in an afternoon with Starlette and httpx: the yardstick, not an example."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

# The defaults, save that httpx stops at 100 connections: a thousand streams could then not be compared at all.
client = httpx.AsyncClient(timeout=None, limits=httpx.Limits(max_connections=None, max_keepalive_connections=20))


async def proxy(request: Request) -> StreamingResponse:
    headers = {k: v for k, v in request.headers.items() if k not in ("host", "content-length", "connection")}
    url = os.environ["UPSTREAM"] + request.url.path
    upstream = client.build_request(request.method, url, headers=headers, content=await request.body())
    reply = await client.send(upstream, stream=True)
    kept = {k: v for k, v in reply.headers.items() if k not in ("content-length", "transfer-encoding", "connection")}
    return StreamingResponse(reply.aiter_raw(), reply.status_code, kept, background=BackgroundTask(reply.aclose))


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with client:
        yield


app = Starlette(routes=[Route("/{path:path}", proxy, methods=["GET", "POST"])], lifespan=lifespan)
