"""A small result with figures that are easy to reckon with: two rounds, four peers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from loadtest.report import Result, assemble
from loadtest.settings import Settings

SETTINGS = Settings(rounds=2, rates=(500,))
AT = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)
MACHINE = {"cpu": "Test CPU", "cores": 2, "python": "3.11.0", "fsync_p99_ms": 0.5}


def one_round(
    *, cpu_us: float | None, rps: float, p99_ms: float, memory_kib: float | None = None, busy: float | None = 0.99
) -> dict[str, Any]:
    """What one peer gave in one round; without `cpu_us` it is the run without a proxy."""
    proxied = cpu_us is not None
    saturation = {
        "rps": rps,
        "cpu_us_per_request": cpu_us,
        "busy": busy if proxied else None,
        "p50_ms": 1.0,
        "p99_ms": 2.0,
        "failed": 0,
    }
    chunk = {"cpu_us_per_chunk": (cpu_us or 0) / 4, "reads_per_chunk": 1.01, "failed": 0} if proxied else None
    rate = {
        "arrivals": 2000,
        "failed": 0,
        "unfinished": 0,
        "p50_ms": p99_ms / 2,
        "p99_ms": p99_ms,
        "max_ms": p99_ms * 2,
        "lag_p99_ms": 0.1,
    }
    return {"saturation": saturation, "chunk": chunk, "latency": {"500": rate}, "memory": _memory(memory_kib)}


def _memory(kib: float | None) -> dict[str, Any] | None:
    if kib is None:
        return None
    same = {"idle_mib": 40.0, "after_load_mib": 44.0, "asked": 1000, "opened": 1000}
    return {"slow": {**same, "kib_per_stream": kib}, "unread": {**same, "kib_per_stream": kib + 10}}


def rounds() -> dict[str, list[dict[str, Any]]]:
    """Two rounds, the second on a machine that is half as fast."""
    return {
        "direct": [
            one_round(cpu_us=None, rps=60_000, p99_ms=0.2),
            one_round(cpu_us=None, rps=30_000, p99_ms=0.4),
        ],
        "nginx": [
            one_round(cpu_us=10, rps=60_000, p99_ms=0.3, memory_kib=16),
            one_round(cpu_us=20, rps=30_000, p99_ms=0.5),
        ],
        "gateway": [
            one_round(cpu_us=50, rps=15_000, p99_ms=0.7, memory_kib=30),
            one_round(cpu_us=100, rps=7_500, p99_ms=0.9),
        ],
        "naive": [
            one_round(cpu_us=1000, rps=600, p99_ms=20.2, memory_kib=50),
            one_round(cpu_us=2000, rps=300, p99_ms=20.4),
        ],
    }


def growth() -> dict[str, Any]:
    """Cost that grows with keys, and not with models."""
    few, many = {"median": 50.0, "low": 49.0, "high": 51.0}, {"median": 60.0, "low": 59.0, "high": 61.0}
    return {
        "few": {"title": "10 keys, 10 models", "cpu_us_per_request": few},
        "many_keys": {
            "title": "100,000 keys, 10 models",
            "cpu_us_per_request": many,
            "ratio": {"median": 1.2, "low": 1.1, "high": 1.3},
        },
        "many_models": {
            "title": "10 keys, 10,000 models",
            "cpu_us_per_request": few,
            "ratio": {"median": 1.0, "low": 0.9, "high": 1.1},
        },
    }


def result(commit: str = "abc1234", at: datetime = AT) -> Result:
    """The whole of it, put together as a run would."""
    return assemble(
        rounds(), growth(), settings=SETTINGS, machine=MACHINE, at=at, commit=commit, notes=["nginx was idle"]
    )
