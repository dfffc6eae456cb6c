"""The elements of the `data` lists of JSON pages, one at a time: a year of pages need not fit into memory.

A file may hold one page, several after one another (as a loop over `next_page` saves them), or a list of pages or of
the elements themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from json.decoder import JSONDecodeError
from typing import Any, Final, TextIO

from gateway.reconcile.model import Fault

CHUNK: Final = 1 << 16
MAX_ELEMENT: Final = 256 * 2**20
"""Characters of one element; a day of one is a few megabytes."""

_SPACE: Final = " \t\r\n"


def elements(file: TextIO) -> Iterator[tuple[int, Any] | Fault]:
    """(line, element), numbers as `Decimal`. Ends with a fault where the text is no JSON."""
    reader = _Reader(file)
    try:
        while reader.peek():
            yield from _pages(reader)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, JSONDecodeError) else str(error) or "nested too deep"
        yield Fault(reader.line, f"is no JSON from here on: {reason}")


def _pages(reader: _Reader) -> Iterator[tuple[int, Any]]:
    if reader.peek() == "[":
        for _ in reader.items("]"):
            if reader.peek() == "{":
                yield from _page_or_element(reader)
            else:
                raise ValueError("an object was expected")
    elif reader.peek() == "{":
        yield from _page_or_element(reader)
    else:
        raise ValueError("an object was expected")


def _page_or_element(reader: _Reader) -> Iterator[tuple[int, Any]]:
    """The elements of a page, or the object itself if it has no `data`."""
    reader.peek()
    line = reader.line
    rest: dict[str, Any] = {}
    is_page = False
    for _ in reader.items("}"):
        name = reader.value()
        reader.take(":")
        if name == "data" and reader.peek() == "[":
            is_page = True
            for _ in reader.items("]"):
                reader.peek()
                at = reader.line
                yield at, reader.value()
        else:
            rest[str(name)] = reader.value()
    if not is_page and "error" in rest:
        raise ValueError("this is an error, no page")
    if not is_page:
        yield line, rest


class _Reader:
    """JSON text of which only what is being looked at is in memory."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text = ""
        self._at = 0
        self._lines = 1
        self._decode = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal).raw_decode

    @property
    def line(self) -> int:
        return self._lines + self._text.count("\n", 0, self._at)

    def peek(self) -> str:
        """The next letter that is no space; empty at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACE:
                    return self._text[self._at]
                self._at += 1
            if not self._more(CHUNK):
                return ""

    def take(self, letter: str) -> None:
        """Pass it. Raises `ValueError`."""
        if self.peek() != letter:
            raise ValueError(f"`{letter}` was expected")
        self._at += 1

    def items(self, end: str) -> Iterator[None]:
        """Once for each member of the list or object that begins here; the caller reads the member."""
        self._at += 1
        if self.peek() == end:
            self._at += 1
            return
        while True:
            yield
            if self.peek() == end:
                self._at += 1
                return
            self.take(",")

    def value(self) -> Any:
        """The value that begins here. Raises `ValueError`."""
        self.peek()
        size = CHUNK
        while True:
            try:
                found, end = self._decode(self._text, self._at)
                if end < len(self._text) or not self._more(CHUNK):  # a number may go on beyond what is here
                    self._at = end
                    return found
            except JSONDecodeError:
                if len(self._text) - self._at > MAX_ELEMENT or not self._more(size):
                    raise
                size *= 2

    def _more(self, size: int) -> bool:
        """Read on, and forget what is behind."""
        found = self._file.read(size)
        self._lines += self._text.count("\n", 0, self._at)
        self._text = self._text[self._at :] + found
        self._at = 0
        return bool(found)
