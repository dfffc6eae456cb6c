"""A table as one printable page: no script, nothing loaded from elsewhere, plots drawn as SVG."""

from __future__ import annotations

from html import escape
from typing import Final

from gateway.reports.base import Column, Table, Value
from gateway.reports.formats.plot import draw
from gateway.reports.formats.points import points
from gateway.reports.formats.words import decimals, heading, printable, readable

LONG: Final = 32
"""Characters above which a name is broken into lines."""

_STYLE: Final = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; max-width: 76rem; color: #222; }
h1 { font-size: 1.4rem; margin-bottom: 0; }
p.period { margin-top: .2rem; color: #555; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem .2rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; }
th.n, td.n { text-align: right; }
td { white-space: nowrap; }
td.w { white-space: normal; max-width: 24rem; overflow-wrap: anywhere; }
tr.s td { font-weight: bold; }
tr.t td { font-weight: bold; border-top: 2px solid #222; }
thead { display: table-header-group; }
tr { break-inside: avoid; }
svg { max-width: 100%; height: auto; font-size: 12px; break-inside: avoid; }
svg { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
@page { size: A4 landscape; margin: 12mm; }
@media print { body { margin: 0; padding: 0; max-width: none; font-size: 9px; } h1 { font-size: 14px; } }
"""


def write(table: Table) -> bytes:
    """The page."""
    drawn = points(table)
    plot = draw(drawn, table.chart.shape, table.title) if drawn is not None and table.chart is not None else ""
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    title = escape(printable(table.title))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{title}, {table.period}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{title}</h1>"
        f'<p class="period">{table.period} (UTC, both days included). Money in USD.</p>'
        f"{plot}{_table(table) if table.rows else '<p>Nothing was booked in this time.</p>'}"
        f"{f'<ul>{notes}</ul>' if notes else ''}</body></html>\n"
    ).encode()


def _table(table: Table) -> str:
    head = "".join(f"<th{_side(column)}>{escape(heading(column))}</th>" for column in table.columns)
    places = decimals(table)
    body = "".join(
        f"<tr{_weight(table, at)}>{_cells(row, table.columns, places)}</tr>" for at, row in enumerate(table.rows)
    )
    # The last row, not a foot: browsers print a foot on every page.
    sums = f'<tr class="t">{_cells(table.totals, table.columns, places, "")}</tr>' if table.totals is not None else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}{sums}</tbody></table>"


def _cells(row: tuple[Value, ...], columns: tuple[Column, ...], places: list[int], absent: str = "-") -> str:
    found = []
    for value, column, digits in zip(row, columns, places, strict=True):
        text = absent if value is None else readable(value, column, digits)
        side = ' class="w"' if column.kind == "text" and len(text) > LONG else _side(column)
        found.append(f"<td{side}>{escape(text)}</td>")
    return "".join(found)


def _weight(table: Table, at: int) -> str:
    return ' class="s"' if at in table.subtotals else ""


def _side(column: Column) -> str:
    return "" if column.kind == "text" else ' class="n"'
