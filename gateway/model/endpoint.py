"""The endpoints of the data port that a provider serves, as data: what differs between them, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint. `path` is its template here, `target` its path under a provider's base.

    `answers`: its stream is an answer in choices, which must end in a finish reason. `raw`: its reply means nothing to
    us and is handed on in pieces. `default_model`: what is meant where the body names none. `has_messages`: its body
    must have messages.
    """

    path: str
    target: str
    answers: bool = False
    raw: bool = False
    default_model: str | None = None
    has_messages: bool = False


JSON_ENDPOINTS = (
    Endpoint("/v1/chat/completions", "/chat/completions", answers=True, has_messages=True),
    Endpoint("/v1/completions", "/completions", answers=True),
    Endpoint("/v1/embeddings", "/embeddings"),
    Endpoint("/v1/moderations", "/moderations", default_model="omni-moderation-latest"),
    Endpoint("/v1/images/generations", "/images/generations", default_model="gpt-image-1"),
    Endpoint("/v1/audio/speech", "/audio/speech", raw=True),
    Endpoint("/v1/rerank", "/rerank"),
)
"""Their bodies are JSON that names a model."""

UPLOAD_ENDPOINTS = (
    Endpoint("/v1/audio/transcriptions", "/audio/transcriptions", raw=True),
    Endpoint("/v1/audio/translations", "/audio/translations", raw=True),
    Endpoint("/v1/images/edits", "/images/edits", raw=True, default_model="gpt-image-1"),
    Endpoint("/v1/images/variations", "/images/variations", raw=True, default_model="dall-e-2"),
)
"""Their bodies are forms with files, one field of which names a model."""

OTHER = Endpoint("other", "")
"""Whatever no template fits."""
