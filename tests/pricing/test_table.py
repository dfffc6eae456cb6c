"""Contracts before corrections before the catalogue, remembered for as long as they hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from gateway.model.price import Rates, Unpriced
from gateway.pricing import table as module
from gateway.pricing.catalogue import bundled
from gateway.pricing.contracts import Book
from gateway.pricing.corrections import corrections
from gateway.pricing.table import PriceTable
from tests.pricing.sheets import book

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PROVIDERS: Mapping[str, str | None] = {"main": "openai", "eu": "mistral", "cn": "deepseek", "own": None}


def table(contracts: str = "", *, corrected: bool = True) -> PriceTable:
    return PriceTable(book(contracts), corrections() if corrected else Book(), bundled(), PROVIDERS)


def rates(prices: PriceTable, provider: str, model: str, at: datetime = NOW, tier: str | None = None) -> Rates:
    found = prices.rates(provider, model, at, tier)
    assert isinstance(found, Rates), found
    return found


def row(provider: str, model: str, usd: int, more: str = "") -> str:
    return f'- {{provider: {provider}, model: "{model}", from: 2026-01-01, usd_per_million: {{input: {usd}}}{more}}}\n'


def test_a_contract_wins_over_the_catalogue_on_the_days_that_it_holds() -> None:
    prices = table(row("main", "gpt-5*", 9, ", to: 2026-11-22"))
    before = rates(prices, "main", "gpt-5-mini", NOW - timedelta(days=1))
    assert (before.source.origin, before.levels[-1].input) == ("contract", 9 * 10**9)
    after = rates(prices, "main", "gpt-5-mini")
    assert (after.source.origin, after.levels[-1].input) == ("catalogue", 250_000_000)


def test_a_contract_for_standard_calls_leaves_other_tiers_to_the_catalogue() -> None:
    prices = table(row("main", "gpt-5-mini", 9))
    assert rates(prices, "main", "gpt-5-mini", tier="default").source.origin == "contract"
    assert rates(prices, "main", "gpt-5-mini", tier="flex").source.origin == "catalogue"


def test_a_correction_wins_over_the_catalogue_and_a_contract_over_it() -> None:
    assert rates(table(), "eu", "mistral-large-latest").source.origin == "correction"
    assert rates(table(corrected=False), "eu", "mistral-large-latest").source.origin == "catalogue"
    assert rates(table(row("eu", "mistral-*", 7)), "eu", "mistral-large-latest").source.origin == "contract"


def test_a_correction_is_passed_over_once_the_catalogue_says_something_else() -> None:
    wrong = row("mistral", "mistral-large-latest", 5, ", instead_of: {usd_per_million: {input: 99, output: 6}}")
    prices = PriceTable(Book(), book(wrong, "correction"), bundled(), PROVIDERS)
    assert rates(prices, "eu", "mistral-large-latest").source.origin == "catalogue"


def test_a_provider_that_the_catalogue_does_not_know_is_priced_by_contract_alone() -> None:
    prices = table(row("own", "tiny*", 1))
    assert rates(prices, "own", "tiny-2").source.where == "prices.yaml:1"
    assert isinstance(prices.rates("own", "gpt-5-mini", NOW), Unpriced)
    assert isinstance(prices.rates("stranger", "gpt-5-mini", NOW), Unpriced)


def test_without_a_catalogue_only_contracts_price() -> None:
    prices = PriceTable(book(row("main", "m", 1)), Book(), None, PROVIDERS)
    assert rates(prices, "main", "m").levels[-1].input == 10**9
    found = prices.rates("main", "gpt-5-mini", NOW)
    assert isinstance(found, Unpriced) and "no catalogue" in found.reason
    assert prices.age(NOW.date()) is None


def test_a_price_is_resolved_once_for_the_time_that_it_holds() -> None:
    prices = table()
    first = prices.rates("main", "gpt-5-mini", NOW)
    assert prices.rates("main", "gpt-5-mini", NOW + timedelta(hours=11)) is first
    assert prices.rates("main", "gpt-5-mini", NOW + timedelta(hours=12)) is not first


def test_hours_of_a_day_are_told_apart_whatever_the_order() -> None:
    prices = table()
    midnight = datetime(2026, 11, 23, tzinfo=UTC)
    for hour in (2, 5, 2, 7, 0, 11):
        found = rates(prices, "cn", "deepseek-flash", midnight + timedelta(hours=hour))
        assert found.levels[-1].input == (300_000_000 if hour in (2, 7) else 150_000_000)


def test_a_correction_of_some_hours_does_not_outlast_them() -> None:
    prices = table()
    sunday = datetime(2026, 11, 22, 2, tzinfo=UTC)
    assert rates(prices, "cn", "deepseek-flash", sunday).source.origin == "correction"
    assert rates(prices, "cn", "deepseek-flash", sunday + timedelta(hours=3)).source.origin == "catalogue"


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY", 3)
    prices = table()
    for number in range(10):
        prices.rates("main", f"invented-{number}", NOW)
    assert len(prices._known) <= 3


def test_the_digest_changes_with_anything_that_decides_a_price_and_with_nothing_else() -> None:
    one = table(row("main", "m", 1))
    assert table("# moved down\n\n" + row("main", "m", 1)).digest == one.digest
    others = [
        table(row("main", "m", 2)),
        table(row("main", "m", 1, ", region: eu")),
        table(row("main", "m", 1, ", days: [sat]")),
        table(row("main", "m", 1), corrected=False),
        PriceTable(one.contracts, one.corrections, one.catalogue, {"main": "azure"}),
        PriceTable(one.contracts, one.corrections, None, PROVIDERS),
    ]
    assert len({one.digest, *(other.digest for other in others)}) == 1 + len(others)


def test_deployments_without_a_price_are_listed_with_the_reason() -> None:
    prices = table(row("own", "tiny", 1))
    found = prices.unpriced([("main", "gpt-5"), ("own", "tiny"), ("own", "big"), ("own", "*")], NOW)
    assert [(provider, model) for provider, model, _ in found] == [("own", "big")]
    assert "prices.yaml" in found[0][2]


def test_a_table_says_what_it_is_made_of() -> None:
    prices = table(row("own", "tiny", 1))
    assert repr(prices) == f"<PriceTable {bundled().name} / {prices.digest[:12]}, 1 contracts>"
    assert prices.checked == bundled().checked
