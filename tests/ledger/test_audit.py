"""The audit finds what is wrong: each fault is made by hand, in a ledger whose guards were taken off."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.ledger import Ledger, Reader
from gateway.ledger.rows import ending_row, insert_endings, insert_reservations, reservation_row
from tests.ledger.records import reservation, settlement


async def _book(ledger: Ledger) -> None:
    for number in range(3):
        ticket = ledger.reserve(reservation(f"req_{number}"))
        await ticket
        ticket.settle(settlement(cost_nano=100))
    await ledger.reserve(reservation("open"))
    await ledger.close()


async def test_a_good_ledger_has_no_faults(ledger: Ledger, reader: Reader) -> None:
    await _book(ledger)
    audit = reader.verify()
    assert (audit.attempts, audit.in_flight, audit.cost_nano, audit.faults) == (4, 1, 300, ())


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        ("UPDATE endings SET cost_nano = 101", "1 sums are missing from, or wrong in, daily"),
        ("UPDATE daily SET attempts = 4", "1 sums are not the rows' in daily"),
        ("DELETE FROM daily", "1 sums are missing from, or wrong in, daily"),
        ("DELETE FROM reservations WHERE request_id = 'req_0'", "1 rows of endings belong to no reservation"),
        ("DELETE FROM endings WHERE attempt_id = (SELECT MIN(attempt_id) FROM endings)", "1 attempts are open and not"),
        ("DELETE FROM pending", "1 attempts are open and not in pending"),
        ("INSERT INTO pending VALUES (7)", "1 attempts are in pending and not open"),
        ("INSERT INTO sendings VALUES (7, 8)", "1 rows of sendings belong to no reservation"),
    ],
)
async def test_a_fault_is_found(ledger: Ledger, path: Path, reader: Reader, damage: str, fault: str) -> None:
    await _book(ledger)
    with closing(sqlite3.connect(path)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(damage)
        connection.commit()
    assert any(found.startswith(fault) for found in reader.verify().faults)


async def test_writing_the_same_rows_again_changes_nothing(ledger: Ledger, path: Path, reader: Reader) -> None:
    await _book(ledger)
    before = (reader.sums(from_day=0, to_day=10**6, by=["team", "state"]), reader.verify())
    with closing(sqlite3.connect(path)) as connection:
        for attempt in reader.list().attempts:
            insert_reservations(connection, [reservation_row(attempt.id, attempt.reservation)])
            if attempt.settlement is not None:
                insert_endings(connection, [ending_row(attempt.id, attempt.settlement)])
                insert_endings(connection, [ending_row(attempt.id, settlement(cost_nano=9))])
        connection.commit()
    assert (reader.sums(from_day=0, to_day=10**6, by=["team", "state"]), reader.verify()) == before


async def test_what_an_unknown_attempt_may_have_cost_is_summed(ledger: Ledger, reader: Reader) -> None:
    ticket = ledger.reserve(reservation(held_nano=500))
    await ticket
    ticket.settle(settlement(state="unknown", cost_nano=None))
    await ledger.close()
    (sums,) = reader.sums(from_day=0, to_day=10**6, by=["state"])
    assert (sums["held_nano"], sums["cost_nano"], sums["unpriced"]) == (500, 0, 0)
