"""The output file of a batch, as it streams by: of each line only the model and what it used are kept.

A line is `{"custom_id": ..., "response": {"status_code": 200, "body": {...}}}`. One that was refused has no usage, and
cost nothing. Memory holds one line at a time; one that is longer than `MAX_LINE` cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from gateway.batches.finished import read_answer
from gateway.model.usage import Usage

MAX_LINE: Final = 32 << 20
"""Bytes: an answer with a thousand embeddings of 3,072 numbers has about as many."""

Note = Callable[[str, Usage], None]
"""Told the model and the usage of each line that has one."""


class Unreadable(Exception):
    """The output says something that its lines cannot be told from, or is not what it should be."""


class _Response(msgspec.Struct):
    status_code: int = 0
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Line(msgspec.Struct):
    response: _Response | None = None


_decode = msgspec.json.Decoder(_Line).decode


class Tally:
    """`feed` it pieces of any size, then `close`. `lines` counts those read, `silent` answers that tell no usage."""

    def __init__(self, note: Note) -> None:
        self.lines = 0
        self.silent = 0
        self._note = note
        self._begun: list[bytes] = []  # of the line that is not whole yet
        self._held = 0

    def __repr__(self) -> str:
        return f"<Tally {self.lines} lines, {self.silent} silent>"

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises `Unreadable`."""
        first, *more = data.split(b"\n")
        self._hold(first)
        for piece in more:
            self._take(b"".join(self._begun))
            self._begun.clear()
            self._held = 0
            self._hold(piece)

    def close(self) -> None:
        """The file has ended, with or without a line break. Raises `Unreadable`."""
        self._take(b"".join(self._begun))
        self._begun.clear()

    def _hold(self, piece: bytes) -> None:
        self._held += len(piece)
        if self._held > MAX_LINE:
            raise Unreadable(f"a line is longer than {MAX_LINE} bytes")
        if piece:
            self._begun.append(piece)

    def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            response = _decode(line).response
        except (msgspec.DecodeError, RecursionError) as error:
            raise Unreadable(f"line {self.lines + 1} is none: {error}") from None
        self.lines += 1
        if response is None:
            return
        model, usage = read_answer(bytes(response.body))
        if usage is not None:
            self._note(model, usage)
        elif response.status_code == 200:
            self.silent += 1
