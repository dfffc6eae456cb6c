"""Closed months: what they added up to, what came late, and what was corrected."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_BIG_KEY: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables, and on SQLite the triggers that keep them as they are."""
    op.create_table(
        "closed_months",
        sa.Column("month", sa.String(7), primary_key=True),
        *_numbers("closed_at", "attempts", "unpriced", "unknown", "cost_nano", "held_nano"),
        sa.Column("digest", sa.String(64), nullable=False),
    )
    op.create_table(
        "frozen",
        sa.Column("month", sa.String(7), primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        *[sa.Column(name, sa.Text, primary_key=True) for name in ("provider", "model", "meter")],
        *_numbers("quantity", "nano"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "late",
        sa.Column("attempt_id", _BIG_KEY, primary_key=True, autoincrement=False),
        sa.Column("month", sa.String(7), nullable=False),
    )
    op.create_index("late_by_month", "late", ["month"])
    _make_corrections()
    op.execute("INSERT INTO marks (name, number) VALUES ('closed_until', 0)")
    if op.get_bind().dialect.name == "sqlite":
        for trigger in (_LATE, *_unchanging()):
            op.execute(trigger)


def _make_corrections() -> None:
    op.create_table(
        "corrections",
        sa.Column("id", _BIG_KEY, primary_key=True, autoincrement=True),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("booked_at", sa.BigInteger, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("meter", sa.Text, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("nano", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("invoice", sa.Text, nullable=False),
        sa.Column("invoice_digest", sa.String(64), nullable=False),
        sa.Column("evidence", sa.Text),
    )
    op.create_index("corrections_by_month", "corrections", ["month", "provider"])


def _numbers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]


# The mark is looked at first, so that of a call of today nothing more is asked than one number.
_LATE: Final = """
CREATE TRIGGER endings_late AFTER INSERT ON endings
WHEN (SELECT began_at FROM reservations WHERE attempt_id = NEW.attempt_id)
  < (SELECT number FROM marks WHERE name = 'closed_until') BEGIN
  INSERT INTO late (attempt_id, month)
  SELECT r.attempt_id, c.month FROM reservations AS r
  JOIN closed_months AS c ON c.month = strftime('%Y-%m', r.began_at / 1000000, 'unixepoch')
  WHERE r.attempt_id = NEW.attempt_id;
END
"""


def _unchanging() -> list[str]:
    """What was closed stays as it is, whoever has the file open."""
    triggers = []
    for table in ("closed_months", "frozen", "late", "corrections"):
        for event in ("UPDATE", "DELETE"):
            triggers.append(f"""
CREATE TRIGGER {table}_{event.lower()} BEFORE {event} ON {table} BEGIN
  SELECT RAISE(ABORT, 'a closed month is never changed');
END
""")
    return triggers
