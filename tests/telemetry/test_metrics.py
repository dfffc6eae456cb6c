"""The table of metrics, and one process's hold on it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.telemetry.families import Counter, Family, Gauge, Histogram
from gateway.telemetry.merge import merge
from gateway.telemetry.metrics import TABLE, Metrics, status_label
from gateway.telemetry.spec import Spec

SUFFIX = {"counter": "_total", "histogram": "_seconds", "gauge": ""}
DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"


@pytest.mark.parametrize("spec", TABLE, ids=lambda spec: spec.name)
def test_names_follow_the_convention(spec: Spec) -> None:
    assert re.fullmatch(r"gateway_[a-z_]+", spec.name)
    assert spec.name.endswith(SUFFIX[spec.kind])
    assert list(spec.buckets) == sorted(set(spec.buckets))
    assert spec.help.endswith(".") and "\n" not in spec.help


def test_every_metric_of_the_table_can_be_counted(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path, 0, "1.2.3")
    families = {value.spec.name for value in vars(metrics).values() if isinstance(value, Family)}
    children = [value for value in vars(metrics).values() if isinstance(value, Counter | Gauge | Histogram)]
    unlabelled = {spec.name for spec in TABLE if not spec.labels}
    assert families == {spec.name for spec in TABLE if spec.labels} - {"gateway_build_info"}
    assert len(children) == len(unlabelled)
    shown = merge(tmp_path, TABLE)
    assert all(shown[name] for name in unlabelled)
    metrics.close()


def test_the_version_and_the_worker_show(tmp_path: Path) -> None:
    worker, supervisor = Metrics(tmp_path, 0, "1.2.3"), Metrics(tmp_path, "supervisor", "1.2.3")
    supervisor.worker_restarts.inc()
    shown = merge(tmp_path, TABLE)
    assert shown["gateway_build_info"] == {("1.2.3",): [1.0]}
    assert shown["gateway_workers"] == {(): [1.0]}
    assert shown["gateway_worker_restarts_total"] == {(): [1.0]}
    worker.close()
    supervisor.close()


def test_a_process_tells_of_its_cpu_memory_and_descriptors(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path, 0, "1")
    before = metrics.process_cpu.value
    assert sum(range(200_000)) > 0
    metrics.refresh()
    assert metrics.process_cpu.value > before > 0.0
    assert metrics.process_memory.value > 4e6
    assert metrics.process_fds.value >= 3
    metrics.close()


def test_cpu_time_of_earlier_processes_stays_counted(tmp_path: Path) -> None:
    first = Metrics(tmp_path, 0, "1")
    first.close()
    second = Metrics(tmp_path, 0, "1")
    assert second.process_cpu.value > first.process_cpu.value / 2 > 0.0
    assert second.process_cpu.value >= 2 * first._cpu_counted_s
    second.close()


def test_labels_over_the_cap_are_counted_as_overflow(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path, 0, "1")
    for number in range(1_005):
        metrics.time_to_first_token.labels(model=f"m{number}").observe(0.1)
    assert metrics.metrics_overflow.value == 5.0
    assert metrics.time_to_first_token.labels(model="other").count == 5.0
    metrics.close()


@pytest.mark.parametrize(
    ("status", "label"),
    [(200, "200"), (201, "2xx"), (302, "3xx"), (418, "4xx"), (429, "429"), (499, "499"), (529, "5xx"), (42, "other")],
)
def test_a_status_is_itself_or_its_class(status: int, label: str) -> None:
    assert status_label(status) == label


def _documented() -> dict[str, list[str]]:
    rows = [line.strip("|").split("|") for line in DOCS.read_text().splitlines() if line.startswith("| `gateway_")]
    return {name.strip(" `"): [cell.strip() for cell in cells] for name, *cells in rows if len(cells) == 3}


def test_the_docs_name_every_metric_and_no_other() -> None:
    assert list(_documented()) == [spec.name for spec in TABLE]


@pytest.mark.parametrize("spec", TABLE, ids=lambda spec: spec.name)
def test_the_docs_tell_type_merge_labels_and_when_to_look(spec: Spec) -> None:
    kind, labels, when = _documented()[spec.name]
    assert kind == (f"gauge, {spec.merge}" if spec.kind == "gauge" else spec.kind)
    assert labels == (", ".join(f"`{name}`" for name in spec.label_names) or "none")
    assert len(when) > 20 and when.endswith(".")


def test_the_docs_tell_where_label_values_come_from() -> None:
    text = DOCS.read_text()
    for spec in TABLE:
        for label in spec.labels:
            values = ", ".join(f"`{value}`" for value in label.values)
            assert f"| `{label.name}` | {label.source}{': ' + values if values else ''} |" in text


def test_the_docs_tell_the_buckets() -> None:
    text = DOCS.read_text()
    for spec in TABLE:
        if spec.buckets:
            assert f"| `{spec.name}` | {' '.join(f'{bound:g}' for bound in spec.buckets)} |" in text
