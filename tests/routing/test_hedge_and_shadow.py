"""A second leg past the 95th percentile, and copies that nobody waits for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing import hedge, shadow
from gateway.routing.hedge import Hedge

ON = hedge.Terms(enabled=True)


@pytest.mark.parametrize(
    ("terms", "p95_s", "others", "repeatable", "has_budget", "left_s", "found"),
    [
        (ON, 0.8, 1, True, True, 60.0, Hedge(0.8)),
        (ON, 0.001, 1, True, True, 60.0, Hedge(0.05)),
        (hedge.Terms(True, factor=1.5), 0.5, 1, True, True, 60.0, Hedge(0.75)),
        (hedge.Terms(), 0.8, 1, True, True, 60.0, Hedge(None, "off")),
        (ON, 0.8, 0, True, True, 60.0, Hedge(None, "alone")),
        (ON, 0.8, 1, False, True, 60.0, Hedge(None, "repeats")),
        (ON, None, 1, True, True, 60.0, Hedge(None, "unknown")),
        (ON, 0.8, 1, True, False, 60.0, Hedge(None, "budget")),
        (ON, 0.8, 1, True, True, 0.8, Hedge(None, "too_late")),
    ],
)
def test_when_a_second_leg_goes_out(
    terms: hedge.Terms,
    p95_s: float | None,
    others: int,
    repeatable: bool,
    has_budget: bool,
    left_s: float,
    found: Hedge,
) -> None:
    asked = hedge.hedge(terms, p95_s=p95_s, others=others, repeatable=repeatable, has_budget=has_budget, left_s=left_s)
    assert asked == found


TERMS = shadow.Terms("new-model", share=0.1, at_once=2, per_minute=3, max_nano=1000, streams=False)


def test_a_share_of_the_calls_is_copied() -> None:
    copies = shadow.Shadow(shadow.Terms("m", share=0.1, at_once=1000, per_minute=1000))
    assert sum(copies.begin(at / 1000, 1.0) is None for at in range(1000)) == 100


@pytest.mark.parametrize(
    ("chance", "stream", "cost_nano", "why_not"),
    [
        (0.05, False, 1000, None),
        (0.1, False, 1000, "share"),
        (0.05, True, 1000, "stream"),
        (0.05, False, 1001, "cost"),
        (0.05, False, None, "cost"),
    ],
)
def test_why_a_call_is_not_copied(chance: float, stream: bool, cost_nano: int | None, why_not: str | None) -> None:
    assert shadow.Shadow(TERMS).begin(chance, 1.0, stream=stream, cost_nano=cost_nano) == why_not


def test_copies_at_once_and_in_a_minute_are_bounded() -> None:
    copies = shadow.Shadow(TERMS)
    assert [copies.begin(0.0, 1.0, cost_nano=1) for _ in range(3)] == [None, None, "busy"]
    copies.end()
    copies.end()
    assert [copies.begin(0.0, 2.0, cost_nano=1) for _ in range(2)] == [None, "rate"]
    copies.end()
    assert copies.begin(0.0, 63.0, cost_nano=1) is None


@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 9), st.booleans()), max_size=60))
def test_there_are_never_more_copies_than_asked_for(calls: list[tuple[float, float, bool]]) -> None:
    copies, now = shadow.Shadow(shadow.Terms("m", 0.5, at_once=3, per_minute=10)), 0.0
    sent = []
    for chance, pause, ends in calls:
        now += pause
        if copies.begin(chance, now) is None:
            sent.append(now)
        if ends and copies.in_flight:
            copies.end()
        assert copies.in_flight <= 3 and sum(when > now - 60 for when in sent) <= 10
