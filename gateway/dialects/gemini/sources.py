"""Where a Gemini answer says that it comes from, to citations and back.

Source: https://ai.google.dev/api/generate-content#GroundingMetadata and #CitationMetadata. A support names a stretch of
the answer and the chunks that carry it; each pair of them is one citation. Google counts places in bytes of the answer,
not in the source, so they stay in `raw`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.model.conversation import Citation


def grounded(metadata: Mapping[str, Any]) -> Iterator[Citation]:
    """The citations in `groundingMetadata`; sources that no support names come without words."""
    chunks = _dicts(metadata.get("groundingChunks"))
    used: set[int] = set()
    for support in _dicts(metadata.get("groundingSupports")):
        segment = support.get("segment")
        cited = segment.get("text") if isinstance(segment, dict) else None
        indices = support.get("groundingChunkIndices")
        for at in indices if isinstance(indices, list) else ():
            if isinstance(at, int) and 0 <= at < len(chunks):
                used.add(at)
                yield _citation(chunks[at], cited if isinstance(cited, str) else "", segment)
    for at, chunk in enumerate(chunks):
        if at not in used:
            yield _citation(chunk, "", None)


def searched(metadata: Mapping[str, Any]) -> Iterator[str]:
    """What was searched for on the web: each search is charged."""
    queries = metadata.get("webSearchQueries")
    return (one for one in queries if isinstance(one, str)) if isinstance(queries, list) else iter(())


def _citation(chunk: Mapping[str, Any], cited: str, segment: Any) -> Citation:
    kind, source = next(((name, value) for name, value in chunk.items() if isinstance(value, dict)), ("", {}))
    raw = {**chunk, "segment": segment} if isinstance(segment, dict) else dict(chunk)
    return Citation(
        "file" if kind == "retrievedContext" and not source.get("uri") else "url",
        cited,
        _text(source, "title"),
        _text(source, "uri") or _text(source, "sourceUri"),
        raw=raw,
    )


def quoted(metadata: Mapping[str, Any]) -> Iterator[Citation]:
    """The citations in `citationMetadata`; Gemini's own name for the list differs from Vertex AI's."""
    for source in _dicts(metadata.get("citationSources") or metadata.get("citations")):
        yield Citation("url", title=_text(source, "title"), url=_text(source, "uri"), raw=source)


def grounding(citations: Sequence[Citation]) -> dict[str, Any]:
    """`groundingMetadata` that says `citations`: each source once, a support for each that quotes the answer."""
    chunks: dict[tuple[str, str, str], int] = {}
    written: list[dict[str, Any]] = []
    supports: list[dict[str, Any]] = []
    for one in citations:
        key = (one.url, one.title, "" if one.url else one.cited)
        if key not in chunks:
            chunks[key] = len(written)
            written.append(_chunk(one))
        if one.url and one.cited:
            segment = one.raw.get("segment")
            segment = segment if isinstance(segment, dict) else {"text": one.cited}
            supports.append({"segment": segment, "groundingChunkIndices": [chunks[key]]})
    found: dict[str, Any] = {"groundingChunks": written}
    if supports:
        found["groundingSupports"] = supports
    return found


def _chunk(one: Citation) -> dict[str, Any]:
    if one.url:
        return {"web": {"uri": one.url, "title": one.title or one.url}}
    context = {"title": one.title, "text": one.cited}  # words of a document, as the model read them
    return {"retrievedContext": {name: value for name, value in context.items() if value}}


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(source: Mapping[str, Any], name: str) -> str:
    value = source.get(name)
    return value if isinstance(value, str) else ""
