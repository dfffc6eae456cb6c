"""Amazon's event streams: what a message is, that cuts change nothing, and that damage is noticed."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import eventstream
from gateway.dialects.eventstream import Message, Splitter, Value
from gateway.errors import BrokenReply

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST = eventstream.encode({":event-type": "a", "n": 7}, b'{"x":1}')
SECOND = eventstream.encode({}, b"")
THIRD = eventstream.encode({":event-type": "b"}, b"\x00" * 300)
STREAM = FIRST + SECOND + THIRD
WHOLE = [
    Message({":event-type": "a", "n": 7}, b'{"x":1}', FIRST),
    Message({}, b"", SECOND),
    Message({":event-type": "b"}, b"\x00" * 300, THIRD),
]

values = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.binary(max_size=20),
    st.text(max_size=20),
    st.uuids(),
    st.datetimes(timezones=st.just(UTC)),
)
headers = st.dictionaries(st.text(min_size=1, max_size=20), values, max_size=6)


def split(*pieces: bytes) -> list[Message]:
    splitter = Splitter()
    found = [message for piece in pieces for message in splitter.feed(piece)]
    splitter.close()
    return found


def as_read(value: Value) -> Value:
    return (value - EPOCH) // timedelta(milliseconds=1) if isinstance(value, datetime) else value


def test_a_message_is_laid_out_as_published() -> None:
    """The example of the specification's test suite: one header of 32 bits, a payload of JSON."""
    found = bytes.fromhex(
        "0000003d 00000020 07fd8396 0c 636f6e74656e742d74797065 07 0010 6170706c69636174696f6e2f6a736f6e"
        "7b27666f6f273a27626172277d 8d9c08b1".replace(" ", "")
    )
    assert split(found) == [Message({"content-type": "application/json"}, b"{'foo':'bar'}", found)]
    assert eventstream.encode({"content-type": "application/json"}, b"{'foo':'bar'}") == found


@pytest.mark.parametrize(
    ("kind", "data", "value"),
    [
        (0, b"", True),
        (1, b"", False),
        (2, b"\xff", -1),
        (3, b"\x01\x00", 256),
        (4, b"\x00\x01\x00\x00", 65536),
        (5, b"\x00\x00\x00\x01\x00\x00\x00\x00", 2**32),
        (6, b"\x00\x02ab", b"ab"),
        (7, b"\x00\x03\xe2\x82\xac", "€"),
        (8, b"\x00\x00\x00\x00\x00\x00\x03\xe8", 1000),
        (9, bytes(range(16)), UUID(bytes=bytes(range(16)))),
    ],
)
def test_every_type_of_header_is_read(kind: int, data: bytes, value: Value) -> None:
    found = eventstream.decode_headers(b"\x01h" + bytes((kind,)) + data + b"\x01i\x00")
    assert found == {"h": value, "i": True} and type(found["h"]) is type(value)


@given(headers, st.binary(max_size=50))
def test_what_is_written_reads_as_it_was(given_: dict[str, Any], payload: bytes) -> None:
    raw = eventstream.encode(given_, payload)
    assert split(raw) == [Message({name: as_read(value) for name, value in given_.items()}, payload, raw)]


def test_a_stream_cut_anywhere_is_the_same() -> None:
    for at in range(len(STREAM)):
        assert split(STREAM[:at], STREAM[at:]) == WHOLE


def test_a_stream_in_single_bytes_is_the_same() -> None:
    assert split(*[STREAM[at : at + 1] for at in range(len(STREAM))]) == WHOLE


def test_one_bit_turned_over_anywhere_is_noticed() -> None:
    for at in range(len(THIRD) * 8):
        damaged = bytearray(THIRD)
        damaged[at // 8] ^= 1 << at % 8
        with pytest.raises(BrokenReply):
            split(bytes(damaged))


def test_both_checksums_are_looked_at() -> None:
    damaged = bytearray(THIRD[:-4])
    damaged[8] ^= 1  # of the lengths' own checksum alone
    with pytest.raises(BrokenReply, match="checksum of a length"):
        split(bytes(damaged) + struct.pack("!I", crc32(damaged)))


def test_what_came_before_the_damage_is_handed_out_first() -> None:
    damaged = FIRST + THIRD[:-1] + b"\x00"
    splitter = Splitter()
    assert splitter.feed(damaged) == WHOLE[:1]
    for call in (lambda: splitter.feed(b""), splitter.close):
        with pytest.raises(BrokenReply, match="checksum"):
            call()


@pytest.mark.parametrize("at", [1, 11, 12, len(FIRST) - 1])
def test_an_end_inside_a_message_is_noticed(at: int) -> None:
    with pytest.raises(BrokenReply) as raised:
        split(FIRST[:at])
    assert raised.value.code == "upstream_truncated"


@pytest.mark.parametrize(
    ("total", "head"),
    [
        (15, 0),
        (30, 20),
        (0, 0),
        (2**32 - 1, 0),
        (200 * 1024, 128 * 1024 + 1),
        (eventstream.MAX_PAYLOAD + 17, 0),
    ],
)
def test_lengths_out_of_range_are_refused_before_anything_is_held(total: int, head: int) -> None:
    lengths = struct.pack("!II", total, head)
    with pytest.raises(BrokenReply, match="length"):
        Splitter().feed(lengths + struct.pack("!I", crc32(lengths)))


@pytest.mark.parametrize(
    "head",
    [
        b"\x05ab",
        b"\x01a",
        b"\x01a\x0a",
        b"\x01a\x04\x00",
        b"\x01a\x07\x00\x05ab",
        b"\x01\xff\x00",
        b"\x01a\x00\x01a\x00",
    ],
)
def test_malformed_headers_are_refused(head: bytes) -> None:
    with pytest.raises(BrokenReply):
        eventstream.decode_headers(head)


def test_a_large_message_in_small_pieces_takes_time_in_proportion() -> None:
    raw = eventstream.encode({}, bytes(8 * 1024 * 1024))
    view = memoryview(raw)
    assert split(*[bytes(view[at : at + 1024]) for at in range(0, len(raw), 1024)])[0].raw == raw
