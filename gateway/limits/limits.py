"""Budgets and rate limits of one worker: hold before a call, settle after it, and never over a cap.

A call holds the most that it can take in every budget it falls under, all or nothing. As long as the worker's leases
(`lease.py`) have that to spare, this is a few additions, with no wait and no lock: the event loop's thread is the only
one in here. When they have not, the call joins a queue, and a thread asks the shared store for all that wait, in one
transaction; later calls on the same budgets wait behind them, so that nobody is overtaken for good.

What was settled is reported four times a second, and what is to spare beyond a slice goes back, so that no worker sits
on what another needs. A budget that has just refused is not asked again for `BAR_S`: callers who go on knocking
at a spent budget cost neither a transaction nor anybody else's time.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final
from weakref import WeakValueDictionary

import structlog

from gateway.errors import GatewayError, Unavailable
from gateway.limits.account import Account
from gateway.limits.bank import Ask, Bank, Reply, slice_of
from gateway.limits.hold import ENDED, HELD, NOTHING, PENDING, Hold
from gateway.limits.lease import Glance, Lease
from gateway.limits.refusal import refusal, unpriced
from gateway.limits.rules import KeyTerms, Rules, Term
from gateway.model.caller import Caller

TICK_S: Final = 0.25
SWEEP_TICKS: Final = 8
"""Every so many ticks all leases are looked at, and those that nobody used since give back all they have to spare."""
BAR_S: Final = 0.2
PLANS: Final = 10_000
"""Kinds of call whose budgets are remembered: a key and a model, and a user and tags where rules name some."""
BATCH: Final = 1000
"""Calls answered by one transaction."""
GLANCES: Final = 1000
"""Leases that ended near their cap and are remembered until the next `survey`, the latest."""

_log = structlog.get_logger("gateway.limits")

Plan = tuple[Account, ...]


class Limits:
    """What the calls of this worker may still take.

    `own` gives a key's own limits by its id. `workers` is how many share the bank. `clock` is epoch seconds for what
    runs in the background, `monotonic` the seconds that rates are measured in.
    """

    def __init__(
        self,
        bank: Bank,
        rules: Rules,
        own: Callable[[str], KeyTerms | None],
        *,
        workers: int = 1,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bank = bank
        self._rules = rules
        self._own = own
        self._workers = workers
        self._clock = clock
        self._monotonic = monotonic
        self._plans: dict[tuple[object, ...], Plan] = {}
        self._accounts: WeakValueDictionary[str, Account] = WeakValueDictionary()
        self._leases: set[Lease] = set()
        self._glances: deque[Glance] = deque(maxlen=GLANCES)
        self._dirty: list[Lease] = []
        self._queue: deque[Hold] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._is_failing = False
        self._thread = ThreadPoolExecutor(1, "gateway-limits")
        self.overrun_nano = 0  # what providers billed beyond what was held, since this worker began

    def __repr__(self) -> str:
        return f"<Limits {len(self._leases)} leases, {len(self._queue)} calls wait>"

    # For every call

    def hold(
        self,
        caller: Caller,
        model: str,
        user: str,
        tags: Sequence[str],
        ceiling_nano: int | None,
        ceiling_tokens: int,
        now: float,
    ) -> Hold:
        """Hold the most that a call can cost and take: nano-dollars (None: no price), and tokens of both directions.

        `tags` read `name=value`; `now` is epoch seconds. If the hold is not `is_held`, it has to be awaited before the
        call is made. Raises `RateLimited`, and `Forbidden` (model_unpriced) for a call without a price under a budget
        of dollars.
        """
        rules = self._rules
        if rules.asks_user or rules.asks_tags:
            kind: tuple[object, ...] = (
                caller.key_id,
                model,
                user if rules.asks_user else "",
                tuple(tags) if rules.asks_tags else (),
            )
        else:
            kind = (caller.key_id, model)
        plan = self._plans.get(kind)
        if plan is None:
            plan = self._make_plan(kind, caller, model, user, tags, now)
        if not plan:
            return NOTHING
        return self._hold(plan, model, ceiling_nano, ceiling_tokens, now)

    def settle(self, hold: Hold, cost_nano: int | None, tokens: int) -> int:
        """End a hold with what the call cost and took; nano-dollars that it cost beyond its ceiling, 0 as a rule.

        With None for the cost, since nobody knows it, all that was held counts as spent. Tokens count at once.
        """
        if hold.state != HELD or not hold.parts:
            self.release(hold)
            return 0
        return self._end(hold, cost_nano, 1, tokens)

    def release(self, hold: Hold) -> None:
        """End the hold of a call that was not made: it cost and took nothing."""
        if hold.state == PENDING:
            hold.drop()
        elif hold.state == HELD and hold.parts:
            self._end(hold, 0, 0, 0)

    def survey(self) -> list[Glance]:
        """The budgets near their caps or refusing calls, as this worker knows them; those of leases that have ended
        are told once. Some 0.3 us a lease."""
        ended = list(self._glances)
        self._glances.clear()
        return ended + [glance for lease in self._leases if (glance := lease.glance()) is not None]

    def dollars_of(self, caller: Caller) -> str | None:
        """Whose budget of dollars limits what `caller` spends, on any model; None if nobody's."""
        terms = self._rules.terms(caller, "", "", (), self._own(caller.key_id))
        return next((term.subject for term in terms if term.limit.kind == "usd"), None)

    # The configuration

    def use(self, rules: Rules) -> None:
        """Follow a changed configuration, from the next call on."""
        self._rules = rules
        self.forget()

    def forget(self) -> None:
        """Find out anew which budgets calls fall under: keys have changed."""
        self._plans.clear()

    # The background

    async def run(self) -> None:
        """Report and give back until cancelled."""
        ticks = 0
        while True:
            await asyncio.sleep(TICK_S)
            ticks += 1
            self.tick(is_sweep=ticks % SWEEP_TICKS == 0)

    def tick(self, *, is_sweep: bool) -> None:
        """Have the store told what is new, if anything is; in a sweep, of all leases."""
        now, second = self._clock(), int(self._monotonic())
        for lease in self._leases if is_sweep else tuple(self._dirty):
            self._trim(lease, now, second, is_sweep=is_sweep)
        if self._dirty:
            self._wake()

    async def close(self) -> None:
        """Tell the store everything, give everything back, and end. What is still held will count as spent."""
        for hold in self._queue:
            hold.refuse(Unavailable("The gateway is shutting down; send the request again.", retry_after_s=1))
        if self._pump is not None:
            await asyncio.wait([self._pump])
        for lease in self._leases:
            lease.sweep(2**62)
            lease.give_back(0)
            self._note(lease)
        with suppress(GatewayError):
            await self._exchange([])
        self._thread.shutdown(wait=True)
        self._bank.close()

    # Inside

    def _hold(self, plan: Plan, model: str, nano: int | None, tokens: int, now: float) -> Hold:
        # A call without a price keeps one nano-dollar, so that its lease is there when its cost, if any, is known.
        needs = (1 if nano is None else nano, 1, tokens, 1)
        parts = []
        is_short = False
        second = -1
        for account in plan:
            lease = account.lease
            if lease.is_gone or now >= lease.ends:
                lease = account.renew(now)
            if account.is_rate:
                if second < 0:
                    second = int(self._monotonic())
                lease.sweep(second)
            elif nano is None and account.unit == 0 and not account.limit.allow_unpriced:
                raise unpriced(account.subject, account.limit, model)
            units = needs[account.unit]
            if units > lease.free or lease.queued:
                is_short = True
            lease.used_at = now
            parts.append((lease, units))
        hold = Hold(self, parts, now)
        if is_short:
            self._join(hold, second)
        else:
            hold.take()
        return hold

    def _end(self, hold: Hold, cost_nano: int | None, requests: int, tokens: int) -> int:
        hold.state = ENDED
        overrun = 0
        for (lease, units), grains in zip(hold.parts, hold.grains, strict=True):
            unit = lease.account.unit
            if unit == 0:
                over = lease.settle(units, units if cost_nano is None else cost_nano, grains)
                overrun = over if over > overrun else overrun
            else:
                lease.settle(units, tokens if unit == 2 else requests, grains)
            if not (lease.is_dirty or lease.account.is_rate):  # of a rate the store hears when something goes back
                self._note(lease)
        self.overrun_nano += overrun
        return overrun

    def _make_plan(
        self, kind: tuple[object, ...], caller: Caller, model: str, user: str, tags: Sequence[str], now: float
    ) -> Plan:
        terms = self._rules.terms(caller, model, user, tags, self._own(caller.key_id))
        plan = tuple(self._account(term, now) for term in terms)
        if len(self._plans) >= PLANS:
            del self._plans[next(iter(self._plans))]
        self._plans[kind] = plan
        return plan

    def _account(self, term: Term, now: float) -> Account:
        account = self._accounts.get(term.id)
        if account is None:
            account = self._accounts[term.id] = Account(term, self._bank, self._leases.add, now)
        elif account.limit != term.limit:
            account.change(term.limit)
            account.lease.give_back(0)
            self._note(account.lease)
        return account

    def _note(self, lease: Lease) -> None:
        if not lease.is_dirty:
            lease.is_dirty = True
            self._dirty.append(lease)

    def _trim(self, lease: Lease, now: float, second: int, *, is_sweep: bool) -> None:
        """Give back what the lease need not keep; mark it if the store has to hear of it."""
        lease.sweep(second)
        if lease.queued:
            return
        limit = lease.account.limit
        idle = is_sweep and now - lease.used_at > SWEEP_TICKS * TICK_S
        left = limit.cap - lease.standing.spent - lease.standing.leased + lease.free
        keep = 0 if idle or now >= lease.ends else slice_of(limit.kind, limit.cap, left, self._workers)
        gave = lease.give_back(keep)
        if idle and lease.is_idle():
            lease.is_retiring = True
        if gave or lease.is_retiring:
            self._note(lease)

    def _join(self, hold: Hold, second: int) -> None:
        for lease, units in hold.parts:
            if units > lease.account.limit.cap or lease.is_barred(units, hold.now):
                hold.state = ENDED
                raise refusal(lease, units, hold.now, second)
        hold.wait(asyncio.get_running_loop())
        for lease, _ in hold.parts:
            lease.queued += 1
            lease.is_retiring = False
        self._queue.append(hold)
        self._wake()

    def _wake(self) -> None:
        if self._pump is None:
            self._pump = asyncio.get_running_loop().create_task(self._run_pump())

    async def _run_pump(self) -> None:
        try:
            is_first = True  # with nobody waiting there may still be something to report
            while self._queue or is_first:
                is_first = False
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH))]
                try:
                    await self._answer(batch)
                except Exception as error:  # whatever it is, nobody may be left waiting; reports go with the next tick
                    self._fail(batch, error)
        finally:
            self._pump = None

    async def _answer(self, batch: list[Hold]) -> None:
        try:
            waiting = [hold for hold in batch if hold.state == PENDING]
            for lease in dict.fromkeys(lease for hold in waiting for lease, _ in hold.parts):
                self._note(lease)
            reply = await self._exchange([[(lease.key, units) for lease, units in hold.parts] for hold in waiting])
            second = int(self._monotonic())
            for hold, answer in zip(waiting, reply.answers, strict=True):
                if hold.state != PENDING:
                    continue  # nobody waits any more
                if answer is None:
                    for lease, _ in hold.parts:
                        lease.sweep(second)
                    hold.take()
                    continue
                lease, units = next((lease, units) for lease, units in hold.parts if lease.key == answer)
                lease.bar(units, hold.now, BAR_S)
                hold.refuse(refusal(lease, units, hold.now, second))
        finally:
            for hold in batch:
                for lease, _ in hold.parts:
                    lease.queued -= 1

    async def _exchange(self, asks: list[Ask]) -> Reply:
        """One transaction: all that is to be reported, and these asks."""
        told, self._dirty = self._dirty, []
        for lease in told:
            lease.is_dirty = False
        reports = [lease.report() for lease in told]
        try:
            reply = await asyncio.get_running_loop().run_in_executor(
                self._thread, self._bank.exchange, self._clock(), reports, asks
            )
        except BaseException:
            for lease in told:
                self._note(lease)
            raise
        self._is_failing = False
        for lease, report in zip(told, reports, strict=True):
            standing = reply.standings.get(lease.key)
            if standing is not None:
                lease.learn(standing)
            if report.is_over:
                self._end_lease(lease)
        return reply

    def _end_lease(self, lease: Lease) -> None:
        """The store has forgotten it; should somebody wait for it, the next ask begins it anew."""
        lease.is_retiring = False
        if lease.is_idle() and not lease.is_dirty:
            lease.is_gone = True
            self._leases.discard(lease)
            if (glance := lease.glance()) is not None:
                self._glances.append(glance)
            self._bank.free_slot(lease.slot)

    def _fail(self, batch: list[Hold], error: Exception) -> None:
        if not self._is_failing:  # one line an outage
            self._is_failing = True
            _log.error("budgets_unreachable", error=str(error) if isinstance(error, GatewayError) else repr(error))
        for hold in batch:
            if hold.state == PENDING:
                hold.refuse(
                    error
                    if isinstance(error, GatewayError)
                    else Unavailable("The budgets cannot be read now; try again.", retry_after_s=1)
                )
