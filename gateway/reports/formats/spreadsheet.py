"""A table as a workbook: the figures, their notes, and a chart, by xlsxwriter.

A spreadsheet's number has 15 digits. A figure that needs more is rounded to them and a note says so; CSV and JSON are
exact always. Text is written as text: a name that begins with `=` is no formula. What a sheet cannot hold is refused
(rows) or cut and said to be (characters of a cell): xlsxwriter would leave it out without a word.
Limits: https://support.microsoft.com/en-us/office/excel-specifications-and-limits-1672b34d-7043-467e-8e27-269d656771c3
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from io import BytesIO
from typing import Any, Final

from gateway.errors import InvalidRequest
from gateway.reports.base import Column, Table, Value
from gateway.reports.formats.points import Points, points
from gateway.reports.formats.words import decimals, heading
from gateway.reports.period import iso

MOST_ROWS: Final = 1_048_576
MOST_CHARACTERS: Final = 32_767
_TITLE: Final = 200
"""Characters of a title: a chart takes 255."""

_DIGITS: Final = Context(prec=15, rounding=ROUND_HALF_EVEN)
_PATTERNS: Final = {"count": "#,##0", "ratio": "0.0%", "number": "#,##0.0##", "text": "@"}
_ROUNDED: Final = (
    "Figures of more than 15 digits are rounded here, as spreadsheets do; the CSV and JSON forms are exact."
)
_CUT: Final = f"Names of more than {MOST_CHARACTERS} characters are cut here; the CSV and JSON forms have all of them."
_NO_XML: Final = {0xFFFE: "\N{REPLACEMENT CHARACTER}", 0xFFFF: "\N{REPLACEMENT CHARACTER}"}
_TOP: Final = 3


def write(table: Table) -> bytes:
    """The workbook. Raises `InvalidRequest` for more rows than a sheet has."""
    import xlsxwriter  # type: ignore[import-untyped]  # loaded only here: a tenth of a second that other formats need not take

    needed = len(table.rows) + len(table.notes) + _TOP + 5
    if needed > MOST_ROWS:
        raise InvalidRequest(
            f"format: a sheet has {MOST_ROWS:,} lines, and this report {len(table.rows):,} rows; write csv or json, or"
            " group by less.",
            param="format",
        )
    stream = BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(stream, options) as workbook:
        workbook.set_properties({"title": _title(table), "created": _made(table)})
        sheet = workbook.add_worksheet("Report")
        drawn = points(table)
        _fill(workbook, sheet, table)
        if drawn is not None:
            _draw(workbook, sheet, table, drawn)
    return stream.getvalue()


def _title(table: Table) -> str:
    title = table.title.translate(_NO_XML)
    return title if len(title) <= _TITLE else f"{title[: _TITLE - 1]}…"


def _made(table: Table) -> Any:
    """The end of the period, so that the same report is the same file."""
    from datetime import datetime

    return datetime.fromisoformat(iso(table.period.last))


class _Styles:
    """The formats of cells by column, plain and for sums."""

    def __init__(self, workbook: Any, table: Table) -> None:
        places = decimals(table)
        patterns = [
            f"#,##0.{'0' * digits}" if column.kind == "money" else _PATTERNS[column.kind]
            for column, digits in zip(table.columns, places, strict=True)
        ]
        self.plain = [workbook.add_format({"num_format": pattern}) for pattern in patterns]
        self.subtotal = [workbook.add_format({"num_format": pattern, "bold": True}) for pattern in patterns]
        self.total = [workbook.add_format({"num_format": pattern, "bold": True, "top": 1}) for pattern in patterns]


def _fill(workbook: Any, sheet: Any, table: Table) -> None:
    bold = workbook.add_format({"bold": True, "text_wrap": True, "valign": "top"})
    styles = _Styles(workbook, table)
    sheet.write_string(0, 0, _title(table), workbook.add_format({"bold": True, "font_size": 14}))
    sheet.write_string(1, 0, f"{table.period} (UTC, both days included); money in USD")
    for at, column in enumerate(table.columns):
        sheet.write_string(_TOP, at, heading(column), bold)
        widest = max([len(heading(column)), *(len(str(row[at])) for row in table.rows[:200])])
        sheet.set_column(at, at, min(max(widest + 2, 10), 48 if column.kind == "text" else 22))
    lost: set[str] = set()
    for line, row in enumerate(table.rows):
        style = styles.subtotal if line in table.subtotals else styles.plain
        lost |= _line(sheet, _TOP + 1 + line, row, table.columns, style)
    line = _TOP + 1 + len(table.rows)
    if table.totals is not None:
        lost |= _line(sheet, line, table.totals, table.columns, styles.total)
        line += 1
    if not table.rows:
        sheet.write_string(line, 0, "Nothing was booked in this time.")
        line += 1
    for at, note in enumerate([*table.notes, *sorted(lost)], line + 1):
        sheet.write_string(at, 0, note[:MOST_CHARACTERS])
    sheet.freeze_panes(_TOP + 1, 0)
    sheet.set_landscape()
    sheet.set_paper(9)  # A4
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(_TOP)


def _line(sheet: Any, line: int, row: tuple[Value, ...], columns: tuple[Column, ...], styles: list[Any]) -> set[str]:
    """One line of cells; the notes that it needs."""
    found = (
        _put(sheet, line, at, value, column, styles[at])
        for at, (value, column) in enumerate(zip(row, columns, strict=True))
    )
    return {note for note in found if note is not None}


def _put(sheet: Any, line: int, at: int, value: Value, column: Column, style: Any) -> str | None:
    """One cell; the note that it needs."""
    if value is None:
        sheet.write_blank(line, at, None, style)
        return None
    if isinstance(value, str):
        cut = len(value) > MOST_CHARACTERS
        text = f"{value[: MOST_CHARACTERS - 1]}…" if cut else value
        sheet.write_string(line, at, text.translate(_NO_XML), style)
        return _CUT if cut else None
    number = Decimal(value).scaleb(-9) if column.kind == "money" else Decimal(value)
    kept = _DIGITS.plus(number)
    sheet.write_number(line, at, kept, style)
    return _ROUNDED if column.kind in ("money", "count") and kept != number else None


def _draw(workbook: Any, sheet: Any, table: Table, drawn: Points) -> None:
    assert table.chart is not None
    kept = workbook.add_worksheet("Chart")
    columns = [drawn.values, *zip(*drawn.band, strict=True)]
    kept.write_row(0, 0, ["", heading(drawn.column), *(["Low", "High"] if drawn.band else [])])
    for at, label in enumerate(drawn.labels, 1):
        kept.write_string(at, 0, label[:_TITLE].translate(_NO_XML))
        for place, values in enumerate(columns, 1):
            kept.write_number(at, place, _DIGITS.plus(values[at - 1]))
    last = len(drawn.labels)
    is_line = table.chart.shape == "line"
    chart = workbook.add_chart({"type": "line" if is_line else "bar"})
    for place in range(1, len(columns) + 1):
        chart.add_series(
            {
                "name": ["Chart", 0, place],
                "categories": ["Chart", 1, 0, last, 0],
                "values": ["Chart", 1, place, last, place],
                **({"line": {"dash_type": "dash", "width": 1}} if place > 1 else {}),
            }
        )
    chart.set_title({"name": _title(table), "name_font": {"size": 12}})
    chart.set_legend({"position": "bottom"} if drawn.band else {"none": True})
    axis = {"name": drawn.caption, "name_font": {"size": 9}}
    if is_line:
        chart.set_y_axis(axis)
    else:
        chart.set_x_axis(axis)
        chart.set_y_axis({"reverse": True})  # the first row on top
    chart.set_size({"width": 720, "height": max(288, 22 * last if not is_line else 288)})
    sheet.insert_chart(_TOP, len(table.columns) + 1, chart)
