"""What holds for every report: an honest empty state, cells of the right type, every format, and the ledger's sums."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from gateway.errors import Unavailable
from gateway.reports.base import Table
from gateway.reports.books import Books
from gateway.reports.formats import FORMATS
from gateway.reports.listing import find, reports
from gateway.reports.period import Period
from gateway.reports.sums import total
from tests.reports.entries import NOV_1, TODAY

NOVEMBER = Period(NOV_1, NOV_1 + 29)
AFTER = NOV_1 + 40
ADDING_UP = ("chargeback", "movers", "spend", "unit-economics", "unpriced")


def ask(books: Books, name: str, today: int = AFTER) -> Table:
    return find(name).ask(books, NOVEMBER, {}, today)


@pytest.mark.parametrize("name", list(reports()))
@pytest.mark.parametrize("shape", list(FORMATS))
def test_an_empty_ledger_gives_an_empty_table_in_every_format(nothing: Path, name: str, shape: str) -> None:
    with Books.open(nothing) as books:
        table = ask(books, name)
    assert all(value in (0, None, "Total") for value in table.totals or ())
    written = FORMATS[shape].write(table)  # type: ignore[index]
    if shape in ("table", "html") and not table.rows:
        assert b"Nothing was booked in this time." in written


@pytest.mark.parametrize("name", list(reports()))
def test_every_cell_is_of_its_columns_type_and_money_is_whole_nano_dollars(books: Books, name: str) -> None:
    table = ask(books, name)
    kinds = {"text": str, "count": int, "money": int, "ratio": Decimal, "number": Decimal}
    for row in [*table.rows, table.totals or ()]:
        for value, column in zip(row, table.columns, strict=len(row) > 0):
            assert value is None or isinstance(value, kinds[column.kind]), column.name
            assert not isinstance(value, bool)


@pytest.mark.parametrize("name", list(reports()))
def test_money_columns_say_their_currency_and_names_are_unique(books: Books, name: str) -> None:
    columns = ask(books, name).columns
    assert len({column.name for column in columns}) == len(columns)
    for column in columns:
        if column.kind == "money":
            assert column.unit == "USD" and "usd" in column.name


@pytest.mark.parametrize("name", ADDING_UP)
def test_what_is_spent_in_total_is_the_same_in_every_report(books: Books, name: str) -> None:
    table = ask(books, name)
    line = table.totals if table.totals is not None else table.rows[0]
    at = [column.name for column in table.columns].index("cost_usd")
    assert line[at] == total(books, NOVEMBER, {}).cost_nano


@pytest.mark.parametrize("name", list(reports()))
@pytest.mark.parametrize("shape", list(FORMATS))
def test_every_format_writes_every_report_the_same_each_time(books: Books, name: str, shape: str) -> None:
    table = ask(books, name)
    write = FORMATS[shape].write  # type: ignore[index]
    assert write(table) == write(table) != b""


def test_a_ledger_that_is_not_there_is_unavailable_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="did not answer"), Books.open(tmp_path / "none.db"):
        pass
    assert not (tmp_path / "none.db").exists()


def test_reading_never_writes(generated: Path) -> None:
    with pytest.raises(Unavailable, match="readonly"), Books.open(generated) as books:
        books.all("DELETE FROM marks")


def test_today_is_the_day_that_is_asked_on_not_the_machines(books: Books) -> None:
    table = ask(books, "budget-burn", TODAY)
    assert [row[1] for row in table.rows] == ["actual"] * 22 + ["forecast"] * 8
