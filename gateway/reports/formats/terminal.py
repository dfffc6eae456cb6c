"""A table for a terminal, by rich. Nothing is ever cut: names are folded, and figures keep their line.

A table that is wider than the terminal even so is left to the terminal to break or to scroll.
"""

from __future__ import annotations

from io import StringIO
from textwrap import wrap

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from gateway.reports.base import Table
from gateway.reports.formats.words import decimals, heading, readable

WIDE = 400
NARROW = 12
"""Characters that a column of names is not folded below."""
GAP = 2
"""Characters between columns: rich pads either side by one."""


def write(table: Table) -> bytes:
    """The table as plain text."""
    text = StringIO()
    show(table, Console(file=text, width=WIDE, color_system=None))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()).encode() + b"\n"


def show(table: Table, console: Console) -> None:
    """Print it on `console`."""
    console.print(Text(f"{table.title}, {table.period} (UTC, both days included)", style="bold"))
    if not table.rows:
        console.print("Nothing was booked in this time.")
    else:
        width = console.width
        grid = _grid(table)
        if _least(grid) > width:
            grid = _grid(table, breaks_headings=True)
        console.width = max(width, _least(grid))
        console.print(grid)
        console.width = width
    for note in table.notes:
        console.print(Text(note))


def _grid(table: Table, *, breaks_headings: bool = False) -> Grid:
    grid = Grid(
        box=None, pad_edge=False, header_style="bold", show_footer=table.totals is not None, footer_style="bold"
    )
    totals = table.totals or [None] * len(table.columns)
    places = decimals(table)
    for at, (column, total, digits) in enumerate(zip(table.columns, totals, places, strict=True)):
        head, footer = heading(column), "" if total is None else readable(total, column, digits)
        if column.kind == "text":
            grid.add_column(Text(head), Text(footer), overflow="fold")
            continue
        if breaks_headings:
            widest = max([len(footer), *(len(readable(row[at], column, digits)) for row in table.rows)])
            head = "\n".join(wrap(head, widest, break_long_words=False))
        grid.add_column(Text(head), Text(footer), justify="right", no_wrap=True)
    for at, row in enumerate(table.rows):
        # Names are text, not rich's markup.
        cells = zip(row, table.columns, places, strict=True)
        style = "bold" if at in table.subtotals else None
        grid.add_row(*[Text(readable(value, column, digits)) for value, column, digits in cells], style=style)
    return grid


def _least(grid: Grid) -> int:
    """Characters that the figures take, with the least for names."""
    least = 0
    for column in grid.columns:
        width = max(_width(cell) for cell in (column.header, column.footer, *column.cells))
        least += width if column.no_wrap else min(width, NARROW)
    return least + GAP * (len(grid.columns) - 1)


def _width(cell: object) -> int:
    return max((line.cell_len for line in cell.split()), default=0) if isinstance(cell, Text) else 0
