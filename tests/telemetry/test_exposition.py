"""What a scraper reads, checked by prometheus_client's own parsers."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import CollectorRegistry

from gateway.telemetry.exposition import Exposition, MergedCollector
from gateway.telemetry.metrics import TABLE, Metrics

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def _families(text: bytes) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text.decode())}


@pytest.fixture
def exposition(tmp_path: Path) -> Exposition:
    return Exposition(tmp_path, TABLE)


def _count_something(metrics: Metrics) -> None:
    metrics.requests.labels(endpoint="/v1/models", model="", provider="", status="200").inc(3)
    metrics.request_duration.labels(endpoint="/v1/models", model='a "quoted" \\ name').observe(0.02)
    metrics.request_duration.labels(endpoint="/v1/models", model='a "quoted" \\ name').observe(1e9)
    metrics.in_flight.set(2)


def test_every_metric_is_shown_with_its_type_and_help(tmp_path: Path, exposition: Exposition) -> None:
    metrics = Metrics(tmp_path, 0, "1.2.3")
    _count_something(metrics)
    content_type, text = exposition.text()
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    families = _families(text)
    for spec in TABLE:
        family = families[spec.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (spec.kind, spec.help)
    assert "\ngateway_in_flight_requests 2.0\n" in text.decode()
    assert '\ngateway_build_info{version="1.2.3"} 1.0\n' in text.decode()
    metrics.close()


def test_a_histogram_is_cumulative_and_ends_with_its_count(tmp_path: Path, exposition: Exposition) -> None:
    metrics = Metrics(tmp_path, 0, "1")
    _count_something(metrics)
    samples = {
        (sample.name.removeprefix("gateway_request_duration_seconds"), sample.labels.get("le")): sample.value
        for sample in _families(exposition.text()[1])["gateway_request_duration_seconds"].samples
        if sample.labels["model"] == 'a "quoted" \\ name'
    }
    assert [samples[("_bucket", le)] for le in ("0.01", "0.02", "327.68", "+Inf")] == [0.0, 1.0, 1.0, 2.0]
    assert samples[("_count", None)] == 2.0
    assert samples[("_sum", None)] == pytest.approx(1e9 + 0.02)
    metrics.close()


def test_a_scraper_that_prefers_openmetrics_gets_it(tmp_path: Path, exposition: Exposition) -> None:
    metrics = Metrics(tmp_path, 0, "1")
    _count_something(metrics)
    content_type, text = exposition.text(OPENMETRICS)
    assert content_type.startswith(OPENMETRICS)
    assert text.endswith(b"# EOF\n") and text.count(b"# EOF") == 1
    families = list(openmetrics.text_string_to_metric_families(text.decode()))  # type: ignore[no-untyped-call]
    assert [family.name for family in families] == [spec.name.removesuffix("_total") for spec in TABLE]
    metrics.close()


@pytest.mark.parametrize("accept", [None, OPENMETRICS], ids=["text", "openmetrics"])
async def test_a_text_made_in_parts_is_the_text_made_at_once(
    tmp_path: Path, exposition: Exposition, accept: str | None
) -> None:
    metrics = Metrics(tmp_path, 0, "1")
    for number in range(900):
        metrics.refusals.labels(code=f"code_{number}").inc(number)
        metrics.time_to_first_token.labels(model=f"model {number}").observe(number)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(tick())
    content_type, text = await exposition.scrape(accept)
    other.cancel()
    assert ticks > 40, "the loop ran between parts"
    assert (content_type, text) == exposition.text(accept)

    registry = CollectorRegistry()
    registry.register(MergedCollector(tmp_path, TABLE))
    encode, _content_type = choose_encoder(accept or "")
    assert encode(registry) == text
    assert text.count(b"\ngateway_time_to_first_token_seconds_bucket{") == 900 * 17
    metrics.close()


def test_ten_thousand_series_are_shown_in_a_tenth_of_a_second(tmp_path: Path, exposition: Exposition) -> None:
    """Measured 80 ms; the bound leaves room for a slow and busy machine."""
    metrics = Metrics(tmp_path, 0, "1")
    for number in range(10_000):
        metrics.upstream_retries.labels(provider=f"provider-{number}").inc()
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        text = exposition.text()[1]
        best = min(best, time.perf_counter() - began)
    assert text.count(b"gateway_upstream_retries_total{") == 10_000
    assert best < 0.5
    metrics.close()
