"""Amazon's event streams (`application/vnd.amazon.eventstream`), incrementally: bytes in any pieces in, messages out.

A message is a prelude (its length and that of its headers, each 32 bits, and their CRC-32), headers with typed values,
a payload, and the CRC-32 of all that came before. Numbers are big-endian. A stream whose checks fail is broken: where
its next message would begin nobody can know.
Source: https://smithy.io/2.0/aws/amazon-eventstream.html.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zlib import crc32

import msgspec

from gateway.errors import BrokenReply

MAX_HEADERS = 128 * 1024
"""Bytes of one message's headers."""

MAX_PAYLOAD = 24 * 1024 * 1024
"""Bytes of one message's payload."""

_PRELUDE = struct.Struct("!III")
_CRC = struct.Struct("!I")
_LENGTH = struct.Struct("!H")
_NUMBERS = {2: struct.Struct("!b"), 3: struct.Struct("!h"), 4: struct.Struct("!i"), 5: struct.Struct("!q")}
_INSTANT = _NUMBERS[5]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LEAST = _PRELUDE.size + _CRC.size
_KNOWN_MOST = 64

Value = bool | int | bytes | str | datetime | UUID
"""What a header can hold."""


class Message(msgspec.Struct, frozen=True):
    """One message: its headers by name, its payload, and all of its bytes as they came."""

    headers: Mapping[str, Value]
    payload: bytes
    raw: bytes


class Splitter:
    """Cuts a byte stream into messages; their `raw` together are the stream."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._need = _PRELUDE.size  # bytes that `rest` must have before it is worth another look
        self._broken: BrokenReply | None = None
        self._known: dict[bytes, Mapping[str, Value]] = {}  # most messages of a stream have the same headers

    def feed(self, data: bytes) -> list[Message]:
        """The messages that `data` completes. Raises `BrokenReply` where it is no such stream, once what came before
        has been handed out."""
        if self._broken is not None:
            raise self._broken
        if self._rest:
            self._rest += data
            if len(self._rest) < self._need:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        messages: list[Message] = []
        at = 0
        try:
            while len(data) - at >= (need := self._length(data, at)):
                messages.append(self._message(data[at : at + need] if at or need < len(data) else data))
                at += need
        except BrokenReply as error:
            self._broken = error
            if not messages:
                raise
            return messages
        self._need = need
        if at < len(data):
            self._rest += data[at:]
        return messages

    def close(self) -> None:
        """The stream ended. Raises `BrokenReply` if it did so inside a message, or was broken before."""
        if self._broken is not None:
            raise self._broken
        if self._rest:
            raise BrokenReply("The provider's stream ended inside an event.", code="upstream_truncated")

    @staticmethod
    def _length(data: bytes, at: int) -> int:
        """Bytes of the message that begins there, or of its prelude, where that is not here yet."""
        if len(data) - at < _PRELUDE.size:
            return _PRELUDE.size
        total, headers, crc = _PRELUDE.unpack_from(data, at)
        if crc32(data[at : at + 8]) != crc:
            raise _broken("the checksum of a length is wrong")
        if headers > MAX_HEADERS or total - headers > MAX_PAYLOAD + _LEAST or total < headers + _LEAST:
            raise _broken("a length is out of range")
        return int(total)

    def _message(self, raw: bytes) -> Message:
        end = len(raw) - _CRC.size
        if crc32(memoryview(raw)[:end]) != _CRC.unpack_from(raw, end)[0]:
            raise _broken("a checksum is wrong")
        start = _PRELUDE.size + int.from_bytes(raw[4:8])
        head = raw[_PRELUDE.size : start]
        headers = self._known.get(head)
        if headers is None:
            headers = decode_headers(head)
            if len(self._known) < _KNOWN_MOST:
                self._known[head] = headers
        return Message(headers, raw[start:end], raw)


def decode_headers(data: bytes) -> dict[str, Value]:
    """Headers by name; a time is its milliseconds since 1970. Raises `BrokenReply`."""
    headers: dict[str, Value] = {}
    at = 0
    try:
        while at < len(data):
            end = at + 1 + data[at]
            name = data[at + 1 : end].decode()
            if name in headers:
                raise _broken("a header stands in an event twice")
            headers[name], at = _value(data, end)
    except (IndexError, UnicodeDecodeError, struct.error):
        raise _broken("a header is malformed") from None
    return headers


def _value(data: bytes, at: int) -> tuple[Value, int]:
    """The value whose type stands at `at`, and where it ends."""
    kind = data[at]
    at += 1
    if kind <= 1:
        return kind == 0, at
    if kind in _NUMBERS:
        number = _NUMBERS[kind]
        return number.unpack_from(data, at)[0], at + number.size
    if kind in (6, 7):
        start = at + _LENGTH.size
        end = start + _LENGTH.unpack_from(data, at)[0]
        if end > len(data):
            raise IndexError
        return (data[start:end] if kind == 6 else data[start:end].decode()), end
    if kind == 8:
        return _INSTANT.unpack_from(data, at)[0], at + _INSTANT.size
    if kind == 9 and at + 16 <= len(data):
        return UUID(bytes=data[at : at + 16]), at + 16
    raise IndexError


def encode(headers: Mapping[str, Value], payload: bytes = b"") -> bytes:
    """One message. A number takes the shortest type that holds it."""
    head = b"".join([bytes((len(name.encode()),)) + name.encode() + _encoded(value) for name, value in headers.items()])
    lengths = struct.pack("!II", _LEAST + len(head) + len(payload), len(head))
    message = lengths + _CRC.pack(crc32(lengths)) + head + payload
    return message + _CRC.pack(crc32(message))


def _encoded(value: Value) -> bytes:
    match value:
        case bool():
            return b"\x00" if value else b"\x01"
        case int():
            kind = next(
                kind
                for kind, number in _NUMBERS.items()
                if -(1 << number.size * 8 - 1) <= value < 1 << number.size * 8 - 1
            )
            return bytes((kind,)) + _NUMBERS[kind].pack(value)
        case bytes():
            return b"\x06" + _LENGTH.pack(len(value)) + value
        case str():
            return b"\x07" + _LENGTH.pack(len(value.encode())) + value.encode()
        case datetime():
            return b"\x08" + _INSTANT.pack((value - _EPOCH) // _MILLISECOND)
        case UUID():
            return b"\x09" + value.bytes


def _broken(why: str) -> BrokenReply:
    return BrokenReply(f"The provider's event stream is broken: {why}.")
