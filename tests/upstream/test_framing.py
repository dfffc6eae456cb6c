"""Any doubt about where a reply ends drops the connection, and no byte of it is anybody else's answer."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import BrokenReply, GatewayError
from gateway.upstream.connection import MAX_HEAD
from gateway.upstream.reply import BULK_HIGH_WATER, HIGH_WATER, MANY, ConnectionReply
from tests.upstream.replies import chunked, head, sized
from tests.upstream.wires import Wire, read

OK = b"HTTP/1.1 200 OK\r\n"
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

REFUSED = {
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "two lengths that differ": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a list of lengths": OK + b"Content-Length: 5, 5\r\n\r\nhello",
    "a length and chunks": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"hello", 5),
    "chunks and a length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + chunked(b"hello", 5),
    "a signed length": OK + b"Content-Length: +5\r\n\r\nhello",
    "a negative length": OK + b"Content-Length: -5\r\n\r\nhello",
    "a hexadecimal length": OK + b"Content-Length: 0x5\r\n\r\nhello",
    "an endless length": OK + b"Content-Length: 99999999999999999999999\r\n\r\nhello",
    "an empty length": OK + b"Content-Length:\r\n\r\n",
    "gzip as transfer coding": OK + b"Transfer-Encoding: gzip\r\n\r\nhello",
    "gzip, chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + chunked(b"hello", 5),
    "chunked, then identity": OK + b"Transfer-Encoding: chunked, identity\r\n\r\n" + chunked(b"hello", 5),
    "chunked twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"hello", 5),
    "xchunked": OK + b"Transfer-Encoding: xchunked\r\n\r\n" + chunked(b"hello", 5),
    "a chunk of no number": CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n",
    "a chunk of a signed number": CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n",
    "a chunk of a negative number": CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "a chunk with 0x": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk of an endless number": CHUNKED + b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "a chunk without a number": CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
    "a chunk that is longer than it says": CHUNKED + b"3\r\nhello\r\n0\r\n\r\n",
    "a chunk ended by a bare LF": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "a chunk's data ended by a bare LF": CHUNKED + b"5\r\nhello\n0\r\n\r\n",
    "bare LF everywhere": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "a bare CR in a header": OK + b"X: a\rb\r\nContent-Length: 5\r\n\r\nhello",
    "NUL in a header's value": OK + b"X: a\0b\r\nContent-Length: 5\r\n\r\nhello",
    "NUL in a header's name": OK + b"X\0: a\r\nContent-Length: 5\r\n\r\nhello",
    "a space before the colon": OK + b"Content-Length : 5\r\n\r\nhello",
    "a folded header": OK + b"X: a\r\n b\r\nContent-Length: 5\r\n\r\nhello",
    "a header without a colon": OK + b"X\r\nContent-Length: 5\r\n\r\nhello",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "HTTP/0.9": b"<html>hello</html>\r\n\r\n",
    "a status of no number": b"HTTP/1.1 abc OK\r\nContent-Length: 5\r\n\r\nhello",
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhello",
    "a head that is too long": OK + b"X: " + b"x" * (MAX_HEAD + 4 * HIGH_WATER) + b"\r\n\r\n",
    "too many headers": OK + b"X: y\r\n" * (MAX_HEAD // 6 + 1400) + b"\r\n",
    "interim replies without end": b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_HEAD // 25 + 400),
    "a chunk extension without end": CHUNKED + b"5;" + b"x" * (MAX_HEAD + 4 * HIGH_WATER),
    "a trailer without end": CHUNKED + b"5\r\nhello\r\n0\r\nX: " + b"x" * (MAX_HEAD + 4 * HIGH_WATER),
}

SERVED_ONCE = {
    "a body longer than its length": sized(b"hello") + b" world",
    "a second reply that nobody asked for": sized(b"hello") + EVIL,
    "bytes after the last chunk": CHUNKED + chunked(b"hello", 5) + b"more",
    "a reply after the last chunk": CHUNKED + chunked(b"hello", 5) + EVIL,
    "a body that a 204 must not have": b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil",
    "a body that a 304 must not have": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil",
    "chunks in HTTP/1.0": CHUNKED.replace(b"1.1", b"1.0").replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n")
    + chunked(b"hello", 5),
    "no keep-alive in HTTP/1.0": sized(b"hello").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "Connection: close": sized(b"hello", b"Connection: close"),
    "close among others": sized(b"hello", b"Connection: keep-alive, close"),
}


async def whole(reply: ConnectionReply) -> bytes:
    await reply.head()
    return await read(reply)


@pytest.mark.parametrize("wire", REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_not_certain_is_broken(wire: bytes) -> None:
    one = Wire()
    reply = one.ask()
    one.arrive(wire)
    with pytest.raises(BrokenReply) as raised:
        await whole(reply)
    reply.close()
    assert raised.value.code == "upstream_broken_reply"
    assert (one.is_lost, one.connection.state, one.freed, one.gone) == (True, "closed", 0, 1)
    assert len(one.sweep) == 0


@pytest.mark.parametrize("wire", SERVED_ONCE.values(), ids=SERVED_ONCE.keys())
@pytest.mark.parametrize("together", [True, False], ids=["in one read", "byte by byte"])
async def test_what_is_followed_by_anything_is_answered_but_never_reused(wire: bytes, together: bool) -> None:
    one = Wire()
    reply = one.ask()
    for part in [wire] if together else [bytes([byte]) for byte in wire]:
        one.arrive(part)
    assert await whole(reply) == (b"" if reply.status in (204, 304) else b"hello")
    reply.close()
    assert (one.is_lost, one.connection.state, one.freed, one.gone) == (True, "closed", 0, 1)


async def test_a_byte_on_an_idle_connection_drops_it() -> None:
    one = Wire()
    reply = one.ask()
    one.arrive(sized(b"hello"))
    assert await whole(reply) == b"hello"
    reply.close()
    assert (one.connection.state, one.freed) == ("idle", 1)
    one.arrive(EVIL)
    assert (one.is_lost, one.connection.state, one.gone) == (True, "closed", 1)


async def test_a_byte_before_anything_was_asked_drops_the_connection() -> None:
    one = Wire()
    one.arrive(EVIL)
    assert (one.is_lost, one.connection.state) == (True, "closed")


async def test_a_head_may_be_as_long_as_the_cap() -> None:
    one = Wire()
    reply = one.ask()
    room = MAX_HEAD - len(head(b"X: ", b"Content-Length: 0"))
    one.arrive(head(b"X: " + b"x" * room, b"Content-Length: 0"))
    assert await whole(reply) == b""


async def test_a_reply_to_head_has_no_body_whatever_it_says() -> None:
    one = Wire()
    reply = one.ask(bodiless=True)
    one.arrive(head(b"Content-Length: 500", b"Content-Encoding: gzip"))
    assert await whole(reply) == b""
    reply.close()
    assert one.connection.state == "closed"


async def test_replies_follow_each_other_on_one_connection() -> None:
    one = Wire()
    for number in range(5):
        reply = one.ask()
        one.arrive(sized(b"%d" % number))
        assert await whole(reply) == b"%d" % number
        reply.close()
    assert (repr(one.connection), one.freed) == ("<Connection idle, 5 served>", 5)


async def test_a_reply_closed_before_its_end_drops_the_connection() -> None:
    one = Wire()
    reply = one.ask()
    one.arrive(sized(b"hello")[:-1])
    await reply.head()
    reply.close()
    reply.close()
    assert (one.is_lost, one.gone, len(one.sweep)) == (True, 1, 0)


async def test_a_reader_that_is_cancelled_drops_the_connection() -> None:
    one = Wire()
    reader = asyncio.ensure_future(whole(one.ask()))
    await asyncio.sleep(0)
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    assert (one.is_lost, one.gone, len(one.sweep)) == (True, 1, 0)


@pytest.mark.parametrize(
    ("media_type", "most"),
    [(b"text/event-stream", HIGH_WATER), (b"audio/mpeg", BULK_HIGH_WATER)],
    ids=["events", "bulk"],
)
async def test_whoever_reads_slowly_stops_the_provider(media_type: bytes, most: int) -> None:
    one = Wire()
    reply = one.ask()
    one.arrive(head(b"Content-Length: 1000000", media_type=media_type) + b"x" * 100)
    arrived = 100
    while not one.is_paused:
        one.arrive(b"x" * HIGH_WATER)
        arrived += HIGH_WATER
    assert most < reply.held <= most + HIGH_WATER
    assert len(await reply.read()) == arrived
    assert (one.is_paused, reply.held) == (False, 0)


async def test_many_tiny_chunks_stop_the_provider_before_their_bookkeeping_weighs_more_than_they() -> None:
    one = Wire()
    one.ask()
    one.arrive(CHUNKED)
    chunks = 0
    while not one.is_paused:
        one.arrive(b"2\r\nxy\r\n")
        chunks += 1
    assert chunks == MANY + 1


async def test_a_reply_wanted_whole_is_not_stopped_and_wakes_its_reader_once() -> None:
    one = Wire()
    reply = one.ask()
    one.arrive(head(b"Content-Length: 1000000"))
    reader = asyncio.ensure_future(reply.read_all(1_000_000))
    await asyncio.sleep(0)
    one.arrive(b"x" * 1_000_000)
    assert not one.is_paused
    assert len(await reader) == 1_000_000


@pytest.mark.parametrize("extra", [1, 20_000], ids=["by a byte", "by much"])
@pytest.mark.parametrize("late", [False, True], ids=["all here", "still coming"])
async def test_a_body_over_the_limit_is_refused(extra: int, late: bool) -> None:
    one = Wire()
    reply = one.ask()
    body = b"x" * (100 + extra)
    one.arrive(head(b"Content-Length: %d" % len(body)) + (b"" if late else body))
    reader = asyncio.ensure_future(reply.read_all(100))
    await asyncio.sleep(0)
    if late:
        one.arrive(body)
    with pytest.raises(BrokenReply) as raised:
        await reader
    assert (raised.value.code, one.is_lost) == ("upstream_reply_too_large", True)


async def test_what_arrived_before_a_failure_is_read_before_it() -> None:
    one = Wire()
    reply = one.ask()
    one.arrive(head(b"Content-Length: 10") + b"hello")
    one.end(ConnectionResetError())
    assert await reply.read() == b"hello"
    with pytest.raises(BrokenReply) as raised:
        await reply.read()
    assert raised.value.code == "upstream_reset"


async def test_a_failure_that_comes_after_the_last_byte_changes_nothing() -> None:
    one = Wire()
    reply = one.ask()
    one.arrive(sized(b"hello"))
    reply.fail(GatewayError("late"))
    assert await whole(reply) == b"hello"


async def test_a_reset_is_no_end_of_a_body_that_lasts_until_the_end() -> None:
    one = Wire()
    reply = one.ask()
    one.arrive(head() + b"hello")
    one.end(ConnectionResetError())
    with pytest.raises(BrokenReply):
        await whole(reply)


async def test_a_reply_says_what_it_is_about() -> None:
    one = Wire()
    reply = one.ask()
    assert repr(reply) == "<Reply - awaited, 0 B held>"
    one.arrive(head(b"Content-Length: 6") + b"hello")
    assert repr(reply) == "<Reply 200 arriving, 5 B held>"
    one.arrive(b"!")
    assert repr(reply) == "<Reply 200 complete, 6 B held>"
