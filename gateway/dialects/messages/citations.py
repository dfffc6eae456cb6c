"""Anthropic's citations to the model's and back.

Source: https://platform.claude.com/docs/en/build-with-claude/citations. Places count from 0 and ends are exclusive, but
for pages, which count from 1. `document` of a search result counts the search results of the request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.model.conversation import Citation

_PLACES = {
    "char_location": ("char", "start_char_index", "end_char_index"),
    "page_location": ("page", "start_page_number", "end_page_number"),
    "content_block_location": ("block", "start_block_index", "end_block_index"),
}
_TYPES = {kind: (type_, start, end) for type_, (kind, start, end) in _PLACES.items()}


def read(found: Mapping[str, Any]) -> Citation:
    """One citation. `raw` is all of it."""
    type_ = found.get("type")
    cited, title = _text(found, "cited_text"), _text(found, "document_title") or _text(found, "title")
    if type_ in _PLACES:
        kind, start, end = _PLACES[type_]
        document = _number(found, "document_index")
        return Citation(kind, cited, title, "", document, _number(found, start), _number(found, end), found)  # type: ignore[arg-type]
    if type_ == "search_result_location":
        place = (_number(found, "search_result_index"), _number(found, "start_block_index"))
        end_ = _number(found, "end_block_index")
        return Citation("search_result", cited, title, _text(found, "source"), *place, end_, found)
    return Citation("url", cited, title, _text(found, "url"), raw=found)


def write(citation: Citation, *, loosely: bool = False) -> Mapping[str, Any] | None:
    """One citation in Anthropic's words, None if it has none for it.

    `loosely`: for a reader of an answer, who can do without the key by which only Anthropic knows a page again.
    """
    if str(citation.raw.get("type", "")).endswith("_location"):
        return citation.raw
    start, end, document = citation.start, citation.end, citation.document
    named: dict[str, Any] = {"cited_text": citation.cited}
    title = citation.title or None
    if citation.kind in _TYPES and None not in (start, end, document):
        type_, first, last = _TYPES[citation.kind]
        return {"type": type_, **named, "document_index": document, "document_title": title, first: start, last: end}
    if citation.kind == "search_result" and None not in (start, end, document):
        found = {"source": citation.url, "title": title, "search_result_index": document}
        return {"type": "search_result_location", **named, **found, "start_block_index": start, "end_block_index": end}
    if citation.kind == "url" and loosely:
        found = {"url": citation.url, "title": title, "encrypted_index": ""}
        return {"type": "web_search_result_location", **named, **found}
    return None


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) else ""


def _number(found: Mapping[str, Any], name: str) -> int | None:
    value = found.get(name)
    return value if isinstance(value, int) else None
