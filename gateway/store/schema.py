"""The tables, in words that SQLite and PostgreSQL share: times are epoch seconds, lists are JSON text.

`keys.seq` is the number of the change that wrote the row. It is drawn from `meta` in the same transaction, whose lock
on that row makes changes commit in the order of their numbers: who has seen n has seen all below n.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, String, Table, Text

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("number", BigInteger),
    Column("data", LargeBinary),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("digest", LargeBinary(32), nullable=False),  # HMAC-SHA-256(pepper, text of the key)
    Column("former", Text),  # [[hex digest, valid until], ...] of secrets that rotations replaced
    Column("seq", BigInteger, nullable=False, index=True),
    Column("team", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("models", Text),  # JSON list; null: all
    Column("agents", Text),  # JSON list; null: all
    Column("budget", Text),  # USD/day or USD/month
    Column("rpm", Integer),  # requests a minute
    Column("tpm", BigInteger),  # tokens a minute
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("id", LargeBinary(32), primary_key=True),  # SHA-256 of the caller's key id and the Idempotency-Key
    Column("digest", LargeBinary(32), nullable=False),  # SHA-256 of method, path and body
    Column("owner", LargeBinary(16), nullable=False),  # who is at work, or was
    Column("state", String(16), nullable=False),  # running, done, unreplayable
    Column("lease_until", BigInteger, nullable=False),  # epoch milliseconds; matters while running
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("status", Integer),
    Column("headers", LargeBinary),
    Column("body", LargeBinary),
)

objects = Table(
    "objects",
    metadata,
    Column("kind", String(32), primary_key=True),
    Column("object_id", String(256), primary_key=True),
    Column("provider", String(128), primary_key=True),
    Column("team", Text, nullable=False, index=True),
    Column("project", Text, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
