"""Reads along a form with files (multipart/form-data) while it passes: which model it names, and where.

Nothing of a file is held: the scanner keeps a few bytes, in case a boundary is cut, and the text of short fields.
What decides must be read alike here and at the provider, so what parsers disagree about is refused, though RFC 2046
allows some of it: folded or odd part headers, two names, padding after a boundary. No known client sends these.
Source: RFC 7578, RFC 2046 section 5.1.
"""

from __future__ import annotations

import re

from gateway.errors import InvalidRequest

MAX_PART_HEAD = 16 * 1024
MAX_FIELD = 1024
"""Bytes of the field that is looked for: a model's name."""

_BOUNDARY = re.compile(rb'[;\s]boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))(?=[\s;]|\Z)', re.IGNORECASE)
_VALUE = rb'(?:"((?:[^"\\\r\n]|\\.)*)"|([^\s;"]+))'
_DISPOSITION = re.compile(
    rb"content-disposition:[ \t]*form-data[ \t]*;[ \t]*name="
    + _VALUE
    + rb"(?P<more>(?:[ \t]*;[ \t]*filename\*?="
    + _VALUE
    + rb")*)[ \t;]*",
    re.IGNORECASE,
)
_HEADER = re.compile(rb"[!#-'*+.^-z|~A-Z0-9-]+:[^\r\n\0]*")


def boundary(content_type: bytes) -> bytes:
    """The boundary that a Content-Type names. Raises `InvalidRequest`."""
    found = _BOUNDARY.search(content_type)
    is_form = content_type.lower().startswith(b"multipart/form-data") and content_type.lower().count(b"boundary") == 1
    if not is_form or found is None:
        raise InvalidRequest(
            "The body must be multipart/form-data with a boundary, as any client sends a form with a file.",
            code="invalid_content_type",
        )
    return found[1] or found[2]


class FieldScanner:
    """Looks for one field. `feed` the body in any pieces; `value` is there once the field was whole.

    `start` and `end` are where its value lies, in bytes from the body's beginning, `first` is where the first part's
    delimiter begins. A second field of the same name is refused: two parsers might take a different one each.
    """

    def __init__(self, boundary: bytes, field: str) -> None:
        self.boundary = boundary
        self._delimiter = b"\r\n--" + boundary
        self._field = field
        self._window = b"\r\n"  # so that the first delimiter looks like all others
        self._at = -2  # where the window begins in the body
        self._in_head = False
        self._wanted = False
        self.value: str | None = None
        self.start = self.end = 0
        self.first = -1
        self.closed = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises `InvalidRequest`."""
        if self.closed:
            return
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
        if self.first < 0:
            self.first = self._at + found + 2
        ending = self._window[after : after + 2]
        if ending not in (b"--", b"\r\n"):
            raise self._bad("A boundary of the form is followed by something else than a line end.")
        self.closed = ending == b"--"
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
        self._judge(self._window[2:end])
        self._drop(end + 4)
        self._in_head = False
        return True

    def _judge(self, head: bytes) -> None:
        """Read the headers of one part: is it the field?"""
        lines = head.split(b"\r\n")
        if not all(_HEADER.fullmatch(line) for line in lines):
            raise self._bad("A part of the form has malformed headers.")
        dispositions = [line for line in lines if line.lower().startswith(b"content-disposition:")]
        found = _DISPOSITION.fullmatch(dispositions[0]) if len(dispositions) == 1 else None
        if found is None:
            raise self._bad('Each part of the form needs one header `Content-Disposition: form-data; name="..."`.')
        if (found[1] or found[2] or b"").lower() != self._field.encode():
            return
        if self.value is not None:
            raise self._bad(f"The form has `{self._field}` twice; send it once.")
        if found["more"]:
            raise self._bad(f"`{self._field}` must be a plain field of the form, not a file.")
        self._wanted = True

    def _drop(self, count: int) -> None:
        self._window = self._window[count:]
        self._at += count

    def _bad(self, message: str) -> InvalidRequest:
        return InvalidRequest(message, code="invalid_form", param=self._field)
