"""Pictures, documents, films and recordings in Converse's words: a format's name, and bytes, text or an address in S3.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html and its `ImageBlock`,
`DocumentBlock`, `VideoBlock`, `AudioBlock`.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from gateway.model.conversation import Media

_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
    "application/json": "txt",
}
_VIDEOS = {
    "video/x-matroska": "mkv",
    "video/quicktime": "mov",
    "video/mp4": "mp4",
    "video/webm": "webm",
    "video/x-flv": "flv",
    "video/mpeg": "mpeg",
    "video/x-ms-wmv": "wmv",
    "video/3gpp": "three_gp",
}
_AUDIO = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/opus": "opus",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/mp4": "mp4",
    "audio/x-m4a": "m4a",
    "audio/m4a": "m4a",
    "audio/ogg": "ogg",
    "audio/webm": "webm",
    "audio/pcm": "pcm",
}
_FORMATS = {"image": _IMAGES, "video": _VIDEOS, "audio": _AUDIO}
_EXTENSIONS = frozenset(("pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"))

_PDF = "JVBERi"
"""How a PDF begins (`%PDF-`), in base64."""

_NO_NAME = re.compile(r"[^A-Za-z0-9\-()\[\]]+")
_LONGEST_NAME = 200


class Names:
    """Names of the documents of one request: no two may have the same, nor signs but letters, digits and a few."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, wanted: str) -> str:
        """`wanted`, or what is like it and free."""
        plain = _NO_NAME.sub(" ", wanted).strip()[: _LONGEST_NAME - 6].rstrip() or "document"
        name, number = plain, 2
        while name.lower() in self._taken:
            name, number = f"{plain} {number}", number + 1
        self._taken.add(name.lower())
        return name


def block(part: Media, names: Names) -> dict[str, Any] | None:
    """`part` as a block; None if there is no word for its type, or no way to send it."""
    if part.kind == "file" and part.media_type not in _IMAGES:
        return _document(part, names)
    kind = "image" if part.kind == "file" else part.kind
    format_ = _FORMATS[kind].get(part.media_type) or _by_name(part, frozenset(_FORMATS[kind].values()))
    source = _source(part)
    return {kind: {"format": format_, "source": source}} if format_ is not None and source is not None else None


def is_base64(text: str) -> bool:
    """Whether `text` can stand where the API takes bytes."""
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _document(part: Media, names: Names) -> dict[str, Any] | None:
    source = {"text": part.text} if part.text else _source(part)
    format_ = _DOCUMENTS.get(part.media_type) or _by_name(part, _EXTENSIONS)
    if format_ is None and (part.text or part.media_type.startswith("text/")):
        format_ = "txt"
    if format_ is None and part.data.startswith(_PDF):
        format_ = "pdf"
    if format_ is None or source is None:
        return None
    said: dict[str, Any] = {"format": format_, "name": names.take(part.title or part.name), "source": source}
    if part.context:
        said["context"] = part.context
    if part.cite:
        said["citations"] = {"enabled": True}
    return {"document": said}


def _source(part: Media) -> dict[str, Any] | None:
    if part.data:
        return {"bytes": part.data}
    return {"s3Location": {"uri": part.url}} if part.url else None


def _by_name(part: Media, known: frozenset[str]) -> str | None:
    """The format that the name's or the address's ending tells, if it is one of `known`."""
    ending = (part.name or part.url).rpartition(".")[2].lower()
    ending = {"jpg": "jpeg", "3gp": "three_gp", "htm": "html"}.get(ending, ending)
    return ending if ending in known else None
