"""What a plot shows: names and numbers out of a table, the same for a workbook's chart and a page's drawing."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

from gateway.reports.base import Column, Table

MOST: Final = 24
"""Bars that can be told apart; a line has as many points as there are."""


class Points(NamedTuple):
    """What to draw: `values` are in `column`'s unit, money in dollars."""

    labels: list[str]
    values: list[Decimal]
    column: Column


def points(table: Table) -> Points | None:
    """The points of the table's chart; None where it has none, or nothing to show."""
    chart = table.chart
    if chart is None:
        return None
    names = [column.name for column in table.columns]
    at = names.index(chart.value)
    found = Points([], [], table.columns[at])
    for row in table.rows:
        value = row[at]
        if value is None or isinstance(value, str) or (chart.of and chart.of not in row):
            continue
        label = " / ".join(str(row[names.index(name)]) or "(none)" for name in chart.labels)
        number = Decimal(value).scaleb(-9) if found.column.kind == "money" else Decimal(value)
        if chart.shape == "line" and found.labels and found.labels[-1] == label:
            found.values[-1] += number
            continue
        found.labels.append(label)
        found.values.append(number)
    if chart.shape == "bar":
        del found.labels[MOST:], found.values[MOST:]
    return found if found.labels else None
