"""Both sides by the same names, and within a cell by the same prices: what can be compared, and what then differs.

Names. A model of the invoice is the ledger's of that name, else the one that answers for the deployment of that name,
else the one that is the same without its date and signs. Where the invoice does not tell models, meters or days apart,
the ledger's are added up likewise.

Prices. A cell's difference is a matter of prices (the same units at another price) and of quantities (other units at
the price they were booked at). The ledger's units are kept apart by price, as strands; each part of the invoice goes to
the strand whose price it has, else to the largest. What it costs more than at that price is the part's `price`, and the
units that it has more are the strand's `left`. The two add up to the difference, but for roundings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Final

from gateway.ledger.months import Month
from gateway.reconcile.model import MONTH, Billed, Board, Booked, Cell, Group, Key, Part, Prices, Strand
from gateway.reconcile.ours import Ours
from gateway.reconcile.theirs import Theirs
from gateway.reconcile.weigh import weigh
from gateway.reconcile.words import plain_model

CREDIT: Final = "credit"
_HALF: Final = Fraction(1, 2)


def board(ours: Ours, theirs: Theirs, month: Month, prices: Prices) -> Board:
    """All cells with their strands and parts."""
    names = _Names(ours, theirs, month)
    found = Board(month.first, month.last, {}, names.groups(ours), names.hours(ours), prices, names.deployments(ours))
    for key, by_price in ours.cells.items():
        cell = _cell(found, names.ours(key))
        for price, booked in by_price.items():
            _book(cell, price, booked)
    for kind, billed in theirs.usage.items():
        cell = _cell(found, names.theirs(Key(kind.day, kind.model, kind.meter)))
        cell.parts.append(Part(billed, kind.tier, long=kind.long))
    for cell in found.cells.values():
        _settle(found, cell)
    for (day, text), billed in theirs.credits.items():
        _add_credit(found, names.day(day), text, billed)
    return found


def _cell(found: Board, key: Key) -> Cell:
    cell = found.cells.get(key)
    if cell is None:
        cell = found.cells[key] = Cell(key)
        cell.is_outside = key.day != MONTH and not found.first <= key.day <= found.last
    return cell


def _book(cell: Cell, price: Fraction | None, booked: Booked) -> None:
    cell.ours += booked.nano
    cell.slack += _HALF * booked.count
    is_money = not (cell.key.model and cell.key.meter)
    if is_money:
        price, quantity, estimated = Fraction(1), booked.nano, booked.estimated_nano
    else:
        quantity, estimated = booked.quantity, booked.estimated
    for strand in cell.strands:
        if strand.rate == price:
            strand.ours += quantity
            strand.estimated += estimated
            strand.left -= quantity
            return
    cell.strands.append(Strand(price, Fraction(quantity), Fraction(estimated), is_money=is_money))


def _settle(found: Board, cell: Cell) -> None:
    """Bring the parts to the strands."""
    cell.strands.sort(key=lambda strand: (-strand.ours, strand.price))
    cell.parts.sort(key=lambda part: (-part.nano, part.tier, part.long))
    cell.theirs = sum((part.nano for part in cell.parts), Fraction(0))
    cell.slack += sum((part.slack for part in cell.parts), Fraction(0))
    cell.lines = tuple(line for part in cell.parts for line in part.lines)
    weigh(found, cell)
    for part in cell.parts:
        if part.quantity is None:
            continue  # weighed, and brought to strands already
        strand = _strand_for(found, cell, part)
        strand.left += part.quantity
        part.price = part.nano - part.quantity * strand.price


def _strand_for(found: Board, cell: Cell, part: Part) -> Strand:
    assert part.quantity is not None
    priced = [strand for strand in cell.strands if strand.rate is not None and not strand.is_money]
    same = [strand for strand in priced if abs(part.nano - part.quantity * strand.price) <= part.slack + 1]
    if same:
        return min(same, key=lambda strand: strand.left)
    if priced:
        listed = found.rate(cell.key, part.tier, long=part.long)
        return min(priced, key=lambda strand: (strand.rate != listed, strand.left))
    implied = Strand(part.nano / part.quantity if part.quantity else Fraction(0), Fraction(0), Fraction(0))
    cell.strands.append(implied)
    return implied


def _add_credit(found: Board, day: int, text: str, billed: Billed) -> None:
    cell = _cell(found, Key(day, "", f"{CREDIT}: {text}"))
    cell.parts.append(Part(billed, "", long=False, credit=True))
    cell.theirs += billed.nano
    cell.lines = tuple(billed.lines)


class _Names:
    """How the names of either side are brought together."""

    def __init__(self, ours: Ours, theirs: Theirs, month: Month) -> None:
        self._as_one = range(month.first, month.last + 1) if theirs.is_monthly else range(0)
        known = {key.model for key in ours.cells} | {model for _, model in ours.groups}
        sole = {deployment: next(iter(models)) for deployment, models in ours.answers.items() if len(models) == 1}
        self._ours = {model: sole.get(model, model) for model in known}
        named = {kind.model for kind in theirs.usage if kind.model}
        canonical = set(self._ours.values())
        self._theirs: dict[str, str] = {}
        loose: dict[str, list[str]] = {}
        for name in sorted(canonical - named):
            loose.setdefault(plain_model(name), []).append(name)
        for name in sorted(named):
            if name in canonical:
                self._theirs[name] = name
            elif sole.get(name) in canonical:
                self._theirs[name] = sole[name]
            else:
                self._theirs[name] = self._together(loose.get(plain_model(name), []), name)
        meters = {(kind.model, kind.meter) for kind in theirs.usage}
        self._wholes = {self._theirs.get(model, model) for model, meter in meters if not meter}
        self._pairs = {(self._theirs.get(model, model), meter) for model, meter in meters}
        self._meters = {meter for model, meter in meters if not model}

    def _together(self, found: list[str], name: str) -> str:
        """One name for all that are the same but for date and signs."""
        if len(found) == 1:
            return found[0]
        for other in found:
            for mine, to in self._ours.items():
                if to == other:
                    self._ours[mine] = plain_model(name)
        return plain_model(name) if found else name

    def day(self, day: int) -> int:
        """The days of the month are one, where the invoice is."""
        return MONTH if day in self._as_one else day

    def theirs(self, key: Key) -> Key:
        return Key(self.day(key.day), self._theirs.get(key.model, key.model), key.meter)

    def ours(self, key: Key) -> Key:
        """As fine as the invoice is."""
        model = self._ours.get(key.model, key.model)
        if (model, key.meter) in self._pairs:
            return Key(self.day(key.day), model, key.meter)
        if key.meter in self._meters - {""}:
            return Key(self.day(key.day), "", key.meter)
        if model in self._wholes:
            return Key(self.day(key.day), model, "")
        if "" in self._wholes:
            return Key(self.day(key.day), "", "")
        return Key(self.day(key.day), model, key.meter)

    def groups(self, ours: Ours) -> Mapping[tuple[int, str], Group]:
        """By day and model, and by day with the model empty: all of the day."""
        found: dict[tuple[int, str], Group] = {}
        for (day, model), group in ours.groups.items():
            for name in (self._ours.get(model, model), ""):
                found.setdefault((self.day(day), name), Group()).plus(group)
        return found

    def hours(self, ours: Ours) -> Mapping[Key, list[int]]:
        found: dict[Key, list[int]] = {}
        for key, hours in ours.hours.items():
            sums = found.setdefault(self.ours(key), [0] * 24)
            for hour, quantity in enumerate(hours):
                sums[hour] += quantity
        return found

    def deployments(self, ours: Ours) -> Mapping[str, str]:
        """What the price list may know a model by."""
        return {self._ours.get(model, model): name for model, name in _sorted(ours.deployments.items())}


def _sorted(items: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(items, reverse=True)
