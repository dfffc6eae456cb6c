"""A table for a terminal, by rich; into a pipe or a file nothing is cut to a width."""

from __future__ import annotations

from io import StringIO

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from gateway.reports.base import Table
from gateway.reports.formats.words import heading, readable

WIDE = 400


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
        console.print(_grid(table))
    for note in table.notes:
        console.print(Text(note))


def _grid(table: Table) -> Grid:
    grid = Grid(
        box=None, pad_edge=False, header_style="bold", show_footer=table.totals is not None, footer_style="bold"
    )
    totals = table.totals or [None] * len(table.columns)
    for column, total in zip(table.columns, totals, strict=True):
        footer = "" if total is None else readable(total, column)
        justify = "left" if column.kind == "text" else "right"
        grid.add_column(Text(heading(column)), Text(footer), justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in table.rows:
        # Names are text, not rich's markup.
        cells = zip(row, table.columns, strict=True)
        grid.add_row(*[Text(_named(readable(value, column), column.kind)) for value, column in cells])
    return grid


def _named(text: str, kind: str) -> str:
    """Control characters in a caller's names must not reach the terminal."""
    if kind != "text":
        return text
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text) or "(none)"
