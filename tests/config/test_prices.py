"""The price table of a snapshot: where it comes from, what is wrong in it, and what people are warned of."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.config.loader import Loader
from gateway.config.prices import DEMO, advice
from gateway.config.snapshot import Snapshot
from gateway.errors import ConfigError
from gateway.model.price import Rates, Unpriced
from gateway.pricing import catalogue

NOW = datetime(2026, 11, 23, tzinfo=UTC)
CONFIG = """
providers:
  near: {kind: scripted}
  known: {kind: openai, base_url: "https://api.openai.com/v1"}
  own: {kind: openai, base_url: "https://llm.example.com/v1"}
models:
  near: {deployments: [{provider: near, model: demo}]}
  known: {deployments: [{provider: known, model: gpt-5-mini}, {provider: known, model: gpt-nothing}]}
  own: {deployments: [{provider: own, model: llama}]}
  "own/*": {deployments: [{provider: own, model: "*"}]}
"""
ROW = '- {provider: own, model: "llama*", from: 2026-01-01, usd_per_million: {input: 1, output: 2}}\n'


def load(folder: Path, config: str | None = CONFIG, prices: str | None = None) -> Snapshot:
    if config is not None:
        (folder / "gateway.yaml").write_text(config)
    if prices is not None:
        (folder / "prices.yaml").write_text(prices)
    return Loader(folder / "gateway.yaml" if config is not None else None, {}, folder / "data").load()


def unpriced(snapshot: Snapshot) -> list[str]:
    return [warning for warning in snapshot.warnings if "has no price" in warning]


def test_without_a_configuration_the_demonstration_has_a_price(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    snapshot = load(tmp_path, None)
    [row] = DEMO
    found = snapshot.prices.rates(str(row["provider"]), str(row["model"]), NOW)
    assert isinstance(found, Rates)
    assert dict(found.levels[-1].prices) == {"input": 250_000_000, "cache_read": 25_000_000, "output": 2_000_000_000}
    assert unpriced(snapshot) == []


def test_with_a_configuration_the_price_of_the_demonstration_is_not_there(tmp_path: Path) -> None:
    snapshot = load(tmp_path)
    assert isinstance(snapshot.prices.rates("near", "demo", NOW), Unpriced)
    assert len(snapshot.prices.contracts.rows) == 0


def test_a_file_that_is_not_there_is_no_fault_and_one_that_is_is_read(tmp_path: Path) -> None:
    assert len(load(tmp_path).prices.contracts.rows) == 0
    snapshot = load(tmp_path, prices=ROW)
    found = snapshot.prices.rates("own", "llama-3", NOW)
    assert isinstance(found, Rates) and found.source.where.endswith("prices.yaml:1")


def test_a_provider_is_known_to_the_catalogue_by_its_address(tmp_path: Path) -> None:
    prices = load(tmp_path).prices
    assert isinstance(prices.rates("known", "gpt-5-mini", NOW), Rates)
    assert isinstance(prices.rates("own", "gpt-5-mini", NOW), Unpriced)
    assert isinstance(prices.rates("near", "gpt-5-mini", NOW), Unpriced)


def test_every_model_without_a_price_is_told_once_with_the_reason(tmp_path: Path) -> None:
    told = unpriced(load(tmp_path, CONFIG + "  again: {deployments: [{provider: own, model: llama}]}\n"))
    assert [warning.partition(": ")[0] for warning in told] == [
        "`demo` of provider `near` has no price",
        "`gpt-nothing` of provider `known` has no price",
        "`llama` of provider `own` has no price",
    ]
    assert all(warning.partition(": ")[2] for warning in told)
    assert len(unpriced(load(tmp_path, prices=ROW))) == 2


def test_a_price_for_a_provider_that_is_not_there_is_told(tmp_path: Path) -> None:
    snapshot = load(tmp_path, prices=ROW + ROW.replace("own", "onw"))
    [told] = [warning for warning in snapshot.warnings if "onw" in warning]
    assert told.startswith(str(tmp_path / "prices.yaml:2: there is no provider `onw`"))


@pytest.mark.parametrize(
    ("prices", "line", "about"),
    [
        ("- {provider: own}\n", 1, "model"),
        (ROW + "- {provider: own, model: x, from: 2026-01-01, usd_per_million: {input: -1}}\n", 2, "-1"),
        (ROW + "- {provider: own, model: x, from: never, usd_per_million: {input: 1}}\n", 2, "from"),
        (ROW + "- {provider: own, model: x, from: 2026-01-01, usd_per_million: {inptu: 1}}\n", 2, "inptu"),
        ("{", 2, "YAML"),
        ("just words\n", 1, ""),
    ],
)
def test_a_mistake_in_prices_stops_the_load_and_names_its_line(
    tmp_path: Path, prices: str, line: int, about: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, prices=prices)
    assert {fault.file for fault in caught.value.faults} == {str(tmp_path / "prices.yaml")}
    assert any(fault.line == line and about in str(fault) for fault in caught.value.faults), caught.value


def test_a_changed_price_is_another_snapshot_and_a_comment_is_none(tmp_path: Path) -> None:
    first = load(tmp_path, prices=ROW)
    assert load(tmp_path, prices="# a comment\n" + ROW).digest == first.digest
    changed = load(tmp_path, prices=ROW.replace("input: 1", "input: 1.000000001"))
    assert changed.digest != first.digest and changed.prices.digest != first.prices.digest


def test_prices_are_watched_though_they_are_not_there_yet(tmp_path: Path) -> None:
    snapshot = load(tmp_path)
    loader = Loader(tmp_path / "gateway.yaml", {}, tmp_path / "data")
    assert tmp_path / "prices.yaml" in loader.watched(snapshot)


def test_an_old_catalogue_is_told(tmp_path: Path) -> None:
    snapshot = load(tmp_path)
    checked = snapshot.prices.checked
    assert checked is not None
    day = datetime(checked.year, checked.month, checked.day, tzinfo=UTC)

    def told(age: float) -> bool:
        return any("days old" in one for one in advice(snapshot.settings, snapshot.prices, day.timestamp() + age))

    limit = catalogue.MAX_AGE.total_seconds()
    assert not told(0) and not told(limit) and told(limit + 86_400)


def test_a_price_for_a_region_is_that_of_the_providers_that_serve_there(tmp_path: Path) -> None:
    provider = 'kind: openai, base_url: "https://llm.example/v1", api_key: k'
    config = f"""
providers:
  home: {{{provider}}}
  abroad: {{{provider}, region: eu}}
models:
  m: {{deployments: [{{provider: home, model: m}}, {{provider: abroad, model: m}}]}}
"""
    rows = [
        f"- {{provider: {name}, model: m, from: 2026-01-01{region}, usd_per_million: {{input: {usd}, output: 1}}}}\n"
        for name in ("home", "abroad")
        for region, usd in (("", 1), (", region: eu", 3))
    ]
    prices = load(tmp_path, config, "".join(rows)).prices
    at = datetime(2026, 11, 23, tzinfo=UTC)
    found = {}
    for name in ("home", "abroad"):
        rates = prices.rates(name, "m", at)
        assert isinstance(rates, Rates)
        found[name] = rates.levels[-1].input
    assert found == {"home": 1_000_000_000, "abroad": 3_000_000_000}
