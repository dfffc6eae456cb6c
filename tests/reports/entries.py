"""Small ledgers, written by the ledger's own writer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import yaml

from gateway.ledger import Ledger
from gateway.model.price import Line
from gateway.model.record import Reservation, Settlement
from gateway.pricing.contracts import Book, parse
from gateway.pricing.table import PriceTable
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


# The first four rows are what `loadtest.ledger_rows` booked, and hold until December; then everything is dearer.
_PRICES = """
- {provider: openai, model: gpt-5-mini, from: 2026-01-01, usd_per_million: {input: 0.25, cache_read: 0.025, output: 2}}
- {provider: openai, model: gpt-5-eu, from: 2026-01-01, usd_per_million: {input: 1.25, cache_read: 0.125, output: 10}}
- provider: anthropic
  model: claude-haiku-4-5
  from: 2026-01-01
  to: 2026-11-30
  usd_per_million: {input: 1, cache_read: 0.1, output: 5}
- provider: google
  model: gemini-3-flash
  from: 2026-01-01
  usd_per_million: {input: "0.0375", cache_read: "0.009370001", output: "0.150000003"}
- {provider: openai, model: gpt-5-mini, from: 2026-12-01, usd_per_million: {input: 0.3, cache_read: 0.03, output: 2.4}}
- provider: acme
  model: long
  from: 2026-01-01
  usd_per_million: {input: 1, output: 2}
  long_context: [{above: 1000, usd_per_million: {input: 2, output: 4}}]
- {provider: acme, model: tools, from: 2026-01-01, usd_per_request: 0.01, usd_per_unit: {web_searches: 0.02},
   usd_per_million: {input: 1, output: 2, input_audio: 7}}
- {provider: acme, model: tools, from: 2026-01-01, service_tier: priority, usd_per_million: {input: 9, output: 9}}
"""


@cache
def prices() -> PriceTable:
    """A table of contracts alone."""
    book, faults = parse(yaml.safe_load(_PRICES), "prices.yaml", lambda _: None)
    assert not faults
    return PriceTable(book, Book(), None, {})
