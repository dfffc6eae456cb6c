"""Rows of the ledger out of records, and the statements that insert many of them in one step.

The interpreter's lock is let go and taken again for every step of a statement, and while the event loop is busy, taking
it again may last milliseconds. So rows go in by statements with many VALUES: 100 rows are three steps, not 100.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

from msgspec.structs import astuple
from sqlalchemy import Table

from gateway.ledger.schema import endings, reservations, sendings
from gateway.model.record import Reservation, Settlement

Row = tuple[Any, ...]

CHUNK: Final = 64
"""Rows in the largest statement; smaller ones are powers of two, so that few statements are prepared, and kept."""

_TAGS: Final = Reservation.__struct_fields__.index("tags")
_MORE: Final = Settlement.__struct_fields__.index("more_tokens")
_LINES: Final = Settlement.__struct_fields__.index("lines")


def reservation_row(attempt_id: int, reservation: Reservation) -> Row:
    """A row of `reservations`."""
    row = astuple(reservation)
    if not reservation.tags:
        return (attempt_id, *row[:_TAGS], None, *row[_TAGS + 1 :])
    tags = json.dumps(reservation.tags, ensure_ascii=False, separators=(",", ":"))
    return (attempt_id, *row[:_TAGS], tags, *row[_TAGS + 1 :])


def ending_row(attempt_id: int, settlement: Settlement) -> Row:
    """A row of `endings`. Raises `UnicodeDecodeError` if the JSON in it is none."""
    row = astuple(settlement)
    more, lines = settlement.more_tokens.decode() or None, settlement.lines.decode() or None
    return (attempt_id, *row[:_MORE], more, *row[_MORE + 1 : _LINES], lines, *row[_LINES + 1 :])


def insert_reservations(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Add rows to `reservations`. A row whose attempt is there already changes nothing."""
    _insert(connection, reservations, rows)


def insert_sendings(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Add rows (attempt id, microseconds) to `sendings`. A row whose attempt is there already changes nothing."""
    _insert(connection, sendings, rows)


def insert_endings(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Add rows to `endings`. The first end of an attempt stays; a later one changes nothing."""
    _insert(connection, endings, rows)


def is_open(connection: sqlite3.Connection, attempt_id: int) -> bool:
    """Whether the attempt is in the ledger and has not ended."""
    found = connection.execute("SELECT 1 FROM pending WHERE attempt_id = ?", (attempt_id,)).fetchone()
    return found is not None


def _insert(connection: sqlite3.Connection, table: Table, rows: Sequence[Row]) -> None:
    at = 0
    size = CHUNK
    while at < len(rows):
        while size > len(rows) - at:
            size //= 2
        connection.execute(_statement(table.name, _columns(table), size), _flat(rows[at : at + size]))
        at += size


def _flat(rows: Iterable[Row]) -> list[Any]:
    return list(chain.from_iterable(rows))


@cache
def _columns(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns)


@cache
def _statement(table: str, columns: tuple[str, ...], rows: int) -> str:
    # DO NOTHING, not OR IGNORE: that would take the place of what the triggers say about conflicts of their own.
    names = ", ".join(f'"{name}"' for name in columns)
    values = "(" + ", ".join("?" * len(columns)) + ")"
    return f'INSERT INTO "{table}" ({names}) VALUES {", ".join([values] * rows)} ON CONFLICT (attempt_id) DO NOTHING'
