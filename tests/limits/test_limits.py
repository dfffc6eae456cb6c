"""Holding and settling, on workers that share a store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter

import pytest

from gateway.errors import Forbidden
from gateway.limits import NOTHING, Limit, Limits, RateLimited, Rule, Rules
from gateway.limits.rules import NANO
from tests.limits.conftest import CALLER, NOON, Workers, settled

TEAM_DAY = "team:retail usd/day"


def team(*limits: Limit) -> Rules:
    return Rules([Rule("team", "retail", limits)])


def usd(cap: int, **more: object) -> Limit:
    return Limit("usd", cap, "day", **more)  # type: ignore[arg-type]


async def test_a_call_under_no_budget_holds_nothing(workers: Workers) -> None:
    limits = workers.start(Rules())
    assert await workers.hold(limits, 10**12) is NOTHING
    assert limits.settle(NOTHING, 10**12, 10**9) == 0
    assert NOTHING.is_held


async def test_what_is_held_and_settled_never_exceeds_the_cap(workers: Workers) -> None:
    limits = workers.start(team(usd(100)))
    first = await workers.hold(limits, 60)
    with pytest.raises(RateLimited):
        await workers.hold(limits, 60)
    assert limits.settle(first, 20, 0) == 0
    await workers.hold(limits, 80)
    workers.clock.now += 1
    with pytest.raises(RateLimited):
        await workers.hold(limits, 1)


async def test_a_refusal_names_the_budget_its_cap_what_is_spent_and_when_it_starts_anew(workers: Workers) -> None:
    limits = workers.start(team(usd(NANO)))
    limits.settle(await workers.hold(limits, NANO // 4 * 3), NANO // 4 * 3, 0)
    with pytest.raises(RateLimited) as caught:
        await workers.hold(limits, NANO // 2)
    assert caught.value.message == (
        "The budget of team:retail is $1.00 a day; $0.75 are spent or held, and this call may cost $0.50. "
        "It starts anew at 2027-01-16T00:00:00Z."
    )
    assert (caught.value.status, caught.value.code) == (429, "budget_exceeded")
    assert caught.value.retry_after_s == 12 * 3600 + 1


async def test_a_call_holds_in_all_of_its_budgets_or_in_none(workers: Workers) -> None:
    rules = Rules([Rule("team", "retail", (usd(100),)), Rule("model", "*", (usd(10),))])
    limits = workers.start(rules)
    with pytest.raises(RateLimited, match="model:gpt-5-mini"):
        await workers.hold(limits, 50)
    await workers.hold(limits, 10)
    hold = await workers.hold(limits, 10, model="other")
    limits.release(hold)
    limits.release(hold)
    await workers.close()
    workers.start(rules)
    state = workers.state(TEAM_DAY)
    assert (state.spent, state.held, state.lost) == (10, 0, 10), "what was never settled counts as spent"


async def test_a_provider_that_bills_over_the_ceiling_is_an_overrun(workers: Workers) -> None:
    limits = workers.start(team(usd(100)))
    hold = await workers.hold(limits, 40)
    other = await workers.hold(limits, 50)
    assert limits.settle(hold, 70, 0) == 30
    assert limits.settle(hold, 70, 0) == 0, "a second time changes nothing"
    assert limits.overrun_nano == 30
    limits.settle(other, 50, 0)
    with pytest.raises(RateLimited):
        await workers.hold(limits, 1)
    await workers.close()
    state = workers.state(TEAM_DAY)
    assert (state.spent, state.held, state.overrun, state.lost) == (120, 0, 30, 0)


async def test_an_unknown_cost_keeps_the_ceiling(workers: Workers) -> None:
    limits = workers.start(team(usd(100)))
    limits.settle(await workers.hold(limits, 30), None, 0)
    await workers.close()
    assert workers.state(TEAM_DAY).spent == 30


async def test_a_model_without_a_price_is_refused_under_a_budget_of_dollars(workers: Workers) -> None:
    limits = workers.start(team(usd(NANO)))
    with pytest.raises(Forbidden) as caught:
        await workers.hold(limits, None)
    assert caught.value.code == "model_unpriced"


async def test_a_model_without_a_price_may_be_used_where_the_budget_allows_it(workers: Workers) -> None:
    limits = workers.start(team(usd(100, allow_unpriced=True), Limit("rpm", 5)))
    limits.settle(await workers.hold(limits, None), 0, 0)
    await workers.close()
    assert workers.state(TEAM_DAY).spent == 0


async def test_a_day_starts_anew_and_a_late_settlement_counts_for_the_day_of_its_hold(workers: Workers) -> None:
    limits = workers.start(team(usd(100)))
    late = await workers.hold(limits, 100)
    workers.clock.now = NOON + 12 * 3600
    today = await workers.hold(limits, 90)
    limits.settle(late, 70, 0)
    limits.settle(today, 80, 0)
    await workers.close()
    assert workers.state(TEAM_DAY).spent == 80
    workers.clock.now = NOON
    with pytest.raises(RateLimited):
        await workers.hold(workers.start(team(usd(100))), 31)


async def test_what_was_spent_outlives_a_restart(workers: Workers) -> None:
    limits = workers.start(team(usd(100)))
    limits.settle(await workers.hold(limits, 50), 50, 0)
    await workers.close()
    limits = workers.start(team(usd(100)))
    with pytest.raises(RateLimited):
        await workers.hold(limits, 51)
    await workers.hold(limits, 50)


async def test_requests_a_minute_come_back_a_minute_after_they_were_made(workers: Workers) -> None:
    limits = workers.start(team(Limit("rpm", 3)))
    for second in (0, 10, 20):
        workers.monotonic.now = 1000.0 + second
        limits.settle(await workers.hold(limits), 0, 0)
    with pytest.raises(RateLimited) as caught:
        await workers.hold(limits)
    assert (caught.value.code, caught.value.retry_after_s) == ("rate_limit_exceeded", 41)
    workers.clock.now += 1
    workers.monotonic.now = 1060.9
    with pytest.raises(RateLimited):
        await workers.hold(limits)
    workers.monotonic.now = 1061.0
    await workers.hold(limits)


async def test_tokens_are_held_by_their_ceiling_and_settle_to_what_they_were(workers: Workers) -> None:
    limits = workers.start(team(Limit("tpm", 1000)))
    hold = await workers.hold(limits, tokens=900)
    with pytest.raises(RateLimited):
        await workers.hold(limits, tokens=200)
    limits.settle(hold, 0, 100)
    limits.release(await workers.hold(limits, tokens=900))
    await workers.hold(limits, tokens=900)


async def test_a_call_that_takes_more_than_a_minute_allows_is_told_so(workers: Workers) -> None:
    limits = workers.start(team(Limit("tpm", 1000)))
    with pytest.raises(RateLimited, match="more than the 1000 a minute") as caught:
        await workers.hold(limits, tokens=1001)
    assert caught.value.retry_after_s is None


async def test_calls_at_once_are_seats_that_come_back_when_a_call_ends(workers: Workers) -> None:
    limits = workers.start(team(Limit("concurrency", 2)))
    first = await workers.hold(limits)
    await workers.hold(limits)
    with pytest.raises(RateLimited) as caught:
        await workers.hold(limits)
    assert (caught.value.code, caught.value.retry_after_s) == ("concurrency_exceeded", 1)
    limits.settle(first, 0, 0)
    await workers.hold(limits)


async def test_seats_that_one_worker_needs_no_more_serve_another_after_a_tick(workers: Workers) -> None:
    one, two = (workers.start(team(Limit("concurrency", 2)), workers=2) for _ in range(2))
    holds = [await workers.hold(one) for _ in range(2)]
    for hold in holds:
        one.settle(hold, 0, 0)
    one.tick(is_sweep=False)
    await settled(one)
    assert len([await workers.hold(two) for _ in range(2)]) == 2


async def test_headers_tell_the_tightest_limit_of_each_kind(workers: Workers) -> None:
    both = (Limit("rpm", 100), Limit("tpm", 5000))
    rules = Rules([Rule("team", "retail", both), Rule("key", "*", (Limit("rpm", 3),))])
    limits = workers.start(rules)
    hold = await workers.hold(limits, tokens=700)
    assert dict(hold.headers()) == {
        b"x-ratelimit-limit-requests": b"3",
        b"x-ratelimit-remaining-requests": b"2",
        b"x-ratelimit-reset-requests": b"61s",
        b"x-ratelimit-limit-tokens": b"5000",
        b"x-ratelimit-remaining-tokens": b"4300",
        b"x-ratelimit-reset-tokens": b"61s",
    }


async def test_a_soft_limit_warns_from_its_share_of_the_cap_on(workers: Workers) -> None:
    limits = workers.start(team(usd(100 * NANO, warn_at=0.8)))
    assert (await workers.hold(limits, 79 * NANO)).warnings() == []
    (warning,) = (await workers.hold(limits, 2 * NANO)).warnings()
    assert warning == "team:retail usd/day: $81.00 of $100.00, starts anew at 2027-01-16T00:00:00Z"


async def test_one_who_stops_waiting_and_releases_leaves_nothing_held(workers: Workers) -> None:
    limits = workers.start(team(usd(100)))
    hold = limits.hold(CALLER, "m", "", (), 60, 0, NOON)
    assert not hold.is_held
    limits.release(hold)
    await settled(limits)
    await workers.hold(limits, 100)


async def test_a_changed_cap_counts_from_the_next_call_on(workers: Workers) -> None:
    limits = workers.start(team(usd(100)))
    limits.settle(await workers.hold(limits, 60), 60, 0)
    limits.use(team(usd(50)))
    with pytest.raises(RateLimited):
        await workers.hold(limits, 1)
    limits.use(team(usd(200)))
    workers.clock.now += 1
    await workers.hold(limits, 140)


async def test_all_of_a_cap_can_be_spent_however_many_workers_share_it(workers: Workers) -> None:
    crew = [workers.start(team(usd(10_000)), workers=4) for _ in range(4)]
    admitted = 0

    async def call(limits: Limits) -> None:
        nonlocal admitted
        try:
            await workers.hold(limits, 7)
        except RateLimited:
            return
        admitted += 7

    await asyncio.gather(*(call(limits) for limits in crew for _ in range(500)))
    assert 9_500 <= admitted <= 10_000


async def test_a_lease_that_nobody_uses_is_given_up_and_can_be_taken_again(workers: Workers) -> None:
    limits = workers.start(Rules([Rule("user", "*", (usd(100),))]))
    limits.settle(await workers.hold(limits, 10, user="ada"), 10, 0)
    workers.clock.now += 10
    for _ in range(2):
        limits.tick(is_sweep=True)
        await settled(limits)
    assert repr(limits) == "<Limits 0 leases, 0 calls wait>"
    limits.settle(await workers.hold(limits, 90, user="ada"), 90, 0)
    with pytest.raises(RateLimited):
        await workers.hold(limits, 1, user="ada")


async def test_a_hold_out_of_the_local_lease_takes_microseconds(workers: Workers) -> None:
    rules = Rules([Rule("key", "*", (Limit("usd", 10**15, "month"),)), Rule("team", "*", (usd(10**15),))])
    limits, idle = workers.start(rules), workers.start(Rules())
    await workers.hold(limits, 1)

    def busy() -> None:
        limits.settle(limits.hold(CALLER, "m", "", (), 1000, 10, NOON), 900, 5)

    await workers.hold(limits, 1, model="m")
    # Ten times what was measured: this catches a store asked or a rule read for every call, not a slow machine.
    assert _best(busy) < 50e-6
    assert _best(lambda: idle.hold(CALLER, "m", "", (), 1000, 10, NOON)) < 5e-6


def _best(work: Callable[[], object], count: int = 300) -> float:
    """Seconds of one call, in the fastest of ten rounds."""
    rounds = []
    for _ in range(10):
        began = perf_counter()
        for _ in range(count):
            work()
        rounds.append((perf_counter() - began) / count)
    return min(rounds)
