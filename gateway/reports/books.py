"""The ledger as reports see it: a read-only connection, one transaction a report, so that its figures belong together.

Plain `sqlite3`, because an export of ten million rows spends its time here, and because the command line lists all
reports before it knows whether any is wanted. It blocks: use it in a thread, not on the event loop.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from gateway.errors import Unavailable

BUSY_S: Final = 2.0
_CACHE_KIB: Final = 32 * 1024

Row = tuple[Any, ...]


class Books:
    """An open ledger, between `Books.open` and the end of its block. One thread uses it."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.told: Callable[[int], None] = _nobody
        """Told how many rows a report that goes through them one by one has read."""
        self._connection = connection

    def __repr__(self) -> str:
        return f"<Books {self.path}>"

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Books]:
        """Read `path`, which may be open elsewhere. Raises `Unavailable` (ledger_unavailable) if it does not answer."""
        try:
            # mode=ro: a question must never make or change a file
            uri = f"{path.absolute().as_uri()}?mode=ro"
            connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
                connection.execute("BEGIN")
                yield cls(path, connection)
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise Unavailable(
                f"The ledger {path.name} did not answer: {error}.", code="ledger_unavailable", retry_after_s=1
            ) from error

    def all(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Every row of the answer."""
        return self._connection.execute(sql, values).fetchall()

    def stream(self, sql: str, values: Sequence[object] = (), *, batch: int = 1000) -> Iterator[Row]:
        """The answer row by row; `batch` of them are in memory at once."""
        cursor = self._connection.execute(sql, values)
        read = 0
        while rows := cursor.fetchmany(batch):
            yield from rows
            read += len(rows)
            self.told(read)

    def one(self, sql: str, values: Sequence[object] = ()) -> int:
        """A single number; 0 for none."""
        (found,) = self._connection.execute(sql, values).fetchone()
        return int(found or 0)

    def kept_from(self) -> int:
        """History that began before this time (microseconds) may have been rotated out; the daily sums are whole."""
        return self.one("SELECT MAX(number) FROM marks WHERE name = 'kept_from'")


def _nobody(read: int) -> None:
    pass
