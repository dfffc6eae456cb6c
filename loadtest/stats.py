"""The little arithmetic of a benchmark: percentiles, and what several rounds say together."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """What several rounds gave: the median, and the lowest and highest beside it, so that noise can be seen."""

    median: float
    low: float
    high: float


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the smallest value that at least `percent` % of all do not exceed. NaN for none.

    No interpolation: the answer is a value that was measured, and a single slow one is not averaged away.
    """
    if not values:
        return math.nan
    rank = max(1, math.ceil(len(values) * percent / 100))
    return sorted(values)[rank - 1]


def spread(values: Sequence[float]) -> Spread | None:
    """Median, lowest and highest of what is a number; None where no round gave one."""
    numbers = [value for value in values if math.isfinite(value)]
    if not numbers:
        return None
    return Spread(statistics.median(numbers), min(numbers), max(numbers))
