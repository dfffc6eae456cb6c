"""Whether a ledger holds together: every event belongs to a reservation, and the sums are those of the rows.

That an attempt has at most one end needs no search: the primary key of `endings` allows no more.
"""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import Connection, text

from gateway.ledger.schema import DIMENSIONS, SUMS


class Audit(msgspec.Struct, frozen=True):
    """What was found. `cost_nano` is the sum of all rows that are there; `faults` is empty if all is well."""

    attempts: int
    in_flight: int
    cost_nano: int
    faults: tuple[str, ...]


_KEYS: Final = ", ".join(DIMENSIONS)
_TOTALS: Final = ", ".join(SUMS)
_TOKENS: Final = ", ".join(f"SUM({name})" for name in SUMS if name.endswith("_tokens"))

_ORPHANS: Final = "SELECT COUNT(*) FROM {0} WHERE attempt_id NOT IN (SELECT attempt_id FROM reservations)"
_OPEN: Final = "SELECT attempt_id FROM reservations WHERE attempt_id NOT IN (SELECT attempt_id FROM endings)"
_RECOMPUTED: Final = f"""
SELECT began_at / 86400000000 AS day, team, project, key_id, model, provider, deployment, prompt_id, prompt_version,
  state, COALESCE(source, '') AS source,
  COUNT(*), SUM(CASE WHEN cost_nano IS NULL AND state IN ('settled', 'estimated') THEN 1 ELSE 0 END), {_TOKENS},
  SUM(COALESCE(cost_nano, 0)), SUM(CASE state WHEN 'unknown' THEN COALESCE(held_nano, 0) ELSE 0 END)
FROM endings JOIN reservations USING (attempt_id) WHERE began_at >= :kept_from
GROUP BY {_KEYS.replace("day", "1").replace("source", "11")}
"""
_STORED: Final = f"SELECT {_KEYS}, {_TOTALS} FROM daily WHERE day >= :kept_day"


def audit(connection: Connection) -> Audit:
    """Read everything, and compare. Raises SQLAlchemy's errors."""

    def one(statement: str, **values: int) -> int:
        return int(connection.execute(text(statement), values).scalar_one() or 0)

    faults = []
    for table in ("sendings", "endings"):
        if orphans := one(_ORPHANS.format(table)):
            faults.append(f"{orphans} rows of {table} belong to no reservation")
    for kind, statement in (
        ("open and not in pending", f"{_OPEN} EXCEPT SELECT attempt_id FROM pending"),
        ("in pending and not open", f"SELECT attempt_id FROM pending EXCEPT {_OPEN}"),
    ):
        if wrong := one(f"SELECT COUNT(*) FROM ({statement}) AS wrong"):
            faults.append(f"{wrong} attempts are {kind}")
    # Whole days only: of the day in which history begins, some rows may have been rotated out.
    kept_day = -(-one("SELECT number FROM marks WHERE name = 'kept_from'") // 86_400_000_000)
    values = {"kept_day": kept_day, "kept_from": kept_day * 86_400_000_000}
    faults += _differences(connection, values)
    return Audit(
        attempts=one("SELECT COUNT(*) FROM reservations"),
        in_flight=one("SELECT COUNT(*) FROM pending"),
        cost_nano=one("SELECT SUM(cost_nano) FROM endings"),
        faults=tuple(faults),
    )


def _differences(connection: Connection, values: dict[str, int]) -> list[str]:
    faults = []
    for wrong, first, second in (
        ("missing from, or wrong in,", _RECOMPUTED, _STORED),
        ("not the rows' in", _STORED, _RECOMPUTED),
    ):
        statement = f"SELECT COUNT(*) FROM (SELECT * FROM ({first}) AS a EXCEPT SELECT * FROM ({second}) AS b) AS c"
        used = {name: value for name, value in values.items() if f":{name}" in statement}
        if count := connection.execute(text(statement), used).scalar_one():
            faults.append(f"{count} sums are {wrong} daily")
    return faults
