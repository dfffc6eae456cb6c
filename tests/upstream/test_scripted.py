"""The scripted provider in process: the same door and the same errors as the network pool."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from gateway.errors import BrokenReply, ClientGone, UpstreamTimeout
from gateway.model.route import Timeouts
from gateway.providers.scripting import Player, loads
from gateway.upstream.scripted import ScriptedReply, ScriptedUpstream
from gateway.upstream.sweep import Sweep
from gateway.upstream.wire import Reply, Request, Upstream

TEXT = "one two three four"


def upstream(reply: str, lines: list[bytes] | None = None, sweep: Sweep | None = None) -> ScriptedUpstream:
    player = Player(loads(f"models: [m]\nreplies:\n  - {{text: {TEXT}, {reply}}}"), clock=lambda: 7.0)
    return ScriptedUpstream(player, sweep, on_bill=lines.append if lines is not None else None)


def request(*, stream: bool = False, timeouts: Timeouts | None = None) -> Request:
    body = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": stream})
    return Request("POST", "/chat/completions", body, timeouts=timeouts or Timeouts())


async def read(reply: ScriptedReply) -> list[bytes]:
    parts = []
    while data := await reply.read():
        parts.append(data)
    return parts


def test_it_is_what_the_gateway_expects_of_an_upstream() -> None:
    one: Upstream = upstream("times: 1")
    assert "0 open" in repr(one)


async def test_a_reply_has_a_head_and_a_body() -> None:
    reply: Reply = await upstream("times: 1").send(request())
    body = await reply.read_all(10_000)
    assert reply.status == 200
    assert dict(reply.headers)[b"content-length"] == b"%d" % len(body)
    assert orjson.loads(body)["choices"][0]["message"]["content"] == TEXT
    assert await reply.read() == b""


async def test_a_stream_arrives_event_by_event() -> None:
    parts = await read(await upstream("times: 1").send(request(stream=True)))
    assert len(parts) == 7 and all(part.endswith(b"\n\n") for part in parts)


async def test_without_delays_nothing_waits() -> None:
    one = upstream("times: 1")
    with pytest.raises(StopIteration):
        one.send(request(stream=True)).send(None)  # one step of the coroutine is the whole of it


async def test_an_iterated_body_is_gathered() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        body = request().body
        assert isinstance(body, bytes)
        yield body[:5]
        yield body[5:]

    reply = await upstream("times: 1").send(Request("POST", "/chat/completions", pieces()))
    assert reply.status == 200


async def test_a_delay_is_waited_for() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await read(await upstream("delay: {head: 0.02, first: 0.02, chunk: 0.01}").send(request(stream=True)))
    assert 0.09 <= loop.time() - began < 2


@pytest.mark.parametrize(
    "fault",
    [
        "{kind: reset, after_bytes: 20}",
        "{kind: close_early, after_bytes: 20}",
        "{kind: bad_chunk, after_bytes: 20}",
        "{kind: wrong_length, by: 5}",
        "{kind: reset, before_head: true}",
        "{kind: bad_head}",
        "{kind: huge_head}",
    ],
)
async def test_a_broken_reply_is_an_error(fault: str) -> None:
    one = upstream(f"fault: {fault}")
    with pytest.raises(BrokenReply):
        await read(await one.send(request()))


async def test_what_came_before_the_fault_is_read() -> None:
    reply = await upstream("fault: {kind: reset, after_chunks: 2}").send(request(stream=True))
    assert (await reply.read()).startswith(b"data: ") and (await reply.read()).startswith(b"data: ")
    with pytest.raises(BrokenReply):
        await reply.read()


async def test_a_length_that_is_too_small_cuts_the_body() -> None:
    whole = await (await upstream("times: 1").send(request())).read_all(10_000)
    cut = await (await upstream("fault: {kind: wrong_length, by: -9}").send(request())).read_all(10_000)
    assert cut == whole[:-9]


async def test_a_hang_lasts_until_somebody_fails_the_reply() -> None:
    reply = await upstream("fault: {kind: hang}").send(request())
    reading = asyncio.create_task(reply.read())
    await asyncio.sleep(0.01)
    assert not reading.done()
    reply.fail(ClientGone("gone"))
    with pytest.raises(ClientGone):
        await reading


async def test_a_reply_that_failed_stays_failed() -> None:
    reply = await upstream("times: 1").send(request())
    reply.fail(ClientGone("gone"))
    with pytest.raises(ClientGone):
        await reply.read()


@pytest.mark.parametrize(
    ("fault", "timeouts", "which"),
    [
        ("{kind: hang, before_head: true}", Timeouts(first_byte=0.02), "first_byte"),
        ("{kind: hang, after_chunks: 1}", Timeouts(idle=0.02), "idle"),
        ("{kind: drip, bytes: 1, every: 0.01}", Timeouts(total=0.08), "total"),
    ],
)
async def test_deadlines_hold(fault: str, timeouts: Timeouts, which: str) -> None:
    sweep = Sweep(asyncio.get_running_loop(), 0.01)
    sweep.start()
    one = upstream(f"fault: {fault}", sweep=sweep)
    with pytest.raises(UpstreamTimeout) as raised:
        reply = await one.send(request(stream=True, timeouts=timeouts))
        try:
            await read(reply)
        finally:
            reply.close()
    sweep.stop()
    assert raised.value.which == which
    assert (len(sweep), one.active) == (0, 0)


async def test_a_compressed_reply_comes_out_plain_and_bounded() -> None:
    small = await upstream("fault: {kind: gzip_bomb, expands_to: 100000}").send(request())
    assert b"content-encoding" not in dict(small.headers)
    assert orjson.loads(await small.read_all(1 << 20))["object"] == "chat.completion"
    with pytest.raises(BrokenReply):
        await read(await upstream("fault: {kind: gzip_bomb, expands_to: 67108864}").send(request()))


async def test_read_all_is_bounded() -> None:
    with pytest.raises(BrokenReply) as raised:
        await (await upstream("times: 1").send(request())).read_all(10)
    assert raised.value.code == "upstream_reply_too_large"


async def test_each_call_is_booked_once_when_it_is_closed() -> None:
    lines: list[bytes] = []
    one = upstream("times: 9", lines)
    done = await one.send(request())
    await done.read_all(10_000)
    left = await one.send(request(stream=True))
    for _ in range(3):
        await left.read()
    assert one.active == 2
    for reply in (done, left, left):
        reply.close()
    bills = [orjson.loads(line) for line in lines]
    assert [(bill["completed"], bill["output_tokens"]) for bill in bills] == [(True, 4), (False, 2)]
    assert one.active == 0


async def test_a_cancelled_send_is_booked_too() -> None:
    lines: list[bytes] = []
    sending = asyncio.create_task(upstream("fault: {kind: hang, before_head: true}", lines).send(request()))
    await asyncio.sleep(0.01)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert orjson.loads(lines[0])["completed"] is False


async def test_closing_wakes_every_reader() -> None:
    one = upstream("fault: {kind: hang}")
    reading = asyncio.create_task((await one.send(request())).read())
    await asyncio.sleep(0.01)
    await one.aclose()
    with pytest.raises(BrokenReply):
        await reading
    assert one.active == 0
