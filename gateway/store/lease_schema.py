"""The tables of budgets and leases. Amounts are in the units of a budget: nano-dollars, requests, tokens, seats.

A budget has a row for each of its windows, which begin at epoch second `starts` (0: there are none) and end at `ends`.
`leased` is the sum of what its leases are good for: granted - returned - (reported - over).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table, Text

from gateway.store.schema import metadata

budgets = Table(
    "budgets",
    metadata,
    Column("id", Text, primary_key=True),  # team:retail usd/day
    Column("starts", BigInteger, primary_key=True, autoincrement=False),
    Column("ends", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("cap", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
    Column("leased", BigInteger, nullable=False),
    Column("overrun", BigInteger, nullable=False),  # the part of `spent` that nobody had held
    Column("lost", BigInteger, nullable=False),  # the part of `spent` that processes held or had not reported at death
    Column("ghosts", BigInteger, nullable=False),  # shares of rates whose processes died
    Column("ghosts_until", BigInteger, nullable=False),  # until then they still count
)

leases = Table(
    "leases",
    metadata,
    Column("id", Text, primary_key=True),
    Column("starts", BigInteger, primary_key=True, autoincrement=False),
    Column("owner", Integer, primary_key=True, autoincrement=False, index=True),
    Column("slot", Integer, nullable=False),
    Column("granted", BigInteger, nullable=False),  # these four only grow
    Column("returned", BigInteger, nullable=False),
    Column("reported", BigInteger, nullable=False),
    Column("over", BigInteger, nullable=False),
)
