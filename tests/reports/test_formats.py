"""How tables are written: golden files for programs, a workbook that opens, a page without a script."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
import zipfile
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from rich.console import Console

from gateway.reports.base import Chart, Column, Table, money
from gateway.reports.formats import FORMATS, terminal
from gateway.reports.formats.points import points
from gateway.reports.formats.words import exact, plain, readable
from gateway.reports.period import Period
from gateway.reports.sums import dollars

TABLE = Table(
    report="spend",
    title="Spend by <team>",
    period=Period(20_758, 20_787),
    columns=(
        Column("team", "Team"),
        Column("answers", "Answers", "count", "answers"),
        money("cost_usd", "Cost"),
        Column("share", "Share", "ratio", "of cost"),
        Column("z", "Score", "number", "robust z"),
    ),
    rows=(
        ("=HYPERLINK(1)", 1234, 1_234_567_000_000_001, Decimal(1) / 3, Decimal("-2.50")),
        ('a "quoted", größer\x1b[31m', 0, 0, None, None),
        ("", 1, -5, Decimal(0), Decimal("0")),
    ),
    totals=("Total", 1235, 1_234_566_999_999_996, None, None),
    notes=("All & everything.",),
    chart=Chart("bar", ("team",), "cost_usd"),
)

CSV = (
    "team,answers,cost_usd,share,z\r\n"
    "'=HYPERLINK(1),1234,1234567.000000001,0.333333,-2.5\r\n"
    '"a ""quoted"", größer\x1b[31m",0,0.00,,\r\n'
    ",1,-0.000000005,0,0\r\n"
)

JSON = {
    "report": "spend",
    "title": "Spend by <team>",
    "from": "2026-11-01",
    "to": "2026-11-30",
    "currency": "USD",
    "columns": [
        {"name": "team", "title": "Team", "kind": "text", "unit": ""},
        {"name": "answers", "title": "Answers", "kind": "count", "unit": "answers"},
        {"name": "cost_usd", "title": "Cost", "kind": "money", "unit": "USD"},
        {"name": "share", "title": "Share", "kind": "ratio", "unit": "of cost"},
        {"name": "z", "title": "Score", "kind": "number", "unit": "robust z"},
    ],
    "rows": [
        {"team": "=HYPERLINK(1)", "answers": 1234, "cost_usd": "1234567.000000001", "share": "0.333333", "z": "-2.5"},
        {"team": 'a "quoted", größer\x1b[31m', "answers": 0, "cost_usd": "0.00", "share": None, "z": None},
        {"team": "", "answers": 1, "cost_usd": "-0.000000005", "share": "0", "z": "0"},
    ],
    "totals": {"team": "Total", "answers": 1235, "cost_usd": "1234566.999999996", "share": None, "z": None},
    "subtotals": [],
    "notes": ["All & everything."],
    "cursor": None,
}


def test_csv_is_exact_and_a_name_is_no_formula() -> None:
    written = FORMATS["csv"].write(TABLE)
    assert written.decode() == CSV
    assert len(list(csv.reader(io.StringIO(written.decode())))) == 4


def test_json_is_exact_with_money_as_decimal_text() -> None:
    assert json.loads(FORMATS["json"].write(TABLE)) == JSON


def test_the_terminal_gets_no_control_characters_and_a_dash_for_what_is_absent() -> None:
    text = FORMATS["table"].write(TABLE).decode()
    assert "\x1b" not in text and "1,234,567.000000001" in text and "33.3 %" in text
    assert text.splitlines()[0] == "Spend by <team>, 2026-11-01 to 2026-11-30 (UTC, both days included)"
    assert text.splitlines()[-1] == "All & everything."


def test_a_narrow_terminal_folds_names_and_never_figures() -> None:
    console = Console(file=io.StringIO(), width=40, color_system=None)
    terminal.show(TABLE, console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "1,234,567.000000001" in text and "1,234,566.999999996" in text and "-0.000000005" in text


MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def cells(workbook: zipfile.ZipFile, sheet: str) -> dict[str, str]:
    """Cells by their place, text resolved."""
    shared = [
        "".join(part.text or "" for part in item.iter(f"{MAIN}t"))
        for item in ET.fromstring(workbook.read("xl/sharedStrings.xml")).iter(f"{MAIN}si")
    ]
    found = {}
    for cell in ET.fromstring(workbook.read(f"xl/worksheets/{sheet}.xml")).iter(f"{MAIN}c"):
        value = cell.find(f"{MAIN}v")
        if value is not None and value.text is not None:
            found[cell.get("r", "")] = shared[int(value.text)] if cell.get("t") == "s" else value.text
        assert cell.find(f"{MAIN}f") is None, "a formula"
    return found


def test_the_workbook_opens_with_its_figures_its_chart_and_no_formula() -> None:
    with zipfile.ZipFile(io.BytesIO(FORMATS["xlsx"].write(TABLE))) as workbook:
        assert workbook.testzip() is None
        assert "xl/charts/chart1.xml" in workbook.namelist()
        report, chart = cells(workbook, "sheet1"), cells(workbook, "sheet2")
    assert [report[f"{letter}4"] for letter in "ABCDE"] == [
        "Team",
        "Answers",
        "Cost (USD)",
        "Share (of cost)",
        "Score (robust z)",
    ]
    assert report["A5"] == "=HYPERLINK(1)" and report["B5"] == "1234"
    assert Decimal(report["C5"]) == Decimal("1234567")  # 16 digits: rounded to 15, and said to be
    assert Decimal(report["C7"]) == Decimal("-0.000000005")
    assert "D6" not in report and report["A8"] == "Total"
    assert any("rounded here" in text for text in report.values())
    assert chart["A2"] == "=HYPERLINK(1)" and Decimal(chart["B4"]) == Decimal("-5e-9")


class Elements(HTMLParser):
    """Which elements and attributes there are, and whether all are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_has_a_plot_and_loads_and_runs_nothing() -> None:
    text = FORMATS["html"].write(TABLE).decode()
    page = Elements()
    page.feed(text)
    assert page.open == []
    names = [tag for tag, _ in page.found]
    assert names.count("svg") == 1 and names.count("rect") == 3
    assert not {"script", "link", "img", "iframe"} & set(names)
    assert not [attrs for _, attrs in page.found if {"href", "src", "onload"} & set(attrs)]
    assert "Spend by &lt;team&gt;" in text and "<team>" not in text


def test_the_plot_is_well_formed_for_bars_and_for_a_line() -> None:
    line = Table(
        "t",
        "T",
        Period(0, 2),
        (Column("day", "Day"), money("cost_usd", "Cost")),
        (("1970-01-01", 5), ("1970-01-02", None), ("1970-01-03", 8)),
        chart=Chart("line", ("day",), "cost_usd"),
    )
    for table in (TABLE, line):
        (svg,) = re.findall(r"<svg.*</svg>", FORMATS["html"].write(table).decode().replace("\x1b", ""))
        assert ET.fromstring(svg).tag.endswith("svg")
    drawn = points(line)
    assert drawn is not None and drawn.labels == ["1970-01-01", "1970-01-03"]


@pytest.mark.parametrize(
    ("nano", "expected"),
    [(0, "0.00"), (1, "0.000000001"), (1_500_000_000, "1.50"), (-250_000_000, "-0.25"), (10**18, "1000000000.00")],
)
def test_dollars_are_exact(nano: int, expected: str) -> None:
    assert dollars(nano) == expected
    assert exact(nano, money("c_usd", "C")) == expected


@pytest.mark.parametrize(
    ("nano", "expected"), [(-250_000_000, "-0.25"), (-1_234_500_000_000, "-1,234.50"), (1_000_000_000_000, "1,000.00")]
)
def test_dollars_for_people_have_their_thousands_apart(nano: int, expected: str) -> None:
    assert readable(nano, money("c_usd", "C")) == expected


@pytest.mark.parametrize(
    ("number", "expected"), [("1E+3", "1000"), ("0.10", "0.1"), ("1E-7", "0.0000001"), ("-0.0", "0")]
)
def test_decimals_have_no_exponent(number: str, expected: str) -> None:
    assert plain(Decimal(number)) == expected
