"""Division of money: to the nearest whole nano-dollar, a tie to the even one, with no float in between."""

from __future__ import annotations


def half_even(numerator: int, denominator: int) -> int:
    """`numerator / denominator`, rounded; `denominator` is over zero."""
    amount, rest = divmod(numerator, denominator)
    return amount + (2 * rest > denominator or (2 * rest == denominator and amount & 1))
