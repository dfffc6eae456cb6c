"""Several keys of one provider: used fairly, never over their limits, never while they rest."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.routing.keys import Key, Keys, NoKey, Picked


def picked(keys: Keys, now: float, tokens: int = 0) -> Picked:
    found = keys.pick(now, tokens)
    assert isinstance(found, Picked)
    return found


def test_keys_without_limits_take_turns() -> None:
    keys = Keys([Key("a"), Key("b"), Key("c")])
    assert [picked(keys, 1.0).key.name for _ in range(6)] == ["a", "b", "c", "a", "b", "c"]


def test_a_key_with_twice_the_limit_gets_twice_the_calls() -> None:
    keys = Keys([Key("a", rpm=600), Key("b", rpm=300)])
    used = Counter(picked(keys, at / 100).key.name for at in range(300))
    assert used == {"a": 200, "b": 100}


def test_shares_are_of_tokens_where_tokens_are_limited() -> None:
    keys = Keys([Key("a", tpm=100_000), Key("b", tpm=100_000)])
    used: Counter[str] = Counter()
    for at in range(40):
        tokens = 3000 if at % 2 else 1000
        used[picked(keys, 1.0, tokens).key.name] += tokens
    assert used.total() == 80_000 and abs(used["a"] - used["b"]) <= 3000


def test_what_was_reserved_and_not_used_is_given_back() -> None:
    keys = Keys([Key("a", tpm=10_000)])
    first = picked(keys, 1.0, 9_000)
    assert keys.pick(2.0, 9_000) == NoKey("key_limit", 60.0)
    keys.settle(first, 500)
    assert isinstance(keys.pick(2.0, 9_000), Picked)


def test_a_correction_makes_no_room_after_its_minute() -> None:
    keys = Keys([Key("a", tpm=10_000)])
    first = picked(keys, 0.0, 9_000)
    keys.settle(first, 0)
    picked(keys, 70.0, 10_000)
    assert isinstance(keys.pick(70.0, 1), NoKey)


def test_a_call_that_no_key_can_ever_take_is_told_so() -> None:
    assert Keys([Key("a", tpm=1000), Key("b", tpm=2000)]).pick(1.0, 2001) == NoKey("key_limit", None)
    assert Keys([Key("a", rpm=0)]).pick(1.0) == NoKey("key_limit", None)


def test_a_key_that_was_refused_rests_as_long_as_it_was_told() -> None:
    keys = Keys([Key("a"), Key("b")])
    first = picked(keys, 1.0)
    assert keys.limited(first, 1.0, 20.0) == 20.0
    assert {picked(keys, 1.0 + at).key.name for at in range(19)} == {"b"}
    second = picked(keys, 5.0)
    keys.limited(second, 5.0, 3.0)
    assert keys.pick(5.5) == NoKey("cooling", 2.5)
    assert picked(keys, 8.0).key.name == "b"


def test_after_its_rest_a_key_goes_on_with_the_others() -> None:
    keys = Keys([Key("a"), Key("b")])
    keys.limited(picked(keys, 1.0), 1.0, 50.0)
    for _ in range(100):
        picked(keys, 2.0)
    used = Counter(picked(keys, 60.0).key.name for _ in range(10))
    assert used.total() == 10 and abs(used["a"] - used["b"]) <= 2


def test_a_rest_that_nobody_asked_for_doubles_up_to_a_minute_and_begins_anew() -> None:
    keys = Keys([Key("a")])
    first = picked(keys, 0.0)
    assert [keys.limited(first, 0.0, None) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    keys.accepted(first)
    assert keys.limited(first, 0.0, None) == 1


def test_a_provider_has_at_least_one_key() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Keys([])


def test_it_tells_names_only() -> None:
    assert repr(Keys([Key("a"), Key("b")])) == "<Keys a at 0, b at 0>"


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(100, 2000)), min_size=1, max_size=4),
    st.lists(st.tuples(st.floats(0, 20), st.integers(1, 900), st.floats(0, 1)), max_size=80),
)
def test_no_key_is_ever_over_its_minute(limits: list[tuple[int, int]], calls: list[tuple[float, int, float]]) -> None:
    keys = Keys([Key(str(at), rpm=rpm, tpm=tpm) for at, (rpm, tpm) in enumerate(limits)])
    now, sent = 0.0, []
    for pause, tokens, share in calls:
        now += pause
        found = keys.pick(now, tokens)
        if isinstance(found, NoKey):
            assert found.wait_s is None or 0 < found.wait_s <= 61.1
            assert (found.wait_s is None) == all(tokens > tpm for _, tpm in limits)
            continue
        used = int(tokens * share)
        keys.settle(found, used)
        sent.append((now, found.at, used))
        for at, (rpm, tpm) in enumerate(limits):
            minute = [used for when, key, used in sent if key == at and when > now - 60]
            assert len(minute) <= rpm and sum(minute) <= tpm
