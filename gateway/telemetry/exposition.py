"""Prometheus text of the whole gateway, whichever worker is asked, in the format that the scraper prefers.

A scrape of thousands of series takes tens of milliseconds of pure Python, and calls wait meanwhile. So the text is made
in parts of some hundred samples, and between two of them the loop runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice
from pathlib import Path

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from gateway.telemetry.merge import merge
from gateway.telemetry.spec import Spec

Series = tuple[tuple[str, ...], list[float]]

SAMPLES_A_PART = 400
_EOF = b"# EOF\n"  # closes an OpenMetrics text, so it must not stand between its parts


class MergedCollector(Collector):
    """The metrics of all workers that share `folder`, as prometheus_client's families, in the table's order."""

    def __init__(self, folder: Path, table: Sequence[Spec]) -> None:
        self._folder = folder
        self._table = table

    def collect(self) -> Iterator[Metric]:
        merged = merge(self._folder, self._table)
        for spec in self._table:
            yield _family(spec, merged[spec.name].items())


class Exposition:
    """Answers scrapes: `text` at once, `scrape` for a server that has other things to do."""

    def __init__(self, folder: Path, table: Sequence[Spec]) -> None:
        self._folder = folder
        self._table = table

    def text(self, accept: str | None = None) -> tuple[str, bytes]:
        """The content type and the whole text, in the format that the header `Accept` asks for."""
        content_type, parts = self._parts(accept)
        return content_type, b"".join(parts)

    async def scrape(self, accept: str | None = None) -> tuple[str, bytes]:
        """As `text`, letting the loop run after each part."""
        content_type, parts = self._parts(accept)
        made = []
        for part in parts:
            made.append(part)
            await asyncio.sleep(0)
        return content_type, b"".join(made)

    def _parts(self, accept: str | None) -> tuple[str, Iterator[bytes]]:
        encode, content_type = choose_encoder(accept or "")

        def parts() -> Iterator[bytes]:
            merged = merge(self._folder, self._table)
            for spec in self._table:
                for number, family in enumerate(_pieces(spec, merged[spec.name].items())):
                    text: bytes = encode(_Only(family)).removesuffix(_EOF)
                    yield text if number == 0 else _without_head(text)
            if "openmetrics" in content_type:
                yield _EOF

        return content_type, parts()


class _Only(Collector):
    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family


def _pieces(spec: Spec, series: Iterable[Series]) -> Iterator[Metric]:
    """A family cut into families of a bounded number of samples; one without series is one empty piece."""
    a_piece = max(1, SAMPLES_A_PART // spec.width)
    left = iter(series)
    yield _family(spec, islice(left, a_piece))
    while piece := list(islice(left, a_piece)):
        yield _family(spec, piece)


def _without_head(text: bytes) -> bytes:
    """Without the comments (help, type) that stand before the first sample of a family."""
    start = 0
    while text.startswith(b"#", start):
        start = text.index(b"\n", start) + 1
    return text[start:]


def _family(spec: Spec, series: Iterable[Series]) -> Metric:
    names = spec.label_names
    if spec.kind == "counter":
        counters = CounterMetricFamily(spec.name, spec.help, labels=names)
        for labels, numbers in series:
            counters.add_metric(labels, numbers[0])
        return counters
    if spec.kind == "gauge":
        gauges = GaugeMetricFamily(spec.name, spec.help, labels=names)
        for labels, numbers in series:
            gauges.add_metric(labels, numbers[0])
        return gauges
    histograms = HistogramMetricFamily(spec.name, spec.help, labels=names)
    bounds = [*map(floatToGoString, spec.buckets), "+Inf"]
    for labels, (total, *counts) in series:
        histograms.add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), total)
    return histograms
