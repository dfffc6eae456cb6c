"""Kinds of difference in the price of the same units: credits, tiers, long prompts, kindred meters, other prices."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from fractions import Fraction
from typing import Final

from gateway.pricing.meters import TOKENS
from gateway.reconcile.amounts import simplest
from gateway.reconcile.kin import READS, THOUGHTS, WRITES
from gateway.reconcile.model import TIERS, Board, Cell, Claim, Part
from gateway.reconcile.moves import (
    Place,
    between,
    cells,
    group_of,
    moved,
    of_part,
    of_strand,
    open_parts,
    places,
    samples,
    units_of,
    usd_price,
    within,
)

DIGITS: Final = 6
"""Digits of a price that may be called one; what needs more is no price, and stays unexplained."""

_AT: Final = "{units} units of {meter} were booked at {price}, and billed at {billed}"


def credit(board: Board) -> list[Claim]:
    """Lines that are no usage: credits, discounts, taxes."""
    claims = []
    for cell in cells(board):
        for at, part in enumerate(cell.parts):
            if part.credit:
                text = cell.key.meter.partition(": ")[2]
                said = f"The invoice has `{text}`, which is no usage."
                claims.append(Claim("credit", cell.key, part.price, said, part=at, lines=part.lines))
    return claims


def missing_price(board: Board) -> list[Claim]:
    """Rows of the ledger without a price, and meters that it does not count: fees by the call, searches, storage."""
    counted = {key.meter for key, cell in board.cells.items() if any(strand.ours for strand in cell.strands)}
    claims = []
    for cell in cells(board):
        pairs = [(one, two) for one, two in within(cell) if (one.strand.rate is None) != (two.strand.rate is None)]
        said = "{units} units of {meter} were billed at {billed}; the ledger has them without a price."
        claims += moved(board, "missing_price", pairs, said)
        meter = cell.key.meter
        if meter and meter not in TOKENS and meter not in counted and not any(part.credit for part in cell.parts):
            claims += _all(board, cell, f"The provider bills `{meter}`, which the ledger has no price for.")
        elif not meter and not cell.ours and _has_only_unpriced(board, cell):
            claims += _all(board, cell, "The ledger has these calls without a price.")
    return claims


def _has_only_unpriced(board: Board, cell: Cell) -> bool:
    counts = group_of(board, cell.key).counts
    return bool(counts.get("unpriced")) and not counts.get("settled") and not counts.get("estimated")


def _all(board: Board, cell: Cell, sentence: str) -> Iterator[Claim]:
    requests = samples(board, cell.key, "unpriced", "settled")
    for place in places(cell):
        if place.strand.left > 0:
            yield of_strand("missing_price", place, place.strand.left, sentence, requests)


def service_tier(board: Board) -> list[Claim]:
    """The same units at another tier's price: batch, flex, priority."""
    claims = []
    for cell, at, part, units in open_parts(board):
        tier = part.tier if part.tier not in ("", "standard") else _billed_tier(board, cell, part, units)
        listed = board.rate(cell.key, tier)
        # A tier that the list does not know is at whatever the invoice says; so is what is known by its price.
        amount = part.price if listed is None or tier != part.tier else units * listed - (part.nano - part.price)
        if tier and amount:
            said = f"{units_of(units, Place(cell, 0))} were billed as `{tier}`, and booked at another tier's price."
            claims.append(of_part("service_tier", board, cell, at, amount, said))
    for cell in cells(board):
        known = {board.rate(cell.key, tier) for tier in TIERS}
        claims += moved(board, "service_tier", _at_two_of(cell, known), f"{_AT}, another tier's price.")
    return claims


def _billed_tier(board: Board, cell: Cell, part: Part, units: Fraction) -> str:
    """The tier whose price was billed, if the ledger's price is another tier's; else empty."""
    booked = (part.nano - part.price) / units
    rates = {tier: rate for tier in TIERS if (rate := board.rate(cell.key, tier)) is not None}
    if booked not in rates.values():
        return ""
    return next((tier for tier, rate in rates.items() if rate != booked and _is_at(part, units, rate)), "")


def long_context(board: Board) -> list[Claim]:
    """The same units at the price over, or under, the threshold of long prompts."""
    claims = []
    for cell, at, part, units in open_parts(board):
        if amount := _over_threshold(board, cell, part, units):
            length = "long" if amount > 0 else "short"
            said = (
                f"{units_of(units, Place(cell, 0))} were billed at the price of {length} prompts, booked at the other."
            )
            claims.append(of_part("long_context", board, cell, at, amount, said))
    for cell in cells(board):
        known = {board.rate(cell.key, tier, long=is_long) for tier in TIERS for is_long in (True, False)}
        claims += moved(board, "long_context", _at_two_of(cell, known), f"{_AT}, the price of prompts of other length.")
    return claims


def _over_threshold(board: Board, cell: Cell, part: Part, units: Fraction) -> Fraction:
    """What the length of prompts makes of the part's price."""
    spent = part.nano - part.price
    over, under = (board.rate(cell.key, part.tier, long=is_long) for is_long in (True, False))
    if part.long and over is not None:
        return units * over - spent
    if part.long:
        return part.price  # the list does not know it: it is what the invoice says
    for rate, other in ((over, under), (under, over)):
        if rate is not None and rate != other and spent / units == other and _is_at(part, units, rate):
            return part.price
    return Fraction(0)


def cached_reads(board: Board) -> list[Claim]:
    """Cached input billed as fresh, or fresh as cached."""
    return _kin(board, "cached_reads", READS)


def cache_writes(board: Board) -> list[Claim]:
    """Cache writes of five minutes billed as of an hour, or the reverse, or as input."""
    return _kin(board, "cache_writes", WRITES)


def reasoning(board: Board) -> list[Claim]:
    """Reasoning billed as output where it has a price of its own, counted twice, or not at all."""
    claims = _kin(board, "reasoning", THOUGHTS)
    taken = {(claim.key, claim.strand) for claim in claims}
    for cell in cells(board):
        thought = group_of(board, cell.key).reasoning
        for place in places(cell) if cell.key.meter == "output" and thought else ():
            left = place.strand.left
            if abs(left) == thought and place.name not in taken:
                how = "once more than the ledger has them" if left > 0 else "not at all"
                said = f"The difference is the {thought:,} reasoning tokens, which the provider counted {how}."
                claims.append(of_strand("reasoning", place, left, said, samples(board, cell.key, "settled")))
    return claims


def price_drift(board: Board) -> list[Claim]:
    """The same units at another price, of at most `DIGITS` digits."""
    claims = []
    for cell, at, part, units in open_parts(board):
        low, high = (part.nano - part.slack - 1) / units, (part.nano + part.slack + 1) / units
        price = simplest(low, high, DIGITS) if part.nano else Fraction(0)
        if price is not None:
            spent = part.nano - part.price
            booked = usd_price(spent / units)
            said = f"{units_of(units, Place(cell, 0))} were billed at {usd_price(price)}, and booked at {booked}."
            claims.append(of_part("price_drift", board, cell, at, units * price - spent, said))
    for cell in cells(board):
        pairs = [(one, two) for one, two in within(cell) if None not in (one.strand.rate, two.strand.rate)]
        claims += moved(board, "price_drift", pairs, f"{_AT}.")
    return claims


def _kin(board: Board, kind: str, pairs: tuple[tuple[str, str], ...]) -> list[Claim]:
    """The price of a kindred meter, and units that were counted as such."""
    claims = []
    for cell, at, part, units in open_parts(board):
        others = [two if cell.key.meter == one else one for one, two in pairs if cell.key.meter in (one, two)]
        meter = next((other for other in others if _is_at_price_of(board, cell, part, units, other)), None)
        if meter is not None:
            said = f"{units_of(units, Place(cell, 0))} were billed at the price of {meter}."
            claims.append(of_part(kind, board, cell, at, part.price, said))
    for cell in cells(board):
        for first, second in pairs:
            if cell.key.meter == first:
                said = "{units} units were booked as {meter}, and billed as {other}."
                claims += moved(board, kind, between(board, cell.key, second), said)
    return claims


def _is_at_price_of(board: Board, cell: Cell, part: Part, units: Fraction, meter: str) -> bool:
    rates = {place.strand.rate for _, place in between(board, cell.key, meter)} | {board.rate(cell.key, meter=meter)}
    return any(rate is not None and _is_at(part, units, rate) for rate in rates)


def _at_two_of(cell: Cell, rates: Collection[Fraction | None]) -> list[tuple[Place, Place]]:
    """Strands of a cell whose prices are both known, and different."""
    known = {rate for rate in rates if rate is not None}
    return [(one, two) for one, two in within(cell) if one.strand.rate in known and two.strand.rate in known]


def _is_at(part: Part, units: Fraction, rate: Fraction) -> bool:
    return abs(part.nano - units * rate) <= part.slack + 1
