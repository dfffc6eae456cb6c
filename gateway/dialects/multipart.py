"""Reads along a form with files (multipart/form-data) while it passes: which model it names, and where.

Nothing of a file is held: the scanner keeps a few bytes, in case a boundary is cut, and the text of short fields.
Source: RFC 7578, RFC 2046 section 5.1.
"""

from __future__ import annotations

import re

from gateway.errors import InvalidRequest

MAX_PART_HEAD = 16 * 1024
MAX_FIELD = 1024
"""Bytes of the field that is looked for: a model's name."""

_BOUNDARY = re.compile(rb'boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_NAME = re.compile(rb'[;\s]name=(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)
_FILE = re.compile(rb"[;\s]filename\*?=", re.IGNORECASE)


def boundary(content_type: bytes) -> bytes:
    """The boundary that a Content-Type names. Raises `InvalidRequest`."""
    found = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith(b"multipart/form-data") or found is None:
        raise InvalidRequest(
            "The body must be multipart/form-data with a boundary, as any client sends a form with a file.",
            code="invalid_content_type",
        )
    return found[1] or found[2]


class FieldScanner:
    """Looks for one field. `feed` the body in any pieces; `value` is there once the field was whole.

    `start` and `end` are where its value lies, in bytes from the body's beginning. A second field of the same name is
    refused: two parsers might take a different one each.
    """

    def __init__(self, boundary: bytes, field: str) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._field = field
        self._window = b"\r\n"  # so that the first delimiter looks like all others
        self._at = -2  # where the window begins in the body
        self._in_head = False
        self._wanted = False
        self.value: str | None = None
        self.start = self.end = 0
        self.closed = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises `InvalidRequest`."""
        self._window += data
        while not self.closed and self._step():
            pass

    def _step(self) -> bool:
        return self._read_head() if self._in_head else self._read_value()

    def _read_value(self) -> bool:
        """Pass over a part's content, up to the next delimiter and the two bytes that tell whether it is the last."""
        found = self._window.find(self._delimiter)
        if found < 0:
            if self._wanted and len(self._window) > MAX_FIELD + len(self._delimiter):
                raise self._bad(f"`{self._field}` is longer than {MAX_FIELD} bytes.")
            if not self._wanted:
                self._drop(max(0, len(self._window) - len(self._delimiter)))
            return False
        after = found + len(self._delimiter)
        if len(self._window) < after + 2:
            return False
        if self._wanted:
            self._take(found)
        self.closed = self._window[after : after + 2] == b"--"
        self._drop(after)
        self._in_head = True
        return True

    def _take(self, length: int) -> None:
        try:
            self.value = self._window[:length].decode()
        except UnicodeDecodeError:
            raise self._bad(f"`{self._field}` is not UTF-8.") from None
        self.start, self.end = self._at, self._at + length
        self._wanted = False

    def _read_head(self) -> bool:
        end = self._window.find(b"\r\n\r\n")
        if end < 0:
            if len(self._window) > MAX_PART_HEAD:
                raise self._bad("The headers of a part are too long.")
            return False
        self._judge(self._window[: end + 2])
        self._drop(end + 4)
        self._in_head = False
        return True

    def _judge(self, head: bytes) -> None:
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-disposition:"):
                found = _NAME.search(line)
                name = (found[1] or found[2] or b"") if found else b""
                if name == self._field.encode() and not _FILE.search(line):
                    if self.value is not None:
                        raise self._bad(f"The form has `{self._field}` twice; send it once.")
                    self._wanted = True

    def _drop(self, count: int) -> None:
        self._window = self._window[count:]
        self._at += count

    def _bad(self, message: str) -> InvalidRequest:
        return InvalidRequest(message, code="invalid_form", param=self._field)
