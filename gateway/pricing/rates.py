"""From dollars as price lists have them to rates as calls are charged by: whole nano-dollars, complete, in order.

What is two things at once and has no price of its own, such as cached audio where only cache reads and audio are
priced, costs the dearer of the two: otherwise its tokens would be taken out of both and charged twice, or never.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact
from itertools import combinations

from gateway.model.price import Charge, Level
from gateway.pricing.meters import HOUR, METERS, MILLION, both, parts

NANO = 1_000_000_000
MAX_USD = Decimal(10) ** 9
"""A price above it is a slip."""

_EXACT = Context(prec=60, traps=[Inexact])
_HOT = frozenset({"input", "cache_read", "cache_write", "output"})
_ROOTS = ("input", "output")


class NotRepresentable(ValueError):
    """A price that is no whole number of nano-dollars for a million units, negative, not finite or absurdly high."""


def rate(usd: Decimal, meter: str, units: int) -> int:
    """Nano-dollars per million units of `meter`, from `usd` for `units` of its quantity (tokens, seconds, pages...).

    Raises `NotRepresentable`.
    """
    if not usd.is_finite() or usd < 0 or usd > MAX_USD:
        raise NotRepresentable(f"{usd} is not an amount of dollars between 0 and {MAX_USD:,}")
    try:
        exact = _EXACT.divide(_EXACT.multiply(usd, Decimal(NANO * METERS[meter].per)), Decimal(units))
    except Inexact:
        exact = Decimal("0.1")
    if exact != exact.to_integral_value():
        raise NotRepresentable(
            f"{usd} is no whole number of nano-dollars per million {_priced(meter)}; give at most 9 decimals"
        )
    return int(exact)


def nearest(usd: Decimal, meter: str, units: int) -> int:
    """The same, rounded half-even to a nano-dollar per million units: for catalogues whose data carries float noise."""
    scaled = usd * NANO * METERS[meter].per / units
    return int(scaled.to_integral_value(rounding=ROUND_HALF_EVEN))


def build(tiers: Iterable[tuple[int, Mapping[str, int]]]) -> tuple[Level, ...]:
    """Levels, highest first, from (above so many input tokens, rates by meter); one must be above -1, for any input."""
    ordered = sorted(tiers, key=lambda tier: tier[0], reverse=True)
    return tuple(_level(above, rates) for above, rates in ordered)


def _level(above: int, rates: Mapping[str, int]) -> Level:
    full = _with_joins(rates)
    # A root without a price is charged too, so that what remains for it is seen to have none.
    names = {**full, **{root: None for root in _ROOTS if root not in full}}
    charges = tuple(
        Charge(name, full.get(name), METERS[name].per, parts(name, names))
        for name in sorted(names, key=lambda name: (-len(METERS[name].dimensions), name))
    )
    return Level(
        above,
        full,
        charges,
        full.get("input"),
        full.get("cache_read"),
        full.get("cache_write"),
        full.get("output"),
        plain="input" in full and "requests" not in full and "reasoning" not in full,
    )


def _with_joins(rates: Mapping[str, int]) -> dict[str, int]:
    full = dict(rates)
    grown = True
    while grown:
        grown = False
        for first, second in combinations(sorted(full), 2):
            join = both(METERS[first], METERS[second])
            if join is not None and join.name not in full:
                full[join.name] = max(full[first], full[second])
                grown = True
    return full


def _priced(meter: str) -> str:
    return "hours" if METERS[meter].per == MILLION * HOUR else f"{METERS[meter].unit}s"
