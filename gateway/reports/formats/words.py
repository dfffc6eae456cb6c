"""Values as text: exact for programs, readable for people. No float anywhere."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from gateway.reports.base import Column, Value
from gateway.reports.sums import dollars


def exact(value: Value, column: Column) -> str:
    """The value with all its digits: money as dollars, a ratio to six places; empty for None."""
    if value is None:
        return ""
    if column.kind == "money":
        assert isinstance(value, int)
        return dollars(value)
    if isinstance(value, Decimal):
        return plain(value.quantize(Decimal("0.000001"), ROUND_HALF_EVEN) if column.kind == "ratio" else value)
    return str(value)


def readable(value: Value, column: Column) -> str:
    """The value for a reader: thousands apart, a ratio in per cent; a dash for None."""
    if value is None:
        return "-"
    if column.kind == "ratio":
        assert isinstance(value, Decimal)
        return f"{value * 100:,.1f} %"
    if column.kind == "money":
        assert isinstance(value, int)
        whole, _, places = dollars(value).partition(".")
        return f"{int(whole):,}.{places}" if whole not in ("-0",) else f"-0.{places}"
    if isinstance(value, int):
        return f"{value:,}"
    return plain(value) if isinstance(value, Decimal) else value


def plain(number: Decimal) -> str:
    """Digits only: no exponent, no zeros at the end."""
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def heading(column: Column) -> str:
    """The column's title with its unit, where that says something new."""
    is_said = not column.unit or column.unit == column.title.lower()
    return column.title if is_said else f"{column.title} ({column.unit})"
