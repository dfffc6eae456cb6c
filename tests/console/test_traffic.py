"""The tables of traffic, out of merged metrics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.console.traffic import Percentile, Traffic, quantile, traffic
from gateway.telemetry.merge import merge
from gateway.telemetry.metrics import TABLE, Metrics

CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"
BOUNDS = (1.0, 2.0, 4.0)


@pytest.fixture
def metrics(tmp_path: Path) -> Iterator[Metrics]:
    metrics = Metrics(tmp_path, 0, "1")
    yield metrics
    metrics.close()


def seen(metrics: Metrics) -> Traffic:
    return traffic(merge(metrics.folder, TABLE))


def answer(metrics: Metrics, endpoint: str, model: str, status: str, seconds: float) -> None:
    metrics.requests.labels(endpoint=endpoint, model=model, provider="up", status=status).inc()
    metrics.request_duration.labels(endpoint=endpoint, model=model).observe(seconds)


@pytest.mark.parametrize(
    ("counts", "q", "expected"),
    [
        pytest.param((0, 0, 0, 0), 0.5, None, id="nothing observed"),
        pytest.param((), 0.5, None, id="no histogram"),
        pytest.param((10, 0, 0, 0), 0.5, Percentile(1.0, "less"), id="in the first bucket"),
        pytest.param((0, 10, 0, 0), 0.5, Percentile(1.5), id="on the line inside a bucket"),
        pytest.param((5, 5, 0, 0), 0.95, Percentile(1.9), id="in the second of two"),
        pytest.param((2, 0, 2, 0), 0.75, Percentile(3.0), id="past an empty bucket"),
        pytest.param((0, 0, 0, 3), 0.5, Percentile(4.0, "more"), id="beyond the last bound"),
    ],
)
def test_a_percentile_is_read_off_a_histogram(counts: tuple[int, ...], q: float, expected: Percentile | None) -> None:
    found = quantile(BOUNDS, counts, q)
    assert (found and found.known) == (expected and expected.known)
    assert (found and found.seconds) == pytest.approx(expected and expected.seconds)


def test_a_gateway_that_nobody_has_called_has_empty_tables(metrics: Metrics) -> None:
    found = seen(metrics)
    assert (found.requests, found.endpoints, found.tokens, found.p50) == (0, (), (), None)


def test_requests_are_told_by_endpoint_and_status_the_busiest_first(metrics: Metrics) -> None:
    answer(metrics, EMBEDDINGS, "demo", "200", 0.03)
    for model, status in (("demo", "200"), ("tiny", "200"), ("demo", "502")):
        answer(metrics, CHAT, model, status, 0.03)
    found = seen(metrics)
    assert found.statuses == ("200", "502")
    assert [(row.endpoint, row.requests, row.by_status) for row in found.endpoints] == [
        (CHAT, 3, (2, 1)),
        (EMBEDDINGS, 1, (1, 0)),
    ]
    assert (found.requests, found.failed) == (4, 1)


def test_latency_is_over_all_models_of_an_endpoint(metrics: Metrics) -> None:
    for model, seconds in (("demo", 0.03), ("tiny", 0.03), ("tiny", 0.03), ("tiny", 100.0)):
        answer(metrics, CHAT, model, "200", seconds)
    (row,) = seen(metrics).endpoints
    assert row.p50 is not None and 0.02 < row.p50.seconds <= 0.04
    assert row.p95 is not None and 81.92 < row.p95.seconds <= 163.84


def test_tokens_are_told_by_model_with_those_that_were_estimated(metrics: Metrics) -> None:
    for kind, source, number in (
        ("input", "provider", 100),
        ("output", "provider", 40),
        ("output", "estimated", 10),
        ("cache_read", "provider", 60),
        ("reasoning", "provider", 30),
    ):
        metrics.tokens.labels(model="demo", kind=kind, source=source).inc(number)
    found = seen(metrics)
    (row,) = found.tokens
    assert (row.input, row.output, row.cache_read, row.reasoning, row.estimated) == (100, 50, 60, 30, 10)
    assert (found.input_tokens, found.output_tokens) == (100, 50)
