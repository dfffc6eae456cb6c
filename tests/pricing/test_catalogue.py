"""genai-prices' data as rates: the same sums, resolved for a span of time; where there is no price, the reason."""

from __future__ import annotations

import json
import warnings
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price

from gateway.config.presets import PRESETS
from gateway.errors import ConfigError
from gateway.model.price import Rates, Unpriced
from gateway.model.usage import Usage
from gateway.pricing.catalogue import Catalogue, bundled, day, read, tier_of
from gateway.pricing.cost import meter

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def rates(provider: str, model: str, at: datetime = NOW, tier: str = "standard") -> Rates:
    found = bundled().rates(provider, model, at, tier)
    assert isinstance(found, Rates), found
    return found


def reason(provider: str | None, model: str, at: datetime = NOW, tier: str = "standard") -> str:
    found = bundled().rates(provider, model, at, tier)
    assert isinstance(found, Unpriced)
    return found.reason


def sample() -> list[tuple[str, str]]:
    """Two models of tokens in a hundred, of most providers some."""
    models = [(provider.id, model.id) for provider in bundled()._by_id.values() for model in provider.models]
    return [one for one in models if has_tokens(*one)][::50]


def has_tokens(provider: str, model: str) -> bool:
    found = bundled().rates(provider, model, NOW)
    return isinstance(found, Rates) and {"input", "output"} <= found.levels[-1].prices.keys()


@pytest.mark.parametrize(("provider", "model"), sample())
def test_a_cost_equals_that_of_genai_prices_to_a_nano_dollar_a_meter(provider: str, model: str) -> None:
    theirs = TheirUsage(input_tokens=123_457, output_tokens=789, cache_read_tokens=23_456, output_reasoning_tokens=55)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = calc_price(theirs, model, provider_id=provider, genai_request_timestamp=NOW).total_price
    ours = meter(rates(provider, model), Usage(123_457, 789, cache_read_tokens=23_456, reasoning_tokens=55))
    assert abs(Decimal(ours.known_nano_usd) - expected * 10**9) <= 3


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - {"nvidia", "ollama", "vllm"}))
def test_every_preset_with_published_prices_is_known_by_its_address(preset: str) -> None:
    assert bundled().provider_id(PRESETS[preset].base_url) in bundled()._by_id


@pytest.mark.parametrize(
    ("address", "provider"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("HTTPS://API.OPENAI.COM/v1", "openai"),
        ("https://api.together.ai/v1", "together"),
        ("https://my-resource.openai.azure.com/openai", "azure"),
        ("https://bedrock-runtime.eu-central-1.amazonaws.com", "aws"),
        ("http://127.0.0.1:9000/v1", None),
        ("https://gateway.example/api.openai.com", None),
    ],
)
def test_a_provider_is_known_by_its_address_only(address: str, provider: str | None) -> None:
    assert bundled().provider_id(address) == provider


@pytest.mark.parametrize(
    ("at", "usd"),
    [("2025-06-09T23:59:59Z", 10), ("2025-06-10T00:00:00Z", 2), ("2025-06-10T01:00:00+02:00", 10)],
)
def test_a_price_is_that_of_the_calls_day_in_utc(at: str, usd: int) -> None:
    assert rates("openai", "o3", datetime.fromisoformat(at)).levels[-1].input == usd * 10**9


def test_rates_hold_for_the_day_or_for_the_hours_in_which_nothing_changes() -> None:
    whole = rates("openai", "gpt-5-mini")
    assert (whole.valid_from, whole.valid_until) == day(NOW)
    spans = []
    at = day(NOW)[0]
    while at < day(NOW)[1]:
        part = rates("deepseek", "deepseek-flash", at)
        spans.append((part.valid_from.hour, part.levels[-1].input))
        at = part.valid_until
    assert spans == [(0, 150_000_000), (1, 300_000_000), (4, 150_000_000), (6, 300_000_000), (10, 150_000_000)]


def test_a_tier_of_service_that_is_not_known_has_no_price() -> None:
    assert "no priority price for openai/o1" in reason("openai", "o1", tier="priority")
    assert "no batch price" in reason("openai", "gpt-5", datetime(2026, 1, 1, tzinfo=UTC), "batch")
    assert "no turbo price" in reason("openai", "gpt-5", tier="turbo")


def test_a_variant_of_another_provider_is_no_promise() -> None:
    assert rates("azure", "gpt-4o").levels == rates("openai", "gpt-4o").levels
    assert "no batch price" in reason("azure", "gpt-4o", tier="batch")


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        (None, "gpt-5", "its provider is not in the catalogue"),
        ("nobody", "gpt-5", "its provider is not in the catalogue"),
        ("openai", "gpt-99-imaginary", "has no model gpt-99-imaginary of openai"),
    ],
)
def test_what_is_not_known_is_unpriced_with_the_reason(provider: str | None, model: str, expected: str) -> None:
    assert expected in reason(provider, model)


def test_names_of_models_are_known_in_capitals_too() -> None:
    assert rates("openai", "GPT-5-Mini").levels == rates("openai", "gpt-5-mini").levels


@pytest.mark.parametrize(
    ("word", "tier"),
    [
        (None, "standard"),
        ("default", "standard"),
        ("Standard", "standard"),
        ("on_demand", "standard"),
        ("priority", "priority"),
        ("flex", "flex"),
        ("batch", "batch"),
    ],
)
def test_providers_words_for_a_tier_are_ours(word: str | None, tier: str) -> None:
    assert tier_of(word) == tier


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        bundled().rates("openai", "gpt-5", datetime(2026, 1, 1))


def test_the_bundled_catalogue_knows_its_version_and_age() -> None:
    catalogue = bundled()
    assert catalogue.name.startswith("genai-prices ")
    assert catalogue.checked is not None and catalogue.checked >= date(2026, 11, 3)
    assert catalogue.age(catalogue.checked + timedelta(days=9)) == timedelta(days=9)
    assert catalogue.age(catalogue.checked - timedelta(days=9)) == timedelta()


def provider_data(**price: object) -> list[dict[str, Any]]:
    return [
        {
            "id": "acme",
            "name": "Acme",
            "api_pattern": "https://api\\.acme\\.example",
            "price_comments": "Checked on 2027-01-02.",
            "models": [{"id": "m", "match": {"equals": "m"}, "prices": price}],
        }
    ]


def written(tmp_path: Path, data: object) -> Path:
    path = tmp_path / "data.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def test_a_newer_catalogue_is_read_from_a_file(tmp_path: Path) -> None:
    tiered = {"base": 1.1, "tiers": [{"start": 200_000, "price": 2.2}]}
    catalogue = read(written(tmp_path, provider_data(input_mtok=tiered, output_mtok=0.3)))
    assert isinstance(catalogue, Catalogue)
    assert catalogue.checked == date(2027, 1, 2)
    assert catalogue.name.startswith("data.json ")
    found = catalogue.rates(catalogue.provider_id("https://api.acme.example/v1"), "m", NOW)
    assert isinstance(found, Rates)
    assert [(level.above, level.input, level.output) for level in found.levels] == [
        (200_000, 2_200_000_000, 300_000_000),
        (-1, 1_100_000_000, 300_000_000),
    ]


@pytest.mark.parametrize(
    "data", ["", "{", "{}", "[]", "[3]", '[{"id": "x"}]', "\x00", "[" * 100_000], ids=lambda text: repr(text)[:12]
)
def test_a_file_that_is_no_catalogue_is_refused_with_its_name(data: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.json"):
        read(written(tmp_path, data))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "none.json")
