"""Teams take turns at a deployment that is short, and every call ends once."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.routing.fairness import Terms, Turns


def test_a_call_that_finds_room_goes_at_once() -> None:
    turns: Turns[int] = Turns(Terms(limit=2))
    assert [turns.enter("a", at) for at in range(3)] == ["go", "go", "wait"]
    assert repr(turns) == "<Turns 2 of 2 running, 1 waiting>"
    assert turns.leave() == 2 and turns.leave() is None and turns.leave() is None and turns.running == 0


def test_a_team_with_many_calls_does_not_keep_one_with_few_waiting() -> None:
    turns: Turns[str] = Turns(Terms(limit=1))
    turns.enter("busy", "running")
    for at in range(50):
        turns.enter("busy", f"busy-{at}")
    turns.enter("quiet", "quiet-0")
    turns.enter("quiet", "quiet-1")
    assert [turns.leave() for _ in range(5)] == ["busy-0", "quiet-0", "busy-1", "quiet-1", "busy-2"]


def test_a_weight_of_two_is_two_calls_a_turn() -> None:
    turns: Turns[str] = Turns(Terms(limit=1, weights={"heavy": 2.0}))
    turns.enter("x", "running")
    for _ in range(40):
        for team in ("heavy", "light"):
            turns.enter(team, team)
    assert Counter(turns.leave() for _ in range(30)) == {"heavy": 20, "light": 10}


def test_sizes_are_shared_out_and_not_calls() -> None:
    turns: Turns[str] = Turns(Terms(limit=1))
    turns.enter("x", "running")
    for _ in range(80):
        turns.enter("large", "large", 4000.0)
        turns.enter("small", "small", 1000.0)
    assert Counter(turns.leave() for _ in range(50)) == {"large": 10, "small": 40}


def test_what_waits_is_bounded_for_a_team_and_in_all() -> None:
    turns: Turns[int] = Turns(Terms(limit=1, waiting=3, waiting_per_team=2))
    assert [turns.enter("a", at) for at in range(4)] == ["go", "wait", "wait", "full"]
    assert [turns.enter("b", at) for at in range(10, 12)] == ["wait", "full"]


def test_a_call_that_is_given_up_is_passed_over() -> None:
    turns: Turns[int] = Turns(Terms(limit=1))
    for at in range(3):
        turns.enter("a", at)
    assert turns.withdraw("a", 1) and not turns.withdraw("a", 1) and not turns.withdraw("b", 2)
    assert turns.leave() == 2 and turns.leave() is None and turns.waiting == 0


class Deployment(RuleBasedStateMachine):
    """Calls of three teams come, end and are given up in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: Turns[int] = Turns(Terms(limit=2, waiting=12, waiting_per_team=5, weights={"b": 0.3}))
        self.running: set[int] = set()
        self.waiting: dict[int, str] = {}
        self.number = 0

    @rule(team=st.sampled_from("abc"), size=st.sampled_from([0.5, 1.0, 700.0]))
    def enter(self, team: str, size: float) -> None:
        self.number += 1
        answer = self.turns.enter(team, self.number, size)
        if answer == "go":
            self.running.add(self.number)
        elif answer == "wait":
            self.waiting[self.number] = team
        else:
            assert len(self.waiting) == 12 or sum(one == team for one in self.waiting.values()) == 5

    @precondition(lambda self: self.running)
    @rule()
    def leave(self) -> None:
        self.running.pop()
        call = self.turns.leave()
        assert (call is None) == (not self.waiting)
        if call is not None:
            team = self.waiting.pop(call)
            assert all(call < other for other, theirs in self.waiting.items() if theirs == team)
            self.running.add(call)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(sorted(self.waiting)))
        assert self.turns.withdraw(self.waiting.pop(call), call)

    @invariant()
    def adds_up(self) -> None:
        assert self.turns.running == len(self.running) <= 2 and self.turns.waiting == len(self.waiting)
        assert not self.waiting or len(self.running) == 2


TestDeployment = Deployment.TestCase
TestDeployment.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.lists(st.floats(0.1, 5000), min_size=200, max_size=200))
@settings(max_examples=20, deadline=None)
def test_two_teams_get_alike_to_within_the_largest_call(sizes: list[float]) -> None:
    turns: Turns[tuple[str, float]] = Turns(Terms(limit=1, waiting_per_team=1000))
    turns.enter("x", ("x", 0.0))
    for at, size in enumerate(sizes):
        team = "ab"[at % 2]
        turns.enter(team, (team, size), size)
    served = {"a": 0.0, "b": 0.0}
    for _ in range(40):
        call = turns.leave()
        assert call is not None
        served[call[0]] += call[1]
    assert abs(served["a"] - served["b"]) <= 2 * max(sizes) + 2


def test_the_smallest_weight_still_gets_a_turn() -> None:
    turns: Turns[str] = Turns(Terms(limit=1, weights={"a": 0.0}))
    turns.enter("x", "running")
    turns.enter("a", "a")
    assert turns.leave() == "a"


@pytest.mark.parametrize("limit", [1, 5])
def test_no_more_run_than_the_limit(limit: int) -> None:
    turns: Turns[int] = Turns(Terms(limit=limit))
    for at in range(20):
        turns.enter("a", at)
    assert turns.running == limit
