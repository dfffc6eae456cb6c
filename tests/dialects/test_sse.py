"""Server-sent events: whole events out of bytes in any pieces, and not one byte lost, added or changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import sse
from gateway.errors import BrokenReply

PIECES = st.lists(st.sampled_from([b"data: x", b"data:y", b": c", b"\n", b"\r\n", b"\r", b"id: 1", b"\xc3", b"\xa9"]))


def split(*pieces: bytes) -> tuple[list[bytes], bytes]:
    splitter = sse.Splitter()
    events = [event for piece in pieces for event in splitter.feed(piece)]
    return events, splitter.close()


@given(PIECES, st.integers(min_value=1, max_value=9))
def test_nothing_is_lost_however_it_is_cut(pieces: list[bytes], size: int) -> None:
    data = b"".join(pieces)
    events, rest = split(*[data[at : at + size] for at in range(0, len(data), size)])
    assert b"".join(events) + rest == data


@given(PIECES, st.data())
def test_where_it_is_cut_makes_no_other_events(pieces: list[bytes], chosen: st.DataObject) -> None:
    data = b"".join(pieces)
    at = chosen.draw(st.integers(0, len(data)))
    assert payloads(*split(data[:at], data[at:])) == payloads(*split(data))


def payloads(events: list[bytes], rest: bytes) -> list[bytes]:
    return [found for event in [*events, rest] if (found := sse.payload(event)) is not None]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_an_event_ends_at_an_empty_line_and_nowhere_else(end: bytes) -> None:
    one = b"event: a" + end + b"data: 1" + end + b"data: 2" + end + end
    events, rest = split(one + one + b"data: 3" + end)
    assert (events, rest) == ([one, one], b"data: 3" + end)
    assert sse.payload(one) == b"1\n2"


def test_a_carriage_return_at_a_cut_may_be_half_of_a_line_end() -> None:
    assert split(b"data: x\r\n\r", b"\n") == ([b"data: x\r\n\r\n"], b"")


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: x\n\n", b"x"),
        (b"data:x\n\n", b"x"),
        (b"data:  x\n\n", b" x"),
        (b"data\n\n", b""),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"id: 1\ndata: x\nevent: y\n\n", b"x"),
        (b": comment\n\n", None),
        (b"\n\n", None),
        (b"database: x\n\n", None),
        (b"data: x", b"x"),
    ],
)
def test_the_data_of_an_event_is_found(event: bytes, data: bytes | None) -> None:
    assert sse.payload(event) == data


def test_an_event_without_end_is_given_up() -> None:
    splitter = sse.Splitter()
    with pytest.raises(BrokenReply):
        for _ in range(6):
            splitter.feed(b"x" * (1 << 20))


def test_a_frame_is_read_back() -> None:
    assert sse.payload(sse.frame(b"{}")) == b"{}" == sse.payload(sse.frame(b"{}", "error"))
    assert sse.payload(sse.KEEP_ALIVE) is None
