"""A table as a workbook: the figures, their notes, and a chart, by xlsxwriter.

A spreadsheet's number has 15 digits. An amount that needs more is rounded to them and a note says so; CSV and JSON are
exact always. Text is written as text: a name that begins with `=` is no formula.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from io import BytesIO
from typing import Any, Final

from gateway.reports.base import Column, Table, Value
from gateway.reports.formats.points import Points, points
from gateway.reports.formats.words import heading
from gateway.reports.period import iso

_DIGITS: Final = Context(prec=15, rounding=ROUND_HALF_EVEN)
_PATTERNS: Final = {"money": "#,##0.00#######", "count": "#,##0", "ratio": "0.0%", "number": "#,##0.0##", "text": "@"}
_ROUNDED: Final = (
    "Amounts of more than 15 digits are rounded here, as spreadsheets do; the CSV and JSON forms are exact."
)
_TOP: Final = 3


def write(table: Table) -> bytes:
    """The workbook."""
    import xlsxwriter  # type: ignore[import-untyped]  # loaded only here: a tenth of a second that other formats need not take

    stream = BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(stream, options) as workbook:
        workbook.set_properties({"title": table.title, "created": _made(table)})
        sheet = workbook.add_worksheet("Report")
        drawn = points(table)
        _fill(workbook, sheet, table)
        if drawn is not None:
            _draw(workbook, sheet, table, drawn)
    return stream.getvalue()


def _made(table: Table) -> Any:
    """The end of the period, so that the same report is the same file."""
    from datetime import datetime

    return datetime.fromisoformat(iso(table.period.last))


def _fill(workbook: Any, sheet: Any, table: Table) -> None:
    bold = workbook.add_format({"bold": True})
    styles = {kind: workbook.add_format({"num_format": pattern}) for kind, pattern in _PATTERNS.items()}
    sums = {
        kind: workbook.add_format({"num_format": pattern, "bold": True, "top": 1})
        for kind, pattern in _PATTERNS.items()
    }
    sheet.write_string(0, 0, table.title, workbook.add_format({"bold": True, "font_size": 14}))
    sheet.write_string(1, 0, f"{table.period} (UTC, both days included); money in USD")
    for at, column in enumerate(table.columns):
        sheet.write_string(_TOP, at, heading(column), bold)
        widest = max([len(heading(column)), *(len(str(row[at])) for row in table.rows[:200])])
        sheet.set_column(at, at, min(max(widest + 2, 10), 48))
    rounded = False
    for line, row in enumerate(table.rows, _TOP + 1):
        for at, column in enumerate(table.columns):
            rounded |= _put(sheet, line, at, row[at], column, styles[column.kind])
    line = _TOP + 1 + len(table.rows)
    if table.totals is not None:
        for at, column in enumerate(table.columns):
            rounded |= _put(sheet, line, at, table.totals[at], column, sums[column.kind])
        line += 1
    if not table.rows:
        sheet.write_string(line, 0, "Nothing was booked in this time.")
        line += 1
    for at, note in enumerate([*table.notes, *([_ROUNDED] if rounded else [])], line + 1):
        sheet.write_string(at, 0, note)
    sheet.freeze_panes(_TOP + 1, 0)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(_TOP)


def _put(sheet: Any, line: int, at: int, value: Value, column: Column, style: Any) -> bool:
    """One cell; whether it had to be rounded."""
    if value is None:
        sheet.write_blank(line, at, None, style)
        return False
    if isinstance(value, str):
        sheet.write_string(line, at, value, style)
        return False
    number = Decimal(value).scaleb(-9) if column.kind == "money" else Decimal(value)
    kept = _DIGITS.plus(number)
    sheet.write_number(line, at, kept, style)
    return column.kind == "money" and kept != number


def _draw(workbook: Any, sheet: Any, table: Table, drawn: Points) -> None:
    assert table.chart is not None
    kept = workbook.add_worksheet("Chart")
    kept.write_row(0, 0, ["", heading(drawn.column)])
    for at, (label, value) in enumerate(zip(drawn.labels, drawn.values, strict=True), 1):
        kept.write_string(at, 0, label)
        kept.write_number(at, 1, _DIGITS.plus(value))
    last = len(drawn.labels)
    chart = workbook.add_chart({"type": "line" if table.chart.shape == "line" else "bar"})
    chart.add_series({"categories": ["Chart", 1, 0, last, 0], "values": ["Chart", 1, 1, last, 1]})
    chart.set_title({"name": table.title, "name_font": {"size": 12}})
    chart.set_legend({"none": True})
    if table.chart.shape == "bar":
        chart.set_y_axis({"reverse": True})  # the first row on top
    chart.set_size({"width": 720, "height": max(288, 22 * last if table.chart.shape == "bar" else 288)})
    sheet.insert_chart(_TOP, len(table.columns) + 1, chart)
