"""A table for a terminal, by rich. Nothing is ever cut: names are folded, and figures keep their line.

A table that is wider than the terminal even so is left to the terminal to break or to scroll.
"""

from __future__ import annotations

from io import StringIO

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from gateway.reports.base import Table
from gateway.reports.formats.words import decimals, heading, readable

WIDE = 400
NARROW = 12
"""Characters that a column of names is not folded below."""


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
        grid = _grid(table)
        console.print(grid, width=max(console.width, _least(grid)), crop=False, no_wrap=True, overflow="ignore")
    for note in table.notes:
        console.print(Text(note))


def _grid(table: Table) -> Grid:
    grid = Grid(
        box=None, pad_edge=False, header_style="bold", show_footer=table.totals is not None, footer_style="bold"
    )
    totals = table.totals or [None] * len(table.columns)
    places = decimals(table)
    for column, total, digits in zip(table.columns, totals, places, strict=True):
        footer = "" if total is None else readable(total, column, digits)
        if column.kind == "text":
            grid.add_column(Text(heading(column)), Text(footer), overflow="fold")
        else:
            grid.add_column(Text(heading(column)), Text(footer), justify="right", no_wrap=True)
    for at, row in enumerate(table.rows):
        # Names are text, not rich's markup.
        cells = zip(row, table.columns, places, strict=True)
        style = "bold" if at in table.subtotals else None
        grid.add_row(*[Text(readable(value, column, digits)) for value, column, digits in cells], style=style)
    return grid


def _least(grid: Grid) -> int:
    """Characters that the figures take, with the least for names."""
    widths = [
        max(cell.cell_len if isinstance(cell, Text) else 0 for cell in (column.header, column.footer, *column.cells))
        for column in grid.columns
    ]
    kept = [width if column.no_wrap else min(width, NARROW) for column, width in zip(grid.columns, widths, strict=True)]
    return sum(kept) + len(kept) - 1
