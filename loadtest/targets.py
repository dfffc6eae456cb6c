"""What the gateway has promised, and whether one result keeps it.

Ratios are taken within a round and their median judged: a noisy minute then touches both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Target:
    """`metric` of the gateway, over that of the peer `over` where there is one, against a `limit`."""

    title: str
    metric: str
    over: str | None
    limit: float
    sense: Literal["at most", "at least"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A target beside what was found; `passed` is None where it was not measured."""

    title: str
    sense: str
    limit: float
    value: float | None
    passed: bool | None


TARGETS: tuple[Target, ...] = (
    Target("CPU per request over nginx", "cpu_us_per_request", "nginx", 8, "at most"),
    Target("CPU per request over the naive proxy", "cpu_us_per_request", "naive", 1 / 15, "at most"),
    Target("CPU per SSE chunk over nginx", "cpu_us_per_chunk", "nginx", 2.5, "at most"),
    Target("requests per second over nginx", "rps", "nginx", 1 / 7, "at least"),
    Target("added p99 at 500 rps less two fsyncs' p99, ms", "added_p99_ms_at_500", "fsync", 2.0, "at most"),
    Target("CPU of the ledger per call at saturation, us", "us_per_call", "ledger", 40, "at most"),
    Target("KiB per slow stream", "kib_per_slow_stream", None, 64, "at most"),
    Target("KiB per unread stream", "kib_per_unread_stream", None, 64, "at most"),
    Target("CPU per request, many keys over few", "many_keys", "growth", 1.1, "at most"),
    Target("CPU per request, many models over few", "many_models", "growth", 1.1, "at most"),
)


def judge(result: Mapping[str, Any]) -> list[Judgement]:
    """Every target against a result as `report.assemble` makes it."""
    return [_judge(target, _value(target, result)) for target in TARGETS]


def _value(target: Target, result: Mapping[str, Any]) -> float | None:
    if target.over is None:
        found = result["peers"].get("gateway", {}).get("metrics", {}).get(target.metric)
    elif target.over == "ledger":
        found = (result.get("ledger") or {}).get(target.metric)
    elif target.over == "fsync":
        waited = result["peers"].get("gateway", {}).get("metrics", {}).get(target.metric)
        if waited is None:
            return None
        # A call waits for the disk before it is sent, and that is the disk's time.
        return float(waited["median"]) - 2 * float(result["machine"].get("fsync_p99_ms", 0.0))
    elif target.over == "growth":
        found = (result.get("growth") or {}).get(target.metric, {}).get("ratio")
    else:
        found = result["ratios"].get(target.over, {}).get(target.metric)
    return None if found is None else float(found["median"])


def _judge(target: Target, value: float | None) -> Judgement:
    passed = None
    if value is not None:
        passed = value <= target.limit if target.sense == "at most" else value >= target.limit
    return Judgement(target.title, target.sense, target.limit, value, passed)
