"""`/v1/files`, in memory and bounded: the oldest make room for the newest.

Source: https://platform.openai.com/docs/api-reference/files, components `OpenAIFile`, `ListFilesResponse`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from gateway.providers.scripting.multipart import Upload
from gateway.providers.scripting.play import Answer
from gateway.providers.scripting.refusals import Refused, no_object, wrong

MAX_FILES = 1_000
MAX_BYTES = 256 << 20
PURPOSES = frozenset(
    {
        "assistants", "assistants_output", "batch", "batch_output", "fine-tune", "fine-tune-results", "vision",
        "user_data", "evals",
    }
)  # fmt: skip


class Stored(msgspec.Struct, frozen=True):
    """One file and what is told about it."""

    about: dict[str, Any]
    data: bytes


class Shelf:
    """The files that were uploaded, or made by batches."""

    def __init__(self) -> None:
        self._files: dict[str, Stored] = {}
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<Shelf {len(self._files)} files, {self._bytes} bytes>"

    def put(self, id: str, filename: str, purpose: str, data: bytes, now: int) -> dict[str, Any]:
        """Keep a file; what is told about it. Raises `Refused` if it alone is too large."""
        if len(data) > MAX_BYTES:
            raise Refused(413, f"The file is larger than {MAX_BYTES} bytes.", param="file")
        about = {
            "id": id,
            "object": "file",
            "bytes": len(data),
            "created_at": now,
            "filename": filename,
            "purpose": purpose,
            "status": "processed",
        }
        self._files[id] = Stored(about, data)
        self._bytes += len(data)
        while self._bytes > MAX_BYTES or len(self._files) > MAX_FILES:
            self._drop(next(iter(self._files)))
        return about

    def get(self, id: str) -> Stored:
        """The file. Raises `Refused`."""
        stored = self._files.get(id)
        if stored is None:
            raise no_object("File object", id)
        return stored

    def _drop(self, id: str) -> None:
        self._bytes -= len(self._files.pop(id).data)

    def upload(self, id: str, form: Mapping[str, Any], now: int) -> Answer:
        """`POST /files`."""
        file, purpose = form.get("file"), form.get("purpose")
        if not isinstance(file, Upload):
            raise wrong("file", "Missing required parameter: 'file'.")
        if purpose not in PURPOSES:
            raise wrong("purpose", f"Invalid value for 'purpose': expected one of {', '.join(sorted(PURPOSES))}.")
        return _json(self.put(id, file.filename, purpose, file.data, now))

    def about(self, id: str) -> Answer:
        """`GET /files/{id}`."""
        return _json(self.get(id).about)

    def content(self, id: str) -> Answer:
        """`GET /files/{id}/content`."""
        return Answer((self.get(id).data,), content_type="application/octet-stream")

    def delete(self, id: str) -> Answer:
        """`DELETE /files/{id}`."""
        self.get(id)
        self._drop(id)
        return _json({"id": id, "object": "file", "deleted": True})

    def listing(self, query: Mapping[str, str]) -> Answer:
        """`GET /files`, newest first unless `order=asc`."""
        files = [
            stored.about for stored in self._files.values() if query.get("purpose", "") in ("", stored.about["purpose"])
        ]
        return _json(page(files, query))


def page(items: list[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    """One page of `items` (oldest first) as OpenAI's list object: `limit`, `after` and `order` of the query."""
    items = items if query.get("order") == "asc" else items[::-1]
    asked = query.get("limit", "")
    limit = int(asked) if asked.isdecimal() and 0 < int(asked) <= 10_000 else 100
    after = query.get("after")
    if after:
        ids = [item["id"] for item in items]
        items = items[ids.index(after) + 1 :] if after in ids else []
    shown = items[:limit]
    first, last = (shown[0]["id"], shown[-1]["id"]) if shown else ("", "")
    return {"object": "list", "data": shown, "first_id": first, "last_id": last, "has_more": len(items) > limit}


def _json(value: dict[str, Any]) -> Answer:
    return Answer((orjson.dumps(value),), id=str(value.get("id", "")))
