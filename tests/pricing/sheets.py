"""Price files as text, read the way that the gateway reads them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from gateway.config.yamlfile import parse as parse_yaml
from gateway.errors import Fault
from gateway.model.price import Origin, Rates, Source
from gateway.pricing.contracts import Book, parse
from gateway.pricing.rates import build

MORNING = datetime(2026, 11, 23, tzinfo=UTC)
EVENING = datetime(2026, 11, 24, tzinfo=UTC)
"""The span of the rates made here."""


def read(text: str, providers: Collection[str] | None = None, origin: Origin = "contract") -> tuple[Book, list[Fault]]:
    document, _ = parse_yaml(text, "prices.yaml")
    return parse(document.data, "prices.yaml", document.line, providers, origin=origin)


def book(text: str, origin: Origin = "contract") -> Book:
    """Of a text without faults."""
    rows, faults = read(text, origin=origin)
    assert faults == []
    return rows


def rates(*tiers: tuple[int, dict[str, int]]) -> Rates:
    """Rates from (above, nano-dollars per million by meter)."""
    return Rates(build(tiers), Source("contract", "prices.yaml:1"), "standard", MORNING, EVENING)
