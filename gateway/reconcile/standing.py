"""How closed months stand: what was frozen, what came late, what was corrected, and whether the digest still holds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import Unavailable
from gateway.ledger import months
from gateway.ledger.corrections import corrections
from gateway.ledger.months import Closed


@dataclass(frozen=True, slots=True)
class Standing:
    """One closed month. `late` and `corrections` are counts, amounts are nano-dollars."""

    closed: Closed
    late: int
    late_nano: int
    corrections: int
    corrected_nano: int
    is_whole: bool


def read(path: Path) -> list[Standing]:
    """All closed months, the first first. Raises `Unavailable`."""
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=2.0, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            return [_standing(connection, found) for found in months.closed(connection)]
    except sqlite3.Error as error:
        raise Unavailable(
            f"The ledger {path.name} did not answer: {error}.", code="ledger_unavailable", retry_after_s=1
        ) from error


def _standing(connection: sqlite3.Connection, found: Closed) -> Standing:
    late, late_nano = months.late_nano(connection, found.month)
    booked = corrections(connection, found.month)
    corrected = sum(one.nano for one in booked)
    return Standing(found, late, late_nano, len(booked), corrected, months.is_whole(connection, found))
