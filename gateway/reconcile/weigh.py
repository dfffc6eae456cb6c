"""Lines with an amount and no quantity: how many units they must stand for, if that can be told.

Tried in this order, and the first that holds to the last place that the amount was written with, is taken:

1. the ledger's units at the ledger's prices;
2. the ledger's units at another price of the list: the tier or context that the line names, another tier, the price
   over the threshold of long prompts, or that of a kindred meter;
3. the ledger's units at a price of at most four digits, if the amount is precise enough for that to be no accident;
4. a whole number of units at the ledger's price, or without rows of the ledger, at the list's.

Where nothing holds, the amounts are compared as such: the units are nano-dollars.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from gateway.reconcile.amounts import simplest
from gateway.reconcile.kin import kindred
from gateway.reconcile.model import TIERS, Board, Cell, Part, Strand

DIGITS: Final = 4
PRECISE: Final = Fraction(1, 50_000)
"""Prices of four digits are a thousandth to a ten-thousandth apart: an amount this precise hits none by accident."""


def weigh(found: Board, cell: Cell) -> None:
    """Give the parts without a quantity one, or compare the whole cell as money."""
    bare = [part for part in cell.parts if part.quantity is None]
    if not bare:
        return
    if not (cell.key.model and cell.key.meter) or not _weighed(found, cell, bare):
        _as_money(cell)


def _weighed(found: Board, cell: Cell, bare: list[Part]) -> bool:
    if len(bare) != len(cell.parts):
        return _singly(found, cell, bare)
    billed = sum((part.nano for part in bare), Fraction(0))
    slack = sum((part.slack for part in bare), cell.slack)
    if cell.strands and all(strand.rate is None for strand in cell.strands):
        _take_all(cell, bare)
        return True
    if cell.strands and abs(billed - cell.ours) <= slack and all(strand.rate is not None for strand in cell.strands):
        _take_all(cell, bare)
        return True
    if len(bare) == 1 and len(cell.strands) == 1 and cell.strands[0].ours > 0:
        (part,), (strand,) = bare, cell.strands
        if _holds_at_another_price(found, cell, part, strand.ours):
            part.quantity = strand.ours
            return True
    return _singly(found, cell, bare)


def _take_all(cell: Cell, bare: list[Part]) -> None:
    """The parts stand for all that the ledger has."""
    for strand in cell.strands:
        strand.left = Fraction(0)
    booked = sum((strand.ours * strand.price for strand in cell.strands), Fraction(0))
    billed = sum((part.nano for part in bare), Fraction(0))
    if any(strand.rate is None for strand in cell.strands):
        # Units without a price: what they cost is what was billed, and the explanation takes it from the strand.
        (first, *_) = cell.strands
        units = sum((strand.ours for strand in cell.strands), Fraction(0))
        first.left = -units
        implied = Strand(billed / units if units else Fraction(0), Fraction(0), Fraction(0))
        implied.left = units
        cell.strands.append(implied)
        return
    bare[0].price = billed - booked


def _holds_at_another_price(found: Board, cell: Cell, part: Part, units: Fraction) -> bool:
    slack = part.slack + 1
    if any(abs(part.nano - units * rate) <= slack for rate in _rates(found, cell, part)):
        return True
    if part.nano <= 0 or slack / part.nano > PRECISE:
        return False
    return simplest((part.nano - slack) / units, (part.nano + slack) / units, DIGITS) is not None


def _rates(found: Board, cell: Cell, part: Part) -> Iterator[Fraction]:
    asked = [(part.tier, part.long), *((tier, long) for long in (False, True) for tier in TIERS)]
    for tier, long in asked:
        rate = found.rate(cell.key, tier, long=long)
        if rate is not None:
            yield rate
    for meter in kindred(cell.key.meter):
        rate = found.rate(cell.key, meter=meter)
        if rate is not None:
            yield rate


def _singly(found: Board, cell: Cell, bare: list[Part]) -> bool:
    """Each part by a price: the list's for the tier that it names, else the ledger's, else the list's."""
    weighed = []
    for part in bare:
        rate = _price_of(found, cell, part)
        if not rate:
            return False
        units = Fraction(round(part.nano / rate))
        if abs(units * rate - part.nano) > part.slack + 1:
            return False
        weighed.append(units)
    for part, units in zip(bare, weighed, strict=True):
        part.quantity = units
    return True


def _price_of(found: Board, cell: Cell, part: Part) -> Fraction | None:
    named = part.long or part.tier not in ("", "standard")
    listed = found.rate(cell.key, part.tier, long=part.long)
    if named and listed:
        return listed
    booked = next((strand.rate for strand in cell.strands if strand.rate), None)
    return booked or listed


def _as_money(cell: Cell) -> None:
    """Nano-dollars for units, for all of the cell: what has a quantity as well."""
    estimated = sum((strand.estimated * strand.price for strand in cell.strands), Fraction(0))
    strand = Strand(Fraction(1), Fraction(cell.ours), estimated, is_money=True)
    strand.left = cell.theirs - cell.ours
    cell.strands = [strand]
    for part in cell.parts:
        part.quantity = None
