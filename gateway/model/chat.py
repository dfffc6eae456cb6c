"""A request as the gateway sees it: the few members that it acts on, and the bytes that it came in.

Unknown fields are kept because nothing is taken apart: `body` goes on with small edits (`dialects/jsonedit.py`).
"""

from __future__ import annotations

from typing import Any

import msgspec


class ChatRequest(msgspec.Struct, frozen=True):
    """One request that names a model, of any endpoint.

    `asks_usage`: the client itself wants usage at the end of its stream. `parsed` is `body` decoded.
    """

    model: str
    stream: bool
    asks_usage: bool
    parsed: dict[str, Any]
    body: bytes
