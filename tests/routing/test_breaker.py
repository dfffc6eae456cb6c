"""The breaker: its table, and what no sequence of calls may make it do."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from gateway.routing.breaker import TRANSITIONS, Breaker, Event, State, Terms

TERMS = Terms(consecutive=3, share=0.5, min_calls=10, window_s=10.0, open_s=2.0, probes=2, successes=2)


def state(breaker: Breaker) -> State:
    """Read anew, which a type checker would not believe of an attribute."""
    return breaker.state


def opened(at: float = 100.0) -> Breaker:
    breaker = Breaker(TERMS)
    for _ in range(3):
        number = breaker.enter(at)
        assert number is not None
        breaker.failed(number, at)
    assert state(breaker) == "open"
    return breaker


@pytest.mark.parametrize(
    ("before", "event", "after"),
    [
        ("closed", "passed", "closed"),
        ("closed", "failed", "closed"),
        ("closed", "tripped", "open"),
        ("closed", "cooled", None),
        ("closed", "recovered", None),
        ("open", "passed", None),
        ("open", "failed", None),
        ("open", "tripped", None),
        ("open", "cooled", "half_open"),
        ("open", "recovered", None),
        ("half_open", "passed", "half_open"),
        ("half_open", "failed", None),
        ("half_open", "tripped", "open"),
        ("half_open", "cooled", None),
        ("half_open", "recovered", "closed"),
    ],
)
def test_the_table(before: State, event: Event, after: State | None) -> None:
    assert TRANSITIONS.get((before, event)) == after


def test_the_table_above_is_complete() -> None:
    assert {before for before, _ in TRANSITIONS} == set(get_args(State))
    assert len(get_args(State)) * len(get_args(Event)) == 15


def test_it_opens_on_failures_in_a_row_and_a_success_in_between_begins_anew() -> None:
    breaker = Breaker(TERMS)
    for outcome in (breaker.failed, breaker.failed, breaker.passed, breaker.failed, breaker.failed):
        outcome(breaker.round, 1.0)
    assert state(breaker) == "closed"
    breaker.failed(breaker.round, 1.0)
    assert state(breaker) == "open" and breaker.enter(1.0) is None and breaker.opened == 1


def test_it_opens_on_a_share_of_failures_once_there_are_enough_calls() -> None:
    breaker = Breaker(TERMS)
    for at in range(9):
        (breaker.failed if at % 2 else breaker.passed)(breaker.round, 1.0)
    assert state(breaker) == "closed"
    breaker.failed(breaker.round, 1.0)
    assert state(breaker) == "open"


def test_failures_of_long_ago_do_not_count_to_the_share() -> None:
    breaker = Breaker(TERMS)
    for at in range(30):
        outcome = breaker.failed if at % 2 else breaker.passed
        outcome(breaker.round, at * 2.0)
    assert state(breaker) == "closed"


def test_it_lets_a_few_probes_through_and_closes_when_they_have_gone_well() -> None:
    breaker = opened(100.0)
    assert [breaker.is_blocking(at) for at in (100.0, 101.9, 102.0)] == [True, True, False]
    assert breaker.wait_s(101.5) == 0.5
    first, second = breaker.enter(102.0), breaker.enter(102.0)
    assert first is not None and second is not None and breaker.enter(102.0) is None
    breaker.passed(first, 102.3)
    assert state(breaker) == "half_open"
    breaker.passed(second, 102.4)
    assert state(breaker) == "closed" and breaker.enter(102.4) is not None


def test_a_failed_probe_opens_it_again_for_the_whole_time() -> None:
    breaker = opened(100.0)
    number = breaker.enter(103.0)
    assert number is not None
    breaker.failed(number, 103.5)
    assert state(breaker) == "open" and breaker.enter(105.4) is None and breaker.enter(105.5) is not None


def test_with_the_defaults_it_is_closed_within_five_seconds_of_the_recovery() -> None:
    breaker, answers = Breaker(), list[tuple[float, int]]()
    for at in range(1200):  # a call every 50 ms; the deployment works again at 30 s and answers in 1 s
        now = at / 20
        while answers and answers[0][0] <= now:
            breaker.passed(answers.pop(0)[1], now)
        if (number := breaker.enter(now)) is not None:
            if now < 30.0:
                breaker.failed(number, now)
            else:
                answers.append((now + 1.0, number))
        assert now < 35.0 or breaker.state == "closed"


def test_in_a_storm_it_lets_few_calls_through() -> None:
    breaker, through = Breaker(), 0
    for at in range(60_000):  # a thousand calls a second for a minute
        if (number := breaker.enter(at / 1000)) is not None:
            through += 1
            breaker.failed(number, at / 1000)
    assert through <= 5 + 30


def test_what_began_before_the_outage_says_nothing_about_the_recovery() -> None:
    breaker = Breaker(TERMS)
    old = breaker.enter(1.0)
    assert old is not None
    for _ in range(3):
        breaker.failed(breaker.round, 2.0)
    breaker.failed(old, 2.5)
    breaker.passed(old, 2.5)
    assert breaker.opened == 1 and breaker.enter(4.1) is not None
    breaker.failed(old, 4.2)
    assert state(breaker) == "half_open"


def test_probes_that_never_answer_do_not_keep_it_shut() -> None:
    breaker = opened(100.0)
    assert breaker.enter(102.0) and breaker.enter(102.0)
    assert breaker.enter(103.9) is None
    third = breaker.enter(104.0)
    assert third is not None and breaker.enter(104.0) is None


def test_a_probe_without_a_verdict_gives_its_place_back() -> None:
    breaker = opened(100.0)
    first, second = breaker.enter(102.0), breaker.enter(102.0)
    assert first is not None and second is not None
    breaker.dropped(first, 102.5)
    assert breaker.enter(102.5) is not None and breaker.enter(102.5) is None


def test_it_tells_its_state() -> None:
    assert repr(opened()) == "<Breaker open, 3 failed in a row, opened 1 times>"


class Calls(RuleBasedStateMachine):
    """Calls come and end in any order, at any time."""

    under_way = Bundle("under_way")

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(TERMS)
        self.now = 100.0
        self.probing = 0.0
        self.let = 0

    @rule(seconds=st.floats(0, 3))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=under_way)
    def call(self) -> int | None:
        before, blocking = self.breaker.state, self.breaker.is_blocking(self.now)
        number = self.breaker.enter(self.now)
        assert (number is None) == blocking
        assert before == "closed" or (number is None) == (self.breaker.wait_s(self.now) > 0 and blocking)
        if before == "open" and number is not None:
            self.probing, self.let = self.now, 0
        if self.breaker.state == "half_open" and number is not None:
            self.let += 1
        return number

    @rule(number=consumes(under_way), how=st.sampled_from(["passed", "failed", "dropped"]))
    def end(self, number: int | None, how: str) -> None:
        if number is None:
            return
        before, rounds = self.breaker.state, self.breaker.round
        getattr(self.breaker, how)(number, self.now)
        if number != rounds:
            assert (self.breaker.state, self.breaker.round) == (before, rounds)
        elif before == "half_open" and how == "failed":
            assert self.breaker.state == "open"
        if before == "half_open" and self.breaker.state == "half_open":
            self.let -= 1

    @invariant()
    def few_probes_at_once(self) -> None:
        if self.breaker.state == "half_open":
            assert self.let <= TERMS.probes + (self.now - self.probing) / TERMS.open_s + 1

    @invariant()
    def never_shut_for_longer_than_it_says(self) -> None:
        assert self.breaker.wait_s(self.now) <= TERMS.open_s


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
