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
    """One figure. `find` takes a peer's round and the direct one; `digits` are those worth printing.

    What is not above `noise`, in the figure's unit, is too small to be divided by.
    """

    key: str
    title: str
    unit: str
    digits: int
    find: Callable[[Round, Round], float | None]
    noise: float = 0.0


BUSY_ENOUGH = 0.85
"""The share of its core that a saturated worker uses at least; the rest is for waking up and for the system."""

# A difference of two latencies, each known to some hundredths of a millisecond.
_LATENCY_NOISE_MS = 0.05


def metrics(rates: Sequence[int]) -> list[Metric]:
    """All figures, in the order of the table; added latency at each of `rates` (requests a second)."""
    return [
        Metric("cpu_us_per_request", "CPU per request", "us", 1, _inside("saturation", "cpu_us_per_request")),
        Metric("cpu_us_per_chunk", "CPU per SSE chunk", "us", 1, _inside("chunk", "cpu_us_per_chunk")),
        Metric("rps", "Requests per second, one worker", "", 0, _saturated_rps),
        *(metric for rate in rates for metric in _added(rate)),
        Metric("idle_mib", "Memory, idle", "MiB", 0, _inside("memory", "slow", "idle_mib")),
        Metric("after_load_mib", "Memory, after load", "MiB", 0, _inside("memory", "slow", "after_load_mib")),
        Metric("kib_per_slow_stream", "Memory per slow stream", "KiB", 1, _inside("memory", "slow", "kib_per_stream")),
        Metric(
            "kib_per_unread_stream", "Memory per unread stream", "KiB", 1, _inside("memory", "unread", "kib_per_stream")
        ),
    ]


def _saturated_rps(mine: Round, direct: Round) -> float | None:
    """None where the peer had time to spare: the figure is then of what held it up, and would flatter others."""
    measured = mine["saturation"]
    if measured["busy"] is not None and measured["busy"] < BUSY_ENOUGH:
        return None
    return float(measured["rps"])


def _added(rate: int) -> tuple[Metric, Metric]:
    def added(percentile: str) -> Metric:
        find = _over_direct(rate, f"{percentile}_ms")
        title = f"Added {percentile} at {rate} rps"
        return Metric(f"added_{percentile}_ms_at_{rate}", title, "ms", 2, find, _LATENCY_NOISE_MS)

    return added("p50"), added("p99")


def _inside(*path: str) -> Callable[[Round, Round], float | None]:
    def find(mine: Round, direct: Round) -> float | None:
        found: Any = mine
        for step in path:
            found = None if found is None else found.get(step)
        return None if found is None else float(found)

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
