"""Small ledgers, written by the ledger's own writer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from gateway.ledger import Ledger
from gateway.model.price import Line
from gateway.model.record import Reservation, Settlement
from tests.ledger.records import micros, reservation, settlement

DAY = 86_400_000_000
NOV_1 = 20_758
"""2026-11-01, a Sunday."""
TODAY = 20_780
"""2026-11-23."""


def at(day: int, hour: int = 12) -> int:
    """Microseconds."""
    return day * DAY + hour * 3_600_000_000


def call(day: int, nano: int | None, number: int = 1, **changes: Any) -> tuple[Reservation, Settlement]:
    """An attempt of team `search` on `day` that cost `nano`; `changes` are the reservation's."""
    begun = reservation(f"req_{day}_{number}", **{"began_at": at(day), **changes})
    return begun, settlement(ended_at=begun.began_at + 1, cost_nano=nano, lines=b"")


def lines(*found: Line) -> bytes:
    """As the ledger keeps them."""
    return msgspec.json.encode(list(found))


def book(path: Path, entries: Sequence[tuple[Reservation, Settlement | None]]) -> None:
    """Write them; None has been sent, and not ended."""

    async def write() -> None:
        ledger = Ledger.open(path, micros)
        for begun, ended in entries:
            ticket = ledger.reserve(begun)
            await ticket
            ticket.sent(begun.began_at)
            if ended is not None:
                ticket.settle(ended)
        await ledger.close()

    asyncio.run(write())
