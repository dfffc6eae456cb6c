"""The daily spend of the days to come: a mean for each weekday, and an interval for any sum of days.

Method: ordinary least squares on seven weekday dummies, which is the mean of each weekday; the interval of a sum of
future days is that of a prediction from the regression (Hyndman & Athanasopoulos, Forecasting: Principles and Practice,
3rd ed., 7.4 and 7.6; https://otexts.com/fpp3/). For a sum with n_w days of weekday w, of which N_w were observed:

    variance = s^2 * (sum of n_w + sum of n_w^2 / N_w),  s^2 = squared residuals / (N - 7),  Student's t with N - 7

It assumes that the weeks to come are like those observed: no trend, and days that vary independently. A launch or a new
contract is beyond it. Decimals throughout, so that the same books always give the same figures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from statistics import NormalDist
from typing import Final

LEAST_DAYS: Final = 14
"""Two of each weekday: below that there is no spread to learn from."""
MOST_DAYS: Final = 56
"""Eight weeks: older days say little of the next month."""
MOST_CERTAIN: Final = Decimal("0.999")
"""Beyond it the quantile below is not exact enough, and days are not normal enough."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What was learned. `means` are nano-dollars by weekday (0 is Thursday, as day 0 was)."""

    means: tuple[Fraction, ...]
    seen: tuple[int, ...]
    variance: Fraction

    @property
    def freedom(self) -> int:
        """Degrees of freedom."""
        return sum(self.seen) - 7

    def between(self, days: Sequence[int], level: Decimal) -> tuple[int, int, int]:
        """The sum over `days`: low, expected and high, in nano-dollars; `level` 0.9 leaves 5 % on either side.

        What is spent is never negative, and neither is `low`.
        """
        if not days:
            return 0, 0, 0
        counts = Counter(day % 7 for day in days)
        expected = sum((self.means[weekday] * count for weekday, count in counts.items()), Fraction())
        spread = len(days) + sum(Fraction(count**2, self.seen[weekday]) for weekday, count in counts.items())
        half = t_quantile((1 + level) / 2, self.freedom) * _decimal(self.variance * spread).sqrt()
        middle = _decimal(expected)
        return max(0, _whole(middle - half)), _whole(middle), _whole(middle + half)


def fit(first_day: int, costs: Sequence[int]) -> Forecast | None:
    """Learn from consecutive days that begin with `first_day`; None if they are fewer than `LEAST_DAYS`."""
    if len(costs) < LEAST_DAYS:
        return None
    begin = max(0, len(costs) - MOST_DAYS)
    days = [(first_day + at, costs[at]) for at in range(begin, len(costs))]
    seen = Counter(day % 7 for day, _ in days)
    by_weekday = [[cost for day, cost in days if day % 7 == weekday] for weekday in range(7)]
    means = tuple(Fraction(sum(found), len(found)) for found in by_weekday)
    squares = sum(((cost - means[day % 7]) ** 2 for day, cost in days), Fraction())
    return Forecast(means, tuple(seen[weekday] for weekday in range(7)), squares / (len(days) - 7))


def t_quantile(p: Decimal, freedom: int) -> Decimal:
    """Student's t: below it lies the share `p`.

    The expansion of Abramowitz & Stegun, Handbook of Mathematical Functions, 26.7.5; from 7 degrees of freedom up it is
    right to four places for p up to 0.975, and within 0.2 % up to 0.9995.
    """
    z = Decimal(repr(NormalDist().inv_cdf(float(p))))
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum((term / Decimal(freedom) ** power for power, term in enumerate(terms, 1)), Decimal())


def _decimal(number: Fraction) -> Decimal:
    return Decimal(number.numerator) / Decimal(number.denominator)


def _whole(number: Decimal) -> int:
    return int(number.to_integral_value())
