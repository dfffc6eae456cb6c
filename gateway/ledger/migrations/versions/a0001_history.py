"""History, what is open, and the daily sums."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_BIG_KEY: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make all tables, and on SQLite the triggers that keep them true."""
    _make_reservations()
    op.create_table(
        "sendings",
        sa.Column("attempt_id", _BIG_KEY, primary_key=True, autoincrement=False),
        sa.Column("sent_at", sa.BigInteger, nullable=False),
    )
    _make_endings()
    op.create_table("pending", sa.Column("attempt_id", _BIG_KEY, primary_key=True, autoincrement=False))
    _make_daily()
    op.create_table(
        "marks",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    op.execute("INSERT INTO marks (name, number) VALUES ('kept_from', 0)")
    if op.get_bind().dialect.name == "sqlite":
        for trigger in (_OPEN, _CLOSE, *_unchanging()):
            op.execute(trigger)


def _make_reservations() -> None:
    op.create_table(
        "reservations",
        sa.Column("attempt_id", _BIG_KEY, primary_key=True, autoincrement=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("began_at", sa.BigInteger, nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("stream", sa.Integer, nullable=False),
        *_texts("key_id", "team", "project", "user", "session", "agent"),
        sa.Column("tags", sa.Text),
        *_texts("provider", "deployment", "model", "prompt_id", "prompt_version", "digest"),
        sa.Column("held_nano", sa.BigInteger),
    )
    op.create_index("reservations_by_request", "reservations", ["request_id", "attempt"])
    op.create_index("reservations_by_time", "reservations", ["began_at"])
    op.create_index("reservations_by_team", "reservations", ["team", "began_at"])


def _make_endings() -> None:
    op.create_table(
        "endings",
        sa.Column("attempt_id", _BIG_KEY, primary_key=True, autoincrement=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("source", sa.String(16)),
        sa.Column("answering_model", sa.Text, nullable=False),
        *_numbers("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"),
        sa.Column("more_tokens", sa.Text),
        sa.Column("cost_nano", sa.BigInteger),
        sa.Column("lines", sa.Text),
        *_texts("price_source", "price_version", "price_date"),
        sa.Column("latency_us", sa.BigInteger),
        sa.Column("first_token_us", sa.BigInteger),
        sa.Column("retries", sa.Integer, nullable=False),
    )


def _make_daily() -> None:
    op.create_table(
        "daily",
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        *[sa.Column(name, sa.Text, primary_key=True) for name in _DIMENSIONS],
        *_numbers(*_SUMS),
        sqlite_with_rowid=False,
    )


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _numbers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]


_DIMENSIONS: Final = (
    *("team", "project", "key_id", "model", "provider", "deployment"),
    *("prompt_id", "prompt_version", "state", "source"),
)
_TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_SUMS: Final = ("attempts", "unpriced", *_TOKENS, "cost_nano", "held_nano")

_OPEN: Final = """
CREATE TRIGGER reservations_open AFTER INSERT ON reservations BEGIN
  INSERT INTO pending (attempt_id) VALUES (NEW.attempt_id);
END
"""

_CLOSE: Final = f"""
CREATE TRIGGER endings_close AFTER INSERT ON endings BEGIN
  DELETE FROM pending WHERE attempt_id = NEW.attempt_id;
  INSERT INTO daily (day, {", ".join(_DIMENSIONS)}, {", ".join(_SUMS)})
  SELECT r.began_at / 86400000000, r.team, r.project, r.key_id, r.model, r.provider, r.deployment,
         r.prompt_id, r.prompt_version, NEW.state, COALESCE(NEW.source, ''),
         1, NEW.cost_nano IS NULL AND NEW.state IN ('settled', 'estimated'),
         {", ".join(f"NEW.{name}" for name in _TOKENS)},
         COALESCE(NEW.cost_nano, 0),
         CASE NEW.state WHEN 'unknown' THEN COALESCE(r.held_nano, 0) ELSE 0 END
  FROM reservations AS r WHERE r.attempt_id = NEW.attempt_id
  ON CONFLICT (day, {", ".join(_DIMENSIONS)}) DO UPDATE SET
    {", ".join(f"{name} = {name} + excluded.{name}" for name in _SUMS)};
END
"""


def _unchanging() -> list[str]:
    """History cannot be changed, and cannot be deleted from `kept_from` on, whoever has the file open."""
    triggers = []
    for table in ("reservations", "sendings", "endings"):
        triggers.append(f"""
CREATE TRIGGER {table}_never_change BEFORE UPDATE ON {table} BEGIN
  SELECT RAISE(ABORT, 'history is never changed');
END
""")
        triggers.append(f"""
CREATE TRIGGER {table}_are_kept BEFORE DELETE ON {table}
WHEN COALESCE((SELECT began_at FROM reservations WHERE attempt_id = OLD.attempt_id), 0)
  >= (SELECT number FROM marks WHERE name = 'kept_from') BEGIN
  SELECT RAISE(ABORT, 'history is kept from this time on');
END
""")
    return triggers
