"""The price table of one snapshot: prices.yaml, corrections, and the catalogue, installed or from a file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from gateway.config import yamlfile
from gateway.config.routes import OpenAIProvider
from gateway.config.settings import Settings
from gateway.errors import ConfigError
from gateway.pricing import catalogue, contracts
from gateway.pricing.corrections import corrections
from gateway.pricing.table import PriceTable

DEMO = [
    {
        "provider": "scripted",
        "model": "demo",
        "from": "2026-01-01",
        "usd_per_million": {"input": "0.25", "cache_read": "0.025", "output": "2.00"},
        "note": "made up, so that the demonstration has money in it",
    }
]
"""The price of the model that runs without a configuration."""


def read_prices(settings: Settings, *, is_builtin: bool) -> PriceTable:
    """The table that `settings` name. `is_builtin`: there is no configuration file. Raises `ConfigError`."""
    known = catalogue.bundled() if settings.prices.catalogue is None else catalogue.read(settings.prices.catalogue)
    providers = {
        name: known.provider_id(provider.base_url) if isinstance(provider, OpenAIProvider) else None
        for name, provider in settings.providers.items()
    }
    regions = {
        name: provider.region
        for name, provider in settings.providers.items()
        if isinstance(provider, OpenAIProvider) and provider.region is not None
    }
    return PriceTable(_contracts(settings, is_builtin=is_builtin), corrections(), known, providers, regions)


def _contracts(settings: Settings, *, is_builtin: bool) -> contracts.Book:
    path = settings.prices.path
    if path.exists():
        document, faults = yamlfile.examine(path)
        book, found = contracts.parse(document.data, str(path), document.line)
        faults += found
    elif is_builtin:
        book, faults = contracts.parse(DEMO, "built-in prices", lambda loc: None)
    else:
        return contracts.Book()
    if faults:
        raise ConfigError(faults)
    return book


def advice(settings: Settings, table: PriceTable, now: float) -> Iterator[str]:
    """Warnings for people: models without a price, and a catalogue that has grown old. `now` is Unix time."""
    at = datetime.fromtimestamp(now, UTC)
    deployments = [(one.provider, one.model) for model in settings.models.values() for one in model.deployments]
    for provider, model, reason in table.unpriced(dict.fromkeys(deployments), at):
        yield f"`{model}` of provider `{provider}` has no price: {reason}"
    for row in table.contracts.rows:
        if row.provider not in settings.providers:
            yield f"{row.source.where}: there is no provider `{row.provider}`, so the price is of no use"
    age = table.age(at.date())
    if age is not None and age > catalogue.MAX_AGE:
        yield f"the price catalogue is {age.days} days old; `prices.catalogue` takes a newer one"
