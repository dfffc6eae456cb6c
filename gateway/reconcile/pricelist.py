"""The price table as a comparison asks it: what a unit of a meter costs on a day, by tier and length of prompt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

from gateway.model.price import Unpriced
from gateway.pricing.meters import METERS
from gateway.pricing.table import PriceTable


class PriceList:
    """The prices of one provider, by its name in the configuration."""

    def __init__(self, table: PriceTable, provider: str) -> None:
        self._table = table
        self._provider = provider

    def rate(self, model: str, meter: str, day: int, tier: str, *, long: bool) -> Fraction | None:
        """See `Prices`. Of prices that change within a day that of noon (UTC) is taken."""
        if meter not in METERS or not model:
            return None
        noon = datetime(1970, 1, 1, 12, tzinfo=UTC) + timedelta(days=day)
        rates = self._table.rates(self._provider, model, noon, None if tier == "standard" else tier)
        if isinstance(rates, Unpriced) or (long and len(rates.levels) == 1):
            return None
        found = rates.levels[0 if long else -1].prices.get(meter)
        return None if found is None else Fraction(found, METERS[meter].per)
