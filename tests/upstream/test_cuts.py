"""However the network cuts a reply, it says the same."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.upstream.reply import ConnectionReply
from gateway.upstream.wire import header
from tests.upstream.replies import RECORDED, Recorded
from tests.upstream.wires import Wire, pieces, read

Seen = tuple[int, bytes | None, bytes, bool]
each_reply = pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.name)


async def play(recorded: Recorded, parts: list[bytes], *, whole: bool) -> Seen:
    """Status, media type, body, and whether the connection may serve again."""
    wire = Wire()
    reply = wire.ask()
    reader = asyncio.ensure_future(_read(reply, whole=whole))
    for part in parts:
        wire.arrive(part)
        await asyncio.sleep(0)
    if recorded.closes:
        wire.end()
    body = await reader
    reply.close()
    assert len(wire.sweep) == 0
    return reply.status, header(reply.headers, b"content-type"), body, wire.connection.state == "idle"


async def _read(reply: ConnectionReply, *, whole: bool) -> bytes:
    await reply.head()
    return await reply.read_all(1 << 20) if whole else await read(reply)


def expected(recorded: Recorded) -> Seen:
    return recorded.status, recorded.media_type, recorded.body, recorded.keeps


@each_reply
@pytest.mark.parametrize("whole", [False, True], ids=["by pieces", "whole"])
async def test_a_reply_cut_once_anywhere_says_the_same(recorded: Recorded, whole: bool) -> None:
    for cut in range(len(recorded.wire) + 1):
        assert await play(recorded, pieces(recorded.wire, [cut]), whole=whole) == expected(recorded), cut


@each_reply
async def test_a_reply_that_comes_byte_by_byte_says_the_same(recorded: Recorded) -> None:
    parts = pieces(recorded.wire, range(1, len(recorded.wire)))
    assert await play(recorded, parts, whole=False) == expected(recorded)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(RECORDED), st.lists(st.integers(0, 600), max_size=8), st.booleans())
def test_a_reply_cut_in_many_places_says_the_same(recorded: Recorded, cuts: list[int], whole: bool) -> None:
    parts = pieces(recorded.wire, {cut % len(recorded.wire) for cut in cuts})
    assert asyncio.run(play(recorded, parts, whole=whole)) == expected(recorded)


@each_reply
async def test_a_reply_that_ends_before_its_end_is_an_error_and_not_a_short_answer(recorded: Recorded) -> None:
    """Until-EOF bodies cannot know their end; all others notice a reset at every byte."""
    for cut in range(len(recorded.wire)):
        if recorded.closes and cut >= recorded.wire.index(b"\r\n\r\n") + 4:
            continue
        wire = Wire()
        reader = asyncio.ensure_future(_read(wire.ask(), whole=False))
        wire.arrive(recorded.wire[:cut])
        await asyncio.sleep(0)
        wire.end()
        failure = (await asyncio.gather(reader, return_exceptions=True))[0]
        assert getattr(failure, "code", failure) == "upstream_reset", cut
        assert (len(wire.sweep), wire.gone, wire.freed) == (0, 1, 0)
