"""Corrections of closed months: amounts that an invoice has shown to be wrong, each a row beside what was frozen."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gateway.ledger.months import Month, Refused, is_closed, knows_months, turn, writable


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """One amount that is booked to a closed month: `nano` is added to what was frozen. `evidence` is JSON or empty."""

    month: str
    booked_at: int
    provider: str
    day: int
    model: str
    meter: str
    kind: str
    nano: int
    reason: str
    invoice: str
    invoice_digest: str
    evidence: str = ""


def corrections(connection: sqlite3.Connection, month: str, provider: str | None = None) -> list[Correction]:
    """What was booked to a month, in the order of booking; `provider` None: of all."""
    if not knows_months(connection):
        return []
    names = ", ".join(Correction.__struct_fields__)
    rows = connection.execute(
        f"SELECT {names} FROM corrections WHERE month = ? AND provider = COALESCE(?, provider) ORDER BY id",
        (month, provider),
    )
    return [
        Correction(**{**dict(zip(Correction.__struct_fields__, row, strict=True)), "evidence": row[-1] or ""})
        for row in rows
    ]


def book(path: Path, month: Month, provider: str, rows: Sequence[Correction], known: int) -> None:
    """Add corrections to a closed month; all or none. `known` is how many the reader had seen of this provider.

    Raises `Refused` if the month is not closed, or somebody has booked in between; `Unavailable`.
    """
    names = Correction.__struct_fields__
    with writable(path) as file, turn(file) as connection:
        if not is_closed(connection, month.name):
            raise Refused(f"{month.name} is not closed: nothing is frozen yet. Run `gateway close-month {month.name}`.")
        if len(corrections(connection, month.name, provider)) != known:
            raise Refused(f"Somebody has booked corrections of {month.name} meanwhile; reconcile again.")
        connection.executemany(
            f"INSERT INTO corrections ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
            [
                tuple(getattr(row, name) if name != "evidence" else row.evidence or None for name in names)
                for row in rows
            ],
        )
