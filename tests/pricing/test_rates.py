"""Dollars become whole nano-dollars or are refused; levels are complete and ordered."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.pricing.rates import NotRepresentable, build, nearest, rate


@pytest.mark.parametrize(
    ("usd", "meter", "units", "expected"),
    [
        ("2.50", "input", 1_000_000, 2_500_000_000),
        ("0.000000001", "input", 1_000_000, 1),
        ("0.01", "requests", 1, 10_000_000_000_000),
        ("0.006", "input_audio_seconds", 60, 360_000_000_000_000),
        ("0.04", "input_audio_seconds", 3600, 40_000_000_000_000),
        ("0", "output", 1_000_000, 0),
    ],
)
def test_a_price_is_whole_nano_dollars_per_million(usd: str, meter: str, units: int, expected: int) -> None:
    assert rate(Decimal(usd), meter, units) == expected


@pytest.mark.parametrize("usd", ["0.0000000001", "0.18000000000000002", "-1", "NaN", "Infinity", "1e10"])
def test_a_price_that_cannot_be_held_exactly_is_refused(usd: str) -> None:
    with pytest.raises(NotRepresentable):
        rate(Decimal(usd), "input", 1_000_000)


def test_a_catalogues_float_noise_goes_to_the_nearest_nano_dollar() -> None:
    assert nearest(Decimal("0.18000000000000002"), "input", 1_000_000) == 180_000_000
    assert nearest(Decimal("0.0833333333333333"), "cache_write", 1_000_000) == 83_333_333


def test_levels_come_highest_first() -> None:
    levels = build([(-1, {"input": 1}), (200_000, {"input": 2}), (100_000, {"input": 3})])
    assert [level.above for level in levels] == [200_000, 100_000, -1]


def test_what_is_two_things_at_once_costs_the_dearer_unless_it_has_its_own_price() -> None:
    (level,) = build([(-1, {"input": 5, "cache_read": 1, "input_audio": 40})])
    assert level.prices["cache_read_audio"] == 40
    (level,) = build([(-1, {"input": 5, "cache_read": 1, "input_audio": 40, "cache_read_audio": 2})])
    assert level.prices["cache_read_audio"] == 2


def test_parts_are_charged_before_their_whole() -> None:
    (level,) = build([(-1, {"input": 5, "cache_write": 6, "cache_write_1h": 7, "output": 9})])
    order = [charge.meter for charge in level.charges]
    assert order.index("cache_write_1h") < order.index("cache_write") < order.index("input")
