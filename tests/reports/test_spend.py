"""Spend: whatever it is grouped by, it adds up to the ledger."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.reports.base import Table
from gateway.reports.books import Books
from gateway.reports.formats.points import points
from gateway.reports.listing import find
from gateway.reports.period import Period
from gateway.reports.sums import DIMENSIONS
from tests.reports.entries import NOV_1, TODAY, book, call

NOVEMBER = Period(NOV_1, NOV_1 + 29)


def ask(books: Books, period: Period = NOVEMBER, **texts: str) -> Table:
    return find("spend").ask(books, period, texts, TODAY)


def column(table: Table, name: str) -> list[int]:
    at = [one.name for one in table.columns].index(name)
    return [int(value) for row in table.rows if isinstance(value := row[at], int)]


@pytest.mark.parametrize("by", [*DIMENSIONS, "team,model", "week,provider,state", "user,model", ""])
def test_the_rows_and_the_total_are_the_sum_of_the_ledger(generated: Path, books: Books, by: str) -> None:
    table = ask(books, by=by)
    with closing(sqlite3.connect(generated)) as raw:
        cost, attempts = raw.execute("SELECT SUM(cost_nano), COUNT(*) FROM endings").fetchone()
    assert (sum(column(table, "cost_usd")), sum(column(table, "attempts"))) == (cost, attempts)
    if table.totals is not None:
        assert (cost, attempts) == (table.totals[-4], table.totals[-7])


@pytest.mark.parametrize("by", [*DIMENSIONS, "user,model"])
def test_every_figure_of_the_rows_adds_up_to_the_total_and_to_the_other_source(books: Books, by: str) -> None:
    table = ask(books, by=by)
    width = len(by.split(","))
    assert table.totals is not None and table.totals[width:] == ask(books, by="").rows[0]
    for at, figure in enumerate(table.totals[width:], width):
        assert sum(int(row[at] or 0) for row in table.rows) == figure  # the generated calls have one tag at most


@pytest.mark.parametrize("by", ["team", "user"])
def test_filters_keep_what_they_name_in_sums_and_in_rows(generated: Path, books: Books, by: str) -> None:
    table = ask(books, by=by, provider="openai", model="gpt-5", team="team-03")
    with closing(sqlite3.connect(generated)) as raw:
        (cost,) = raw.execute(
            "SELECT SUM(cost_nano) FROM endings JOIN reservations USING (attempt_id)"
            " WHERE provider = 'openai' AND model = 'gpt-5' AND team = 'team-03'"
        ).fetchone()
    assert sum(column(table, "cost_usd")) == cost > 0


def test_the_dearest_comes_first_and_a_limit_folds_the_rest(books: Books) -> None:
    every, few = ask(books, by="team"), ask(books, by="team", limit="3")
    costs = column(every, "cost_usd")
    assert costs == sorted(costs, reverse=True)
    assert [row[0] for row in few.rows] == [*(row[0] for row in every.rows[:3]), "(others)"]
    assert column(few, "cost_usd")[-1] == sum(costs[3:])


def test_time_goes_forward(books: Books) -> None:
    days = [row[0] for row in ask(books, by="day").rows]
    assert days == sorted(str(day) for day in days) and len(days) == 30
    weeks = [row[0] for row in ask(books, by="week").rows]
    assert weeks == ["2026-10-26", *(f"2026-11-{day:02d}" for day in (2, 9, 16, 23, 30))]
    assert [row[0] for row in ask(books, by="month").rows] == ["2026-11"]


def test_a_call_with_two_tags_counts_under_both_and_once_in_the_total(tmp_path: Path) -> None:
    book(tmp_path / "l.db", [call(NOV_1, 100, tags=("a", "b")), call(NOV_1, 7, number=2, tags=())])
    with Books.open(tmp_path / "l.db") as books:
        table = ask(books, by="tag")
    assert {row[0]: row[-4] for row in table.rows} == {"a": 100, "b": 100, "": 7}
    assert table.totals is not None and table.totals[-4] == 107
    assert any("several tags" in note for note in table.notes)


def test_the_first_and_the_last_microsecond_belong_to_the_period(tmp_path: Path) -> None:
    day = 86_400_000_000
    edges = [NOV_1 * day - 1, NOV_1 * day, (NOV_1 + 1) * day - 1, (NOV_1 + 1) * day]
    book(tmp_path / "l.db", [call(NOV_1, 10**at, at, began_at=micros) for at, micros in enumerate(edges)])
    with Books.open(tmp_path / "l.db") as books:
        for by in ("team", "user"):
            assert column(ask(books, Period(NOV_1, NOV_1), by=by), "cost_usd") == [110]


def test_rows_that_were_moved_out_are_said_to_be_missing_where_rows_are_read(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    book(path, [call(NOV_1, 100)])
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE marks SET number = ? WHERE name = 'kept_from'", ((NOV_1 + 3) * 86_400_000_000,))
        raw.commit()
    with Books.open(path) as books:
        assert any("moved out" in note for note in ask(books, by="user").notes)
        assert not any("moved out" in note for note in ask(books, by="team").notes)


def test_over_time_the_plot_adds_up_what_shares_a_day(books: Books) -> None:
    drawn = points(ask(books, by="day,team,model"))
    assert drawn is not None and len(drawn.labels) == 30
    assert int(sum(drawn.values, Decimal()).scaleb(9)) == sum(column(ask(books, by="day"), "cost_usd"))
