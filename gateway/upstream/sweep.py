"""One timer for every deadline.

A timer a request costs 0.7 us, `asyncio.timeout` 3-8 us, and a stream would need one a chunk. So each thing with a
deadline is put into a set, and a sweep goes through the set ten times a second: a deadline is noticed at most one
period late, which is below the precision that anybody asks of a timeout in seconds.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

PERIOD_S = 0.1


class Watched(Protocol):
    """Something that wants to be looked at now and then."""

    def check(self, now: float) -> None:
        """Called each period with the loop's clock (seconds, monotonic)."""


class Sweep:
    """Calls `check` of each thing that was added, each period, until it is discarded."""

    def __init__(self, loop: asyncio.AbstractEventLoop, period_s: float = PERIOD_S) -> None:
        self.loop = loop
        self._period_s = period_s
        self._watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.now = loop.time()
        self.add = self._watched.add
        self.discard = self._watched.discard

    def __len__(self) -> int:
        return len(self._watched)

    def start(self) -> None:
        """Begin to sweep."""
        self._timer = self.loop.call_later(self._period_s, self._tick)

    def stop(self) -> None:
        """Stop sweeping; nothing that is still in the set is called again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = self.loop.call_later(self._period_s, self._tick)
        now = self.now = self.loop.time()
        for watched in tuple(self._watched):
            watched.check(now)
