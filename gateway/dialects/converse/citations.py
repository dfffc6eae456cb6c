"""Converse's citations to the model's and back.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Citation.html. Places are Anthropic's: they
count from 0 and ends are exclusive, but for pages, which count from 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from gateway.model.conversation import Citation

_Kind = Literal["char", "page", "block"]
_PLACES: dict[str, _Kind] = {"documentChar": "char", "documentPage": "page", "documentChunk": "block"}
_NAMES: dict[str, str] = {kind: name for name, kind in _PLACES.items()}


def read(found: Mapping[str, Any]) -> Citation:
    """One citation. `raw` is all of it."""
    passages = found.get("sourceContent")
    passages = passages if isinstance(passages, list) else []
    cited = "".join([_text(one, "text") for one in passages if isinstance(one, dict)])
    title, source = _text(found, "title"), _text(found, "source")
    location = found.get("location")
    name, place = next(iter(location.items()), ("", {})) if isinstance(location, dict) else ("", {})
    place = place if isinstance(place, dict) else {}
    ends = (_number(place, "start"), _number(place, "end"))
    if name in _PLACES:
        return Citation(_PLACES[name], cited, title, "", _number(place, "documentIndex"), *ends, found)
    if name == "searchResultLocation":
        return Citation("search_result", cited, title, source, _number(place, "searchResultIndex"), *ends, found)
    return Citation("url" if name == "web" else "file", cited, title, _text(place, "url") or source, raw=found)


def write(citation: Citation) -> Mapping[str, Any] | None:
    """One citation in Converse's words, None if it has none for it."""
    if "sourceContent" in citation.raw or isinstance(citation.raw.get("location"), dict):
        return citation.raw
    location = _location(citation)
    if location is None:
        return None
    said: dict[str, Any] = {"sourceContent": [{"text": citation.cited}], "location": location}
    if citation.title:
        said["title"] = citation.title
    if citation.kind == "search_result" and citation.url:
        said["source"] = citation.url
    return said


def _location(citation: Citation) -> dict[str, Any] | None:
    if citation.kind == "url":
        return {"web": {"url": citation.url}} if citation.url else None
    if citation.document is None or citation.start is None or citation.end is None:
        return None
    ends = {"start": citation.start, "end": citation.end}
    if citation.kind == "search_result":
        return {"searchResultLocation": {"searchResultIndex": citation.document, **ends}}
    name = _NAMES.get(citation.kind)
    return {name: {"documentIndex": citation.document, **ends}} if name is not None else None


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) else ""


def _number(found: Mapping[str, Any], name: str) -> int | None:
    value = found.get(name)
    return value if isinstance(value, int) else None
