"""What a plot shows: names and numbers out of a table, the same for a workbook's chart and a page's drawing."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

from gateway.reports.base import Chart, Column, Table, Value
from gateway.reports.formats.words import heading

MOST: Final = 24
"""Bars that can be told apart; a line has as many points as there are."""


class Points(NamedTuple):
    """What to draw: `values` are in `column`'s unit, money in dollars; `caption` says which, and what is left out.

    `band` has a low and a high end for every point of a line with an interval; for a point that is certain, itself.
    """

    labels: list[str]
    values: list[Decimal]
    column: Column
    caption: str
    band: list[tuple[Decimal, Decimal]]


def points(table: Table) -> Points | None:
    """The points of the table's chart; None where it has none, or nothing to show."""
    chart = table.chart
    if chart is None:
        return None
    names = [column.name for column in table.columns]
    column = table.columns[names.index(chart.value)]
    found = Points([], [], column, "", [])
    for place, row in enumerate(table.rows):
        value = row[names.index(chart.value)]
        if value is None or isinstance(value, str) or (table.subtotals and place not in table.subtotals):
            continue
        label = " / ".join(str(row[names.index(name)]) or "(none)" for name in chart.labels)
        number = _number(value, column)
        if chart.shape == "line" and found.labels and found.labels[-1] == label:
            found.values[-1] += number
            continue
        found.labels.append(label)
        found.values.append(number)
        if chart.band is not None:
            low, high = (row[names.index(name)] for name in chart.band)
            found.band.append((_end(low, number, column), _end(high, number, column)))
    return _captioned(found, chart) if found.labels else None


def _captioned(found: Points, chart: Chart) -> Points:
    caption, every = heading(found.column), len(found.labels)
    if chart.shape == "bar" and every > MOST:
        del found.labels[MOST:], found.values[MOST:]
        caption += f", the first {MOST} of {every}"
    if found.band:
        caption += ", with its interval"
    return found._replace(caption=caption)


def _number(value: int | Decimal, column: Column) -> Decimal:
    return Decimal(value).scaleb(-9) if column.kind == "money" else Decimal(value)


def _end(value: Value, certain: Decimal, column: Column) -> Decimal:
    return certain if value is None or isinstance(value, str) else _number(value, column)
