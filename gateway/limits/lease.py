"""One worker's part of one budget: what it was granted, what it holds, and what it has to spare.

For every lease  granted - returned = free + held + (spent - over),  and the store has it on its books with at least
that much less what was reported. So, over all workers and at any moment,

    sum(settled) + sum(held) <= cap + sum(over)

where `over` is what providers billed beyond the ceilings that were held.

Three kinds differ in when units come back. Dollars never do within their window. Requests and tokens do 60 s after they
were let through: the lease is a share of the rate, and a worker that keeps to its share in any 60 s needs to tell
nobody. A seat (concurrency) does when its call ends. Nothing here does IO; times come in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.limits.bank import Key, Report, Standing
from gateway.limits.windows import NEVER

if TYPE_CHECKING:
    from gateway.limits.account import Account
    from gateway.limits.rules import Limit

MINUTE_S: Final = 60


class Grains:
    """The units that one second let through."""

    __slots__ = ("is_counted", "second", "units")

    def __init__(self, second: int, units: int) -> None:
        self.second = second
        self.units = units
        self.is_counted = True  # until its minute is over


@dataclass(frozen=True, slots=True)
class Glance:
    """A budget that comes near its cap, or refuses calls. `spent` and `used` are those of all workers, as last known.

    `refused_until` is when its last refusal ceased to be remembered, in epoch seconds; 0: there was none.
    """

    key: Key
    limit: Limit
    ends: int
    spent: int
    used: int
    is_near: bool
    refused_until: float


class Lease:
    """A lease of dollars, and the ground of the other two. All amounts in the units of its budget."""

    __slots__ = (
        "account",
        "barred_free",
        "barred_units",
        "barred_until",
        "ends",
        "free",
        "granted",
        "held",
        "is_dirty",
        "is_gone",
        "is_retiring",
        "key",
        "mark",
        "over",
        "queued",
        "returned",
        "slot",
        "spent",
        "standing",
        "used_at",
        "warn_below",
    )

    def __init__(self, account: Account, key: Key, ends: int, slot: int, mark: Callable[[int, int], None]) -> None:
        self.account = account
        self.key = key
        self.ends = ends
        self.slot = slot
        self.mark = mark
        self.free = self.held = self.granted = self.returned = self.spent = self.over = 0
        self.queued = 0  # calls that wait for a draw: later ones wait behind them
        self.used_at = 0.0
        self.is_dirty = False  # has something to report
        self.is_retiring = False  # asks the store to forget it
        self.is_gone = False
        self.standing = Standing(0, 0, 0)
        self.warn_below = -NEVER  # with less than this to spare, the cap comes near
        self.barred_until = 0.0  # until then the store need not be asked again for `barred_units` or more,
        self.barred_units = 0
        self.barred_free = 0  # unless more than this has become free here

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.account.id}: {self.free} free, {self.held} held, {self.spent} spent>"

    def take(self, units: int) -> Grains | None:
        """Hold units; there must be as many free."""
        self.free -= units
        self.held += units
        self.mark(self.slot, self.spent + self.held)
        return None

    def settle(self, units: int, true: int, grains: Grains | None) -> int:
        """End a hold of `units` that came to `true`; how many units it was over."""
        self.held -= units
        self.spent += true
        over = true - units
        if over > 0:
            self.over += over
            self.give_back(max(self.free - over, 0))  # the next calls shall not add to it
        else:
            self.free -= over
            over = 0
        self.mark(self.slot, self.spent + self.held)
        return over

    def sweep(self, second: int) -> None:
        """Count no longer what is a minute old. `second` by a clock that never goes back."""

    def give_back(self, keep: int) -> bool:
        """Return to the store what is to spare beyond `keep`; it is gone from here at once. Whether there was any."""
        if self.free <= keep:
            return False
        self.returned += self.free - keep
        self.free = keep
        return True

    def report(self) -> Report:
        """The totals of this moment."""
        return Report(
            self.key,
            self.account.limit.kind,
            self.account.limit.cap,
            self.ends,
            self.slot,
            self.spent,
            self.over,
            self.returned,
            self.free,
            self.is_retiring,
        )

    def learn(self, standing: Standing) -> None:
        """Take in what the store says: new grants, and how near the cap is."""
        self.free += standing.granted - self.granted
        self.granted = standing.granted
        self.standing = standing
        limit = self.account.limit
        if limit.warn_at is not None:
            self.warn_below = standing.spent + standing.leased - int(limit.warn_at * limit.cap)

    def bar(self, units: int, now: float, for_s: float) -> None:
        """Remember that the store has just refused so many units."""
        if now >= self.barred_until or units < self.barred_units:
            self.barred_units = units
        self.barred_until = now + for_s
        self.barred_free = self.free

    def is_barred(self, units: int, now: float) -> bool:
        """Whether the store would but refuse again."""
        return (
            now < self.barred_until
            and units >= self.barred_units
            and units > self.free
            and self.free <= self.barred_free
        )

    def used(self) -> int:
        """What all workers have spent and hold, as last known; what others have to spare counts as used."""
        return max(self.standing.spent + self.standing.leased - max(self.free, 0), 0)

    def glance(self) -> Glance | None:
        """How its budget stands, if that is near the cap or beyond; None as a rule."""
        is_near = self.is_near()
        if not (is_near or self.barred_until):
            return None
        limit = self.account.limit
        return Glance(self.key, limit, self.ends, self.standing.spent, self.used(), is_near, self.barred_until)

    def is_near(self) -> bool:
        """Whether what is settled has come to the share `warn_at` of the cap: what calls hold is mostly given back."""
        limit = self.account.limit
        return self.standing.spent >= (limit.cap if limit.warn_at is None else int(limit.warn_at * limit.cap))

    def is_idle(self) -> bool:
        """Whether it could end: nothing is held, waited for or to spare."""
        return not (self.held or self.queued or self.free > 0)


class Rate(Lease):
    """A share of a rate: no 60 s ever see more let through here than the share."""

    __slots__ = ("_minute", "second")

    def __init__(self, account: Account, key: Key, ends: int, slot: int, mark: Callable[[int, int], None]) -> None:
        super().__init__(account, key, ends, slot, mark)
        self._minute: deque[Grains] = deque()
        self.second = 0

    def sweep(self, second: int) -> None:
        self.second = second
        minute = self._minute
        # What was let through late in a second is a whole minute old only when 61 have begun.
        while minute and minute[0].second < second - MINUTE_S:
            grains = minute.popleft()
            grains.is_counted = False
            self.free += grains.units

    def take(self, units: int) -> Grains:
        self.free -= units
        minute = self._minute
        if minute and minute[-1].second == self.second:
            grains = minute[-1]
            grains.units += units
        else:
            grains = Grains(self.second, units)
            minute.append(grains)
        return grains

    def settle(self, units: int, true: int, grains: Grains | None) -> int:
        less = units - true
        if less and grains is not None and grains.is_counted:
            grains.units -= less
            self.free += less
        return max(-less, 0)

    def is_near(self) -> bool:
        return self.free < self.warn_below

    def is_idle(self) -> bool:
        return not (self._minute or self.queued or self.free > 0)

    def wait_s(self, units: int, second: int) -> int:
        """Seconds until so many units are free here, were nothing else let through; at most the minute."""
        free = self.free
        for grains in self._minute:
            free += grains.units
            if free >= units:
                return max(grains.second + MINUTE_S + 1 - second, 1)
        return MINUTE_S

    def full_in_s(self, second: int) -> int:
        """Seconds until nothing of what was let through counts any more."""
        return max(self._minute[-1].second + MINUTE_S + 1 - second, 0) if self._minute else 0


class Seats(Lease):
    """Seats for calls at once."""

    __slots__ = ()

    def is_near(self) -> bool:
        return self.free < self.warn_below

    def take(self, units: int) -> None:
        self.free -= units
        self.held += units

    def settle(self, units: int, true: int, grains: Grains | None) -> int:
        self.held -= units
        self.free += units
        return 0
