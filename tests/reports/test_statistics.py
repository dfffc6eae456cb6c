"""The forecast and the robust score, against figures from the literature and by hand."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction

import pytest

from gateway.reports.forecast import fit, t_quantile
from gateway.reports.robust import median, scores
from gateway.reports.rounding import half_even


@pytest.mark.parametrize(
    ("p", "freedom", "expected"),
    [
        ("0.95", 7, "1.8946"),
        ("0.975", 7, "2.3646"),
        ("0.95", 21, "1.7207"),
        ("0.975", 49, "2.0096"),
        ("0.5", 7, "0"),
    ],
)
def test_students_t_is_that_of_the_tables(p: str, freedom: int, expected: str) -> None:
    # Abramowitz & Stegun, table 26.10
    assert abs(t_quantile(Decimal(p), freedom) - Decimal(expected)) < Decimal("0.001")


def test_thirteen_days_teach_nothing_and_fourteen_do() -> None:
    assert fit(0, [5] * 13) is None
    assert fit(0, [5] * 14) is not None


def test_the_interval_is_that_of_the_regression_by_hand() -> None:
    # Two weeks, each weekday one 100 above and below its mean of 1000: s^2 = 14 x 100^2 / 7 = 20000.
    learned = fit(0, [1100] * 7 + [900] * 7)
    assert learned is not None and learned.variance == Fraction(20000) and learned.freedom == 7
    low, middle, high = learned.between([14], Decimal("0.9"))
    # one day: sqrt(20000 x (1 + 1/2)) = 173.2, times 1.8946
    assert (low, middle, high) == (672, 1000, 1328)
    assert learned.between([], Decimal("0.9")) == (0, 0, 0)


def test_about_nine_months_in_ten_end_inside_an_interval_of_90_percent() -> None:
    chance = random.Random(11)
    inside = 0
    for _ in range(300):
        days = [max(0, round(chance.gauss(1000 if day % 7 < 5 else 300, 80))) for day in range(56)]
        learned = fit(0, days[:42])
        assert learned is not None
        low, _, high = learned.between(range(42, 56), Decimal("0.9"))
        inside += low <= sum(days[42:]) <= high
    assert 255 <= inside <= 288


def test_an_interval_never_goes_below_zero() -> None:
    learned = fit(0, [0, 900] * 7)
    assert learned is not None and learned.between([14], Decimal("0.99"))[0] == 0


@pytest.mark.parametrize(
    ("values", "expected"), [([3, 1, 2], Fraction(2)), ([4, 1, 2, 3], Fraction(5, 2)), ([7], Fraction(7))]
)
def test_the_median_is_exact(values: list[int], expected: Fraction) -> None:
    assert median(values) == expected


def test_the_score_is_the_modified_z_of_iglewicz_and_hoaglin_by_hand() -> None:
    # Residuals from each weekday's median of (0, 10, 20): -10, 0, 10 seven times, so MAD is 10.
    found = scores(0, [0] * 7 + [10] * 7 + [20] * 7)
    assert [one.z for one in found] == [Decimal("-0.67")] * 7 + [Decimal("0.00")] * 7 + [Decimal("0.67")] * 7


def test_where_most_days_are_alike_the_mean_deviation_stands_in() -> None:
    found = scores(0, [5] * 27 + [105])
    # mean deviation 100 / 28, times 1.2533: 4.4761
    assert found[-1].z == Decimal("22.34") and found[0].z == 0


def test_where_nothing_varies_there_is_no_score() -> None:
    assert {one.z for one in scores(0, [5] * 28)} == {None}


def test_twenty_days_are_too_few_to_judge() -> None:
    assert scores(0, [5] * 20) == []


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"), [(5, 2, 2), (7, 2, 4), (-5, 2, -2), (-7, 2, -4), (8, 3, 3), (7, 3, 2)]
)
def test_a_tie_goes_to_the_even_one(numerator: int, denominator: int, expected: int) -> None:
    assert half_even(numerator, denominator) == expected
