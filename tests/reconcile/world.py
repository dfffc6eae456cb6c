"""A month of calls with known counts, booked by the ledger's own writer, and invoices to compare them with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec

from gateway.ledger.corrections import Correction
from gateway.ledger.months import month_of
from gateway.model.price import Line
from gateway.model.record import Reservation, Settlement
from gateway.pricing.contracts import parse
from gateway.pricing.cost import half_even
from gateway.pricing.table import PriceTable
from gateway.reconcile import Result, reconcile
from gateway.reconcile import ours as ledger_side
from gateway.reconcile import theirs as invoice_side
from gateway.reconcile.invoices import generic_csv
from gateway.reconcile.pricelist import PriceList
from gateway.reports.books import Books
from tests.reports.entries import at, book

MONTH = month_of("2026-10")
OCT_1 = date(2026, 10, 1).toordinal() - date(1970, 1, 1).toordinal()
MODEL = "gpt-5-mini-2026-08-07"
PROVIDER = "openai"
MILLION = 1_000_000

RATES = {"input": 250, "cache_read": 25, "cache_write": 312, "cache_write_1h": 500, "output": 2000, "reasoning": 2500}
"""Nano-dollars a token: of gpt-5-mini, and what is not sold, made up."""

PRICES = [
    {
        "provider": PROVIDER,
        "model": "gpt-5-mini",
        "from": "2026-01-01",
        "service_tier": tier,
        "usd_per_million": {"input": low, "cache_read": cached, "output": out},
        **more,
    }
    for tier, low, cached, out, more in (
        (
            "standard",
            "0.25",
            "0.025",
            "2",
            {"long_context": [{"above": 200000, "usd_per_million": {"input": "0.5", "output": "3"}}]},
        ),
        ("batch", "0.125", "0.0125", "1", {}),
        ("priority", "0.45", "0.045", "3.6", {}),
    )
]


def table(rows: Sequence[dict[str, Any]] = PRICES) -> PriceTable:
    """The contracts as a table."""
    found, faults = parse(list(rows), "prices.yaml", lambda loc: None)
    assert not faults, faults
    return PriceTable(found, type(found)(), None, {PROVIDER: None})


def call(
    name: str,
    day: int = 0,
    *,
    hour: int = 12,
    state: str = "settled",
    answering: str | None = None,
    rates: dict[str, int] | None = None,
    priced: bool = True,
    thought: int = 0,
    held: int | None = 5_000_000,
    model: str = "gpt-5-mini",
    provider: str = PROVIDER,
    **quantities: int,
) -> tuple[Reservation, Settlement]:
    """One attempt on the `day`th of the month, from 0; `quantities` by meter."""
    began = at(OCT_1 + day, hour)
    begun = Reservation(
        request_id=name,
        attempt=1,
        began_at=began,
        endpoint="/v1/chat/completions",
        team="search",
        project="web",
        provider=provider,
        deployment=model,
        model=model,
        held_nano=held,
    )
    if state in ("void", "unknown"):
        ended = Settlement(state=state, ended_at=began + 1, cost_nano=0 if state == "void" else None)  # type: ignore[arg-type]
        return begun, ended
    prices = RATES | (rates or {})
    lines = [
        Line(
            meter,
            quantity,
            prices[meter] * 1_000_000,
            MILLION,
            half_even(quantity * prices[meter] * 1_000_000, MILLION),
        )
        for meter, quantity in quantities.items()
        if meter in prices
    ]
    read, written = (
        quantities.get("cache_read", 0),
        quantities.get("cache_write", 0) + quantities.get("cache_write_1h", 0),
    )
    return begun, Settlement(
        state=state,  # type: ignore[arg-type]
        ended_at=began + 1,
        status=200,
        source="estimated" if state == "estimated" else "provider",
        answering_model=MODEL if answering is None else answering,
        input_tokens=quantities.get("input", 0) + read + written,
        output_tokens=quantities.get("output", 0) + quantities.get("reasoning", 0),
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=thought or quantities.get("reasoning", 0),
        cost_nano=sum(line.nano_usd for line in lines) if priced else None,
        lines=msgspec.json.encode(lines) if priced else b"",
    )


Entry = tuple[Reservation, Settlement | None]


def ledger(path: Path, entries: Sequence[Entry]) -> Path:
    """Write them."""
    book(path, entries)
    return path


def usd(nano: int | Fraction) -> str:
    """Exact dollars."""
    return f"{Decimal(int(nano)).scaleb(-9):f}"


def row(day: int, meter: str, quantity: int | None, nano: int, model: str = MODEL, **more: str) -> dict[str, str]:
    """A line of a generic invoice."""
    on = date.fromordinal(OCT_1 + day + date(1970, 1, 1).toordinal()).isoformat()
    return {
        "date": on,
        "model": model,
        "meter": meter,
        "quantity": "" if quantity is None else str(quantity),
        "amount": usd(nano),
        **more,
    }


def csv_text(rows: Sequence[dict[str, str]]) -> str:
    """As a file."""
    import csv

    text = StringIO()
    names = list(dict.fromkeys(["date", "amount", *(name for one in rows for name in one)]))
    writer = csv.DictWriter(text, names, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def compare(
    path: Path, rows: Sequence[dict[str, str]], *, prices: PriceTable | None = None, booked: Sequence[Correction] = ()
) -> Result:
    """The ledger against these lines."""
    items = generic_csv.read(StringIO(csv_text(rows)), {})
    theirs = invoice_side.read(items, MONTH, {}, {})
    assert not theirs.faulty, theirs.faults
    with Books.open(path) as books:
        ours = ledger_side.read(books, PROVIDER, MONTH)
    return reconcile(ours, theirs, MONTH, PriceList(prices or table(), PROVIDER), booked)


def amounts(result: Result) -> dict[str, int]:
    """By kind."""
    found: dict[str, int] = {}
    for one in result.findings:
        found[one.kind] = found.get(one.kind, 0) + one.amount
    return found


def iso_now(text: str) -> int:
    """Microseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000)
