"""The ledger's tables, in words that SQLite and PostgreSQL share.

Three tables are history and only grow: `reservations`, `sendings` and `endings`, one row each an attempt and an event.
An event's id is the attempt's id and its table, so that writing one twice changes nothing, and the primary key of
`endings` allows one end an attempt, whoever writes it. What an attempt's state is follows from which rows it has.

Two tables are derived from them, by triggers, in the transaction that adds the rows: `pending` names the attempts that
have not ended, so that a restart need not search for them, and `daily` keeps the sums that reports read. Triggers, not
the writer's own sums, because they count what was really inserted: a row that was there already counts once.

Four tables are the closed months (`months.py`, `corrections.py`): `closed_months` and `frozen` are what a month added
up to when it was closed, `late` names the attempts that came into it afterwards (a trigger sees to it), `corrections`
is what was booked to it after a comparison with an invoice. None of their rows is ever changed or deleted.

An attempt's id is the microsecond of its reservation since 2020, times 4096, plus the number of the process that made
it. It grows, so that rows are appended at the end of the tables rather than spread over them; see `ids.py`.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

HEAD: Final = "0002"
"""The newest migration."""

metadata = MetaData()

reservations = Table(
    "reservations",
    metadata,
    Column("attempt_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("request_id", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("began_at", BigInteger, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("stream", Integer, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("team", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("tags", Text),  # JSON list; null: none
    Column("provider", Text, nullable=False),
    Column("deployment", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("prompt_id", Text, nullable=False),
    Column("prompt_version", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("held_nano", BigInteger),
    # Not unique: should a caller number two attempts alike, both are booked, and neither stops the others' batch.
    Index("reservations_by_request", "request_id", "attempt"),
    Index("reservations_by_time", "began_at"),
    Index("reservations_by_team", "team", "began_at"),
)

sendings = Table(
    "sendings",
    metadata,
    Column("attempt_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("sent_at", BigInteger, nullable=False),
)

endings = Table(
    "endings",
    metadata,
    Column("attempt_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("ended_at", BigInteger, nullable=False),
    Column("status", Integer, nullable=False),
    Column("code", Text, nullable=False),
    Column("source", String(16)),
    Column("answering_model", Text, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cache_read_tokens", BigInteger, nullable=False),
    Column("cache_write_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("more_tokens", Text),  # JSON object; null: none
    Column("cost_nano", BigInteger),  # null: unpriced
    Column("lines", Text),  # JSON list; null: none
    Column("price_source", Text, nullable=False),
    Column("price_version", Text, nullable=False),
    Column("price_date", Text, nullable=False),
    Column("latency_us", BigInteger),
    Column("first_token_us", BigInteger),
    Column("retries", Integer, nullable=False),
)

pending = Table(
    "pending",
    metadata,
    Column("attempt_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
)

DIMENSIONS: Final = (
    "day",  # of the reservation: whole days since 1970-01-01, UTC
    "team",
    "project",
    "key_id",
    "model",
    "provider",
    "deployment",
    "prompt_id",
    "prompt_version",
    "state",
    "source",  # empty: nothing was counted
)
SUMS: Final = (
    "attempts",
    "unpriced",  # ended in `settled` or `estimated` and has no cost
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_nano",
    "held_nano",  # the ceilings of those that ended in `unknown`: the most that they may have cost
)

daily = Table(
    "daily",
    metadata,
    *[Column(name, Integer if name == "day" else Text, primary_key=True, autoincrement=False) for name in DIMENSIONS],
    *[Column(name, BigInteger, nullable=False) for name in SUMS],
    sqlite_with_rowid=False,
)

marks = Table(
    "marks",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("number", BigInteger, nullable=False),
)
"""`kept_from`: history that began before this time (microseconds) may have been rotated out. `probe`: counts trials.
`closed_until`: no month after this time (microseconds) is closed."""

closed_months = Table(
    "closed_months",
    metadata,
    Column("month", String(7), primary_key=True),  # 2026-10
    Column("closed_at", BigInteger, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("unpriced", BigInteger, nullable=False),
    Column("unknown", BigInteger, nullable=False),
    Column("cost_nano", BigInteger, nullable=False),
    Column("held_nano", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),  # SHA-256 of the above and of its rows in `frozen`
)

frozen = Table(
    "frozen",
    metadata,
    Column("month", String(7), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("provider", Text, primary_key=True),
    Column("model", Text, primary_key=True),  # what the provider calls it
    Column("meter", Text, primary_key=True),  # `rest`: cost that the meters do not explain
    Column("quantity", BigInteger, nullable=False),
    Column("nano", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

late = Table(
    "late",
    metadata,
    Column("attempt_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("month", String(7), nullable=False),
    Index("late_by_month", "month"),
)

corrections = Table(
    "corrections",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("month", String(7), nullable=False),
    Column("booked_at", BigInteger, nullable=False),
    Column("provider", Text, nullable=False),
    Column("day", Integer, nullable=False),
    Column("model", Text, nullable=False),
    Column("meter", Text, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("nano", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("invoice", Text, nullable=False),  # the file's name
    Column("invoice_digest", String(64), nullable=False),
    Column("evidence", Text),  # JSON object; null: none
    Index("corrections_by_month", "month", "provider"),
)
