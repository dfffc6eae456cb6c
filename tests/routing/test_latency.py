"""How fast a deployment is of late: the mean fades, the percentile is never below the true one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.latency import GROWTH, Faded, Latency, Percentile


def test_old_answers_fade_by_age_and_not_by_number() -> None:
    mean = Faded(fade_s=60.0)
    assert mean.mean is None
    for _ in range(1000):
        mean.add(10.0, 0.0)
    mean.add(1.0, 600.0)  # ten lifetimes later: e^-10 of a thousand answers are left
    expected = (10.0 * 1000 * math.exp(-10) + 1.0) / (1000 * math.exp(-10) + 1)
    assert mean.mean == pytest.approx(expected) and mean.mean is not None and mean.mean < 1.5


def test_answers_of_one_moment_count_alike() -> None:
    mean = Faded()
    for value in (1.0, 2.0, 6.0):
        mean.add(value, 5.0)
    assert mean.mean == pytest.approx(3.0)


@given(st.lists(st.tuples(st.floats(0.001, 100), st.floats(0, 100)), min_size=1, max_size=50))
def test_the_mean_lies_between_the_least_and_the_most(samples: list[tuple[float, float]]) -> None:
    mean, now = Faded(), 0.0
    for value, pause in samples:
        now += pause
        mean.add(value, now)
    assert mean.mean is not None
    assert min(v for v, _ in samples) * 0.999 <= mean.mean <= max(v for v, _ in samples) * 1.001


@given(st.lists(st.floats(0.002, 900), min_size=20, max_size=300))
def test_the_percentile_is_the_true_one_or_up_to_a_bucket_more(samples: list[float]) -> None:
    found = Percentile()
    for value in samples:
        found.add(value, 1.0)
    true = sorted(samples)[math.ceil(0.95 * len(samples)) - 1]
    assert found.p95 is not None and true * 0.999999 <= found.p95 <= true * GROWTH * 1.000001


def test_a_handful_of_answers_has_no_percentile() -> None:
    latency = Latency()
    for _ in range(19):
        latency.began(0.5, 1.0)
    assert latency.p95 is None
    latency.began(0.5, 1.0)
    assert latency.p95 == pytest.approx(0.5, rel=0.16)


def test_the_percentile_follows_a_deployment_that_has_changed() -> None:
    latency = Latency(fade_s=60.0)
    for at in range(100):
        latency.began(20.0, at * 0.1)
    for at in range(100):
        latency.began(0.2, 900.0 + at * 0.1)
    assert latency.p95 is not None and latency.p95 < 0.3


def test_after_an_hour_of_silence_it_knows_no_percentile() -> None:
    latency = Latency(fade_s=60.0)
    for _ in range(100):
        latency.began(1.0, 0.0)
    latency.began(1.0, 3600.0)
    assert latency.p95 is None


@pytest.mark.parametrize("value", [0.0, -1.0, 0.0005, 999.0, 1e9])
def test_no_duration_is_out_of_range(value: float) -> None:
    latency = Latency()
    for _ in range(20):
        latency.began(value, 1.0)
    assert latency.p95 is not None and 0 < latency.p95 <= 2000


def test_both_durations_are_kept_apart() -> None:
    latency = Latency()
    latency.began(0.5, 1.0)
    latency.ended(4.0, 5.0)
    assert (latency.first_byte.mean, latency.total.mean) == (0.5, 4.0)
    assert repr(latency) == "<Latency first byte 0.500 s>"
