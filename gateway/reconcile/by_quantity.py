"""Kinds of difference in how much was used: other days, estimates, lost ends, calls past the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise, product
from typing import Final

from gateway.reconcile.model import MONTH, Board, Cell, Claim, Key, State
from gateway.reconcile.moves import Place, cells, group_of, moved, of_strand, places, samples, told, units_of
from gateway.reports.period import iso

HOURS: Final = 14
"""A day of somebody else's begins at most so many hours before or after that of UTC."""


def day_shift(board: Board) -> list[Claim]:
    """Units that the provider booked on the day before or after."""
    series: dict[tuple[str, str], list[Cell]] = {}
    for key in sorted(board.cells):
        cell = board.cells[key]
        if key.day != MONTH and (cell.parts or not cell.is_outside):
            series.setdefault((key.model, key.meter), []).append(cell)
    pairs: list[tuple[Place, Place]] = []
    for found in series.values():
        for one, other in pairwise(found):
            if other.key.day - one.key.day == 1:
                pairs += product(places(one), places(other))
    said = (
        "{units} units of {meter} were booked on {day} and billed on {next}: the provider's day begins at another time."
    )
    claims = moved(board, "day_shift", pairs, said)
    taken = {(claim.key, claim.strand) for claim in claims}
    for cell in cells(board):
        if cell.key.day in (board.first, board.last):
            edges = [place for place in places(cell) if place.name not in taken]
            claims += [claim for place in edges for claim in _over_the_edge(board, place)]
    return claims


def _over_the_edge(board: Board, place: Place) -> Iterator[Claim]:
    """Units that came from the month before or the next, or went there: exactly those of some hours."""
    strand, key = place.strand, place.cell.key
    if strand.is_money or not strand.left:
        return
    for other in (key.day - 1, key.day + 1):
        if board.first <= other <= board.last or _is_billed(board, key._replace(day=other)):
            continue
        is_theirs = strand.left > 0
        hours = board.hours.get(key._replace(day=other) if is_theirs else key, [0] * 24)
        towards_end = (other < key.day) == is_theirs
        if _is_some_hours(hours[::-1] if towards_end else hours, abs(strand.left)):
            made, billed = (other, key.day) if is_theirs else (key.day, other)
            said = (
                f"{units_of(abs(strand.left), place)} were booked on {iso(made)} and billed on {iso(billed)}:"
                " the provider's month begins at another time."
            )
            yield of_strand("day_shift", place, strand.left, said)
            return


def _is_billed(board: Board, key: Key) -> bool:
    return key in board.cells and bool(board.cells[key].parts)


def _is_some_hours(hours: list[int], units: Fraction) -> bool:
    added = 0
    for quantity in hours[:HOURS]:
        added += quantity
        if quantity and added == units:
            return True
    return False


def estimated(board: Board) -> list[Claim]:
    """The gateway's own counts where the provider sent none; at most once over what was estimated."""
    claims = []
    for cell in cells(board):
        for place in places(cell):
            strand = place.strand
            units = max(-strand.estimated, min(strand.estimated, strand.left))
            if units:
                how = "more" if units > 0 else "fewer"
                said = (
                    f"{units_of(strand.estimated, place)} were estimated, as the provider sent no count; it billed"
                    f" {told(abs(units), strand)} {how}."
                )
                claims.append(of_strand("estimated", place, units, said, samples(board, cell.key, "estimated")))
    return claims


def unknown_end(board: Board) -> list[Claim]:
    """Attempts whose process was lost, which the provider billed: at most their ceilings."""
    return _held(board, "unknown_end", "unknown", "ended unseen, as their process was lost")


def void_billed(board: Board) -> list[Claim]:
    """Attempts that were sent and failed, which cost nothing by the ledger and were billed: at most their ceilings."""
    return _held(board, "void_billed", "void", "were sent and failed, and were booked at nothing")


def _held(board: Board, kind: str, state: State, how: str) -> list[Claim]:
    claims = []
    budgets: dict[tuple[int, str], Fraction | None] = {}
    for cell in cells(board):
        group, name = group_of(board, cell.key), (cell.key.day, cell.key.model)
        if not group.counts.get(state):
            continue
        held = group.held[state]
        budget = budgets.setdefault(name, None if held is None else Fraction(held))
        for place in places(cell):
            strand = place.strand
            if strand.left <= 0 or not strand.price:
                continue
            units = strand.left if budget is None else min(strand.left, Fraction(budget // strand.price))
            if units > 0:
                budget = None if budget is None else budget - units * strand.price
                said = f"{group.counts[state]} attempts {how}; the provider billed {units_of(units, place)} of them."
                claims.append(of_strand(kind, place, units, said, samples(board, cell.key, state)))
        budgets[name] = budget
    return claims


def bypassed(board: Board) -> list[Claim]:
    """Units that were billed and that no row of the ledger has."""
    claims = []
    for cell in cells(board):
        attempts = group_of(board, cell.key).attempts
        for place in places(cell):
            strand = place.strand
            if strand.left > 0 and strand.price and not (strand.is_money and attempts):
                said = (
                    f"No row of the ledger has {units_of(strand.left, place)} that were billed: calls past the gateway."
                )
                claims.append(of_strand("bypassed", place, strand.left, said))
    return claims


def not_billed(board: Board) -> list[Claim]:
    """Units of the ledger that were not billed."""
    claims = []
    for cell in cells(board):
        for place in places(cell):
            strand = place.strand
            if strand.left < 0 and strand.price and not (strand.is_money and cell.theirs):
                said = f"The provider did not bill {units_of(-strand.left, place)}: failed, voided or credited calls."
                requests = samples(board, cell.key, "settled", "estimated")
                claims.append(of_strand("not_billed", place, strand.left, said, requests))
    return claims
