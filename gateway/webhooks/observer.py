"""Who counts what webhooks do."""

from __future__ import annotations

from typing import Literal, Protocol

from gateway.webhooks.events import EventType
from gateway.webhooks.sender import Outcome

End = Literal["delivered", "failed", "dropped"]


class Observer(Protocol):
    """Who counts. All labels are closed sets."""

    def emitted(self, type: EventType) -> None:
        """An event was taken in."""

    def attempted(self, type: EventType, outcome: Outcome) -> None:
        """An attempt has ended."""

    def ended(self, type: EventType, end: End) -> None:
        """A delivery arrived, was given up, or was dropped because too many waited."""


class Uncounted:
    """Counts nothing."""

    def emitted(self, type: EventType) -> None:
        """See `Observer`."""

    def attempted(self, type: EventType, outcome: Outcome) -> None:
        """See `Observer`."""

    def ended(self, type: EventType, end: End) -> None:
        """See `Observer`."""
