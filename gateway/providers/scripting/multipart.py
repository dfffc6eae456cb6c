"""`multipart/form-data` (RFC 7578), whole in memory: enough for files that tests upload."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gateway.providers.scripting.refusals import Refused

_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
_PARAMETER = re.compile(rb'[;\s](name|filename)="((?:[^"\\]|\\.)*)"', re.IGNORECASE)


class Upload(msgspec.Struct, frozen=True):
    """A file of a form."""

    filename: str
    data: bytes


def parse(content_type: str, body: bytes) -> dict[str, Any]:
    """Field name to text or `Upload`; the last of equal names wins. Raises `Refused` if it is no form."""
    found = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/form-data") or found is None:
        raise Refused(400, "Expected a body of type multipart/form-data with a boundary.")
    boundary = b"--" + (found.group(1) or found.group(2)).encode("latin-1", "replace")
    sections = (b"\r\n" + body).split(b"\r\n" + boundary)
    if len(sections) < 2 or not sections[-1].startswith(b"--"):
        raise Refused(400, "The multipart body is cut short or does not use its boundary.")
    fields: dict[str, Any] = {}
    for section in sections[1:-1]:
        head, _, data = section.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name, value = _field(head, data)
        if name:
            fields[name] = value
    return fields


def _field(head: bytes, data: bytes) -> tuple[str, str | Upload]:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-disposition:"):
            said = {key.lower(): value for key, value in _PARAMETER.findall(line)}
            name = said.get(b"name", b"").decode("utf-8", "replace")
            if b"filename" in said:
                return name, Upload(said[b"filename"].decode("utf-8", "replace"), data)
            return name, data.decode("utf-8", "replace")
    return "", ""
