"""Comments that keep a silent stream alive: when they come, and when they must not."""

from __future__ import annotations

import asyncio

from gateway.api.asgi import Message
from gateway.api.keepalive import SILENCE_S, KeepAlive
from gateway.exchange import Exchange
from gateway.model.endpoint import JSON_ENDPOINTS
from gateway.telemetry import trace
from gateway.telemetry.ids import new_id
from gateway.upstream.sweep import Sweep


class Client:
    """Takes what is sent; `stalled` makes it wait for ever."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.stalled = False

    async def send(self, message: Message) -> None:
        if self.stalled:
            await asyncio.Event().wait()
        self.got.append(message["body"])


def stream() -> tuple[KeepAlive, Exchange, Client, Sweep]:
    sweep = Sweep(asyncio.get_running_loop())
    trip = Exchange("req_1", JSON_ENDPOINTS[0], "POST", "", trace.begin(None, None, new_id))
    client = Client()
    return KeepAlive(trip, client.send, sweep), trip, client, sweep


async def look(keep_alive: KeepAlive, now: float) -> None:
    keep_alive.check(now)
    await asyncio.sleep(0)


async def test_a_silent_stream_gets_a_comment_after_each_silence() -> None:
    keep_alive, trip, client, _ = stream()
    trip.bytes_out = 100
    await look(keep_alive, 0.0)
    await look(keep_alive, SILENCE_S)
    assert client.got == []
    await look(keep_alive, SILENCE_S + 0.1)
    await look(keep_alive, SILENCE_S + 0.2)
    assert client.got == [b": keep-alive\n\n"]
    await look(keep_alive, 2 * SILENCE_S + 0.3)
    assert len(client.got) == 2


async def test_a_stream_that_speaks_gets_none() -> None:
    keep_alive, trip, client, _ = stream()
    for second in range(100):
        trip.bytes_out += 1
        await look(keep_alive, float(second))
    assert client.got == []


async def test_a_client_that_does_not_read_gets_one_at_a_time() -> None:
    keep_alive, _, client, _ = stream()
    client.stalled = True
    before = len(asyncio.all_tasks())
    for second in range(0, 200, 10):
        await look(keep_alive, float(second))
    assert len(asyncio.all_tasks()) == before + 1
    keep_alive.close()
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == before


async def test_nothing_follows_the_end() -> None:
    keep_alive, _, client, sweep = stream()
    keep_alive.check(0.0)
    keep_alive.check(SILENCE_S + 1)  # a comment is about to go out
    keep_alive.close()
    await asyncio.sleep(0)
    assert client.got == [] and len(sweep) == 0
