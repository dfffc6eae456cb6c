"""Citations as Responses write them: annotations of a text, of pages on the web and of files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.model.conversation import Citation


def read(found: Mapping[str, Any]) -> Citation:
    """An annotation. One of a kind that only this API has keeps all of it in `raw`."""
    if found.get("type") == "url_citation":
        start, end = _number(found, "start_index"), _number(found, "end_index")
        return Citation("url", "", _text(found, "title"), _text(found, "url"), None, start, end)
    return Citation("file", "", _text(found, "filename"), start=_number(found, "index"), raw=dict(found))


def write(citation: Citation, since: int, until: int) -> dict[str, Any] | None:
    """An annotation of the characters `since` to `until`, unless the citation says which; None if there is no word."""
    if citation.kind == "url" and citation.url:
        return {
            "type": "url_citation",
            "url": citation.url,
            "title": citation.title,
            "start_index": citation.start if citation.start is not None else since,
            "end_index": citation.end if citation.end is not None else until,
        }
    return dict(citation.raw) if citation.raw.get("type") in _OF_FILES else None


_OF_FILES = ("file_citation", "container_file_citation", "file_path")


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) else ""


def _number(found: Mapping[str, Any], name: str) -> int | None:
    value = found.get(name)
    return value if type(value) is int and 0 <= value < 1 << 53 else None
