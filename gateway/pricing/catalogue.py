"""The public price catalogue: genai-prices' data, read as rates of a span of time.

genai-prices prices a call in 70-90 us; here a model is resolved once for a span in which nothing changes - a day (UTC),
or a part of one where a provider has hours of its own - and kept as rates. Its semantics are kept: the last condition
that holds wins, the first is the fallback; a variant (batch, flex, priority) overrides the meters that it names; a
tier prices the whole call (https://github.com/pydantic/genai-prices, `genai_prices/types.py`). Two things differ. A
tier of service that the catalogue does not know for a model has no price, where genai-prices would charge the
standard one. And prices with float noise (0.18000000000000002) are taken to the nearest nano-dollar per million.

Which provider answers is told by the address that calls go to, never by the name that a configuration gives it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

from genai_prices import types
from genai_prices.data_snapshot import DataSnapshot
from genai_prices.data_units import unit_data

from gateway.errors import ConfigError, Fault
from gateway.model.price import Rates, Source, Unpriced
from gateway.pricing.meters import BY_DIMENSIONS, Meter
from gateway.pricing.rates import build, nearest

MAX_BYTES = 64 * 1024 * 1024
MAX_AGE = timedelta(days=60)
"""A catalogue older than this is worth an alarm: providers change prices every few weeks."""

_HOSTS = {"api.together.ai": "together"}
"""Addresses that the catalogue's own patterns miss."""

_CONTEXT: Mapping[str, Mapping[str, str]] = {
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "fast": {"service_tier": "fast", "speed": "fast"},
}
"""Our tiers of service in the words of the catalogue's variants."""

_STANDARD = frozenset({"", "auto", "default", "on_demand", "scale", "standard", "standard_only"})
"""What providers call a call at the list price. Scale tier is prepaid; its calls count at the list price."""

_CHECKED = re.compile(r"(?:verified|checked|as of|read)\b[^.\d]{0,40}(20\d\d-\d\d-\d\d)", re.IGNORECASE)


def tier_of(word: str | None) -> str:
    """Our name for the tier of service that a reply or a request names: `standard`, `flex`, `batch`, `priority`,
    `fast`; any other word as it stands, in small letters, for a contract to price."""
    lowered = (word or "").strip().lower()
    return "standard" if lowered in _STANDARD else lowered


@dataclass(frozen=True, slots=True)
class _Unit:
    meter: Meter
    per: int


class Catalogue:
    """One state of the catalogue. `name` says which, `checked` when its newest row was, `digest` its content.

    `checked` is the newest day on which a comment in the data says that a price was checked: the data has no date of
    its own, so the catalogue is at least as new as that. `None` if no comment says so.
    """

    def __init__(self, providers: list[types.Provider], name: str, digest: str) -> None:
        self.name = name
        self.digest = digest
        self.checked = _newest(providers)
        self._snapshot = DataSnapshot(providers=providers, from_auto_update=False)
        self._by_id = {provider.id: provider for provider in providers}

    def __repr__(self) -> str:
        models = sum(len(provider.models) for provider in self._by_id.values())
        return f"<Catalogue {self.name}, {models} models of {len(self._by_id)} providers, checked {self.checked}>"

    def age(self, today: date) -> timedelta | None:
        """How long ago its newest row was checked."""
        return None if self.checked is None else max(today - self.checked, timedelta())

    def provider_id(self, base_url: str) -> str | None:
        """The catalogue's id of the provider behind an address; `None` for one that it does not know."""
        host = re.sub(r"^https?://([^/:@]+).*$", r"\1", base_url, flags=re.IGNORECASE).lower()
        if host in _HOSTS:
            return _HOSTS[host]
        for provider in self._by_id.values():
            if re.match(provider.api_pattern, base_url, re.IGNORECASE):
                return provider.id
        return None

    def rates(self, provider_id: str | None, model: str, at: datetime, tier: str = "standard") -> Rates | Unpriced:
        """What a model costs around `at`, an aware time. The result holds over the span that it names."""
        start, end = day(at)
        if provider_id is None or (provider := self._by_id.get(provider_id)) is None:
            return Unpriced("its provider is not in the catalogue; give a price in prices.yaml", start, end)
        info = provider.find_model(model.lower(), all_providers=self._snapshot.providers)
        if info is None:
            return Unpriced(f"{self.name} has no model {model} of {provider_id}", start, end)
        start, end = _span(info, at, start, end)
        context = _CONTEXT.get(tier)
        if tier != "standard" and not (context and _varies(info, provider, context, at)):
            return Unpriced(f"{self.name} has no {tier} price for {provider_id}/{info.id} at that time", start, end)
        prices = info.get_prices(at, dict(context) if context else None)
        tiers = _tiers(prices)
        if not tiers[-1]:
            return Unpriced(f"{self.name} names {provider_id}/{info.id}, but no price of it", start, end)
        where = f"{self.name}: {provider_id}/{info.id}"
        url = (provider.pricing_urls or [""])[0]
        return Rates(build(tiers.items()), Source("catalogue", where, self.checked, url), tier, start, end)


@cache
def bundled() -> Catalogue:
    """The catalogue that is installed. The first call loads it (0.2 s)."""
    from genai_prices.data import providers  # 1.6 MB of code; no concern of who brings a file of his own

    version = metadata.version("genai-prices")
    return Catalogue(providers, f"genai-prices {version}", hashlib.sha256(version.encode()).hexdigest())


def read(path: Path) -> Catalogue:
    """A newer catalogue from a file: genai-prices' `prices/new_data/v2/data.json`, fetched on another machine.

    Raises `ConfigError`.
    """
    try:
        raw = path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}") from None
    if raw is None:
        raise _refused(path, f"is larger than {MAX_BYTES // 1024 // 1024} MiB")
    try:
        data = json.loads(raw, parse_float=Decimal)
        if not isinstance(data, list) or not data:
            raise ValueError("a list of providers was expected")
        # The library's own updater reads what it downloads by this function; there is no public one for a file.
        providers = types._providers_from_raw(data)
    except (ValueError, TypeError, AssertionError, RecursionError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise _refused(path, f"is no catalogue of genai-prices: {first}") from None
    digest = hashlib.sha256(raw).hexdigest()
    return Catalogue(providers, f"{path.name} {digest[:12]}", digest)


def day(at: datetime) -> tuple[datetime, datetime]:
    """The day (UTC) around an aware time: its first moment, and that of the next."""
    if at.tzinfo is None:
        raise ValueError("a price is asked for at a time with a zone")
    start = datetime.combine(at.astimezone(UTC).date(), time(), UTC)
    return start, start + timedelta(days=1)


def _refused(path: Path, message: str) -> ConfigError:
    return ConfigError([Fault(str(path), None, message)])


def _newest(providers: list[types.Provider]) -> date | None:
    comments = [provider.price_comments for provider in providers]
    comments += [model.price_comments for provider in providers for model in provider.models]
    found = [match for comment in comments if comment for match in _CHECKED.findall(comment)]
    return date.fromisoformat(max(found)) if found else None


def _varies(info: types.ModelInfo, provider: types.Provider, context: Mapping[str, str], at: datetime) -> bool:
    """Whether a variant for `context` holds at that time. One provider's variants are no promise of another's."""
    if not any(info is own for own in provider.models):
        return False
    return any(
        variant.constraint is None or variant.constraint.active(at)
        for variant in info.price_variants or ()
        if all(context.get(key) == value for key, value in variant.when.items())
    )


def _span(info: types.ModelInfo, at: datetime, start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """The part of the day around `at` in which no condition on the time of day changes."""
    edges = {start, end}
    for moment in _hours(info):
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        clock = datetime.combine(start.date(), zoned).astimezone(UTC).time()
        edges.add(datetime.combine(start.date(), clock, UTC))
    return next((first, last) for first, last in pairwise(sorted(edges)) if first <= at < last)


def _hours(info: types.ModelInfo) -> Iterator[time]:
    conditional = info.prices if isinstance(info.prices, list) else []
    for one in (*conditional, *(info.price_variants or ())):
        if isinstance(one.constraint, types.TimeOfDateConstraint):
            yield one.constraint.start_time
            yield one.constraint.end_time


def _tiers(prices: types.ModelPrice) -> dict[int, dict[str, int]]:
    """Rates by meter for each threshold, the one for any input (-1) last."""
    given: dict[str, Any] = {key: value for key, value in prices.__dict__.items() if value is not None}
    starts = {-1}
    for value in given.values():
        if isinstance(value, types.TieredPrices):
            starts |= {tier.start for tier in value.tiers}
    return {start: dict(_at(given, start)) for start in sorted(starts, reverse=True)}


def _at(given: Mapping[str, Any], start: int) -> Iterator[tuple[str, int]]:
    for key, value in given.items():
        unit = _units().get(key)
        if unit is not None:
            usd = value
            if isinstance(value, types.TieredPrices):
                usd = next((tier.price for tier in reversed(value.tiers) if tier.start <= start), value.base)
            yield unit.meter.name, nearest(usd, unit.meter.name, unit.per)


@cache
def _units() -> Mapping[str, _Unit]:
    """The catalogue's price keys that count what one of our meters counts. The rest no provider's data uses."""
    found = {}
    for unit in unit_data.values():
        meter = BY_DIMENSIONS.get(frozenset(unit["dimensions"].items()))
        if meter is not None:
            found[unit["price_key"]] = _Unit(meter, unit["per"])
    return found
