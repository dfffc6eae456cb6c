"""Replies that are compressed although nobody asked: undone with a cap, or refused."""

from __future__ import annotations

import asyncio
import gzip
import os
import resource
import zlib

import pytest

from gateway.errors import BrokenReply
from gateway.upstream.decoding import CAP, PIECE, Inflate, inflate_for
from gateway.upstream.wire import Headers, Request
from tests.upstream.providers import Line, pooling, serving
from tests.upstream.replies import head, sized
from tests.upstream.wires import Wire, read

TEXT = b"".join(b"line %d\n" % number for number in range(50_000))


def inflated(coding: bytes, data: bytes, step: int = 1 << 20) -> bytes:
    one, found = Inflate(coding), b""
    for at in range(0, len(data), step):
        one.feed(data[at : at + step])
        while piece := one.more():
            assert len(piece) <= PIECE
            found += piece
    one.finish()
    return found


@pytest.mark.parametrize("step", [1, 7, 4096, 1 << 20])
@pytest.mark.parametrize(
    ("coding", "data"),
    [(b"gzip", gzip.compress(TEXT)), (b"x-gzip", gzip.compress(TEXT)), (b"deflate", zlib.compress(TEXT))],
    ids=["gzip", "x-gzip", "deflate"],
)
def test_a_coding_is_undone_however_it_is_cut(coding: bytes, data: bytes, step: int) -> None:
    assert inflated(coding, data, step) == TEXT


def test_what_was_flushed_comes_out_though_a_piece_was_just_full() -> None:
    """zlib may hold back the end of a match when its room is full; nothing more need arrive to get it."""
    packer = zlib.compressobj(wbits=31)
    for extra in range(240):
        data = packer.compress(bytes(PIECE + extra)) + packer.flush(zlib.Z_FULL_FLUSH)
        if not extra:
            one = Inflate(b"gzip")
        one.feed(data)
        found = 0
        while piece := one.more():
            found += len(piece)
        assert found == PIECE + extra


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-encoding", b"br")],
        [(b"content-encoding", b"zstd")],
        [(b"content-encoding", b"gzip, br")],
        [(b"content-encoding", b"gzip"), (b"content-encoding", b"br")],
    ],
    ids=["br", "zstd", "two codings", "two headers"],
)
def test_a_coding_that_cannot_be_undone_is_a_broken_reply(headers: Headers) -> None:
    one = inflate_for(headers)
    assert one is not None
    one.feed(b"something")
    with pytest.raises(BrokenReply):
        one.more()


@pytest.mark.parametrize("value", [b"identity", b"", b" Identity "])
def test_plain_bodies_need_no_decoder(value: bytes) -> None:
    headers = [(b"content-encoding", value), (b"x", b"y"), (b"content-length", b"5")]
    assert inflate_for(headers) is None
    assert (b"x", b"y") in headers


@pytest.mark.parametrize("cut", [1, 8, 12, 18, 300])
def test_a_compressed_body_that_was_cut_short_is_broken(cut: int) -> None:
    with pytest.raises(BrokenReply):
        inflated(b"gzip", gzip.compress(TEXT)[:-cut])


@pytest.mark.parametrize("step", [1, 1 << 20])
def test_a_compressed_body_that_goes_on_after_its_end_is_broken(step: int) -> None:
    with pytest.raises(BrokenReply):
        inflated(b"gzip", gzip.compress(TEXT) + b"x", step)


def test_damage_is_noticed() -> None:
    data = bytearray(gzip.compress(TEXT))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(BrokenReply):
        inflated(b"gzip", bytes(data))


@pytest.mark.parametrize("body", [True, False], ids=["a body", "nothing"])
async def test_a_reply_that_says_it_is_compressed_and_is_empty_is_whole(body: bool) -> None:
    wire = Wire()
    reply = wire.ask()
    wire.arrive(sized(gzip.compress(b""), b"Content-Encoding: gzip") if body else sized(b"", b"Content-Encoding: gzip"))
    await reply.head()
    assert await reply.read_all(10) == b""


async def test_what_goes_on_is_plain_and_does_not_claim_otherwise() -> None:
    wire = Wire()
    reply = wire.ask()
    wire.arrive(sized(gzip.compress(b"hello"), b"Content-Encoding: gzip", b"X: y"))
    assert await read(reply) == b"hello"
    assert reply.headers == [(b"content-type", b"application/json"), (b"x", b"y")]


async def test_the_limit_of_a_whole_body_counts_what_it_inflates_to() -> None:
    wire = Wire()
    reply = wire.ask()
    wire.arrive(sized(gzip.compress(bytes(100_000)), b"Content-Encoding: gzip"))
    with pytest.raises(BrokenReply) as raised:
        await reply.read_all(99_999)
    assert raised.value.code == "upstream_reply_too_large"
    assert wire.is_lost


def rss() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def bomb() -> bytes:
    """2 MB that inflate to 2 GiB, without ever holding them: one full block, again and again."""
    packer = zlib.compressobj(9, wbits=31)
    first = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + again * 2047  # its checksum is missing: nobody may get that far


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "streamed"])
async def test_a_bomb_is_refused_and_costs_no_memory(whole: bool) -> None:
    data = bomb()
    assert 1_900_000 < len(data) < 2_400_000

    async def play(line: Line) -> None:
        await line.request()
        await line.send(head(b"Content-Encoding: gzip", b"Content-Length: %d" % len(data)) + data)

    async with serving(play) as provider, pooling(provider.port) as (pool, _):
        before = most = rss()
        reply = await pool.send(Request("GET", "/x"))
        seen = 0
        with pytest.raises(BrokenReply) as raised:
            if whole:
                await reply.read_all(1 << 30)
            while piece := await reply.read():
                seen += len(piece)
                most = max(most, rss())
        reply.close()
        assert raised.value.code == "upstream_reply_too_large"
        assert seen <= CAP
        growth = max(most, rss()) - before
        print(f"RSS grew by {growth / 1048576:.1f} MiB in process {os.getpid()}")
        assert growth <= 32 * 1024 * 1024
        await asyncio.sleep(0)
