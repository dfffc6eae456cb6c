"""How what is left of budgets is divided."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.bank import Key, allot, slice_of

A: Key = ("team:a usd/day", 0)
B: Key = ("key:b usd/day", 0)


def test_an_ask_that_one_budget_refuses_takes_nothing_of_the_others() -> None:
    grants, answers = allot({A: 100, B: 10}, {A: 0, B: 0}, {A: 0, B: 0}, [[(A, 60), (B, 20)], [(A, 100)]])
    assert answers == [B, None]
    assert grants == {A: 100}


def test_what_a_worker_has_to_spare_is_taken_first() -> None:
    assert allot({A: 5}, {A: 10}, {A: 0}, [[(A, 12)], [(A, 3)], [(A, 1)]]) == ({A: 5}, [None, None, A])


def test_a_slice_more_is_granted_once_all_are_answered() -> None:
    assert allot({A: 100}, {A: 0}, {A: 30}, [[(A, 80)]]) == ({A: 100}, [None])


def test_an_overdrawn_budget_grants_nothing() -> None:
    assert allot({A: -5}, {A: 0}, {A: 10}, [[(A, 1)]]) == ({}, [A])


@given(
    left=st.integers(-50, 200),
    free=st.integers(0, 50),
    extra=st.integers(0, 50),
    needs=st.lists(st.integers(0, 60), max_size=12),
)
def test_grants_never_exceed_what_is_left_and_cover_what_is_admitted(
    left: int, free: int, extra: int, needs: list[int]
) -> None:
    grants, answers = allot({A: left}, {A: free}, {A: extra}, [[(A, need)] for need in needs])
    admitted = sum(need for need, answer in zip(needs, answers, strict=True) if answer is None)
    granted = grants.get(A, 0)
    assert 0 <= granted <= max(left, 0)
    assert admitted <= free + granted


@pytest.mark.parametrize("workers", [1, 4, 16])
def test_idle_slices_of_all_workers_leave_at_least_95_percent_of_a_budget_of_dollars(workers: int) -> None:
    cap = 1_000_000
    assert workers * slice_of("usd", cap, cap, workers) <= cap * 0.05


def test_slices_shrink_as_the_cap_comes_near() -> None:
    slices = [slice_of("usd", 100_000, left, 4) for left in (100_000, 20_000, 2_000, 200, 20, 0, -9)]
    assert slices == [781, 625, 62, 6, 0, 0, 0]
