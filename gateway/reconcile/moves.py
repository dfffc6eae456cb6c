"""Units that one strand has too many of and another too few: billed as something else than they were booked as."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import product
from typing import NamedTuple

from gateway.reconcile.amounts import whole
from gateway.reconcile.model import Board, Cell, Claim, Group, Key, Part, Strand
from gateway.reports.formats.words import plain
from gateway.reports.period import iso
from gateway.reports.sums import dollars

Said = str
"""A sentence with `{units}`, `{meter}`, `{other}`, `{day}`, `{next}` for what is told there."""


class Place(NamedTuple):
    """A strand of a cell."""

    cell: Cell
    at: int

    @property
    def strand(self) -> Strand:
        return self.cell.strands[self.at]

    @property
    def name(self) -> tuple[Key, int]:
        return self.cell.key, self.at


def cells(board: Board) -> list[Cell]:
    """The cells of the month, in order."""
    return [board.cells[key] for key in sorted(board.cells) if not board.cells[key].is_outside]


def places(cell: Cell) -> list[Place]:
    """Its strands."""
    return [Place(cell, index) for index in range(len(cell.strands))]


def between(board: Board, key: Key, other: str) -> list[tuple[Place, Place]]:
    """Every strand of a cell with every strand of another meter of its day and model."""
    cell, there = board.cells[key], board.cells.get(Key(key.day, key.model, other))
    return list(product(places(cell), places(there))) if there is not None else []


def within(cell: Cell) -> list[tuple[Place, Place]]:
    """Every two strands of a cell."""
    found = places(cell)
    return [(one, other) for at, one in enumerate(found) for other in found[at + 1 :]]


def open_parts(board: Board) -> Iterator[tuple[Cell, int, Part, Fraction]]:
    """Parts whose price is not that of the ledger by more than a rounding, each with its quantity."""
    for cell in cells(board):
        for index, part in enumerate(cell.parts):
            if part.quantity and not part.credit and abs(part.price) > part.slack + 1:
                yield cell, index, part, part.quantity


def moved(board: Board, kind: str, pairs: Iterable[tuple[Place, Place]], said: Said) -> list[Claim]:
    """Claims that balance pairs of strands, each unit once."""
    left: dict[tuple[Key, int], Fraction] = {}
    claims = []
    for one, other in pairs:
        if one.strand.is_money != other.strand.is_money:
            continue
        mine = left.setdefault(one.name, one.strand.left)
        others = left.setdefault(other.name, other.strand.left)
        if mine * others >= 0:
            continue
        few, many = (one, other) if mine < 0 else (other, one)
        units = min(abs(mine), abs(others))
        left[few.name] += units
        left[many.name] -= units
        claims += _pair(board, kind, few, many, units, said)
    return claims


def _pair(board: Board, kind: str, few: Place, many: Place, units: Fraction, said: Said) -> list[Claim]:
    sentence = said.format(
        units=told(units, many.strand),
        meter=few.cell.key.meter or "all meters",
        other=many.cell.key.meter or "all meters",
        day=iso(few.cell.key.day) if few.cell.key.day >= 0 else "the month",
        next=iso(many.cell.key.day) if many.cell.key.day >= 0 else "the month",
        price=usd_price(few.strand.price),
        billed=usd_price(many.strand.price),
    )
    requests = samples(board, few.cell.key, "unpriced") if few.strand.rate is None else ()
    lines = many.cell.lines or few.cell.lines
    return [
        Claim(
            kind,
            place.cell.key,
            sign * units * place.strand.price,
            sentence,
            place.at,
            None,
            sign * units,
            requests,
            lines,
        )
        for place, sign in ((few, -1), (many, 1))
    ]


def of_strand(kind: str, place: Place, units: Fraction, sentence: str, requests: tuple[str, ...] = ()) -> Claim:
    """A claim of units of a strand, at its price."""
    cell, amount = place.cell, units * place.strand.price
    return Claim(kind, cell.key, amount, sentence, place.at, None, units, requests, cell.lines)


def of_part(kind: str, board: Board, cell: Cell, at: int, amount: Fraction, sentence: str) -> Claim:
    """A claim of the price of a part."""
    requests = samples(board, cell.key, "settled", "estimated")
    return Claim(kind, cell.key, amount, sentence, part=at, requests=requests, lines=cell.parts[at].lines)


def units_of(units: Fraction, place: Place) -> str:
    """`1,200 units of input`."""
    return f"{told(units, place.strand)} units of {place.cell.key.meter or 'this model'}"


def group_of(board: Board, key: Key) -> Group:
    """The attempts of a cell's day and model."""
    return board.groups.get((key.day, key.model)) or Group()


def samples(board: Board, key: Key, *states: str) -> tuple[str, ...]:
    """Request ids of attempts that ended so."""
    group = group_of(board, key)
    return tuple(request for state, kept in group.samples.items() if state in states for request in kept)


def told(units: Fraction, strand: Strand) -> str:
    """Units for people."""
    if strand.is_money:
        return f"{dollars(whole(units))} USD"
    return f"{int(units):,}" if units.denominator == 1 else f"{_places(units, 3):,f}"


def usd_price(price: Fraction) -> str:
    """Nano-dollars a unit as dollars for a million units, for people."""
    return f"{plain(_places(price / 1000, 6))} USD a million"


def _places(number: Fraction, places: int) -> Decimal:
    return Decimal(round(number * 10**places)).scaleb(-places)
