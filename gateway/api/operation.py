"""One operation of the admin port, as its OpenAPI document tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

Answer = type[msgspec.Struct] | str | None
"""A struct as JSON, a media type, or nothing."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. Without a `permission` it needs no key; `errors` are statuses besides the key's."""

    method: str
    path: str
    id: str
    summary: str
    answers: Mapping[int, tuple[str, Answer]]
    permission: str | None = None
    body: type[msgspec.Struct] | None = None
    errors: tuple[int, ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    page: bool = False
