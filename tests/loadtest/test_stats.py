"""Percentiles by nearest rank, medians with their spread."""

from __future__ import annotations

import math

import pytest

from loadtest.stats import Spread, percentile, spread


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([7.0], 50, 7.0),
        ([3.0, 1.0, 2.0], 50, 2.0),
        ([4.0, 3.0, 2.0, 1.0], 50, 2.0),
        ([float(n) for n in range(1, 101)], 99, 99.0),
        ([float(n) for n in range(1, 102)], 99, 100.0),
        ([1.0, 2.0, 900.0], 99, 900.0),
        ([5.0, 1.0], 100, 5.0),
        ([5.0, 1.0], 0, 1.0),
    ],
)
def test_a_percentile_is_a_value_that_was_measured(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == expected


def test_the_percentile_of_nothing_is_not_a_number() -> None:
    assert math.isnan(percentile([], 99))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0, 1.0, 2.0], Spread(2.0, 1.0, 3.0)),
        ([1.0, 2.0], Spread(1.5, 1.0, 2.0)),
        ([math.nan, 4.0], Spread(4.0, 4.0, 4.0)),
        ([math.nan], None),
        ([], None),
    ],
)
def test_a_spread_is_the_median_between_lowest_and_highest_of_what_is_a_number(
    values: list[float], expected: Spread | None
) -> None:
    assert spread(values) == expected
