"""A table for programs: CSV (RFC 4180) and JSON. Figures are exact: money is decimal dollars, in JSON as a string.

What a caller has named must not become a formula in somebody's spreadsheet: in CSV such text begins with an apostrophe,
and stands in quotes if it has a separator of any country (https://owasp.org/www-community/attacks/CSV_Injection).
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from gateway.reports.base import Column, Table, Value
from gateway.reports.formats.words import exact
from gateway.reports.period import iso

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last four: full width
_QUOTED = frozenset(',;"\t\r\n')


def write_csv(table: Table) -> bytes:
    """A header line and the rows; no totals or subtotals, so that a sum over the file is not twice what it is."""
    lines = [",".join(column.name for column in table.columns)]
    for place, row in enumerate(table.rows):
        if place not in table.subtotals:
            lines.append(",".join(_cell(value, column) for value, column in zip(row, table.columns, strict=True)))
    return "".join(f"{line}\r\n" for line in lines).encode()


def as_json(table: Table) -> dict[str, Any]:
    """The table as JSON would have it."""
    return {
        "report": table.report,
        "title": table.title,
        "from": iso(table.period.first),
        "to": iso(table.period.last),
        "currency": "USD",
        "columns": [
            {"name": column.name, "title": column.title, "kind": column.kind, "unit": column.unit}
            for column in table.columns
        ],
        "rows": [_object(row, table.columns) for at, row in enumerate(table.rows) if at not in table.subtotals],
        "subtotals": [_object(table.rows[at], table.columns) for at in sorted(table.subtotals)],
        "totals": None if table.totals is None else _object(table.totals, table.columns),
        "notes": list(table.notes),
        "cursor": table.cursor,
    }


def write_json(table: Table) -> bytes:
    """As `as_json`, indented."""
    return json.dumps(as_json(table), indent=2, ensure_ascii=False).encode() + b"\n"


def _cell(value: Value, column: Column) -> str:
    text = exact(value, column)
    if column.kind == "text" and text.lstrip(" ").startswith(_FORMULA):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if not _QUOTED.isdisjoint(text) else text


def _object(row: tuple[Value, ...], columns: tuple[Column, ...]) -> dict[str, object]:
    found: dict[str, object] = {}
    for value, column in zip(row, columns, strict=True):
        is_decimal = column.kind == "money" or isinstance(value, Decimal)
        found[column.name] = exact(value, column) if is_decimal and value is not None else value
    return found
