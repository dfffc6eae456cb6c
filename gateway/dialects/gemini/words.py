"""What requests and replies of Gemini share: base64, and parts of a thought that Gemini has no word for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from gateway.model.conversation import Media, MediaKind, Reasoning

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")

_SUFFIXES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "heic": "image/heic",
    "heif": "image/heif",
    "gif": "image/gif",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "csv": "text/csv",
    "html": "text/html",
    "md": "text/markdown",
    "wav": "audio/wav",
    "mp3": "audio/mp3",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "aac": "audio/aac",
    "mp4": "video/mp4",
    "mov": "video/mov",
    "webm": "video/webm",
}
_BEGINNINGS = {"iVBORw": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "JVBERi": "application/pdf"}

FILES = "generativelanguage.googleapis.com"
"""Where files lie that were given to the Gemini API: only it can read them."""


def kind_of(media_type: str, url: str = "") -> MediaKind:
    """What sort of media `media_type` is; a film where it is not said and `url` is YouTube's."""
    kind = media_type.partition("/")[0]
    if kind in ("image", "audio", "video"):
        return kind  # type: ignore[return-value]
    is_film = not media_type and ("youtube.com/" in url or "youtu.be/" in url)
    return "video" if is_film else "file"


def media_type_of(media: Media) -> str:
    """Its MIME type: as it is said, or by the name, or by how the data begins; empty if nobody knows."""
    if media.media_type:
        return media.media_type
    for name in (media.name, media.url.partition("?")[0]):
        if found := _SUFFIXES.get(name.rpartition(".")[2].lower()):
            return found
    return next((found for begin, found in _BEGINNINGS.items() if media.data.startswith(begin)), "")


NO_SIGNATURE = "skip_thought_signature_validator"
"""Says that a call was not made by Gemini, or that its signature is lost: without one Gemini 3 refuses the turn.
Source: https://ai.google.dev/gemini-api/docs/thought-signatures."""

KEPT = "gateway"
"""Under this name `partMetadata`, which clients send back unread, holds what Gemini has no word for."""

_KEPT_MEMBERS = ("redacted", "id", "signature")


def is_base64(text: str) -> bool:
    """Whether `text` may stand where Google's APIs want bytes, in either alphabet."""
    return _BASE64.fullmatch(text) is not None and len(text.rstrip("=")) % 4 != 1


def thought(text: str, signature: str = "", redacted: str = "", id: str = "") -> dict[str, Any]:
    """A part that is a thought. What only another provider can read goes where the client will send it back."""
    part: dict[str, Any] = {"text": text, "thought": True}
    kept = {"redacted": redacted, "id": id}
    if is_base64(signature):
        part["thoughtSignature"] = signature
    else:
        kept["signature"] = signature
    if kept := {name: value for name, value in kept.items() if value}:
        part["partMetadata"] = {KEPT: kept}
    return part


def kept_thought(text: str, signature: str, metadata: Mapping[str, Any]) -> Reasoning | None:
    """The thought of which `metadata` (`partMetadata`) tells; None if that is not what `thought` wrote."""
    kept = metadata.get(KEPT)
    if len(metadata) != 1 or not isinstance(kept, dict) or not kept.keys() <= set(_KEPT_MEMBERS):
        return None
    if not all(isinstance(value, str) for value in kept.values()):
        return None
    return Reasoning(text, signature or kept.get("signature", ""), kept.get("redacted", ""), kept.get("id", ""))


def is_object(text: str) -> bool:
    """Whether `text` is a JSON object; nothing at all counts as an empty one."""
    if not text:
        return True
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


def call_part(name: str, arguments: str, id: str, signature: str) -> dict[str, Any]:
    """A function call; `arguments` is the text of a JSON object, or nothing, and goes in as it is, but on one line."""
    text = arguments.replace("\n", " ").replace("\r", " ") if arguments else "{}"
    call: dict[str, Any] = {"name": name, "args": orjson.Fragment(text)}
    if id:
        call["id"] = id
    return {"functionCall": call, "thoughtSignature": signature} if is_base64(signature) else {"functionCall": call}


def media_part(media: Media) -> dict[str, Any]:
    """`inlineData` or `fileData`; the type is left out where nobody knows it."""
    media_type, name = media_type_of(media), media.name or media.title
    found = {"data": media.data} if media.data else {"fileUri": media.url or media.file_id}
    if media_type:
        found["mimeType"] = media_type
    if name:
        found["displayName"] = name
    return {"inlineData" if media.data else "fileData": found}
