"""How far a day is from what its weekday is like, in units that the outliers themselves do not stretch.

Each day's residual is its cost less the median of its weekday; its score is the modified z-score of Iglewicz & Hoaglin
(How to Detect and Handle Outliers, ASQC 1993): 0.6745 * (residual - median) / MAD, where MAD is the median of the
absolute deviations. They call a score beyond 3.5 an outlier. Where more than half of the deviations are zero the mean
absolute deviation stands in, times 1.2533 (the ratio of the two scales for a normal distribution is in the constants).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

LEAST_DAYS: Final = 21
"""Three of each weekday: of two, the median is the mean, and an outlier drags it along."""

_MAD: Final = Fraction(6745, 10000)
_MEAN: Final = Fraction(10000, 12533)


@dataclass(frozen=True, slots=True)
class Score:
    """One day: `expected` is the median of its weekday in whole nano-dollars, `z` None where nothing ever varies."""

    day: int
    cost: int
    expected: int
    z: Decimal | None


def scores(first_day: int, costs: Sequence[int]) -> list[Score]:
    """A score for each of consecutive days; none if they are fewer than `LEAST_DAYS`."""
    if len(costs) < LEAST_DAYS:
        return []
    days = list(enumerate(costs, first_day))
    usual = [median([cost for day, cost in days if day % 7 == weekday]) for weekday in range(7)]
    residuals = [cost - usual[day % 7] for day, cost in days]
    middle = median(residuals)
    off = [abs(residual - middle) for residual in residuals]
    spread = median(off)
    scale = spread / _MAD if spread else sum(off, Fraction()) / len(off) / _MEAN
    return [
        Score(day, cost, round(usual[day % 7]), _score(residual - middle, scale))
        for (day, cost), residual in zip(days, residuals, strict=True)
    ]


def median(values: Sequence[int | Fraction]) -> Fraction:
    """The middle one, or the mean of the two in the middle."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return Fraction(ordered[half]) if len(ordered) % 2 else Fraction(ordered[half - 1] + ordered[half]) / 2


def _score(off: Fraction, scale: Fraction) -> Decimal | None:
    if not scale:
        return None
    z = off / scale
    return (Decimal(z.numerator) / Decimal(z.denominator)).quantize(Decimal("0.01"))
