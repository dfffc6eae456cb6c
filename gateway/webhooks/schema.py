"""The outbox's tables. Times are epoch seconds, but for `due_at` and `claimed_until`, which are epoch milliseconds.

An endpoint is known by a digest of its address: neither addresses, which may hold tokens, nor secrets are written down.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table

from gateway.store.schema import metadata

events = Table(
    "webhook_events",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("type", String(40), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("keep_until", BigInteger, nullable=False, index=True),
)

deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("event", String(40), primary_key=True),
    Column("endpoint", String(16), primary_key=True),
    Column("state", String(16), nullable=False),  # pending, delivered, failed
    Column("queued_at", BigInteger, nullable=False),  # from here on it is tried for a day
    Column("attempts", Integer, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("claimed_until", BigInteger, nullable=False),  # until then somebody is at work on it
    Column("outcome", String(20)),  # of the last attempt
    Column("status", Integer),
    Column("ended_at", BigInteger),
    Index("webhook_deliveries_due", "state", "endpoint", "due_at"),
)

endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("disabled_at", BigInteger, nullable=False),  # it has answered 410
)
