"""The two ways in which Gemini streams: server-sent events (`alt=sse`), or one JSON array that grows.

Both splitters give pieces `(body, raw)`: `raw` are the bytes as they came, all of them together the stream, and `body`
the JSON within, None where there is none.
"""

from __future__ import annotations

import re

import msgspec

from gateway.dialects import sse
from gateway.errors import BrokenReply

Piece = tuple[bytes | None, bytes]

_OUTSIDE = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'["\\]')
_is_whole = msgspec.json.Decoder(msgspec.Raw).decode


class Events:
    """Server-sent events. Google ends its lines with CR LF."""

    def __init__(self) -> None:
        self._splitter = sse.Splitter()
        self._waiting = 0  # bytes of an event that is not whole yet

    def feed(self, data: bytes) -> list[Piece]:
        """The events that `data` completes. Raises `BrokenReply` if one is too long."""
        if not self._waiting and data[:6] == b"data: " and data[-4:] == b"\r\n\r\n" and data.count(b"\n") == 2:
            return [(data[6:-4], data)]  # the usual case: one event at a time
        found = [(_body(raw), raw) for raw in self._splitter.feed(data)]
        self._waiting += len(data) - sum(len(raw) for _, raw in found)
        return found

    def close(self) -> Piece | None:
        """A last event without its empty line, which clients read all the same; None if there is nothing."""
        rest = self._splitter.close()
        return (_body(rest), rest) if rest else None


def _body(event: bytes) -> bytes | None:
    """The data of an event. An error may come as bare JSON amid the events, which Google's own clients read."""
    found = sse.payload(event)
    if found is None and event.lstrip()[:1] in (b"{", b"["):
        return event.strip()
    return found


class Array:
    """The elements of one JSON array, each as soon as it is whole; what stands between them belongs to the next."""

    def __init__(self) -> None:
        self._rest = b""
        self._at = 0  # how far `_rest` was looked at
        self._start = -1  # where in `_rest` the element begins that is being read
        self._depth = 0  # of braces and brackets within it
        self._in_string = False

    def feed(self, data: bytes) -> list[Piece]:
        """The elements that `data` completes. Raises `BrokenReply` if one is too long."""
        data = self._rest + data if self._rest else data
        if self._start < 0 and not self._in_string and (piece := _single(data)) is not None:
            self._rest = data[len(piece[1]) :]  # commas, space, the closing bracket: none of it of interest
            self._at = len(self._rest)
            return [piece]
        self._rest = data
        found: list[Piece] = []
        done = 0
        while (end := self._next_end()) >= 0:
            found.append((self._rest[self._start : end], self._rest[done:end]))
            done, self._start = end, -1
        if done:
            self._rest = self._rest[done:]
            self._at -= done
            self._start = self._start - done if self._start >= 0 else -1
        if len(self._rest) > sse.MAX_EVENT:
            raise BrokenReply(f"The provider sent an element of more than {sse.MAX_EVENT} bytes.")
        return found

    def _next_end(self) -> int:
        """Where the next element ends; -1 if it does not yet."""
        rest, at = self._rest, self._at
        while True:
            match = (_INSIDE if self._in_string else _OUTSIDE).search(rest, at)
            if match is None:
                self._at = len(rest)
                return -1
            at = match.end()
            sign = rest[at - 1]
            if sign == 0x5C:  # a backslash: the next byte means nothing, and may not be here yet
                if at == len(rest):
                    self._at = at - 1
                    return -1
                at += 1
            elif sign == 0x22:
                self._in_string = not self._in_string
            elif self._start < 0:
                if sign == 0x7B:
                    self._start, self._depth = at - 1, 1
            elif sign in b"{[":
                self._depth += 1
            else:
                self._depth -= 1
                if not self._depth:
                    self._at = at
                    return at

    def close(self) -> Piece | None:
        """What stands after the last element, the closing bracket as a rule; None if nothing does."""
        rest, self._rest = self._rest, b""
        if not rest:
            return None
        return (rest[self._start :] if self._start >= 0 else None), rest


def _single(data: bytes) -> Piece | None:
    """`data` if it is one whole element, which is the usual case: it was written at once."""
    start, end = data.find(b"{"), data.rfind(b"}") + 1
    if start < 0 or end <= start or data.find(b"{", end) >= 0:
        return None
    body = data[start:end]
    try:
        _is_whole(body)
    except msgspec.DecodeError:
        return None
    return body, data[:end]
