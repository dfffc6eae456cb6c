"""Which deployment serves a call: a table, a draw, and no chance but the one that is passed in."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.route import Deployment, Route
from gateway.routing import Routes, plan


def route(name: str, *deployments: tuple[str, str, float], fallbacks: tuple[str, ...] = ()) -> Route:
    return Route(name, tuple(Deployment(*one) for one in deployments), fallbacks)


ROUTES = Routes(
    [
        route("one", ("a", "one-at-a", 1)),
        route("gpt-*", ("a", "gpt-*", 1)),
        route("gpt-5*", ("b", "*", 1)),
        route("gpt-5-mini", ("c", "mini", 1)),
        route("open/*", ("d", "*", 1), ("e", "fixed", 1)),
        route("three", ("a", "x", 1), ("b", "x", 6), ("c", "x", 3), ("d", "x", 0)),
        route("safe", ("a", "s", 1), fallbacks=("three", "gone", "one")),
    ]
)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("one", "one"),
        ("gpt-4", "gpt-*"),
        ("gpt-", "gpt-*"),
        ("gpt-5-pro", "gpt-5*"),
        ("gpt-5-mini", "gpt-5-mini"),
        ("gpt", None),
        ("One", None),
        ("", None),
        ("open/a/b", "open/*"),
    ],
)
def test_a_name_wins_over_a_pattern_and_a_longer_pattern_over_a_shorter_one(model: str, name: str | None) -> None:
    found = ROUTES.find(model)
    assert (found.name if found is not None else None) == name


def planned(model: str, chance: float = 0.0) -> list[tuple[str, str]]:
    found = ROUTES.find(model)
    assert found is not None
    return [(candidate.provider, candidate.model) for candidate in plan(ROUTES, found, model, chance)]


@pytest.mark.parametrize(
    ("model", "chance", "order"),
    [
        ("one", 0.5, [("a", "one-at-a")]),
        ("gpt-4o", 0.5, [("a", "gpt-4o")]),
        ("gpt-5-pro", 0.5, [("b", "-pro")]),
        ("open/x/y", 0.0, [("d", "x/y"), ("e", "fixed")]),
        ("open/x/y", 0.9, [("e", "fixed"), ("d", "x/y")]),
        ("three", 0.0, [("a", "x"), ("b", "x"), ("c", "x")]),
        ("three", 0.1, [("b", "x"), ("c", "x"), ("a", "x")]),
        ("three", 0.999999, [("c", "x"), ("b", "x"), ("a", "x")]),
        ("safe", 0.8, [("a", "s"), ("c", "x"), ("b", "x"), ("a", "x"), ("a", "one-at-a")]),
    ],
)
def test_the_drawn_one_is_first_and_the_others_follow_by_weight(
    model: str, chance: float, order: list[tuple[str, str]]
) -> None:
    assert planned(model, chance) == order


def test_shares_are_those_of_the_weights() -> None:
    first = Counter(planned("three", at / 1000)[0][0] for at in range(1000))
    assert first == {"a": 100, "b": 600, "c": 300}


@given(st.lists(st.floats(0.001, 1e6), min_size=2, max_size=6), st.floats(0, 1, exclude_max=True))
def test_every_plan_tries_every_deployment_once(weights: list[float], chance: float) -> None:
    found = route("m", *((f"p{at}", "m", weight) for at, weight in enumerate(weights)))
    tried = [candidate.provider for candidate in plan(Routes([found]), found, "m", chance)]
    assert sorted(tried) == sorted(f"p{at}" for at in range(len(weights)))


@pytest.mark.parametrize(
    ("model", "shown", "said"),
    [
        ("gpt-5-mni", ["gpt-5-mini", "one"], "Did you mean `gpt-5-mini`?"),
        ("zzz", ["one", "three"], "There are `one`, `three`."),
        ("zzz", [], "None is served to this key."),
    ],
)
def test_an_unknown_name_is_answered_with_what_there_is(model: str, shown: list[str], said: str) -> None:
    error = ROUTES.unknown(model, shown)
    assert said in error.message and (error.status, error.code, error.param) == (404, "model_not_found", "model")


def test_names_and_patterns_are_told_apart() -> None:
    assert ROUTES.names == ["one", "gpt-5-mini", "three", "safe"] and len(ROUTES) == 7
    assert ROUTES.patterns == ["gpt-*", "gpt-5*", "open/*"]
