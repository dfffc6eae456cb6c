"""Values as text: exact for programs, readable for people. No float anywhere."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from gateway.reports.base import Column, Table, Value
from gateway.reports.sums import dollars

CENTS = 2


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


def readable(value: Value, column: Column, places: int = CENTS) -> str:
    """The value for a reader: thousands apart, a ratio in per cent, money with at least so many `places`; a dash for
    None. Names come without characters that do not print, which could steer a terminal or turn a line around."""
    if value is None:
        return "-"
    if column.kind == "ratio":
        assert isinstance(value, Decimal)
        return f"{value * 100:,.1f} %"
    if column.kind == "money":
        assert isinstance(value, int)
        whole, _, digits = dollars(value).partition(".")
        return f"{'-' if value < 0 else ''}{abs(int(whole)):,}.{digits.ljust(places, '0')}"
    if isinstance(value, int):
        return f"{value:,}"
    return plain(value) if isinstance(value, Decimal) else printable(value) or "(none)"


def printable(text: str) -> str:
    """The text with a replacement for each character that does not print."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def decimals(table: Table) -> list[int]:
    """The places of each column's money, so that points stand below one another; never fewer than cents."""
    found = [CENTS] * len(table.columns)
    for row in (*table.rows, *([table.totals] if table.totals is not None else [])):
        for at, (value, column) in enumerate(zip(row, table.columns, strict=True)):
            if column.kind == "money" and isinstance(value, int):
                found[at] = max(found[at], len(dollars(value).partition(".")[2]))
    return found


def plain(number: Decimal) -> str:
    """Digits only: no exponent, no zeros at the end."""
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def heading(column: Column) -> str:
    """The column's title with its unit, where that says something new."""
    is_said = not column.unit or column.unit == column.title.lower()
    return column.title if is_said else f"{column.title} ({column.unit})"
