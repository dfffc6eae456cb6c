"""What the metrics of all workers say about traffic, as the tables of a page. Pure: merged numbers in, rows out.

Counters begin with the run of the gateway, so everything here is since its start. A percentile is read off a
histogram as Prometheus's `histogram_quantile` does it, on a straight line inside the bucket in which it falls; but
where that is the first bucket or the last, only a bound is known, and only that is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from gateway.telemetry import metrics
from gateway.telemetry.merge import Merged
from gateway.telemetry.spec import Spec


@dataclass(frozen=True, slots=True)
class Percentile:
    """Seconds; `known` tells whether that is about the value, or all that is known is that it is more or less."""

    seconds: float
    known: Literal["about", "less", "more"] = "about"


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """Requests to one endpoint: by status, in the order of `Traffic.statuses`, and how long they took."""

    endpoint: str
    requests: float
    by_status: tuple[float, ...]
    p50: Percentile | None
    p95: Percentile | None


@dataclass(frozen=True, slots=True)
class TokenRow:
    """Tokens of one model. Input includes cache reads and writes, output includes reasoning."""

    model: str
    input: float
    output: float
    cache_read: float
    reasoning: float
    estimated: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """All of it. `failed` are answers with a status from 500 on."""

    requests: float
    failed: float
    in_flight: float
    streams: float
    input_tokens: float
    output_tokens: float
    p50: Percentile | None
    p95: Percentile | None
    statuses: tuple[str, ...]
    endpoints: tuple[EndpointRow, ...]
    tokens: tuple[TokenRow, ...]


def traffic(merged: Merged) -> Traffic:
    """The traffic in the numbers of `telemetry.merge`."""
    by_endpoint: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for (endpoint, _model, _provider, status), (number,) in merged[metrics.REQUESTS.name].items():
        by_endpoint[endpoint][status] += number
    statuses = tuple(sorted({status for counts in by_endpoint.values() for status in counts}))
    durations = _durations(merged)
    everything = _added(durations.values())
    endpoints = [
        EndpointRow(
            endpoint,
            sum(counts.values()),
            tuple(counts.get(status, 0.0) for status in statuses),
            quantile(metrics.DURATION_S, durations.get(endpoint, ()), 0.50),
            quantile(metrics.DURATION_S, durations.get(endpoint, ()), 0.95),
        )
        for endpoint, counts in by_endpoint.items()
    ]
    tokens = _tokens(merged)
    return Traffic(
        requests=sum(row.requests for row in endpoints),
        failed=sum(n for counts in by_endpoint.values() for status, n in counts.items() if status.startswith("5")),
        in_flight=total(merged, metrics.IN_FLIGHT),
        streams=total(merged, metrics.STREAMS),
        input_tokens=sum(row.input for row in tokens),
        output_tokens=sum(row.output for row in tokens),
        p50=quantile(metrics.DURATION_S, everything, 0.50),
        p95=quantile(metrics.DURATION_S, everything, 0.95),
        statuses=statuses,
        endpoints=tuple(sorted(endpoints, key=lambda row: (-row.requests, row.endpoint))),
        tokens=tuple(sorted(tokens, key=lambda row: (-(row.input + row.output), row.model))),
    )


def total(merged: Merged, spec: Spec) -> float:
    """A metric over all its labels."""
    return sum(numbers[0] for numbers in merged[spec.name].values())


def quantile(bounds: Sequence[float], counts: Sequence[float], q: float) -> Percentile | None:
    """The `q`-th quantile of a histogram; `None` if nothing was observed.

    `bounds` are the upper bounds of its buckets, `counts` what fell into each and, last, what lay beyond them.
    """
    whole = sum(counts)
    if whole <= 0:
        return None
    rank = q * whole
    for index, below in enumerate(accumulate(counts)):
        if below >= rank and counts[index] > 0:
            break
    if index >= len(bounds):
        return Percentile(bounds[-1], "more")
    if index == 0:
        return Percentile(bounds[0], "less")
    lower = bounds[index - 1]
    inside = (rank - (below - counts[index])) / counts[index]
    return Percentile(lower + (bounds[index] - lower) * inside)


def _durations(merged: Merged) -> dict[str, list[float]]:
    """The counts of the buckets by endpoint, over all models."""
    found: dict[str, list[float]] = {}
    for (endpoint, _model), (_sum, *counts) in merged[metrics.REQUEST_DURATION.name].items():
        found[endpoint] = _added([found[endpoint], counts]) if endpoint in found else counts
    return found


def _added(histograms: Iterable[Sequence[float]]) -> list[float]:
    return [sum(column) for column in zip(*histograms, strict=True)]


def _tokens(merged: Merged) -> list[TokenRow]:
    by_model: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for (model, kind, source), (number,) in merged[metrics.TOKENS.name].items():
        counts = by_model[model]
        counts[kind] += number
        if source == "estimated" and kind in ("input", "output"):
            counts["estimated"] += number
    return [
        TokenRow(
            model,
            counts["input"],
            counts["output"],
            counts["cache_read"],
            counts["reasoning"],
            counts["estimated"],
        )
        for model, counts in by_model.items()
    ]
