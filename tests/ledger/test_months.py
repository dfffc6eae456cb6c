"""Closed months: frozen once, never changed, and what comes later stands beside them."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import InvalidRequest, Unavailable
from gateway.ledger import Ledger, Reader
from gateway.ledger.corrections import Correction, book, corrections
from gateway.ledger.months import Refused, close, closed, is_whole, late_nano, month_of
from gateway.ledger.retention import rotate
from gateway.ledger.upgrade import upgrade
from tests.ledger.records import micros
from tests.reconcile.world import MONTH, OCT_1, Entry, call, iso_now, ledger

NOW = iso_now("2026-11-03T09:00")
ENTRIES: list[Entry] = [
    call("a", 0, input=1_000, cache_read=500, output=20),
    call("b", 0, input=7),
    call("c", 30, hour=23, output=5),
    call("d", 4, state="unknown", held=77),
    call("e", 4, input=3, priced=False),
    call("before", -1, input=99),
    call("after", 31, input=99),
]


@pytest.fixture
def october(tmp_path: Path) -> Path:
    return ledger(tmp_path / "ledger.db", ENTRIES)


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def correction(nano: int = 5, **changes: object) -> Correction:
    members = {
        "month": "2026-10", "booked_at": NOW, "provider": "openai", "day": OCT_1, "model": "gpt-5-mini",
        "meter": "input", "kind": "price_drift", "nano": nano, "reason": "Because.",
        "invoice": "i.csv", "invoice_digest": "0" * 64,
    }  # fmt: skip
    return Correction(**{**members, **changes})  # type: ignore[arg-type]


def test_a_month_is_frozen_by_day_provider_model_and_meter(october: Path) -> None:
    found = close(october, MONTH, NOW)
    assert (found.attempts, found.unpriced, found.unknown, found.held_nano) == (5, 1, 1, 77)
    assert found.cost_nano == 250 * 1_007 + 25 * 500 + 2_000 * 25
    assert rows(october, "SELECT day - 20727, provider, model, meter, quantity, nano FROM frozen ORDER BY 1, 4") == [
        (0, "openai", "gpt-5-mini", "cache_read", 500, 12_500),
        (0, "openai", "gpt-5-mini", "input", 1_007, 251_750),
        (0, "openai", "gpt-5-mini", "output", 20, 40_000),
        (30, "openai", "gpt-5-mini", "output", 5, 10_000),
    ]
    with closing(sqlite3.connect(october)) as connection:
        assert closed(connection) == [found] and is_whole(connection, found)
    assert Reader(october).verify().faults == ()


def test_closing_twice_is_refused_and_names_the_digest(october: Path) -> None:
    found = close(october, MONTH, NOW)
    with pytest.raises(Refused, match=f"was closed at 2026-11-03 09:00 .digest {found.digest[:12]}"):
        close(october, MONTH, NOW)


async def test_of_two_that_close_a_month_at_once_one_is_refused(october: Path) -> None:
    both = [asyncio.to_thread(close, october, MONTH, NOW + one) for one in range(2)]
    first, second = await asyncio.gather(*both, return_exceptions=True)
    assert {isinstance(first, Refused), isinstance(second, Refused)} == {True, False}
    assert rows(october, "SELECT COUNT(*) FROM closed_months") == [(1,)]


def test_a_month_that_has_not_ended_is_refused(october: Path) -> None:
    with pytest.raises(Refused, match="has not ended; it can be closed from 2026-11-01 00:00"):
        close(october, MONTH, MONTH.ends - 1)
    assert close(october, MONTH, MONTH.ends).attempts == 5


async def test_open_attempts_are_named_until_they_have_ended(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    opened = Ledger.open(path, micros)
    begun, ended = call("slow", 30, hour=23, input=4)
    ticket = opened.reserve(begun)
    await ticket
    with pytest.raises(Refused, match=r"1 attempts of 2026-10 have not ended .the first is of slow"):
        await asyncio.to_thread(close, path, MONTH, NOW)
    ticket.sent(begun.began_at)
    ticket.settle(ended)
    await opened.close()
    assert close(path, MONTH, NOW).cost_nano == 1_000


async def test_a_month_is_closed_while_a_gateway_writes(october: Path) -> None:
    """Calls of today go on being booked while a month is closed; both succeed."""
    opened = Ledger.open(october, micros)
    closing_ = asyncio.create_task(asyncio.to_thread(close, october, MONTH, NOW))
    count = 0
    while not closing_.done() or count < 50:
        begun, ended = call(f"now-{count}", 40, input=1)
        ticket = opened.reserve(begun)
        await ticket
        ticket.sent(begun.began_at)
        ticket.settle(ended)
        count += 1
    assert (await closing_).attempts == 5
    await opened.close()
    assert rows(october, "SELECT COUNT(*) FROM late") == [(0,)]
    assert rows(october, "SELECT COUNT(*) FROM endings") == [(len(ENTRIES) + count,)]


def test_what_comes_into_a_closed_month_is_late_and_changes_nothing_that_is_frozen(october: Path) -> None:
    found = close(october, MONTH, NOW)
    frozen = rows(october, "SELECT * FROM frozen")
    ledger(october, [call("late", 9, input=40), call("today", 33, input=1)])
    assert rows(october, "SELECT * FROM frozen") == frozen
    with closing(sqlite3.connect(october)) as connection:
        assert closed(connection) == [found] and is_whole(connection, found)
        assert late_nano(connection, "2026-10") == (1, 10_000)
    assert Reader(october).verify().faults == ()


@pytest.mark.parametrize("table", ["closed_months", "frozen", "late", "corrections"])
def test_nobody_changes_or_deletes_what_is_closed(october: Path, table: str) -> None:
    close(october, MONTH, NOW)
    ledger(october, [call("late", 9, input=40)])
    book(october, MONTH, "openai", [correction()], 0)
    with closing(sqlite3.connect(october)) as connection:
        for statement in (f"UPDATE {table} SET month = '2026-09'", f"DELETE FROM {table}"):
            with pytest.raises(sqlite3.IntegrityError, match="a closed month is never changed"):
                connection.execute(statement)


def test_corrections_are_booked_to_closed_months_only_and_by_one_at_a_time(october: Path) -> None:
    with pytest.raises(Refused, match="Run `gateway close-month 2026-10`"):
        book(october, MONTH, "openai", [correction()], 0)
    close(october, MONTH, NOW)
    book(october, MONTH, "openai", [correction(5), correction(-2, meter="output", evidence='{"lines":[1]}')], 0)
    with pytest.raises(Refused, match="booked corrections of 2026-10 meanwhile"):
        book(october, MONTH, "openai", [correction()], 0)
    with closing(sqlite3.connect(october)) as connection:
        assert [one.nano for one in corrections(connection, "2026-10", "openai")] == [5, -2]
        assert corrections(connection, "2026-10", "anthropic") == []


def test_a_month_whose_rows_were_archived_cannot_be_closed(october: Path) -> None:
    list(rotate(october, MONTH.begins + 86_400_000_000, archive=None))
    with pytest.raises(Refused, match="close a month before its rows are archived"):
        close(october, MONTH, NOW)


def test_a_closed_month_stands_when_its_rows_are_archived(october: Path) -> None:
    found = close(october, MONTH, NOW)
    list(rotate(october, MONTH.ends, archive=None))
    with closing(sqlite3.connect(october)) as connection:
        assert closed(connection) == [found] and is_whole(connection, found)


def test_a_frozen_row_that_was_tampered_with_is_found(october: Path) -> None:
    found = close(october, MONTH, NOW)
    with closing(sqlite3.connect(october)) as connection:
        connection.execute("DROP TRIGGER frozen_update")
        connection.execute("UPDATE frozen SET nano = nano + 1 WHERE meter = 'cache_read'")
        assert not is_whole(connection, found)


def test_a_ledger_of_the_first_tables_is_brought_up_to_date(october: Path) -> None:
    """As an older gateway left it: nothing of it changes, and its months can be closed."""
    with closing(sqlite3.connect(october)) as connection:
        for table in ("closed_months", "frozen", "late", "corrections"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DROP TRIGGER endings_late")
        connection.execute("DELETE FROM marks WHERE name = 'closed_until'")
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
        connection.commit()
        assert closed(connection) == [] and corrections(connection, "2026-10") == []
    before = rows(october, "SELECT * FROM endings")
    assert close(october, MONTH, NOW).attempts == 5
    assert rows(october, "SELECT * FROM endings") == before


def test_an_empty_month_can_be_closed(tmp_path: Path) -> None:
    upgrade(tmp_path / "ledger.db")
    assert close(tmp_path / "ledger.db", MONTH, NOW).cost_nano == 0


def test_a_ledger_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="there is no such file"):
        close(tmp_path / "none.db", MONTH, NOW)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "10-2026", "2026-10-01", "", "2026/10"])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is no month"):
        month_of(text)


def test_a_month_knows_its_bounds() -> None:
    assert (month_of("2026-12").first, month_of("2026-12").last) == (OCT_1 + 61, OCT_1 + 91)
