"""Server-sent events, incrementally: bytes in any pieces in, whole events out, not one byte changed.

Source: HTML Standard, "Server-sent events", https://html.spec.whatwg.org/multipage/server-sent-events.html. Lines end
in LF, CR LF or CR; an empty line ends an event. A UTF-8 character may be cut anywhere: an event is decoded only when
it is whole.
"""

from __future__ import annotations

import re

from gateway.errors import BrokenReply

MAX_EVENT = 4 * 1024 * 1024
"""Bytes of one event, far above any that a provider sends, images in parts included."""

# atomic, or CR LF, one line end, would also match as an empty line between two: CR, then LF
_BLANK = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE = re.compile(rb"\r\n|\n|\r")


class Splitter:
    """Cuts a byte stream into events, each with its closing empty line. `feed` and `close` lose and add nothing."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The events that `data` completes. Raises `BrokenReply` if one is longer than `MAX_EVENT`."""
        data = self._rest + data if self._rest else data
        if b"\r" in data:
            events, self._rest = _split_any(data)
        elif data.endswith(b"\n\n") and data.count(b"\n\n") == 1:
            self._rest = b""
            return [data]  # the usual case: a provider writes one event at a time
        else:
            events = data.split(b"\n\n")
            self._rest = events.pop()
            events = [event + b"\n\n" for event in events]
        if len(self._rest) > MAX_EVENT:
            raise BrokenReply(f"The provider sent an event of more than {MAX_EVENT} bytes.")
        return events

    def close(self) -> bytes:
        """What is left when the stream ends: part of an event that never ended, or nothing."""
        rest, self._rest = self._rest, b""
        return rest


def _split_any(data: bytes) -> tuple[list[bytes], bytes]:
    """Split where lines may end in CR too. A CR at the very end may be half of a CR LF, so it waits for the rest."""
    events = []
    start = 0
    for blank in _BLANK.finditer(data):
        if blank.start() < start or (blank.end() == len(data) and data.endswith(b"\r")):
            continue
        events.append(data[start : blank.end()])
        start = blank.end()
    return events, data[start:]


def payload(event: bytes) -> bytes | None:
    """The `data` of one whole event, lines joined; None if it has none (a comment, a keep-alive)."""
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2:
        return event[6:-2]
    lines = [line for line in _LINE.split(event) if line.startswith(b"data:") or line == b"data"]
    if not lines:
        return None
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines)


def replace(event: bytes, data: bytes) -> bytes:
    """`event` with `data` (one line) for its own; its name, its id and comments stay."""
    kept = [line for line in _LINE.split(event) if line and not (line.startswith(b"data:") or line == b"data")]
    return b"\n".join([*kept, b"data: %b\n\n" % data])


def frame(data: bytes, event: str | None = None) -> bytes:
    """`data` (one line) as one event, named if `event` is given."""
    return b"data: %b\n\n" % data if event is None else b"event: %b\ndata: %b\n\n" % (event.encode(), data)


KEEP_ALIVE = b": keep-alive\n\n"
"""A comment, which every parser skips: it keeps proxies and clients from giving up on a silent stream."""
