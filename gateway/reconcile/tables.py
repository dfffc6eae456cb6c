"""A comparison as a table, for people and programs; and the closed months as one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from gateway.ledger.months import Month
from gateway.reconcile.amounts import whole
from gateway.reconcile.compare import Finding, Result
from gateway.reconcile.kinds import ORDER, TITLES
from gateway.reconcile.model import SAMPLES, Billed
from gateway.reconcile.standing import Standing
from gateway.reports.base import Column, Table, Value, money
from gateway.reports.formats.data import as_json
from gateway.reports.period import Period, iso, month_bounds
from gateway.reports.sums import dollars

_COLUMNS: Final = (
    Column("kind", "Kind"),
    Column("model", "Model"),
    Column("meter", "Meter"),
    Column("from", "From"),
    Column("to", "To"),
    Column("days", "Days", "count", "days"),
    money("amount_usd", "Difference"),
    money("booked_usd", "Booked"),
    money("open_usd", "Open"),
    Column("calls", "Calls"),
    Column("lines", "Lines"),
    Column("why", "Why"),
)
_MONTHS: Final = (
    Column("month", "Month"),
    Column("closed_at", "Closed (UTC)"),
    Column("attempts", "Attempts", "count", "attempts"),
    money("frozen_usd", "Frozen"),
    Column("late", "Late", "count", "attempts"),
    money("late_usd", "Late"),
    Column("corrections", "Corrections", "count", "corrections"),
    money("corrections_usd", "Corrections"),
    money("total_usd", "Total"),
    Column("digest", "Digest"),
)


def table(result: Result, provider: str, month: Month, *, detail: bool, notes: Sequence[str]) -> Table:
    """The differences: a row for each kind, model and meter; with `detail`, for each day of those, too."""
    rows = (
        [_row([found]) for found in result.findings] if detail else [_row(same) for same in _grouped(result.findings)]
    )
    amount, booked = (sum(getattr(found, name) for found in result.findings) for name in ("amount", "booked"))
    blanks: tuple[Value, ...] = ("Total", None, None, None, None, None)
    return Table(
        report="reconcile",
        title=f"{provider}: the invoice less the ledger",
        period=Period(month.first, month.last),
        columns=_COLUMNS,
        rows=tuple(rows),
        totals=(*blanks, amount, booked, amount - booked, None, None, None),
        notes=(*_said(result), *notes),
    )


def to_json(found: Table, result: Result) -> bytes:
    """The table as JSON, with the sums in an object of their own; dollars are decimal strings."""
    sums = {
        "invoice_usd": dollars(result.invoice),
        "ledger_usd": dollars(result.ledger),
        "difference_usd": dollars(result.residual),
        "unexplained_usd": dollars(result.unexplained),
        "attempts": result.attempts,
        "lines": result.lines,
    }
    whole: dict[str, Any] = {**as_json(found), "sums": sums}
    return json.dumps(whole, indent=2, ensure_ascii=False).encode() + b"\n"


def months(found: Iterable[Standing], today: int) -> Table:
    """The closed months: what was frozen, and apart from it what came late and what was corrected."""
    rows = [_month(one) for one in found]
    first = min((one.closed.month for one in found), default=None)
    begins = month_bounds(today)[0] if first is None else _day(f"{first}-01")
    return Table(
        report="closed-months",
        title="Closed months",
        period=Period(begins, today),
        columns=_MONTHS,
        rows=tuple(rows),
        notes=("The frozen sums never change. What came into a month after it was closed stands beside them.",),
    )


def outside(other: Billed) -> tuple[str, ...]:
    """What of the invoice is for other times."""
    if not other.count:
        return ()
    return (f"{other.count} lines of the invoice ({dollars(whole(other.nano))} USD) are of other months and left out.",)


def standing(one: Standing) -> str:
    """A sentence on a closed month."""
    closed = one.closed
    return (
        f"{closed.month} is closed: frozen at {dollars(closed.cost_nano)} USD of {closed.attempts} attempts (digest"
        f" {closed.digest[:12]}), late {dollars(one.late_nano)} USD of {one.late}, corrections"
        f" {dollars(one.corrected_nano)} USD in {one.corrections}."
    )


def _said(result: Result) -> list[str]:
    explained = (
        "all of it is explained"
        if not result.unexplained
        else f"{dollars(result.unexplained)} USD of it is not explained"
    )
    said = [
        f"The invoice has {dollars(result.invoice)} USD in {result.lines} lines, the ledger"
        f" {dollars(result.ledger)} USD of {result.attempts} attempts."
        f" The difference is {dollars(result.residual)} USD; {explained}."
    ]
    if any(found.booked for found in result.findings):
        left = sum(found.open for found in result.findings)
        said.append(f"Corrections of it are booked; {dollars(left)} USD is open.")
    return said


def _grouped(findings: Sequence[Finding]) -> list[list[Finding]]:
    def key(found: Finding) -> tuple[int, str, str]:
        return ORDER[found.kind], found.model, found.meter

    return [list(same) for _, same in groupby(sorted(findings, key=key), key=key)]


def _row(same: Sequence[Finding]) -> tuple[Value, ...]:
    largest = max(same, key=lambda found: abs(found.amount))
    days = sorted({found.day for found in same})
    requests = list(dict.fromkeys(one for found in same for one in found.requests))[:SAMPLES]
    lines = list(dict.fromkeys(one for found in same for one in found.lines))[:SAMPLES]
    why = largest.sentence
    if len(same) > 1:
        why = f"The largest, on {iso(largest.day)}: {why}"
    return (
        TITLES[largest.kind],
        largest.model,
        largest.meter,
        iso(days[0]),
        iso(days[-1]),
        len(days),
        sum(found.amount for found in same),
        sum(found.booked for found in same),
        sum(found.open for found in same),
        " ".join(requests),
        " ".join(str(line) for line in lines),
        why,
    )


def _month(one: Standing) -> tuple[Value, ...]:
    closed = one.closed
    return (
        closed.month,
        datetime.fromtimestamp(closed.closed_at // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        closed.attempts,
        closed.cost_nano,
        one.late,
        one.late_nano,
        one.corrections,
        one.corrected_nano,
        closed.cost_nano + one.late_nano + one.corrected_nano,
        closed.digest if one.is_whole else f"{closed.digest} (the frozen rows are not those it was made of)",
    )


def _day(text: str) -> int:
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1)).days


def name_of(path: Path) -> str:
    """The name of an invoice, as it is booked."""
    return path.name
