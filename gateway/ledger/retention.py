"""Moves history out of the ledger when it is old enough: into an archive file, or away. The daily sums stay.

History cannot be deleted from the time `kept_from` on (a trigger sees to it), so that time is moved up first. Then rows
go in batches that are small enough for writers not to notice. A row is durable in the archive before it leaves the
ledger; if the process dies in between, the next run finds it in both, and goes on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Final

from gateway.ledger.file import LedgerFile
from gateway.ledger.upgrade import upgrade

BATCH: Final = 500
_TABLES: Final = ("endings", "sendings", "reservations")


def rotate(path: Path, before: int, *, archive: Path | None, batch: int = BATCH) -> Generator[int, None, None]:
    """Move attempts that have ended and began before `before` (microseconds since the epoch); None deletes them.

    Gives the number that moved after every batch of at most `batch`, until there are none: the caller sets the pace,
    and may stop anywhere. The archive is a ledger like any other, and read by the same `Reader`. Raises
    `sqlite3.Error`, `OSError`, and `ConfigError` if the archive cannot be made.
    """
    if archive is not None:
        upgrade(archive)
    file = LedgerFile(path)
    try:
        with file.transaction() as connection:
            connection.execute("UPDATE marks SET number = MAX(number, ?) WHERE name = 'kept_from'", (before,))
        while ids := _oldest(file.connection, before, batch):
            if archive is not None:
                _copy(path, archive, ids)
            with file.transaction() as connection:
                for table in _TABLES:
                    connection.execute(f"DELETE FROM {table} WHERE attempt_id IN ({_marks(ids)})", ids)
            yield len(ids)
    finally:
        file.close()


def _oldest(connection: sqlite3.Connection, before: int, count: int) -> list[int]:
    rows = connection.execute(
        "SELECT attempt_id FROM reservations AS r WHERE began_at < ?"
        " AND EXISTS (SELECT 1 FROM endings WHERE attempt_id = r.attempt_id) ORDER BY began_at LIMIT ?",
        (before, count),
    )
    return [attempt_id for (attempt_id,) in rows]


def _copy(path: Path, archive: Path, ids: list[int]) -> None:
    # Two files have no common commit in WAL mode; hence the archive first, and rows that are there already pass.
    with closing(sqlite3.connect(archive, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("ATTACH ? AS ledger", (str(path),))
        connection.execute("BEGIN IMMEDIATE")
        for table in reversed(_TABLES):
            connection.execute(
                f"INSERT INTO main.{table} SELECT * FROM ledger.{table} WHERE attempt_id IN ({_marks(ids)})"
                " ON CONFLICT (attempt_id) DO NOTHING",
                ids,
            )
        connection.execute("COMMIT")


def _marks(ids: list[int]) -> str:
    return ", ".join("?" * len(ids))
