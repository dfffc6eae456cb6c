"""The price table: contracts before corrections before the catalogue, frozen together and looked up in 0.3 us.

Its meaning never changes, so one belongs to a snapshot of the configuration; only what was resolved is remembered, for
each deployment until the span over which its price holds has passed. Nothing already booked is ever looked up again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta

from gateway.model.price import Rates, Unpriced
from gateway.pricing.catalogue import Catalogue, day, tier_of
from gateway.pricing.contracts import Book, Row

MEMORY = 10_000
"""Deployments remembered. A pattern lets clients name models, so there can be any number; over it all are forgotten."""

_Key = tuple[str, str, str | None, str | None]


class PriceTable:
    """What every deployment costs at any time.

    `providers` maps the configuration's names to the catalogue's ids (`Catalogue.provider_id`); one that is missing or
    `None` is priced by contracts alone. `catalogue` `None` does without. `regions` says where providers serve.
    """

    def __init__(
        self,
        contracts: Book,
        corrections: Book,
        catalogue: Catalogue | None,
        providers: Mapping[str, str | None],
        regions: Mapping[str, str] | None = None,
    ) -> None:
        self.contracts = contracts
        self.corrections = corrections
        self.catalogue = catalogue
        self.providers = dict(providers)
        self.regions = dict(regions or {})
        self.digest = _digest(self)
        self.version = f"{catalogue.name if catalogue else 'no catalogue'} / {self.digest[:12]}"
        """A short name for the ledger: the catalogue and the digest of everything."""
        self._known: dict[_Key, Rates | Unpriced] = {}

    def __repr__(self) -> str:
        return f"<PriceTable {self.version}, {len(self.contracts.rows)} contracts>"

    @property
    def checked(self) -> date | None:
        """The day on which the catalogue's newest row was checked."""
        return self.catalogue.checked if self.catalogue else None

    def age(self, today: date) -> timedelta | None:
        """How old the catalogue is; `catalogue.MAX_AGE` is worth an alarm."""
        return self.catalogue.age(today) if self.catalogue else None

    def rates(
        self,
        provider: str,
        model: str,
        at: datetime,
        tier: str | None = None,
        region: str | None = None,
    ) -> Rates | Unpriced:
        """What `model` of `provider`, by the configuration's name, costs at an aware time.

        `tier` is the tier of service in the provider's word, as its reply names it; `None` is the standard one.
        `region` is that of the provider unless it is given.
        """
        region = region or self.regions.get(provider)
        key = (provider, model, tier, region)
        found = self._known.get(key)
        if found is not None and found.valid_from <= at < found.valid_until:
            return found
        found = self._resolve(provider, model, at, tier_of(tier), region)
        if len(self._known) >= MEMORY:
            self._known.clear()
        self._known[key] = found
        return found

    def unpriced(self, deployments: Iterable[tuple[str, str]], at: datetime) -> list[tuple[str, str, str]]:
        """Of (provider, model), those without a standard price at that time, each with the reason.

        Patterns are left out: what they stand for is not known before a call.
        """
        found = []
        for provider, model in deployments:
            if "*" not in model and isinstance(rates := self.rates(provider, model, at), Unpriced):
                found.append((provider, model, rates.reason))
        return found

    def _resolve(self, provider: str, model: str, at: datetime, tier: str, region: str | None) -> Rates | Unpriced:
        start, end = day(at)
        row = self.contracts.find(provider, model, start.date(), tier, region)
        if row is not None:
            return _rates(row, tier, start, end)
        if self.catalogue is None:
            return Unpriced(f"prices.yaml has no row for {provider}/{model}, and there is no catalogue", start, end)
        known_as = self.providers.get(provider)
        listed = self.catalogue.rates(known_as, model, at, tier)
        mended = self.corrections.find(known_as, model.lower(), start.date(), tier, region) if known_as else None
        if mended is not None and _is_wrong(listed, mended):
            return _rates(mended, tier, listed.valid_from, listed.valid_until)
        return listed


def _is_wrong(listed: Rates | Unpriced, mended: Row) -> bool:
    """Whether the catalogue still says what the correction is about."""
    if mended.instead_of is None:
        return isinstance(listed, Unpriced)
    return isinstance(listed, Rates) and listed.levels[-1].prices == mended.instead_of


def _rates(row: Row, tier: str, start: datetime, end: datetime) -> Rates:
    return Rates(row.levels, row.source, tier, start, end)


def _digest(table: PriceTable) -> str:
    """Over what decides a price, in the order of the files; where a row stands in its file does not."""
    seen = hashlib.sha256((table.catalogue.digest if table.catalogue else "").encode())
    for row in (*table.contracts.rows, *table.corrections.rows):
        levels = [(level.above, sorted(level.prices.items())) for level in row.levels]
        days = sorted(row.days) if row.days is not None else None
        wrong = sorted(row.instead_of.items()) if row.instead_of is not None else None
        terms = (row.provider, row.model, row.first, row.last, row.region, row.tier, days, levels, wrong)
        seen.update(repr(terms).encode())
    seen.update(repr(sorted(table.providers.items())).encode())
    if table.regions:
        seen.update(repr(sorted(table.regions.items())).encode())
    return seen.hexdigest()
