"""Before a peer is measured it must do the job: a fast proxy that answers wrongly would win."""

from __future__ import annotations

import asyncio

from loadtest import traffic
from loadtest.client import Connection, connect
from loadtest.machine import BenchError
from loadtest.mock_upstream import UNARY_BODY
from loadtest.peers.base import Running

_CHUNKS = 5
_PATIENCE_S = 20.0


async def check(running: Running) -> None:
    """Raise `BenchError` unless one JSON call and one stream come back whole."""
    unary = await _ask(running, running.request(traffic.unary_body()))
    # A peer may write the JSON anew, so its length is only roughly known.
    if unary.status != 200 or unary.body_bytes < len(UNARY_BODY) // 2:
        raise BenchError(f"{running.name} answered {unary.status} with {unary.body_bytes} bytes{_why(running)}")
    stream = await _ask(running, running.request(traffic.stream_body(_CHUNKS, 1)))
    if stream.status != 200 or stream.chunks != _CHUNKS:
        raise BenchError(
            f"{running.name} streamed {stream.chunks} of {_CHUNKS} chunks, status {stream.status}{_why(running)}"
        )


async def _ask(running: Running, request: bytes) -> Connection:
    ended = asyncio.Event()
    connection = await connect(running.port, lambda _: ended.set())
    try:
        async with asyncio.timeout(_PATIENCE_S):
            connection.send(request)
            await ended.wait()
    except TimeoutError as error:
        raise BenchError(f"{running.name} did not answer within {_PATIENCE_S:g} s{_why(running)}") from error
    finally:
        connection.busy = False
        connection.close()
    return connection


def _why(running: Running) -> str:
    return "" if running.child is None else f":\n{running.child.last_words()}"
