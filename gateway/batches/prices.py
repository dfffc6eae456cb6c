"""What each model of a batch cost, at the batch price of the moment in which the batch ended.

A long-context price holds for a request, not for the batch: a million short prompts are not one long one. So requests
are summed up by the level of price that each of them reaches, and each sum is priced at its level.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from msgspec.structs import replace as changed

from gateway.model.price import Cost, Rates, Unpriced, UsageError
from gateway.model.usage import Usage
from gateway.pricing.cost import meter
from gateway.pricing.meters import TOKENS
from gateway.pricing.table import PriceTable

TIER: Final = "batch"
_NOT_IN_TOTALS: Final = frozenset({*TOKENS, "requests"}) - {"input", "cache_read", "output", "reasoning"}
_COUNTS: Final = tuple(name for name in Usage.__struct_fields__ if name != "source")


Levels = dict[int, tuple[Usage, int]]
"""What was used at each level of price, by the input above which it holds, and by how many requests."""


@dataclass(frozen=True, slots=True)
class Used:
    """One model's part of a batch. `is_guess`: not all that it used is known."""

    model: str
    usage: Usage | None
    cost: Cost
    is_guess: bool = False


class Bill:
    """Sums up requests with `add`. `at` is an aware time; `provider` is the configuration's name."""

    def __init__(self, table: PriceTable, provider: str, at: datetime) -> None:
        self.version = table.version
        self._table = table
        self._provider = provider
        self._at = at
        self._sums: dict[str, Levels] = {}

    def __repr__(self) -> str:
        return f"<Bill of {self._provider}, {len(self._sums)} models>"

    def is_told_by_totals(self, model: str) -> bool:
        """Whether the sum of a whole batch gives its price.

        It does not where a request has a price by its length, or by its number, or a meter of its own that the sum is
        silent about: cache writes, audio, images.
        """
        rates = self._rates(model)
        if isinstance(rates, Unpriced):
            return True
        return len(rates.levels) == 1 and not rates.levels[0].prices.keys() & _NOT_IN_TOTALS

    def add(self, model: str, usage: Usage) -> None:
        """Count one request."""
        rates = self._rates(model)
        above = rates.level(usage.input_tokens).above if isinstance(rates, Rates) else -1
        levels = self._sums.setdefault(model, {})
        before, count = levels.get(above, (Usage(), 0))
        levels[above] = _sum(before, usage), count + 1

    def used(self, *, is_guess: bool = False) -> list[Used]:
        """What every model used and cost, in the order of their names."""
        return [self._used(model, levels, is_guess) for model, levels in sorted(self._sums.items())]

    def guess(self, model: str, usage: Usage | None, why: str) -> Used:
        """A whole batch of which only the sum is known, if that: at the price of short requests, or none."""
        if usage is None or not model:
            return Used(model, usage, Cost(None, unpriced=why), is_guess=True)
        lowest = -1
        rates = self._rates(model)
        if isinstance(rates, Rates):
            lowest = rates.levels[-1].above
        return self._used(model, {lowest: (usage, 1)}, is_guess=True)

    def _used(self, model: str, levels: Levels, is_guess: bool) -> Used:
        rates = self._rates(model)
        total = Usage()
        costs = []
        for above, (usage, count) in sorted(levels.items(), key=lambda item: item[0]):
            total = _sum(total, usage)
            costs.append(_cost(rates, above, usage, count))
        unpriced = next((cost.unpriced for cost in costs if cost.nano_usd is None), None)
        nano = None if unpriced is not None else sum(cost.known_nano_usd for cost in costs)
        lines = tuple(line for cost in costs for line in cost.lines)
        return Used(model, total, Cost(nano, lines, costs[0].source, unpriced), is_guess)

    def _rates(self, model: str) -> Rates | Unpriced:
        return self._table.rates(self._provider, model, self._at, TIER)


def _cost(rates: Rates | Unpriced, above: int, usage: Usage, count: int) -> Cost:
    if isinstance(rates, Unpriced):
        return Cost(None, unpriced=rates.reason)
    (level,) = (level for level in rates.levels if level.above == above)
    units = {"requests": count} if "requests" in level.prices else None
    try:
        return meter(replace(rates, levels=(changed(level, above=-1),)), usage, units)
    except UsageError as error:
        return Cost(None, unpriced=f"the count cannot be true: {error}")


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(**{name: getattr(one, name) + getattr(other, name) for name in _COUNTS})
