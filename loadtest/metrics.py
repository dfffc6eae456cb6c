"""The figures that are compared: what each is called, its unit, and where in a round it is found.

A round holds everything that was measured of one peer in one turn, as plain JSON; `direct` is the same round without a
proxy. A figure that a peer has not got is None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Round = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure. `find` takes a peer's round and the direct one; `digits` are those worth printing."""

    key: str
    title: str
    unit: str
    digits: int
    find: Callable[[Round, Round], float | None]


def metrics(rates: Sequence[int]) -> list[Metric]:
    """All figures, in the order of the table; added latency at each of `rates` (requests a second)."""
    return [
        Metric("cpu_us_per_request", "CPU per request", "us", 1, _inside("saturation", "cpu_us_per_request")),
        Metric("cpu_us_per_chunk", "CPU per SSE chunk", "us", 1, _inside("chunk", "cpu_us_per_chunk")),
        Metric("rps", "Requests per second, one worker", "", 0, _inside("saturation", "rps")),
        *(metric for rate in rates for metric in _added(rate)),
        Metric("idle_mib", "Memory, idle", "MiB", 0, _inside("memory", "idle_mib")),
        Metric("after_load_mib", "Memory, after load", "MiB", 0, _inside("memory", "after_load_mib")),
        Metric("kib_per_drip_stream", "Memory per slow stream", "KiB", 1, _inside("memory", "kib_per_drip_stream")),
        Metric(
            "kib_per_unread_stream", "Memory per unread stream", "KiB", 1, _inside("memory", "kib_per_unread_stream")
        ),
    ]


def _added(rate: int) -> tuple[Metric, Metric]:
    return (
        Metric(f"added_p50_ms_at_{rate}", f"Added p50 at {rate} rps", "ms", 2, _over_direct(rate, "p50_ms")),
        Metric(f"added_p99_ms_at_{rate}", f"Added p99 at {rate} rps", "ms", 2, _over_direct(rate, "p99_ms")),
    )


def _inside(group: str, field: str) -> Callable[[Round, Round], float | None]:
    def find(mine: Round, direct: Round) -> float | None:
        measured = mine.get(group)
        return None if measured is None else measured[field]

    return find


def _over_direct(rate: int, field: str) -> Callable[[Round, Round], float | None]:
    def find(mine: Round, direct: Round) -> float | None:
        if mine is direct:
            return None
        proxied, plain = mine["latency"].get(str(rate)), direct["latency"].get(str(rate))
        if proxied is None or plain is None:
            return None
        added: float = proxied[field] - plain[field]
        return added

    return find
