"""What a worker's leases show of budgets near their caps, at no cost to calls."""

from __future__ import annotations

import pytest

from gateway.limits import Limit, RateLimited, Rule, Rules
from tests.limits.conftest import Workers, settled


async def test_only_budgets_near_their_cap_or_refusing_are_shown(workers: Workers) -> None:
    limits = workers.start(Rules([Rule("team", "retail", (Limit("usd", 1000, "day", warn_at=0.5),))]))
    limits.settle(await workers.hold(limits, 499), 499, 0)
    limits.tick(is_sweep=False)
    await settled(limits)
    assert limits.survey() == []
    with pytest.raises(RateLimited):
        await workers.hold(limits, 600)
    (glance,) = limits.survey()
    assert (glance.key[0], glance.spent, glance.is_near) == ("team:retail usd/day", 499, False)
    assert glance.refused_until > workers.clock.now
    limits.settle(await workers.hold(limits, 1), 1, 0)
    limits.tick(is_sweep=False)
    await settled(limits)
    (glance,) = limits.survey()
    assert (glance.spent, glance.is_near) == (500, True)


async def test_a_lease_that_has_ended_is_shown_once_more(workers: Workers) -> None:
    limits = workers.start(Rules([Rule("team", "retail", (Limit("usd", 10, "day"),))]))
    limits.settle(await workers.hold(limits, 10), 10, 0)
    workers.clock.now += 60
    limits.tick(is_sweep=True)
    await settled(limits)
    assert repr(limits) == "<Limits 0 leases, 0 calls wait>"
    assert [(glance.spent, glance.used) for glance in limits.survey()] == [(10, 10)]
    assert limits.survey() == []
