"""Connections kept, reused, given up; what is sent again and what never."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.errors import BrokenReply, ClientGone, GatewayError, InvalidRequest, Unreachable
from gateway.model.route import Timeouts
from gateway.upstream.pool import FRESH_S, IDLE_S, RACE_S, Pool, encode
from gateway.upstream.wire import Headers, Request, Upstream
from tests.upstream.providers import OK, Line, eventually, obliging, pooling, serving, sockets

EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


async def ask(pool: Pool, body: bytes | AsyncIterator[bytes] | None = None, length: int | None = None) -> bytes:
    reply = await pool.send(Request("POST" if body is not None else "GET", "/x", body, length=length))
    try:
        return await reply.read_all(1 << 20)
    finally:
        reply.close()


# Reuse


async def test_it_is_what_the_gateway_expects_of_an_upstream() -> None:
    async with serving(obliging) as provider, pooling(provider.port) as (pool, _):
        one: Upstream = pool
        assert repr(one) == f"<Pool 127.0.0.1:{provider.port} 0 active, 0 idle>"


async def test_one_after_the_other_they_share_a_connection() -> None:
    async with serving(obliging) as provider, pooling(provider.port) as (pool, tally):
        assert [await ask(pool) for _ in range(20)] == [b"ok"] * 20
        assert (len(provider.lines), tally.outcomes, tally.retries) == (1, {"ok": 1}, 0)


async def test_the_last_one_freed_is_used_first() -> None:
    async def name_yourself(line: Line) -> None:
        while await line.request():
            await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % line.number)

    async with serving(name_yourself) as provider, pooling(provider.port) as (pool, _):
        replies = [await pool.send(Request("GET", "/x")) for _ in range(3)]
        for at in (1, 2, 0):
            assert await replies[at].read_all(10) == b"%d" % at
            replies[at].close()
        assert [await ask(pool) for _ in range(2)] == [b"0", b"0"]
        assert pool.idle == 3


async def test_what_has_idled_too_long_is_closed_the_rest_stays() -> None:
    async with serving(obliging) as provider, pooling(provider.port) as (pool, _):
        replies = [await pool.send(Request("GET", "/x")) for _ in range(2)]
        now = asyncio.get_running_loop().time()
        for reply, idle_since in zip(replies, (now - IDLE_S - 1, now), strict=True):
            await reply.read_all(10)
            reply._sweep.now = idle_since
            reply.close()
        pool.check(now)
        assert pool.idle == 1
        await eventually(lambda: provider.open == 1)


@pytest.mark.parametrize("reply", [OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), OK + b"more"])
async def test_a_connection_that_must_not_serve_again_is_closed(reply: bytes) -> None:
    async def play(line: Line) -> None:
        await line.request()
        await line.send(reply)
        await line.closed()

    async with serving(play) as provider, pooling(provider.port) as (pool, tally):
        assert [await ask(pool) for _ in range(3)] == [b"ok"] * 3
        assert (len(provider.lines), tally.retries) == (3, 0)
        await eventually(lambda: provider.open == 0)


async def test_bytes_that_arrive_while_nobody_asks_never_answer_the_next_call() -> None:
    """They may lie in the socket, unseen by the loop, when the connection is taken again."""

    async def play(line: Line) -> None:
        while await line.request():
            await line.send(OK)
            line.writer.transport.write(EVIL)

    async with serving(play) as provider, pooling(provider.port) as (pool, _):
        for _ in range(20):
            reply = await pool.send(Request("GET", "/x"))
            assert await reply.read_all(10) == b"ok"
            await asyncio.sleep(0)
            reply.close()
            assert await ask(pool) == b"ok"


async def test_bytes_in_the_socket_are_seen_before_the_connection_is_given_away() -> None:
    second = asyncio.Event()
    lines: list[Line] = []

    async def play(line: Line) -> None:
        lines.append(line)
        await line.request()
        await line.send(OK)
        await second.wait()

    async with serving(play) as provider, pooling(provider.port) as (pool, tally):
        assert await ask(pool) == b"ok"
        raw = lines[0].writer.get_extra_info("socket")
        os.write(raw.fileno(), EVIL)  # behind the loop's back: it has had no chance to look
        pool._idle[0].idle_since -= FRESH_S  # providers speak unasked to a connection that has idled, not to a busy one
        second.set()
        assert await ask(pool) == b"ok"
        assert (len(provider.lines), tally.retries) == (2, 0)


async def test_a_provider_that_talks_first_is_not_spoken_to() -> None:
    async def play(line: Line) -> None:
        await line.send(b"220 smtp.example.com ESMTP\r\n")
        await line.closed()

    async with serving(play) as provider, pooling(provider.port, max_connections=1) as (pool, _):
        for _ in range(5):
            with pytest.raises(GatewayError) as raised:
                await ask(pool)
            assert raised.value.code in ("upstream_unreachable", "upstream_broken_reply")
            await eventually(lambda: pool.active == 0)


async def test_a_provider_that_closes_at_once_is_an_error_each_time_and_leaves_nothing() -> None:
    async def play(line: Line) -> None:
        line.reset()

    async with serving(play) as provider, pooling(provider.port, max_connections=1) as (pool, tally):
        for _ in range(5):
            with pytest.raises(GatewayError):
                await ask(pool)
            await eventually(lambda: pool.active == 0)
        assert tally.retries == 0


# Sent again


async def dies_idle(line: Line) -> None:
    """The first connection answers once and dies as the second request comes; the others oblige."""
    if line.number:
        return await obliging(line)
    await line.request()
    await line.send(OK)
    await line.request()
    line.reset()


@pytest.mark.parametrize("body", [None, b"", b"{}"], ids=["no body", "empty", "body"])
async def test_a_reused_connection_that_dies_unanswered_is_replaced(body: bytes | None) -> None:
    async with serving(dies_idle) as provider, pooling(provider.port) as (pool, tally):
        assert await ask(pool) == b"ok"
        assert await ask(pool, body) == b"ok"
        assert (len(provider.lines), tally.retries, tally.outcomes["ok"]) == (2, 1, 2)


async def test_it_is_replaced_once_and_by_a_fresh_one_though_others_idle() -> None:
    seen: list[int] = []

    async def play(line: Line) -> None:
        await line.request()
        await line.send(OK)
        while await line.request():
            seen.append(line.number)
            return line.reset()

    async with serving(play) as provider, pooling(provider.port) as (pool, tally):
        replies = [await pool.send(Request("GET", "/x")) for _ in range(5)]
        for reply in replies:
            await reply.read_all(10)
            reply.close()
        assert await ask(pool) == b"ok"
        assert (len(seen), len(provider.lines), tally.retries) == (1, 6, 1)


async def broken(pool: Pool, body: bytes | AsyncIterator[bytes] | None = None) -> GatewayError:
    with pytest.raises(GatewayError) as raised:
        await ask(pool, body)
    return raised.value


async def test_nothing_is_sent_again_after_a_byte() -> None:
    async def play(line: Line) -> None:
        await line.request()
        await line.send(OK)
        await line.request()
        await line.send(b"H")
        line.writer.close()

    async with serving(play) as provider, pooling(provider.port) as (pool, tally):
        await ask(pool)
        assert (await broken(pool)).code == "upstream_reset"
        assert (len(provider.lines), tally.retries) == (1, 0)


async def test_nothing_is_sent_again_over_a_first_use() -> None:
    async def play(line: Line) -> None:
        await line.request()

    async with serving(play) as provider, pooling(provider.port) as (pool, tally):
        assert (await broken(pool)).code == "upstream_reset"
        assert (len(provider.lines), tally.retries) == (1, 0)


async def test_a_body_that_is_read_as_it_is_sent_is_not_sent_again() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"part"

    async with serving(dies_idle) as provider, pooling(provider.port) as (pool, tally):
        await ask(pool)
        assert isinstance(await broken(pool, body()), BrokenReply)
        assert (len(provider.lines), tally.retries) == (1, 0)


async def test_what_the_provider_may_have_worked_on_is_not_sent_again() -> None:
    async def play(line: Line) -> None:
        await line.request()
        await line.send(OK)
        await line.request()
        await asyncio.sleep(RACE_S + 0.05)
        line.reset()

    async with serving(play) as provider, pooling(provider.port) as (pool, tally):
        await ask(pool)
        assert (await broken(pool, b"{}")).code == "upstream_reset"
        assert (len(provider.lines), tally.retries) == (1, 0)


# Bounds


async def test_five_hundred_at_once_each_get_their_own_answer() -> None:
    async def echo(line: Line) -> None:
        while request := await line.request():
            body = request.split(b"\r\n\r\n", 1)[1]
            await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async with serving(echo) as provider, pooling(provider.port) as (pool, _):
        for _ in range(2):
            bodies = [b"call %d" % at for at in range(500)]
            assert await asyncio.gather(*(ask(pool, body) for body in bodies)) == bodies
        assert len(provider.lines) <= 500
        assert pool.idle == len(provider.lines)


async def test_no_more_connections_than_allowed() -> None:
    release = asyncio.Event()

    async def play(line: Line) -> None:
        while await line.request():
            await release.wait()
            await line.send(OK)

    async with serving(play) as provider, pooling(provider.port, max_connections=2) as (pool, _):
        at_work = [asyncio.ensure_future(ask(pool)) for _ in range(2)]
        await eventually(lambda: provider.open == 2 and pool.active == 2)
        with pytest.raises(Unreachable) as raised:
            await ask(pool)
        assert (raised.value.code, raised.value.sent) == ("upstream_busy", False)
        release.set()
        assert await asyncio.gather(*at_work) == [b"ok", b"ok"]
        assert await ask(pool) == b"ok"


async def test_a_closed_pool_ends_with_its_last_calls() -> None:
    release = asyncio.Event()

    async def play(line: Line) -> None:
        while await line.request():
            await release.wait()
            await line.send(OK)

    async with serving(play) as provider, pooling(provider.port) as (pool, _):
        at_work = asyncio.ensure_future(ask(pool))
        await eventually(lambda: provider.open == 1)
        await pool.aclose()
        release.set()
        assert await at_work == b"ok"
        assert await ask(pool) == b"ok", "a call that began before the reload still dials"
        assert (pool.idle, pool.active) == (0, 0)
        await eventually(lambda: provider.open == 0)


async def test_a_refused_connection_is_unreachable_and_nothing_was_sent() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        async with pooling(reserved.getsockname()[1]) as (pool, tally):
            with pytest.raises(Unreachable) as raised:
                await ask(pool)
            assert (raised.value.code, raised.value.sent) == ("upstream_unreachable", False)
            assert tally.outcomes == {"refused": 1}


# What goes out


async def test_a_request_says_where_it_goes_whose_key_it_has_and_that_nothing_be_compressed() -> None:
    heads: list[bytes] = []

    async def play(line: Line) -> None:
        while request := await line.request():
            heads.append(request)
            await line.send(OK)

    key = ((b"authorization", b"Bearer k"),)
    async with (
        serving(play) as provider,
        pooling(provider.port, host="api.example.com", headers=key) as (pool, _),
    ):
        reply = await pool.send(Request("POST", "/chat", b"{}", [(b"x-request-id", b"r1")]))
        await reply.read_all(10)
        reply.close()
        await ask(pool)
        host = b"host: api.example.com:%d\r\n" % provider.port
        fixed = host + b"authorization: Bearer k\r\naccept-encoding: identity\r\n"
        assert heads == [
            b"POST /v1/chat HTTP/1.1\r\n" + fixed + b"x-request-id: r1\r\ncontent-length: 2\r\n\r\n{}",
            b"GET /v1/x HTTP/1.1\r\n" + fixed + b"\r\n",
        ]


@pytest.mark.parametrize("headers", [[(b"a", b"b\r\nc: d")], [(b"a", b"b\nc")], [(b"a\r", b"b")], [(b"a", b"\0")]])
def test_a_header_cannot_break_out_of_its_line(headers: Headers) -> None:
    with pytest.raises(ValueError):
        encode(headers)


@pytest.mark.parametrize("target", ["/a b", "/a\r\nb: c", "/\xfc", "/a\0", "/\x7f"])
async def test_a_target_cannot_break_out_of_its_line(target: str) -> None:
    async with serving(obliging) as provider, pooling(provider.port) as (pool, _):
        with pytest.raises(ValueError):
            await pool.send(Request("GET", target))
        assert provider.lines == []


# Bodies that are sent as they come


async def parts(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        await asyncio.sleep(0)
        yield piece


async def test_a_body_of_unknown_length_goes_out_in_chunks() -> None:
    bodies: list[bytes] = []

    async def play(line: Line) -> None:
        while await line.request():
            bodies.append(await line.reader.readuntil(b"0\r\n\r\n"))
            await line.send(OK)

    async with serving(play) as provider, pooling(provider.port) as (pool, _):
        for _ in range(2):
            assert await ask(pool, parts(b"hello", b"", b"world!")) == b"ok"
        assert bodies == [b"5\r\nhello\r\n6\r\nworld!\r\n0\r\n\r\n"] * 2
        assert len(provider.lines) == 1


async def test_a_body_of_known_length_goes_out_as_it_is() -> None:
    async with serving(obliging) as provider, pooling(provider.port) as (pool, _):
        for _ in range(2):
            assert await ask(pool, parts(b"hello", b"world!"), length=11) == b"ok"
        assert len(provider.lines) == 1


@pytest.mark.parametrize("length", [4, 12], ids=["longer", "shorter"])
async def test_a_body_that_is_not_as_long_as_it_said_is_the_callers_fault(length: int) -> None:
    async with serving(obliging) as provider, pooling(provider.port) as (pool, _):
        with pytest.raises(InvalidRequest):
            await ask(pool, parts(b"hello", b"world!"), length=length)
        await eventually(lambda: provider.open == 0)


@pytest.mark.parametrize(
    ("raised", "status"), [(ClientGone("left"), 499), (ValueError("torn"), 500)], ids=["client left", "any error"]
)
async def test_a_body_that_fails_midway_fails_the_call_and_closes_the_connection(
    raised: Exception, status: int
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"hello"
        raise raised

    async with serving(obliging) as provider, pooling(provider.port) as (pool, _):
        assert (await broken(pool, body())).status == status
        await eventually(lambda: provider.open == 0)


async def test_a_provider_that_does_not_read_stops_the_writer() -> None:
    taken = 0

    async def flood() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 65536
            yield bytes(65536)

    async def deaf(line: Line) -> None:
        line.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(5)

    async with serving(deaf) as provider, pooling(provider.port) as (pool, _):
        call = asyncio.ensure_future(ask(pool, flood()))
        await asyncio.sleep(0.3)
        before = taken
        await asyncio.sleep(0.1)
        assert 0 < before == taken
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)


async def test_an_answer_that_comes_before_the_body_is_out_is_an_answer() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"hello"
        await asyncio.sleep(30)

    async def play(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await line.closed()

    async with serving(play) as provider, pooling(provider.port) as (pool, _):
        reply = await pool.send(Request("POST", "/x", body()))
        assert (reply.status, await reply.read()) == (413, b"big")
        assert await reply.read() == b""
        reply.close()
        assert pool.idle == 0, "the rest of the body would be read as a request"
        await eventually(lambda: provider.open == 0)


async def test_a_provider_that_answers_early_and_closes_has_answered() -> None:
    ended = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        try:
            yield b"hello"
            await asyncio.sleep(30)
        finally:
            ended.set()

    async def play(line: Line) -> None:
        await line.reader.readuntil(b"hello\r\n")
        await line.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")

    async with serving(play) as provider, pooling(provider.port) as (pool, _):
        reply = await pool.send(Request("POST", "/x", body()))
        await asyncio.wait_for(ended.wait(), 2)
        assert (reply.status, await reply.read(), await reply.read()) == (413, b"big", b"")
        reply.close()


async def test_a_provider_that_resets_during_the_upload_ends_the_reading_of_the_body() -> None:
    ended = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        try:
            yield b"hello"
            await asyncio.sleep(30)
        finally:
            ended.set()

    async def play(line: Line) -> None:
        await line.reader.readuntil(b"hello\r\n")
        line.reset()

    async with serving(play) as provider, pooling(provider.port) as (pool, _):
        assert (await broken(pool, body())).code == "upstream_reset"
        await asyncio.wait_for(ended.wait(), 2)


# Leaving in the middle


async def test_a_call_that_is_cancelled_anywhere_leaves_nothing_open() -> None:
    """At each await in turn: dialling, the head, the body; with a body of bytes and one that is iterated."""

    async def play(line: Line) -> None:
        while await line.request():
            await line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(3):
                await line.send(b"2\r\nok\r\n")
                await asyncio.sleep(0.001)
            await line.send(b"0\r\n\r\n")

    async def call(pool: Pool, iterated: bool) -> None:
        reply = await pool.send(Request("POST", "/x", parts(b"a", b"b") if iterated else b"ab"))
        try:
            while await reply.read():
                pass
        finally:
            reply.close()

    async with serving(play) as provider, pooling(provider.port) as (pool, _):
        for iterated in (False, True):
            for steps in range(40):
                task = asyncio.ensure_future(call(pool, iterated))
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                assert pool.active == 0, steps
            for steps in range(12):
                task = asyncio.ensure_future(call(pool, iterated))
                await asyncio.sleep(steps / 2000)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                assert pool.active == 0, steps
        await eventually(lambda: provider.open == pool.idle)


async def test_ten_thousand_requests_leave_no_task_and_no_descriptor() -> None:
    async with serving(obliging) as provider, pooling(provider.port) as (pool, _):
        await asyncio.gather(*(ask(pool) for _ in range(20)))
        tasks, descriptors = len(asyncio.all_tasks()), sockets()

        async def many() -> None:
            for _ in range(500):
                assert await ask(pool) == b"ok"

        await asyncio.gather(*(many() for _ in range(20)))
        assert len(asyncio.all_tasks()) == tasks
        assert sockets() == descriptors
        assert len(provider.lines) == 20


async def test_a_thousand_failing_calls_leave_no_descriptor() -> None:
    async def play(line: Line) -> None:
        await line.request()
        await line.send(OK[: line.number % len(OK)])

    async with serving(play) as provider, pooling(provider.port) as (pool, _):
        before = sockets()
        for _ in range(50):
            await asyncio.gather(*(ask(pool) for _ in range(20)), return_exceptions=True)
        await eventually(lambda: provider.open == 0)
        await eventually(lambda: sockets() <= before)
        assert pool.active == 0


async def test_a_dial_that_is_cancelled_or_too_slow_leaves_no_descriptor() -> None:
    with socket.socket() as full:  # its queue is full, so that connecting to it hangs
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.create_connection(("127.0.0.1", port)) for _ in range(1)]
        before = sockets()
        async with pooling(port) as (pool, _):
            slow = Timeouts(connect=0.05)
            calls = [asyncio.ensure_future(pool.send(Request("GET", "/x", timeouts=slow))) for _ in range(10)]
            await asyncio.sleep(0.01)
            for call in calls[:5]:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            await eventually(lambda: sockets() <= before)
            for call in calls[5:]:
                if call.exception() is None:
                    call.result().close()
        for filler in fillers:
            filler.close()
