"""One address that wants to be told, and of what."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gateway.webhooks.events import EventType


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events go. `events` are types, or the beginnings of types and `*`; `secrets` sign, the newest first.

    The address may hold a token in its path or query, as those of chat systems do, so it is shown by `name` only, and
    known in the outbox by `id`.
    """

    url: str = field(repr=False)
    secrets: tuple[bytes, ...] = field(repr=False)
    events: tuple[str, ...] = ("*",)
    allow_private: bool = False
    headers: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)
    timeout_s: float = 10.0

    @property
    def id(self) -> str:
        """16 hexadecimal digits that follow from the address; another secret does not make it another endpoint."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        """Scheme, host and port, and that there is more."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}" + ("/..." if parts.path.strip("/") or parts.query else "")

    def wants(self, type: EventType) -> bool:
        """Whether it asked for events of this type. Tests go to everybody."""
        return type == "webhook.test" or any(fits(pattern, type) for pattern in self.events)


def fits(pattern: str, type: EventType) -> bool:
    """Whether `budget.*`, `*` or a whole name covers the type."""
    return type.startswith(pattern[:-1]) if pattern.endswith("*") else type == pattern
