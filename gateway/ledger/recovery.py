"""Ends the attempts whose process has died: void if they were never sent, else unknown, exactly once.

Whoever opens the ledger does this, and running gateways do it now and then. The number of a dead process can be
claimed; while it is, nobody else cleans up after it. Should two try all the same, the first end of an attempt stays.
"""

from __future__ import annotations

import sqlite3

from gateway.ledger.file import LedgerFile
from gateway.ledger.ids import OWNERS, owner_of
from gateway.ledger.owners import Owner, claim_number
from gateway.ledger.rows import ending_row, insert_endings
from gateway.model.record import Settlement

PROCESS_LOST = "process_lost"
"""The `code` of attempts that were ended here."""


def recover(file: LedgerFile, own: Owner, now: int) -> int:
    """End what processes left open that are dead by now; how many there were. `now` is in microseconds.

    Raises `sqlite3.Error`, `OSError`.
    """
    ended = 0
    for number in _owners(file.connection):
        if number == own.number:
            continue
        dead = claim_number(file.path, number)
        if dead is not None:
            try:
                ended += recover_owner(file, dead, now)
            finally:
                dead.close()
    return ended


def recover_owner(file: LedgerFile, owner: Owner, now: int) -> int:
    """End what was left open under a number that is held by now; how many there were. Forgets its marks."""
    with file.transaction() as connection:
        left = [
            (attempt_id, sent)
            for attempt_id, sent in connection.execute(
                "SELECT attempt_id, EXISTS (SELECT 1 FROM sendings WHERE attempt_id = pending.attempt_id) FROM pending"
                " WHERE attempt_id % ? = ?",
                (OWNERS, owner.number),
            )
        ]
        marks = owner.sent() if left else frozenset()
        rows = [
            ending_row(attempt_id, _end(now, sent=bool(sent) or marks is None or attempt_id in marks))
            for attempt_id, sent in left
        ]
        insert_endings(connection, rows)
    owner.reset()  # only now: until then another trial must find the marks
    return len(rows)


def floor(connection: sqlite3.Connection) -> int:
    """The highest id in the ledger, 0 if there is none."""
    (found,) = connection.execute("SELECT COALESCE(MAX(attempt_id), 0) FROM reservations").fetchone()
    return int(found)


def _end(now: int, *, sent: bool) -> Settlement:
    if sent:
        return Settlement(state="unknown", ended_at=now, code=PROCESS_LOST)
    return Settlement(state="void", ended_at=now, code=PROCESS_LOST, cost_nano=0)


def _owners(connection: sqlite3.Connection) -> list[int]:
    return sorted({owner_of(attempt_id) for (attempt_id,) in connection.execute("SELECT attempt_id FROM pending")})
