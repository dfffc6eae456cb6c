"""Any CSV that has a date and an amount: a map says which column is what.

The columns are `date` (2026-10-05, a time, or 2026-10 for the whole month), `amount` in dollars, and, where there are
any, `model`, `meter`, `quantity`, `tier` (standard, batch, flex, priority), `context` (`long` or not), `type` (`credit`
or `usage`), `text` and `currency`. A column that the map does not name is looked for under its own name.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Final, TextIO

from gateway.pricing.catalogue import tier_of
from gateway.reconcile.amounts import number, usd
from gateway.reconcile.model import Fault, Item
from gateway.reconcile.words import is_credit, meter_of

COLUMNS: Final = ("date", "amount", "model", "meter", "quantity", "tier", "context", "type", "text", "currency")
_EPOCH: Final = date(1970, 1, 1).toordinal()
_LONG: Final = ("long", "long context", "true", "1", "yes")


def fits(head: str) -> bool:
    """It is what everything is that is nothing else."""
    return True


def read(file: TextIO, columns: Mapping[str, str]) -> Iterator[Item | Fault]:
    """The lines."""
    rows = csv.DictReader(file)
    try:
        named = {name.strip().lower(): name for name in rows.fieldnames or () if name}
    except csv.Error as error:
        yield Fault(1, str(error))
        return
    found = {name: named.get(columns.get(name, name).strip().lower(), "") for name in COLUMNS}
    missing = [name for name in COLUMNS if not found[name] and (name in columns or name in ("date", "amount"))]
    if missing:
        wanted = ", ".join(f"`{columns.get(name, name)}`" for name in missing)
        yield Fault(1, f"there is no column {wanted}; the columns are {', '.join(named) or 'none'}")
        return
    while True:
        try:
            row = next(rows)
            yield _item(rows.line_num, {name: (row.get(column) or "").strip() for name, column in found.items()})
        except StopIteration:
            return
        except (ValueError, csv.Error) as error:
            yield Fault(rows.line_num, str(error))


def _item(line: int, row: Mapping[str, str]) -> Item:
    if row["currency"] and row["currency"].upper() != "USD":
        raise ValueError(f"the currency is {row['currency']}, not USD")
    nano, slack = usd(row["amount"])
    is_monthly = len(row["date"]) == 7
    day = _day(f"{row['date']}-01" if is_monthly else row["date"])
    said = f"{row['type']} {row['text']}"
    if row["type"].lower() != "usage" and (nano < 0 or is_credit(said)):
        text = row["text"] or row["type"] or "credit"
        return Item(line=line, day=day, nano=nano, slack=slack, credit=True, text=text, is_monthly=is_monthly)
    return Item(
        line=line,
        day=day,
        model=row["model"],
        meter=meter_of(row["meter"]) if row["meter"] else "",
        tier=tier_of(row["tier"]),
        long=row["context"].lower() in _LONG,
        quantity=number(row["quantity"]) if row["quantity"] else None,
        nano=nano,
        slack=slack,
        text=row["text"],
        is_monthly=is_monthly,
    )


def _day(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"`{text}` is no date; write 2026-10-05") from None
    return (at.astimezone(UTC) if at.tzinfo else at).date().toordinal() - _EPOCH
