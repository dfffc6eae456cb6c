"""The one connection of a process that writes to the ledger, and the turns that processes take.

SQLite lets one write at a time and has the others poll, with pauses of up to 100 ms and no order. Gateways on one file
queue instead for a lock of the system (flock), which wakes the next at once; SQLite's own lock is then free, unless
somebody else has the file open.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

BUSY_MS: Final = 250
"""How long one trial waits for SQLite's lock; the writer tries again, and looks in between whether it should end."""

CHECKED_BYTES: Final = 256 * 2**20
"""Up to this size a ledger is checked as a whole after a failed write; a larger one would be closed for minutes."""

Steps = Callable[[str], None]
"""Told the name of each step as it is reached: where a test stops the process."""


class LedgerFile:
    """An open ledger. One thread uses it. Raises `sqlite3.Error` or `OSError` if it cannot be opened."""

    def __init__(self, path: Path, steps: Steps | None = None) -> None:
        self.path = path
        self._steps = steps
        self._turn = os.open(f"{path}-turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self.connection = _connect(path)
        except BaseException:
            os.close(self._turn)
            raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write, and be durable at the end of the block; whatever it raises, nothing was written or nobody saw it.

        Raises `sqlite3.OperationalError` (SQLITE_BUSY) if somebody who takes no turns has the file locked.
        """
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        try:
            self._step("begin")
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self._step("written")
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    with suppress(sqlite3.Error):  # what went wrong first is what matters
                        self.connection.execute("ROLLBACK")
                raise
            self._step("committed")
        finally:
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    def reopen(self) -> None:
        """Take a new connection, and check what it reads.

        After a failed write or fsync nothing that the old connection holds in memory can be trusted. Raises
        `sqlite3.Error`, of which `sqlite3.DatabaseError` says that the file is damaged.
        """
        self.connection.close()
        self.connection = _connect(self.path)
        if self.path.stat().st_size <= CHECKED_BYTES:
            (found,) = self.connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(f"damaged: {found}")

    def probe(self) -> None:
        """Show that the ledger can be written to. Raises `sqlite3.Error`."""
        with self.transaction() as connection:
            connection.execute(
                "INSERT INTO marks (name, number) VALUES ('probe', 1)"
                " ON CONFLICT (name) DO UPDATE SET number = number + 1"
            )

    def close(self) -> None:
        """Close it; the last one of all processes folds the WAL up."""
        self.connection.close()
        os.close(self._turn)

    def _step(self, name: str) -> None:
        if self._steps is not None:
            self._steps(name)


def _connect(path: Path) -> sqlite3.Connection:
    # mode=rw: a ledger that somebody has moved away must not be replaced by an empty one.
    uri = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        for pragma in (
            f"busy_timeout = {BUSY_MS}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "journal_size_limit = 67108864",
            "cache_size = -16384",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection
