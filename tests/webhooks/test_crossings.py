"""A budget that comes near its cap or refuses is seen from the leases of real workers, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.limits import Limit, Limits, RateLimited, Rule, Rules
from gateway.webhooks import BudgetWatch, Event
from tests.limits.conftest import NOON, Workers, settled, workers

__all__ = ["workers"]  # the fixture


class Emitter:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.is_on = True
        self.events: list[Event] = []

    @property
    def seen(self) -> set[str]:
        return {event.key for event in self.events}

    def emit(self, event: Event) -> bool:
        self.events.append(event)
        return True

    def types(self) -> list[str]:
        return [event.type for event in self.events]


def team(*limits: Limit) -> Rules:
    return Rules([Rule("team", "retail", limits)])


async def told(limits: Limits) -> None:
    """The store hears, as it does four times a second."""
    limits.tick(is_sweep=True)
    await settled(limits)


async def spend(workers: Workers, limits: Limits, units: int, ceiling: int | None = None) -> None:
    limits.settle(await workers.hold(limits, ceiling or units), units, 0)
    await told(limits)


async def test_a_budget_is_told_of_once_when_it_reaches_warn_at_and_once_when_it_refuses(workers: Workers) -> None:
    limits = workers.start(team(Limit("usd", 1000, "day", warn_at=0.8)))
    emitter = Emitter()
    watch = BudgetWatch(limits.survey, emitter, clock=workers.clock)
    await spend(workers, limits, 799)
    watch.look()
    assert emitter.events == []
    await spend(workers, limits, 1)
    watch.look()
    watch.look()
    assert emitter.types() == ["budget.warning"]
    with pytest.raises(RateLimited):
        await workers.hold(limits, 500)
    watch.look()
    watch.look()
    assert emitter.types() == ["budget.warning", "budget.exceeded"]
    assert emitter.events[0].key == "budget.warning:team:retail usd/day:2027-01-15:0.000001"


async def test_a_ceiling_that_is_held_does_not_warn(workers: Workers) -> None:
    limits = workers.start(team(Limit("usd", 1000, "day", warn_at=0.8)))
    emitter = Emitter()
    hold = await workers.hold(limits, 900)
    await told(limits)
    assert hold.warnings()  # the header tells of it
    BudgetWatch(limits.survey, emitter, clock=workers.clock).look()
    assert emitter.events == []
    limits.settle(hold, 10, 0)


async def test_the_last_call_of_a_lease_that_ends_with_it_is_seen(workers: Workers) -> None:
    limits = workers.start(team(Limit("usd", 1000, "day", warn_at=0.8)))
    emitter = Emitter()
    hold = await workers.hold(limits, 900)
    workers.clock.now += 60
    limits.settle(hold, 900, 0)
    await told(limits)
    workers.clock.now += 60
    await told(limits)
    assert repr(limits) == "<Limits 0 leases, 0 calls wait>"
    BudgetWatch(limits.survey, emitter, clock=workers.clock).look()
    assert emitter.types() == ["budget.warning"]
    assert limits.survey() == []


async def test_workers_that_see_the_same_make_the_same_event_with_what_all_have_spent(workers: Workers) -> None:
    rules = team(Limit("usd", 10_000, "day", warn_at=0.8))
    one, other = workers.start(rules, workers=2), workers.start(rules, workers=2)
    await spend(workers, one, 5000)
    await spend(workers, other, 4000)
    await spend(workers, one, 1)
    emitters = [Emitter(), Emitter()]
    for limits, emitter in zip((one, other), emitters, strict=True):
        BudgetWatch(limits.survey, emitter, clock=workers.clock).look()
    ids = [[event.id for event in emitter.events] for emitter in emitters]
    assert ids[0] == ids[1] != []
    assert b'"spent":"0.000009' in emitters[0].events[0].body()


async def test_without_warn_at_only_the_end_is_told(workers: Workers) -> None:
    limits = workers.start(team(Limit("usd", 1000, "day")))
    emitter = Emitter()
    watch = BudgetWatch(limits.survey, emitter, clock=workers.clock)
    await spend(workers, limits, 999)
    watch.look()
    assert emitter.events == []
    await spend(workers, limits, 1)
    watch.look()
    assert emitter.types() == ["budget.exceeded"]


async def test_a_rate_is_told_of_once_an_hour(workers: Workers) -> None:
    limits = workers.start(team(Limit("rpm", 10, warn_at=0.5)))
    emitter = Emitter()
    watch = BudgetWatch(limits.survey, emitter, clock=workers.clock)
    for _ in range(10):
        await workers.hold(limits)
    await told(limits)
    watch.look()
    assert emitter.types() == ["budget.warning"]
    with pytest.raises(RateLimited):
        await workers.hold(limits)
    watch.look()
    workers.clock.now = NOON + 1800
    watch.look()
    assert emitter.types() == ["budget.warning", "budget.exceeded"]


async def test_nobody_looks_while_nobody_wants_to_know(workers: Workers, tmp_path: Path) -> None:
    limits = workers.start(team(Limit("usd", 1000, "day")))
    await spend(workers, limits, 1000)
    emitter = Emitter()
    emitter.is_on = False
    BudgetWatch(limits.survey, emitter, clock=workers.clock).look()
    assert emitter.events == []
