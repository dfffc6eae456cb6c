"""Sees that a budget comes near its cap, or refuses calls, from the leases that a worker has anyway.

Nothing is added to a call: once a second the leases are looked through. Every worker does so, and whoever settles the
call that crosses the line hears the new sum from the store within a quarter of a second; that several see it does no
harm, because they make the same event (`events.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final, Protocol

from gateway.limits.lease import Glance
from gateway.webhooks.events import BudgetEvent, Event, budget_event

LOOK_S: Final = 1.0


class Emitter(Protocol):
    """Who takes events; `Webhooks` does."""

    @property
    def is_on(self) -> bool:
        """Whether anybody wants events at all."""

    @property
    def seen(self) -> Collection[str]:
        """Keys of events that it has."""

    def emit(self, event: Event) -> bool:
        """Take it; False if there is no room."""


class BudgetWatch:
    """Emits what the leases of one worker show; `survey` is that of its `Limits`."""

    def __init__(
        self, survey: Callable[[], Iterable[Glance]], emitter: Emitter, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._survey = survey
        self._emitter = emitter
        self._clock = clock

    async def run(self) -> None:
        """Look once a second until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Look now."""
        if self._emitter.is_on:
            for event in crossings(self._survey(), self._emitter.seen, self._clock()):
                self._emitter.emit(event)


def crossings(glances: Iterable[Glance], seen: Collection[str], now: float) -> Iterator[Event]:
    """The events of these budgets whose keys were not `seen`. `now` in epoch seconds.

    `budget.warning` means that `warn_at` is reached, `budget.exceeded` that the store has refused a call, or that the
    cap is spent.
    """
    for glance in glances:
        is_usd = glance.limit.kind == "usd"
        if glance.is_near and glance.limit.warn_at is not None:
            yield from _unseen(_event("budget.warning", glance, now), seen)
        if glance.refused_until or (is_usd and glance.spent >= glance.limit.cap):
            # Of a rate the hour counts in which it last refused, not the one in which that is still remembered.
            at = now if is_usd else min(glance.refused_until, now)
            yield from _unseen(_event("budget.exceeded", glance, at), seen)


def _unseen(event: Event, seen: Collection[str]) -> Iterator[Event]:
    if event.key not in seen:
        yield event


def _event(type: BudgetEvent, glance: Glance, at: float) -> Event:
    id, starts = glance.key
    limit = glance.limit
    return budget_event(
        type,
        at,
        id=id,
        kind=limit.kind,
        cap=limit.cap,
        spent=glance.spent,
        held=max(glance.used - glance.spent, 0),
        warn_at=limit.warn_at,
        starts=starts,
        ends=glance.ends,
    )
