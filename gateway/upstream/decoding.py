"""Compressed replies of providers that compress although we ask for `identity`, inflated with a cap.

A small body may inflate to gigabytes, so it comes out in pieces of `PIECE` bytes, and never more than `CAP` in all.
"""

from __future__ import annotations

import zlib

from gateway.errors import BrokenReply
from gateway.upstream.wire import Headers

PIECE = 64 * 1024
CAP = 16 * 1024 * 1024
_WINDOW = {b"gzip": 16 + zlib.MAX_WBITS, b"x-gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}


def inflate_for(headers: Headers) -> Inflate | None:
    """The decoder that `headers` ask for; None for plain bodies. A coding that we cannot undo is a broken reply later.

    The header is taken out, since what goes on is plain.
    """
    codings = [value for name, value in headers if name == b"content-encoding"]
    if not codings:
        return None
    headers[:] = [(name, value) for name, value in headers if name not in (b"content-encoding", b"content-length")]
    coding = b", ".join(codings).strip().lower()
    return None if coding in (b"", b"identity") else Inflate(coding)


class Inflate:
    """Undoes one coding: `feed` takes what arrived, `more` gives the next piece, empty when more has to be fed."""

    def __init__(self, coding: bytes) -> None:
        window = _WINDOW.get(coding)
        self._stream = zlib.decompressobj(window) if window is not None else None
        self._pending = b""
        self._total = 0
        self._fed = False
        self._is_full = False  # the last piece filled its room, so more may be waiting inside zlib

    def feed(self, data: bytes) -> None:
        """Take compressed bytes."""
        self._fed = True
        self._pending += data

    def more(self) -> bytes:
        """The next inflated bytes, at most `PIECE`. Raises `BrokenReply` past `CAP` or where the coding is broken."""
        if not self._pending and not self._is_full:
            return b""
        if self._stream is None:
            raise BrokenReply("The provider's reply has a content coding that was not asked for.")
        if self._stream.eof:
            self._is_full = False
            self._check_end()
            return b""
        try:
            piece = self._stream.decompress(self._pending, PIECE)
        except zlib.error:
            raise BrokenReply("The provider's compressed reply is damaged.") from None
        self._pending = self._stream.unconsumed_tail or self._stream.unused_data
        self._is_full = len(piece) == PIECE
        self._total += len(piece)
        if self._total > CAP:
            raise BrokenReply(
                f"The provider's reply inflates to more than {CAP} bytes.", code="upstream_reply_too_large"
            )
        return piece

    def finish(self) -> None:
        """The compressed body has ended; it must have been whole, or there was none (204, 304, HEAD)."""
        if self._stream is not None and self._fed:
            if not self._stream.eof:
                raise BrokenReply("The provider's compressed reply was cut short.")
            self._check_end()

    def _check_end(self) -> None:
        if self._pending:
            raise BrokenReply("The provider's compressed reply goes on after its end.")
