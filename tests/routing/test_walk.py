"""A call's way through its deployments, as scripts of what happened and what was tried next."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.routing.causes import CONSEQUENCES, Cause
from gateway.routing.choice import Choice, decode, encode
from gateway.routing.choose import Group, Order
from gateway.routing.health import Board
from gateway.routing.options import Option, Residency
from gateway.routing.retry import Budget, Step, Terms
from gateway.routing.walk import Fallbacks, Walk, nobody

FREE = Terms(ratio=1.0, reserve=100)
GROUPS = {
    "m": Group([Option("a", "m", 2), Option("b", "m", 1)]),
    "other": Group([Option("c", "other")]),
    "large": Group([Option("a", "large")]),
    "strict": Group([Option("d", "strict", region="us")]),
}
FALLBACKS = Fallbacks(("other",), {"context_length": ("large",), "content_filter": ("strict", "gone")})


class Script:
    """One call at `m`, with everything that outlives it. Time goes on when the script says so."""

    def __init__(
        self, terms: Terms = FREE, name: str = "m", fallbacks: Fallbacks | None = FALLBACKS, left_s: float = 600.0
    ) -> None:
        self.board, self.budget, self.terms, self.now = Board(), Budget(terms), terms, 1000.0
        self.name, self.fallbacks, self.left_s = name, fallbacks, left_s
        self.begin()

    def begin(self, residency: Residency | None = None) -> None:
        asked = residency or Residency()

        def find(name: str) -> Order | None:
            group = GROUPS.get(name)
            return None if group is None else group.order(0.0, self.now, self.board.known, residency=asked)

        order = find(self.name)
        assert order is not None
        self.walk = Walk(
            order,
            self.name,
            self.board,
            self.budget,
            self.terms,
            self.now + self.left_s,
            fallbacks=self.fallbacks,
            find=find,
        )

    def next(self) -> str | None:
        found = self.walk.next(self.now)
        if found is None:
            return None
        self.leg = found
        return found.target.option.id

    def fail(self, cause: Cause, retry_after_s: float | None = None) -> Step:
        return self.walk.failed(self.leg, cause, self.now, 0.5, retry_after_s)

    def told(self) -> list[tuple[str, int, str]]:
        return [(f"{one.provider}/{one.model}", one.rank, one.reason) for one in self.walk.choices]


def test_an_answer_at_the_first_attempt() -> None:
    call = Script(name="other")
    assert call.next() == "c/other" and call.board.of("c/other").in_flight == 1
    call.leg.answered(0.4, call.now)
    assert call.board.of("c/other").in_flight == 1
    call.leg.ended(2.0, call.now)
    assert call.board.of("c/other").in_flight == 0 and call.told() == [("c/other", 1, "only")]
    assert call.board.of("c/other").latency.first_byte.mean == 0.4


def test_a_failure_goes_to_the_next_deployment_then_to_the_fallback_then_there_again() -> None:
    call = Script()
    tried = []
    causes: list[Cause] = ["server_error", "unreachable", "broken", "server_error"]
    for cause in causes:
        tried.append(call.next())
        step = call.fail(cause)
    assert tried == ["a/m", "b/m", "c/other", "c/other"] and step == Step("stop", "attempts")
    assert call.told() == [
        ("a/m", 1, "weight"),
        ("b/m", 2, "next"),
        ("c/other", 3, "fallback"),
        ("c/other", 4, "retry"),
    ]
    assert call.walk.choices[0].details == {"cause": "server_error", "then": "next", "why": "cause"}
    assert call.walk.choices[2].details == {"cause": "broken", "then": "again", "why": "cause", "wait_s": 0.05}


@pytest.mark.parametrize(
    ("cause", "tried"),
    [
        ("context_length", ["a/m", "a/large"]),
        ("content_filter", ["a/m", "d/strict"]),
        ("timeout", ["a/m", "b/m", "c/other"]),
        ("credentials", ["a/m", "b/m", "c/other"]),
        ("quota", ["a/m", "b/m", "c/other"]),
        ("rate_limited", ["a/m", "b/m", "c/other", "c/other"]),
    ],
)
def test_each_cause_has_its_own_way(cause: Cause, tried: list[str]) -> None:
    call = Script()
    found = []
    while (target := call.next()) is not None:
        found.append(target)
        if call.fail(cause).where == "stop":
            break
    assert found == tried


def test_without_fallbacks_of_its_own_a_prompt_that_is_too_long_goes_nowhere() -> None:
    call = Script(fallbacks=Fallbacks(("other",)))
    call.next()
    assert call.fail("context_length") == Step("stop", "last")
    assert call.board.of("a/m").breaker.state == "closed"


def test_nothing_is_tried_after_a_byte_was_shown() -> None:
    call = Script()
    call.next()
    call.leg.answered(0.1, call.now)
    call.walk.shown = True
    assert call.fail("broken") == Step("stop", "shown")
    assert [one.details["why"] for one in call.walk.choices] == ["shown"]


def test_an_open_breaker_is_passed_over_in_later_calls_and_its_reason_kept() -> None:
    call = Script(fallbacks=None)
    for _ in range(5):
        call.begin()
        assert call.next() == "a/m"
        call.fail("unreachable")
        call.next()
        call.leg.answered(0.1, call.now)
        call.leg.ended(0.2, call.now)
    call.begin()
    assert call.next() == "b/m" and call.told() == [("a/m", 0, "circuit_open"), ("b/m", 1, "weight")]


def test_a_deployment_that_asked_for_a_rest_gets_it() -> None:
    call = Script(name="other", fallbacks=None)
    call.next()
    step = call.fail("rate_limited", 20.0)
    assert step.where == "again" and step.wait_s == 20.05
    assert call.next() is None and call.told()[-1] == ("c/other", 0, "cooling")
    call.begin()
    order = GROUPS["other"].order(0.5, call.now, call.board.known)
    refusal = nobody(order, "other", call.board, call.now)
    assert (refusal.status, refusal.code, refusal.retry_after_s) == (503, "no_deployment_available", 20)
    call.now += 20.05
    call.begin()
    assert call.next() == "c/other"


def test_a_resting_key_leaves_its_deployment_open() -> None:
    call = Script(name="other", fallbacks=None)
    call.next()
    assert call.walk.failed(call.leg, "rate_limited", call.now, 0.5, 0.0, cool=False).where == "again"
    assert call.next() == "c/other"


def test_no_retry_at_a_breaker_that_has_just_opened() -> None:
    call = Script(name="other", fallbacks=None)
    for _ in range(4):
        call.begin()
        call.next()
        call.walk.failed(call.leg, "server_error", call.now, 0.5)
    call.begin()
    assert call.next() == "c/other" and call.fail("server_error") == Step("stop", "circuit")


def test_residency_holds_for_fallbacks() -> None:
    call = Script()
    call.begin(Residency(providers=frozenset({"a"})))
    assert call.next() == "a/m"
    assert call.fail("timeout") == Step("stop", "last")
    assert [one for one in call.told() if one[1] == 0] == [("b/m", 0, "provider"), ("c/other", 0, "provider")]


def test_a_team_that_may_go_nowhere_is_told_so() -> None:
    order = GROUPS["strict"].order(0.5, 1.0, residency=Residency(regions=frozenset({"eu"})))
    refusal = nobody(order, "strict", Board(), 1.0)
    assert (refusal.status, refusal.code, refusal.param) == (403, "no_allowed_deployment", "model")


def test_a_call_that_was_dropped_is_no_verdict() -> None:
    call = Script(name="other")
    for _ in range(30):
        call.begin()
        call.next()
        call.leg.dropped(call.now)
    assert call.board.of("c/other").breaker.state == "closed" and call.board.of("c/other").in_flight == 0


def test_of_two_legs_the_slower_one_is_outrun_and_both_stand_in_the_record() -> None:
    call = Script()
    assert call.next() == "a/m"
    second = call.walk.hedge(call.now, 0.8004)
    assert second is not None and second.target.option.id == "b/m" and repr(second) == "<Leg 2 at b/m>"
    second.answered(0.1, call.now)
    call.leg.outrun(0.9, call.now)
    second.ended(0.5, call.now)
    assert call.told() == [("a/m", 1, "weight"), ("b/m", 2, "hedge")]
    assert call.walk.choices[1].details == {"after_s": 0.8}
    assert call.board.of("a/m").latency.first_byte.mean == 0.9
    assert [one.in_flight for one in call.board.known.values()] == [0, 0]


def test_when_both_legs_fail_the_last_one_decides_and_neither_place_is_next() -> None:
    call = Script()
    call.next()
    second = call.walk.hedge(call.now, 0.8)
    assert second is not None
    call.walk.lost(call.leg, "server_error", call.now)
    assert call.walk.failed(second, "timeout", call.now, 0.5).where == "next" and call.next() == "c/other"
    assert [one.details.get("then") for one in call.walk.choices] == ["other_leg", "next", None]


def test_a_second_leg_needs_somebody_to_ask_and_a_budget() -> None:
    alone = Script(name="other")
    alone.next()
    assert alone.walk.hedge(alone.now, 0.8) is None
    poor = Script(terms=Terms(reserve=0))
    poor.next()
    assert poor.walk.hedge(poor.now, 0.8) is None
    down = Script()
    down.next()
    down.board.of("b/m").cool(down.now + 9)
    assert down.walk.hedge(down.now, 0.8) is None and len(down.walk.choices) == 1
    shown = Script()
    shown.next()
    shown.walk.shown = True
    assert shown.walk.hedge(shown.now, 0.8) is None


def test_what_was_never_sent_is_no_attempt_and_costs_no_budget() -> None:
    call = Script(terms=Terms(reserve=0))
    assert call.next() == "a/m"
    call.walk.skip(call.leg, "key_limit", call.now)
    assert call.next() == "b/m"
    call.walk.skip(call.leg, "full", call.now)
    assert call.next() == "c/other"
    call.walk.skip(call.leg, "key_limit", call.now)
    assert call.next() is None
    assert call.told() == [("a/m", 0, "key_limit"), ("b/m", 0, "full"), ("c/other", 0, "key_limit")]
    assert all(one.in_flight == 0 for one in call.board.known.values())


def test_an_attempt_ends_once() -> None:
    call = Script()
    call.next()
    call.leg.dropped(call.now)
    with pytest.raises(RuntimeError, match="<Leg 1 at a/m> has ended before"):
        call.leg.dropped(call.now)


def test_choices_are_kept_and_read_back() -> None:
    call = Script()
    call.next()
    call.fail("timeout")
    call.next()
    stored = encode(call.walk.choices)
    assert decode(stored) == call.walk.choices
    assert stored.startswith(b'[{"provider":"a","model":"m","route":"m","rank":1,"reason":"weight","details":{"cause"')
    with pytest.raises(msgspec.ValidationError):
        decode(b'[{"provider":"a","model":"m","route":"m","rank":1,"reason":"whim"}]')


def test_a_choice_without_details_is_short() -> None:
    assert encode([Choice("a", "m", "r", 1, "only")]) == (
        b'[{"provider":"a","model":"m","route":"r","rank":1,"reason":"only"}]'
    )


def test_a_storm_costs_a_tenth_more_and_is_over_in_five_seconds() -> None:
    """60 s of failures of one deployment with a fallback: what reaches the providers, and when all is well again."""
    call = Script(terms=Terms())
    calls = attempts = lost = 0
    while call.now < 1080.0:  # 100 calls a second; `a` fails for the first minute
        call.begin()
        calls += 1
        answered = False
        while (target := call.next()) is not None:
            attempts += 1
            if target != "a/m" or call.now >= 1060.0:
                call.leg.answered(0.2, call.now)
                call.leg.ended(0.5, call.now)
                answered = True
                break
            if call.fail("server_error").where == "stop":
                break
        lost += not answered
        if call.now >= 1065.0:
            assert call.walk.choices[-1].provider == "a"
        call.now += 0.01
    assert attempts <= 1.1 * calls and lost == 0


@pytest.mark.parametrize("per_s", [0.01, 1, 3, 10, 30, 200])
def test_nobody_hears_of_a_deployment_that_is_down_however_many_calls_there_are(per_s: float) -> None:
    call = Script(terms=Terms())
    for _ in range(500):
        call.begin()
        while call.next() == "a/m":
            assert call.fail("unreachable").where == "next"
        call.leg.answered(0.2, call.now)
        call.leg.ended(0.5, call.now)
        call.now += 1 / per_s


EVENTS = st.lists(
    st.tuples(st.sampled_from([*get_args(Cause), "answer", "drop"]), st.floats(0, 30), st.none() | st.floats(0, 40)),
    min_size=1,
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(EVENTS, st.sampled_from([Terms(), FREE, Terms(attempts=2)]), st.sampled_from([0.5, 20.0, 600.0]))
def test_whatever_happens_every_attempt_ends_and_no_rule_is_broken(
    events: list[tuple[str, float, float | None]], terms: Terms, left_s: float
) -> None:
    call = Script(terms=terms, left_s=left_s)
    attempts, deadline, under_way = 0, call.now + left_s, False
    for what, pause, asked in events:
        if (target := call.next()) is not None:
            attempts += 1
            assert attempts <= terms.attempts and sum(one.in_flight for one in call.board.known.values()) == 1
            assert call.board.of(target).cooled_until <= call.now
            under_way = True
        call.now += pause
        if target is not None and what not in ("answer", "drop"):
            under_way = False
            step = call.fail(what, asked)  # type: ignore[arg-type]
            if step.where != "stop":
                assert call.now + step.wait_s < deadline
                assert step.where == "next" or CONSEQUENCES[what].again  # type: ignore[index]
                call.now += step.wait_s
                continue
        if under_way:
            under_way = False
            if what == "answer":
                call.leg.answered(pause, call.now)
                call.leg.ended(pause, call.now)
            else:
                call.leg.dropped(call.now)
        ranks = [one.rank for one in call.walk.choices if one.rank]
        assert ranks == list(range(1, attempts + 1))
        assert all(one.in_flight == 0 for one in call.board.known.values())
        call.begin()
        attempts, deadline = 0, call.now + left_s
