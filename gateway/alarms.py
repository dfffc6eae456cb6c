"""What somebody should hear of without looking: budgets that run out, an old price list, a ledger that refuses.

Looks once a second at what is known anyway, so nothing here is on the path of a call. Who hears of it is for the
section `webhooks` to say; deliveries are counted where the rest is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Final

from gateway.config.webhooks import endpoints
from gateway.ledger import Ledger
from gateway.limits import Limits
from gateway.pricing.catalogue import MAX_AGE
from gateway.telemetry.metrics import Metrics
from gateway.upstreams import View
from gateway.webhooks import BudgetWatch, Event, Webhooks
from gateway.webhooks.events import EventType, calls_unpriced, ledger_recovered, ledger_unavailable, prices_stale
from gateway.webhooks.observer import End
from gateway.webhooks.sender import Outcome

LOOK_S: Final = 1.0


class Alarms:
    """One worker's. `unpriced` gives (provider, model) of calls that had no price since it was last asked."""

    def __init__(
        self,
        url: str,
        view: Callable[[], View],
        ledger: Ledger,
        limits: Limits,
        metrics: Metrics,
        clock: Callable[[], float],
        unpriced: Callable[[], Iterator[tuple[str, str]]],
    ) -> None:
        self._view = view
        self._ledger = ledger
        self._clock = clock
        self._unpriced = unpriced
        self._outage = 0.0  # since when the ledger refuses, in epoch seconds; 0 while it does not
        self.webhooks = Webhooks(url, endpoints(view().snapshot.settings.webhooks), observer=_Counted(metrics))
        self._budgets = BudgetWatch(limits.survey, self.webhooks)

    async def run(self) -> None:
        """Look until cancelled."""
        await asyncio.gather(self.webhooks.run(), self._budgets.run(), self._look())

    def use(self, view: View) -> None:
        """Follow a changed configuration."""
        self.webhooks.use(endpoints(view.snapshot.settings.webhooks))

    def warnings(self) -> dict[str, str]:
        """What somebody should look at, by part."""
        found = dict(self.webhooks.state().warnings)
        days = self._stale_days(self._clock())
        if days:
            found["prices"] = f"the price catalogue is {days} days old; `prices.catalogue` takes a newer one"
        return found

    async def close(self) -> None:
        """Write down what is not told yet."""
        await self.webhooks.close()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            now = self._clock()
            for event in chain(self._of_ledger(now), self._of_prices(now)):
                self.webhooks.emit(event)

    def _of_ledger(self, now: float) -> Iterator[Event]:
        error = self._ledger.state().error
        if error and not self._outage:
            self._outage = now
            yield ledger_unavailable(now, now, error)
        elif not error and self._outage:
            yield ledger_recovered(now, self._outage)
            self._outage = 0.0

    def _of_prices(self, now: float) -> Iterator[Event]:
        prices = self._view().snapshot.prices
        days = self._stale_days(now)
        if days and prices.catalogue is not None and prices.checked is not None:
            yield prices_stale(now, prices.catalogue.name, prices.checked.isoformat(), days)
        for provider, model in self._unpriced():
            yield calls_unpriced(now, provider, model)

    def _stale_days(self, now: float) -> int:
        """How old the catalogue is if that is worth an alarm, else 0."""
        age = self._view().snapshot.prices.age(datetime.fromtimestamp(now, UTC).date())
        return age.days if age is not None and age > MAX_AGE else 0


class _Counted:
    """Implements `webhooks.observer.Observer`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def emitted(self, type: EventType) -> None:
        self._metrics.webhook_events.labels(type=type).inc()

    def attempted(self, type: EventType, outcome: Outcome) -> None:
        self._metrics.webhook_attempts.labels(type=type, outcome=outcome).inc()

    def ended(self, type: EventType, end: End) -> None:
        self._metrics.webhook_deliveries.labels(type=type, end=end).inc()
