"""What follows a failure: never anything once a byte was shown, never more than the budget, never before the time."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.route import Timeouts
from gateway.routing.causes import CONSEQUENCES, Cause
from gateway.routing.retry import (
    MAX_RETRY_AFTER_S,
    Budget,
    Failed,
    Step,
    Terms,
    after,
    retry_after,
    wait_s,
    within,
)

FREE = Terms(ratio=1.0, reserve=1000)
CAUSES = st.sampled_from(get_args(Cause))


def failed(
    cause: Cause = "server_error",
    *,
    tried: int = 1,
    attempts: int = 1,
    is_last: bool = True,
    left_s: float = 600.0,
    retry_after_s: float | None = None,
    shown: bool = False,
) -> Failed:
    return Failed(cause, tried, attempts, is_last, left_s, retry_after_s, shown)


@pytest.mark.parametrize(
    ("what", "step"),
    [
        (failed(), Step("again", "cause", 0.05)),
        (failed(is_last=False), Step("next", "cause")),
        (failed(retry_after_s=3.0), Step("again", "cause", 3.05)),
        (failed(retry_after_s=3.0, left_s=3.0), Step("stop", "deadline")),
        (failed(retry_after_s=3.0, is_last=False), Step("next", "cause")),
        (failed(tried=2), Step("stop", "attempts")),
        (failed(attempts=5, is_last=False), Step("stop", "attempts")),
        (failed("timeout"), Step("stop", "last")),
        (failed("timeout", is_last=False), Step("next", "cause")),
        (failed("timeout", is_last=False, left_s=0.0), Step("stop", "deadline")),
        (failed("rate_limited", retry_after_s=20.0), Step("again", "cause", 20.05)),
        (failed("quota"), Step("stop", "last")),
        (failed("credentials"), Step("stop", "last")),
        (failed("credentials", is_last=False), Step("next", "cause")),
        (failed("context_length"), Step("stop", "last")),
        (failed("context_length", is_last=False), Step("next", "cause")),
        (failed(shown=True), Step("stop", "shown")),
        (failed(shown=True, is_last=False), Step("stop", "shown")),
    ],
    ids=str,
)
def test_what_follows(what: Failed, step: Step) -> None:
    assert after(what, Budget(FREE), FREE, 1.0, 0.5) == step


@given(CAUSES, st.integers(1, 9), st.booleans(), st.floats(0, 1e3), st.floats(0, 1, exclude_max=True))
def test_nothing_follows_a_byte_that_was_shown(
    cause: Cause, attempts: int, is_last: bool, left_s: float, chance: float
) -> None:
    what = Failed(cause, attempts, attempts, is_last, left_s, None, shown=True)
    assert after(what, Budget(FREE), FREE, 1.0, chance).where == "stop"


@given(CAUSES, st.floats(0, 4000), st.floats(0, 4000), st.floats(0, 1, exclude_max=True))
def test_no_retry_is_early_and_none_is_after_the_deadline(
    cause: Cause, asked: float, left_s: float, chance: float
) -> None:
    step = after(failed(cause, retry_after_s=asked, left_s=left_s), Budget(FREE), FREE, 1.0, chance)
    if step.where == "again":
        assert asked <= step.wait_s < left_s and CONSEQUENCES[cause].again


def test_with_an_empty_budget_nothing_follows() -> None:
    budget = Budget(Terms(reserve=1))
    budget.called(1.0)
    assert after(failed(), budget, Terms(), 1.0, 0.5).where == "again"
    assert after(failed(), budget, Terms(), 1.0, 0.5) == Step("stop", "budget")
    assert after(failed(is_last=False), budget, Terms(), 1.0, 0.5) == Step("stop", "budget")
    assert not budget.has(1.0) and budget.has(12.0)


CALLS = st.lists(st.tuples(st.floats(0, 3), st.integers(0, 40), st.integers(0, 40)), max_size=60)


@given(CALLS, st.sampled_from([0.05, 0.1, 0.5]))
def test_attempts_never_exceed_the_calls_by_more_than_the_ratio(
    steps: list[tuple[float, int, int]], ratio: float
) -> None:
    budget, now, calls, extra = Budget(Terms(ratio=ratio, reserve=0)), 0.0, 0, 0
    for pause, more, wanted in steps:
        now += pause
        for _ in range(more):
            budget.called(now)
        calls += more
        extra += sum(budget.spend(now) for _ in range(wanted))
        assert extra <= ratio * calls + 1e-9


def test_a_minute_of_failures_costs_a_tenth_more() -> None:
    budget, extra = Budget(), 0
    for at in range(6000):
        budget.called(at / 100)
        extra += budget.spend(at / 100)
    assert 595 <= extra <= 600


def test_a_call_now_and_then_may_be_retried() -> None:
    budget = Budget(Terms(reserve=2))
    for at in range(20):
        budget.called(at * 60.0)
        assert [budget.spend(at * 60.0) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("tried", "chance", "waits"),
    [(1, 0.0, 0.0), (1, 0.5, 0.05), (2, 0.5, 0.1), (3, 0.5, 0.2), (5, 0.5, 0.8), (6, 0.5, 1.0), (99, 0.5, 1.0)],
)
def test_waits_double_up_to_the_cap_and_are_random_from_nothing_on(tried: int, chance: float, waits: float) -> None:
    assert wait_s(tried, None, Terms(), chance) == pytest.approx(waits)
    assert wait_s(tried, 7.0, Terms(), chance) == pytest.approx(7.0 + waits)


NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"0", 0.0),
        (b"30", 30.0),
        (b" 30 ", 30.0),
        (b"1.5", 1.5),
        (b"86400", MAX_RETRY_AFTER_S),
        (b"Fri, 20 Nov 2026 12:00:20 GMT", 20.0),
        (b"Friday, 20-Nov-26 12:00:20 GMT", 20.0),
        (b"Fri Nov 20 12:00:20 2026", 20.0),
        (b"Fri, 20 Nov 2026 11:00:00 GMT", 0.0),
        (b"Fri, 20 Nov 2099 12:00:00 GMT", MAX_RETRY_AFTER_S),
        (b"", None),
        (b"-1", None),
        (b"soon", None),
        (b"1e3", None),
        (b"1.2.3", None),
        (b"nan", None),
        (b"inf", None),
        (b"9" * 400, None),
        (b"Fri, 99 Nov 2026 12:00:00 GMT", None),
        (b"Fri, 20 Nov 99999 12:00:00 GMT", None),
        (b"\xff\xfe", None),
        (None, None),
    ],
)
def test_what_a_provider_asks_for(value: bytes | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


def test_milliseconds_go_before_seconds() -> None:
    assert retry_after(b"2", NOW, milliseconds=b"1250") == 1.25
    assert retry_after(b"2", NOW, milliseconds=b"?") == 2.0


@given(st.integers(0, 300))
def test_a_date_and_seconds_say_the_same(seconds: int) -> None:
    moment = datetime.fromtimestamp(NOW + seconds, UTC)
    assert retry_after(format_datetime(moment, usegmt=True).encode(), NOW) == seconds


@given(st.binary(max_size=80))
def test_no_value_is_too_strange(value: bytes) -> None:
    found = retry_after(value, NOW)
    assert found is None or 0 <= found <= MAX_RETRY_AFTER_S


def test_an_attempt_gets_no_more_time_than_its_call_has_left() -> None:
    limits = Timeouts(2.0, 60.0, 30.0, 600.0)
    assert within(limits, 600.0) is limits
    assert within(limits, 45.0) == Timeouts(2.0, 45.0, 30.0, 45.0)
    assert within(limits, -1.0) == Timeouts(0.001, 0.001, 0.001, 0.001)
