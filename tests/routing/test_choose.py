"""The order in which deployments are tried: strategy, priority, residency, tags and sessions, each with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.choice import Left
from gateway.routing.choose import Group, Order, Strategy, wait_s
from gateway.routing.health import Board
from gateway.routing.options import ANYWHERE, Option, Residency, TagRule


def opt(
    provider: str, weight: float = 1.0, *, priority: int = 0, region: str = "", labels: tuple[str, ...] = ()
) -> Option:
    return Option(provider, "m", weight, priority, region, frozenset(labels))


def told(order: Order) -> list[tuple[str, str]]:
    return [(one.provider, why) for one, why in zip(order.options, order.reasons, strict=True)]


def passed_over(order: Order) -> dict[str, Left]:
    return {one.provider: why for one, why in order.left}


def board(
    *, latency: Mapping[str, float] | None = None, busy: Mapping[str, int] | None = None, down: tuple[str, ...] = ()
) -> Board:
    """At 100.0: speeds in seconds, calls in flight, and those whose breaker is open."""
    made = Board()
    for provider, seconds in (latency or {}).items():
        made.of(f"{provider}/m").latency.began(seconds, 100.0)
    for provider, calls in (busy or {}).items():
        made.of(f"{provider}/m").in_flight = calls
    for provider in down:
        breaker = made.of(f"{provider}/m").breaker
        for _ in range(5):
            breaker.failed(breaker.round, 100.0)
    return made


THREE = [opt("a", 1), opt("b", 6), opt("c", 3), opt("d", 0)]


@pytest.mark.parametrize(
    ("chance", "order"), [(0.0, "bca"), (0.59, "bca"), (0.61, "cba"), (0.89, "cba"), (0.91, "abc"), (0.999999, "abc")]
)
def test_one_is_drawn_by_weight_and_the_others_follow_heavier_first(chance: float, order: str) -> None:
    found = Group(THREE).order(chance, 100.0)
    assert told(found) == list(zip(order, ["weight", "next", "next"], strict=True))


def test_shares_are_those_of_the_weights() -> None:
    group = Group(THREE)
    first = Counter(group.order(at / 1000, 100.0).options[0].provider for at in range(1000))
    assert first == {"a": 100, "b": 600, "c": 300}


def test_the_only_one_is_made_ready_once() -> None:
    group = Group([opt("a"), opt("b", 0)])
    assert told(group.order(0.3, 100.0)) == [("a", "only")] and group.order(0.1, 1.0) is group.order(0.9, 2.0)


@pytest.mark.parametrize(
    ("strategy", "known", "order", "reason"),
    [
        ("latency", board(latency={"a": 0.2, "b": 0.5, "c": 0.1}), "cab", "latency"),
        ("latency", board(latency={"a": 0.2, "b": 0.5}), "cab", "latency"),
        ("latency", board(latency={"a": 0.2, "b": 0.5}, busy={"c": 1}), "abc", "latency"),
        ("busy", board(busy={"a": 1, "b": 12, "c": 5}), "acb", "busy"),
        ("busy", board(busy={"a": 3, "b": 12, "c": 5}), "cba", "busy"),
    ],
    ids=["fastest", "unknown is measured", "one unknown call at a time", "calls by weight", "heavier takes more"],
)
def test_a_strategy_orders_by_what_is_known(strategy: Strategy, known: Board, order: str, reason: str) -> None:
    found = Group(THREE, strategy=strategy).order(0.5, 100.0, known.known)
    assert "".join(one.provider for one in found.options) == order and found.reasons[0] == reason


def test_the_least_cost_goes_first_and_what_has_no_price_last() -> None:
    group = Group([opt("a"), opt("b"), opt("c"), opt("d")], strategy="cost")
    found = group.order(0.0, 100.0, costs={"a/m": 900, "b/m": None, "c/m": 70})
    assert told(found)[:2] == [("c", "cost"), ("a", "next")] and {one.provider for one in found.options[2:]} == {
        "b",
        "d",
    }


def test_equal_costs_are_shared_out_by_weight() -> None:
    group = Group([opt("a", 1), opt("b", 3)], strategy="cost")
    first = Counter(group.order(at / 100, 100.0, costs={"a/m": 5, "b/m": 5}).options[0].provider for at in range(100))
    assert first == {"a": 25, "b": 75}


def test_one_call_in_twenty_is_sent_by_weight_to_measure_it_anew() -> None:
    known = board(latency={"a": 0.1, "b": 9.0, "c": 9.0})
    group = Group(THREE, strategy="latency")
    found = [group.order(at / 1000, 100.0, known.known) for at in range(1000)]
    assert Counter(one.reasons[0] for one in found) == {"explore": 50, "latency": 950}
    assert Counter(one.options[0].provider for one in found if one.reasons[0] == "explore") == {
        "a": 5,
        "b": 30,
        "c": 15,
    }


def test_a_lower_priority_is_for_when_the_higher_cannot() -> None:
    group = Group([opt("a"), opt("b", priority=1), opt("c", priority=1), opt("d", priority=2)])
    assert told(group.order(0.9, 100.0)) == [("a", "weight"), ("c", "priority"), ("b", "next"), ("d", "priority")]
    found = group.order(0.9, 100.0, board(down=("a",)).known)
    assert told(found)[0] == ("c", "priority") and passed_over(found) == {"a": "circuit_open"}


def test_an_open_breaker_and_a_rest_take_one_out_until_they_are_over() -> None:
    known = board(down=("a",))
    known.of("b/m").cool(107.0)
    group = Group([opt("a"), opt("b")])
    found = group.order(0.5, 101.0, known.known)
    assert not found.options and passed_over(found) == {"a": "circuit_open", "b": "cooling"}
    assert wait_s(found, known.known, 101.0) == 1.0
    assert told(group.order(0.5, 102.0, known.known)) == [("a", "weight")]
    assert {one.provider for one in group.order(0.5, 107.0, known.known).options} == {"a", "b"}


def test_the_only_one_is_taken_out_too() -> None:
    found = Group([opt("a")]).order(0.5, 100.0, board(down=("a",)).known)
    assert not found.options and passed_over(found) == {"a": "circuit_open"}


PLACES = [opt("a", region="eu"), opt("b", region="us"), opt("c"), opt("d", region="eu")]


@pytest.mark.parametrize(
    ("residency", "allowed", "left"),
    [
        (Residency(regions=frozenset({"eu"})), "ad", {"b": "region", "c": "region"}),
        (Residency(providers=frozenset({"b", "c"})), "bc", {"a": "provider", "d": "provider"}),
        (Residency(frozenset({"eu"}), frozenset({"a", "b"})), "a", {"b": "region", "c": "provider", "d": "provider"}),
        (Residency(regions=frozenset()), "", dict.fromkeys("abcd", "region")),
        (Residency(), "abcd", {}),
        (ANYWHERE, "abcd", {}),
    ],
)
def test_residency_excludes_what_is_elsewhere_or_unknown(
    residency: Residency, allowed: str, left: dict[str, Left]
) -> None:
    found = Group(PLACES).order(0.5, 100.0, residency=residency)
    assert sorted(one.provider for one in found.options) == list(allowed) and passed_over(found) == left
    assert found.options or wait_s(found, {}, 100.0) is None


def test_residency_holds_for_the_only_one() -> None:
    found = Group([opt("a", region="us")]).order(0.5, 100.0, residency=Residency(frozenset({"eu"})))
    assert passed_over(found) == {"a": "region"} and not found.options


def test_two_residencies_allow_what_both_allow() -> None:
    eu, eu_us, a = frozenset({"eu"}), frozenset({"eu", "us"}), frozenset({"a"})
    assert Residency(eu_us).narrowed(Residency(eu, a)) == Residency(eu, a)
    assert Residency(None, a).narrowed(Residency(eu)) == Residency(eu, a)
    assert Residency(eu).narrowed(Residency(frozenset({"us"}))) == Residency(frozenset())


LABELLED = [opt("a", 2, labels=("cheap",)), opt("b", 1, labels=("fast",)), opt("c", 1)]


@pytest.mark.parametrize(
    ("rule", "tags", "order", "left"),
    [
        (
            TagRule("batch", "only", frozenset({"cheap"})),
            ["batch"],
            [("a", "weight")],
            {"b": "tag_rule", "c": "tag_rule"},
        ),
        (
            TagRule("batch", "avoid", frozenset({"cheap"})),
            ["batch"],
            [("b", "weight"), ("c", "next")],
            {"a": "tag_rule"},
        ),
        (TagRule("x*", "prefer", frozenset({"c"})), ["xyz"], [("c", "tag"), ("a", "next"), ("b", "next")], {}),
        (TagRule("x*", "prefer", frozenset({"none"})), ["xyz"], [("a", "weight"), ("b", "next"), ("c", "next")], {}),
        (TagRule("x*", "only", frozenset({"c"})), ["y"], [("a", "weight"), ("b", "next"), ("c", "next")], {}),
        (TagRule("x", "only", frozenset({"c"})), [], [("a", "weight"), ("b", "next"), ("c", "next")], {}),
    ],
    ids=["only", "avoid", "prefer", "prefers nobody", "another tag", "no tag"],
)
def test_a_rule_for_a_tag(rule: TagRule, tags: list[str], order: list[tuple[str, str]], left: dict[str, Left]) -> None:
    found = Group(LABELLED, rules=[rule]).order(0.1, 100.0, tags=tags)
    assert told(found) == order and passed_over(found) == left


def test_a_session_stays_where_it_is_whatever_is_drawn() -> None:
    group = Group(THREE, keeps_sessions=True)
    for session in ("s-1", "s-2", "s-3"):
        found = {group.order(at / 20, 100.0, session=session).options[0].provider for at in range(20)}
        assert len(found) == 1 and group.order(0.5, 100.0, session=session).reasons[0] == "affinity"
    assert Group(THREE).order(0.5, 100.0, session="s-1").reasons[0] == "weight"


def test_sessions_are_shared_out_by_weight() -> None:
    group = Group(THREE, keeps_sessions=True)
    first = Counter(group.order(0.5, 100.0, session=f"session-{at}").options[0].provider for at in range(5000))
    assert all(abs(first[name] / 5000 - share) < 0.03 for name, share in (("a", 0.1), ("b", 0.6), ("c", 0.3)))


def test_one_that_goes_away_moves_only_its_own_sessions_and_gets_them_back() -> None:
    options = [opt(f"p{at}") for at in range(10)]
    whole, less = Group(options, keeps_sessions=True), Group(options[:-1], keeps_sessions=True)
    known = board(down=("p9",)).known
    moved: Counter[str] = Counter()
    for at in range(2000):
        before = whole.order(0.5, 100.0, session=f"s{at}").options[0].provider
        without = less.order(0.5, 100.0, session=f"s{at}").options[0].provider
        assert before in (without, "p9")
        assert whole.order(0.5, 100.0, known, session=f"s{at}").options[0].provider == without
        if before == "p9":
            moved[without] += 1
    assert 120 < moved.total() < 280 and len(moved) == 9 and max(moved.values()) < 60


OPTIONS = st.lists(
    st.builds(
        opt,
        st.sampled_from("abcdef"),
        st.sampled_from([0.0, 0.5, 1.0, 9.0]),
        priority=st.integers(0, 2),
        region=st.sampled_from(["", "eu", "us"]),
        labels=st.sampled_from([(), ("x",)]),
    ),
    max_size=6,
    unique_by=lambda one: one.provider,
)


@given(
    OPTIONS,
    st.sampled_from(["weight", "latency", "cost", "busy"]),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from([ANYWHERE, Residency(frozenset({"eu"})), Residency(None, frozenset("abc"))]),
    st.sampled_from(["", "s1"]),
    st.sampled_from([(), ("t",)]),
    st.sets(st.sampled_from("abcdef")),
)
def test_each_is_tried_once_or_passed_over_once_and_no_rule_is_broken(
    options: list[Option],
    strategy: Strategy,
    chance: float,
    residency: Residency,
    session: str,
    tags: tuple[str, ...],
    down: set[str],
) -> None:
    rules = [TagRule("t", "avoid", frozenset({"x"})), TagRule("t", "prefer", frozenset({"b"}))]
    group = Group(options, strategy=strategy, keeps_sessions=True, rules=rules)
    known = board(down=tuple(down)).known
    found = group.order(chance, 100.0, known, residency=residency, tags=tags, session=session, costs={"a/m": 3})
    everyone = [one.provider for one in found.options] + [one.provider for one, _ in found.left]
    assert sorted(everyone) == sorted(one.provider for one in options if one.weight)
    assert len(found.reasons) == len(found.options)
    for one in found.options:
        assert residency.refuses(one) is None and one.provider not in down and not (tags and "x" in one.labels)
    if not tags:
        assert [one.priority for one in found.options] == sorted(one.priority for one in found.options)
