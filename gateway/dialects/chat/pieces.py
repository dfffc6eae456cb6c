"""The parts of an answer as chat completions write them, in chunks and whole replies alike."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from gateway.dialects.base import Head
from gateway.dialects.chat.write_messages import data_url
from gateway.model.conversation import Citation, Media
from gateway.model.events import StopReason

_FINISH = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "stop",
    "other": "stop",
}


def finish_reason(reason: StopReason | None, *, called: bool, refused: bool) -> str:
    """OpenAI's word. A refusal that is told in words has simply ended; without words it was filtered."""
    if reason == "refusal" and refused:
        return "stop"
    if called and reason in ("stop", None):
        return "tool_calls"
    return _FINISH[reason or "stop"]


def made_id(head: Head, index: int, call: int) -> str:
    """An id for a call that came without one, the same wherever it is made of the same answer."""
    return f"call_{blake2b(f'{head.id}/{index}/{call}'.encode(), digest_size=12).hexdigest()}"


def logprobs(tokens: Iterable[dict[str, Any]], *, refused: bool) -> dict[str, Any]:
    """Log-probabilities with all members that OpenAI's clients count on."""
    listed = [
        _token(token) | {"top_logprobs": [_token(one) for one in token.get("top_logprobs") or ()]} for token in tokens
    ]
    return {"content": None, "refusal": listed} if refused else {"content": listed, "refusal": None}


def _token(found: dict[str, Any]) -> dict[str, Any]:
    token = str(found.get("token", ""))
    spelled = found["bytes"] if "bytes" in found else list(token.encode(errors="replace"))
    return {"token": token, "logprob": found.get("logprob", 0.0), "bytes": spelled}


def annotation(citation: Citation, since: int, until: int) -> dict[str, Any] | None:
    """A citation of a page on the web; characters `since` to `until` of the answer, unless it says which."""
    if citation.kind != "url" or not citation.url:
        return None
    found = {
        "url": citation.url,
        "title": citation.title,
        "start_index": citation.start if citation.start is not None else since,
        "end_index": citation.end if citation.end is not None else until,
    }
    return {"type": "url_citation", "url_citation": found}


def image(media: Media, at: int) -> dict[str, Any]:
    """A picture in an answer, as OpenRouter writes it."""
    url = media.url or data_url(media, "image/png")
    return {"type": "image_url", "index": at, "image_url": {"url": url}}


def audio(media: Media, head: Head, index: int) -> dict[str, Any]:
    """Sound in an answer. It cannot be referred to by its id in a later request: nobody keeps it."""
    id_ = f"audio_{blake2b(f'{head.id}/{index}'.encode(), digest_size=12).hexdigest()}"
    return {"id": id_, "data": media.data, "expires_at": head.created, "transcript": ""}
