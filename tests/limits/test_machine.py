"""Whatever several workers do, and whenever they are killed: no budget is overshot, and every nano-dollar is found.

The model beside them keeps its own books: what was settled, what is held, and what dead workers held, which a provider
may bill.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from gateway.limits import Hold, Limit, Limits, RateLimited, Rule, Rules
from gateway.store.leases import list_budgets
from tests.limits.conftest import CALLER, Workers, settled

CAP = 1000
SEATS = 6
RULES = Rules(
    [
        Rule("team", "retail", (Limit("usd", CAP, "total"), Limit("concurrency", SEATS))),
        Rule("user", "*", (Limit("usd", CAP // 3, "total"), Limit("tpm", CAP // 4))),
    ]
)
CREW = 3


class Call:
    """A call as the model knows it."""

    def __init__(self, limits: Limits, hold: Hold, user: str, ceiling: int) -> None:
        self.limits = limits
        self.hold = hold
        self.user = user
        self.ceiling = ceiling
        self.admitted = (0.0, "", 0)


class Machine(RuleBasedStateMachine):
    """Workers that call, settle, release, tick and die in any order."""

    calls: Bundle[Call] = Bundle("calls")

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.workers = Workers(Path(self.folder.name))
        self.crew = [self.workers.start(RULES, workers=CREW) for _ in range(CREW)]
        self.open: list[Call] = []
        self.spent = {"a": 0, "b": 0}
        self.over = {"a": 0, "b": 0}
        self.lost = {"a": 0, "b": 0}
        self.has_killed = False
        self.admitted: list[tuple[float, str, int]] = []

    def wait(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @rule(target=calls, worker=st.integers(0, CREW - 1), user=st.sampled_from("ab"), ceiling=st.integers(1, 90))
    def call(self, worker: int, user: str, ceiling: int) -> Call:
        limits = self.crew[worker]
        hold = Hold(None, [], 0.0)
        try:
            hold = self.wait(self.workers.hold(limits, ceiling, ceiling, caller=CALLER, user=user))
        except RateLimited:
            return Call(limits, hold, user, 0)
        call = Call(limits, hold, user, ceiling)
        self.open.append(call)
        call.admitted = (self.workers.monotonic.now, user, ceiling)
        self.admitted.append(call.admitted)
        return call

    @rule(call=consumes(calls), share=st.sampled_from([0.0, 0.3, 1.0, 1.0, 1.5]))
    def settle(self, call: Call, share: float) -> None:
        if call in self.open:
            cost = int(call.ceiling * share)
            over = call.limits.settle(call.hold, cost, call.ceiling)
            assert over == max(cost - call.ceiling, 0)
            self.open.remove(call)
            self.spent[call.user] += cost
            self.over[call.user] += over

    @rule(call=consumes(calls))
    def release(self, call: Call) -> None:
        if call in self.open:
            call.limits.release(call.hold)
            self.open.remove(call)
            self.admitted.remove(call.admitted)

    @rule(worker=st.integers(0, CREW - 1), is_sweep=st.booleans(), seconds=st.sampled_from([0.3, 3.0, 40.0]))
    def tick(self, worker: int, is_sweep: bool, seconds: float) -> None:
        self.workers.clock.now += seconds
        self.workers.monotonic.now += seconds

        async def work() -> None:
            self.crew[worker].tick(is_sweep=is_sweep)
            await settled(self.crew[worker])

        self.wait(work())

    @rule(worker=st.integers(0, CREW - 1))
    def kill(self, worker: int) -> None:
        dead = self.crew[worker]
        self.has_killed = True
        self.wait(self.workers.kill(dead))
        for call in [call for call in self.open if call.limits is dead]:
            self.open.remove(call)
            self.lost[call.user] += call.ceiling
        self.crew[worker] = self.workers.start(RULES, workers=CREW)

    @invariant()
    def no_budget_is_overshot(self) -> None:
        for user in "ab":
            held = sum(call.ceiling for call in self.open if call.user == user)
            assert self.spent[user] + self.lost[user] + held <= CAP // 3 + self.over[user]
        held = sum(call.ceiling for call in self.open)
        assert sum(self.spent.values()) + sum(self.lost.values()) + held <= CAP + sum(self.over.values())
        assert len(self.open) <= SEATS

    @invariant()
    def no_minute_sees_more_tokens_than_allowed(self) -> None:
        since = self.workers.monotonic.now - 60
        for user in "ab":
            assert sum(units for at, who, units in self.admitted if at > since and who == user) <= CAP // 4

    @invariant()
    def the_store_keeps_to_its_invariant(self) -> None:
        for one in list_budgets(self.workers.url):
            assert one.spent - one.overrun + one.held <= one.cap or one.kind == "tpm"  # ghosts that faded still show

    def teardown(self) -> None:
        for call in self.open:
            call.limits.release(call.hold)
        self.wait(self.workers.close())
        found = {one.id: one for one in list_budgets(self.workers.url)}
        self.loop.close()
        self.folder.cleanup()
        for user in "ab":
            if (one := found.get(f"user:{user} usd/total")) is not None:
                assert one.spent == self.spent[user] + self.lost[user], "to the nano-dollar"
                assert one.held == 0
                # What a dead worker had not reported of its overruns shows only beyond what its lease had to spare.
                assert one.overrun == self.over[user] or (self.has_killed and one.overrun < self.over[user])


Machine.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestMachine = Machine.TestCase
