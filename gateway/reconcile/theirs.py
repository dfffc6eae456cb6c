"""The invoice's side: its lines of a month added up, as they stream by; and what of the file could not be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, NamedTuple

from gateway.ledger.months import Month
from gateway.reconcile.amounts import total
from gateway.reconcile.model import MONTH, Billed, Fault, Item

MAX_FAULTS: Final = 1000
"""Faults that are kept with their text; the rest is counted."""


class Kind(NamedTuple):
    """What lines have in common that are added up. `has_quantity`: a sum with and one without cannot be one."""

    day: int
    model: str
    meter: str
    tier: str
    long: bool
    has_quantity: bool


@dataclass(slots=True)
class Theirs:
    """Sums of the lines of the month, and of the days just before and after it; credits by day and text.

    `other` is what is billed for other times, and left out. `lines` counts those that were read.
    """

    usage: dict[Kind, Billed] = field(default_factory=dict)
    credits: dict[tuple[int, str], Billed] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    faulty: int = 0
    lines: int = 0
    other: Billed = field(default_factory=lambda: Billed(None))
    is_monthly: bool = False

    def nano(self, month: Month) -> Fraction:
        """What the month was billed."""
        days = (*range(month.first, month.last + 1), MONTH)
        usage = total(one.nano for kind, one in self.usage.items() if kind.day in days)
        return usage + total(one.nano for (day, _), one in self.credits.items() if day in days)


def read(items: Iterable[Item | Fault], month: Month, models: Mapping[str, str], meters: Mapping[str, str]) -> Theirs:
    """Add up. `models` and `meters` say what words of the invoice mean here."""
    found = Theirs()
    for item in items:
        if isinstance(item, Fault):
            found.faulty += 1
            if len(found.faults) < MAX_FAULTS:
                found.faults.append(item)
            continue
        found.lines += 1
        _add(found, item, month, models.get(item.model, item.model), meters.get(item.text, item.meter))
    return found


def _add(found: Theirs, item: Item, month: Month, model: str, meter: str) -> None:
    is_near = month.first - 1 <= item.day <= month.last + 1
    if not is_near or ((item.credit or item.is_monthly) and not month.first <= item.day <= month.last):
        found.other.add(None, item.nano, item.slack, 1, [item.line])
        return
    if item.credit:
        billed = found.credits.setdefault((item.day, item.text), Billed(None))
    else:
        found.is_monthly = found.is_monthly or item.is_monthly
        kind = Kind(item.day, model, meter, item.tier, item.long, item.quantity is not None)
        billed = found.usage.setdefault(kind, Billed(None if item.quantity is None else Fraction(0)))
    billed.add(item.quantity, item.nano, item.slack, 1, [item.line])
