"""The same content in every format, for every report, of a generated ledger and of one with the oddest names."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import pytest

from gateway.errors import InvalidRequest
from gateway.model.record import Settlement
from gateway.reports.base import Column, Table, Value, money
from gateway.reports.books import Books
from gateway.reports.formats import FORMATS, spreadsheet
from gateway.reports.formats.words import decimals, exact, readable
from gateway.reports.listing import find, reports
from gateway.reports.period import Period
from gateway.reports.sums import DIMENSIONS
from tests.ledger.records import reservation, settlement
from tests.reports.entries import NOV_1, TODAY, at, book, prices
from tests.reports.test_formats import cells

NOVEMBER = Period(NOV_1, NOV_1 + 29)
LONG = "x" * 40_000
NAMES = (
    "=1+1",
    "+1",
    "-1",
    "@sum",
    "\tt",
    " =1",
    "\uff1d1",
    "a;=1",
    'q"',
    "a,b",
    "line\nbreak",
    "\x1b[31m",
    "\u202eevil",
)
ODD = (*NAMES, "<script>", "&amp;", "(sum)", "(others)", "", "\uffff", "größer", LONG)
HUGE = 9_000_000_000_123_456_789


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("odd") / "ledger.db"
    entries: list[Any] = []
    for number, name in enumerate(ODD):
        named = {"team": name, "project": name, "model": name, "user": name, "prompt_id": name, "prompt_version": name}
        begun = reservation(f"r{number}", began_at=at(NOV_1 + number), session=name, tags=(name,), **named)
        entries.append((begun, settlement(cost_nano=number * 7 + 1, lines=b"", more_tokens=b"", answering_model=name)))
    entries.append((reservation("h", began_at=at(NOV_1), team="huge"), settlement(cost_nano=HUGE, lines=b"")))
    entries.append((reservation("n", began_at=at(NOV_1), team="none"), settlement(cost_nano=None, lines=b"")))
    entries.append((reservation("u", began_at=at(NOV_1)), Settlement(state="unknown", ended_at=at(NOV_1))))
    book(path, entries)
    return path


@pytest.fixture(params=["generated", "odd", "nothing"])
def ledger(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


def ask(path: Path, name: str, period: Period = NOVEMBER, today: int = TODAY, **texts: str) -> Table:
    if any(parameter.name == "reprice" for parameter in find(name).parameters):
        texts["reprice"] = "today"
    with Books.open(path) as books:
        return find(name).ask(books, period, texts, today, prices)


def plain_rows(table: Table) -> list[tuple[Value, ...]]:
    return [row for at, row in enumerate(table.rows) if at not in table.subtotals]


class Cells(HTMLParser):
    """The texts of a page's cells, line by line."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[list[str]] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.lines.append([])
        elif tag in ("td", "th"):
            self.lines[-1].append("")
            self._open = True

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._open:
            self.lines[-1][-1] += data


def shown(row: tuple[Value, ...], table: Table, *, total: bool = False) -> list[str]:
    return [
        "" if value is None and total else readable(value, column, places)
        for value, column, places in zip(row, table.columns, decimals(table), strict=True)
    ]


@pytest.mark.parametrize("name", list(reports()))
def test_csv_and_json_have_every_row_exactly_and_no_sums(ledger: Path, name: str) -> None:
    table = ask(ledger, name)
    rows = [
        [exact(value, column) for value, column in zip(row, table.columns, strict=True)] for row in plain_rows(table)
    ]
    found = list(csv.reader(io.StringIO(FORMATS["csv"].write(table).decode(), newline="")))
    assert found[0] == [column.name for column in table.columns]
    assert [[cell.removeprefix("'") for cell in row] for row in found[1:]] == rows
    for row in found[1:]:
        for cell, column in zip(row, table.columns, strict=True):
            assert column.kind != "text" or not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\uff1d"))
    data = json.loads(FORMATS["json"].write(table))
    assert [["" if cell is None else str(cell) for cell in row.values()] for row in data["rows"]] == rows
    assert len(data["subtotals"]) == len(table.subtotals) and data["notes"] == list(table.notes)


@pytest.mark.parametrize("name", list(reports()))
def test_the_page_has_every_row_and_the_total(ledger: Path, name: str) -> None:
    table = ask(ledger, name)
    page = Cells()
    page.feed(FORMATS["html"].write(table).decode())
    lines = [shown(row, table) for row in table.rows]
    if table.totals is not None:
        lines.append(shown(table.totals, table, total=True))
    assert page.lines[1:] == (lines if table.rows else [])


@pytest.mark.parametrize("name", list(reports()))
def test_the_terminal_has_every_figure_whole(ledger: Path, name: str) -> None:
    table = ask(ledger, name)
    text = FORMATS["table"].write(table).decode()
    assert not any(letter in text for letter in "\x1b\u202e\x07")
    words = text.split()
    for row in table.rows:
        for value, column, places in zip(row, table.columns, decimals(table), strict=True):
            if column.kind in ("money", "count") and value is not None:
                assert readable(value, column, places) in words


@pytest.mark.parametrize("name", list(reports()))
def test_the_workbook_has_every_row_to_fifteen_digits(ledger: Path, name: str) -> None:
    table = ask(ledger, name)
    with zipfile.ZipFile(io.BytesIO(FORMATS["xlsx"].write(table))) as workbook:
        found = cells(workbook, "sheet1")
    for line, row in enumerate([*table.rows, *([table.totals] if table.totals is not None else [])], 5):
        for letter, value, column in zip(ascii_uppercase, row, table.columns, strict=False):
            cell = found.get(f"{letter}{line}")
            if column.kind == "text":
                assert (cell or "")[:30] == str(value or "").replace("\uffff", "\ufffd").replace("\x1b", "_x001B_")[:30]
            elif value is None:
                assert cell is None
            else:
                number = Decimal(value).scaleb(-9) if column.kind == "money" else Decimal(value)
                assert cell is not None and abs(Decimal(cell) - number) <= abs(number) * Decimal("1e-14")


@pytest.mark.parametrize("by", DIMENSIONS)
def test_every_report_that_groups_takes_every_dimension_that_suits_it(odd: Path, by: str) -> None:
    for name, report in reports().items():
        for parameter in report.parameters:
            if parameter.name == "by" and by in parameter.choices:
                table = ask(odd, name, by=by)
                assert table.columns[0].name == by and FORMATS["html"].write(table)


@pytest.mark.parametrize("name", list(reports()))
@pytest.mark.parametrize("shape", list(FORMATS))
def test_a_month_that_is_to_come_is_empty_or_forecast(generated: Path, name: str, shape: str) -> None:
    table = ask(generated, name, Period(NOV_1 + 61, NOV_1 + 91))
    assert FORMATS[shape].write(table)  # type: ignore[index]
    if name == "budget-burn":
        assert {row[1] for row in table.rows} == {"forecast"} and len(table.rows) == 31
        assert table.rows[0][0] == "2027-01-01" and table.rows[0][2] == table.rows[0][3]
    elif name != "movers":
        assert not [row for row in table.rows if any(row[1:])]


def test_names_and_units_are_on_every_figure(generated: Path) -> None:
    for name in reports():
        for column in ask(generated, name).columns:
            assert column.kind == "text" or column.unit


def test_the_plots_say_what_they_show_in_which_unit(generated: Path) -> None:
    page = FORMATS["html"].write(ask(generated, "spend", by="team,model")).decode()
    assert "Cost (USD), the first 24 of 80" in page
    burn = FORMATS["html"].write(ask(generated, "budget-burn")).decode()
    assert "Spent until then (USD), with its interval" in burn and "<polygon" in burn


def test_a_name_that_a_cell_cannot_hold_is_cut_and_a_note_says_so(odd: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(FORMATS["xlsx"].write(ask(odd, "chargeback", team=LONG)))) as workbook:
        found = cells(workbook, "sheet1")
        assert len(found["A5"]) == spreadsheet.MOST_CHARACTERS
    assert any("are cut here" in text for text in found.values()) and len(found["A1"]) <= 200


def test_more_rows_than_a_sheet_has_are_refused_not_left_out() -> None:
    row: tuple[Value, ...] = ("a", 1)
    table = Table("t", "T", NOVEMBER, (Column("a", "A"), money("b_usd", "B")), (row,) * spreadsheet.MOST_ROWS)
    with pytest.raises(InvalidRequest, match="write csv or json"):
        FORMATS["xlsx"].write(table)
