"""Decimal text to exact amounts. No float comes near; what is absurd is refused before it is computed with."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal, InvalidOperation
from fractions import Fraction
from functools import cache
from typing import Final

NANO_PLACES: Final = 9
MAX_PLACES: Final = 40
MAX_DIGITS: Final = 20
_EXACT: Final = Context(prec=MAX_PLACES + MAX_DIGITS + NANO_PLACES)
CENTS: Final = 2
"""An amount that is written with fewer places may be rounded to cents all the same: `1.5` is `1.50`."""


def number(text: str | Decimal | int) -> Fraction:
    """A number, with `,` between thousands or not. Raises `ValueError`."""
    return Fraction(_decimal(text))


def usd(text: str | Decimal | int, shift: int = 0) -> tuple[Fraction, Fraction]:
    """Nano-dollars of an amount in dollars times 10^`shift` (2: in cents), and half of its last place.

    Raises `ValueError`.
    """
    found = _decimal(text)
    nano = found.scaleb(NANO_PLACES - shift, _EXACT)
    exponent = nano.as_tuple().exponent
    assert isinstance(exponent, int)
    return Fraction(nano), _slack(max(NANO_PLACES - exponent, CENTS))


@cache
def _slack(places: int) -> Fraction:
    return Fraction(10**NANO_PLACES, 2 * 10**places)


def simplest(low: Fraction, high: Fraction, most: int) -> Fraction | None:
    """The number between `low` and `high` with the fewest digits, at most `most`; None if there is none over zero."""
    if high <= 0 or low > high:
        return None
    low = max(low, Fraction(0))
    top = len(str(int(high))) if high >= 1 else 1 - len(str(int(1 / high)))
    for digits in range(1, most + 1):
        step = Fraction(10) ** (top - digits)
        found = -(-low // step) * step
        if 0 < found <= high:
            return found
    return None


def whole(amount: Fraction) -> int:
    """To the nearest nano-dollar, a tie to the even one."""
    return round(amount)


def total(amounts: Iterable[Fraction]) -> Fraction:
    """Their sum."""
    return sum(amounts, Fraction(0))


def _decimal(text: str | Decimal | int) -> Decimal:
    try:
        found = Decimal(text.replace(",", "").replace("$", "").strip()) if isinstance(text, str) else Decimal(text)
    except InvalidOperation:
        raise ValueError(f"`{str(text)[:40]}` is no number") from None
    if not found.is_finite():
        raise ValueError(f"`{found}` is no number")
    exponent = found.as_tuple().exponent
    if (found and found.adjusted() > MAX_DIGITS) or not isinstance(exponent, int) or abs(exponent) > MAX_PLACES:
        raise ValueError(f"`{str(found)[:40]}` is no amount that can be true")
    return found
