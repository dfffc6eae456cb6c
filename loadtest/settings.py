"""How much is measured: everything that one run can turn, and the two sizes that it comes in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """One run. Times are seconds unless the name says milliseconds; rates are requests a second."""

    quick: bool = False
    seed: int = 20261101
    rounds: int = 3
    connections: int = 64
    closed_s: int = 4
    short_stream_chunks: int = 20
    long_stream_chunks: int = 220
    chunk_interval_ms: float = 20.0
    rates: tuple[int, ...] = (100, 500, 1000)
    open_s: float = 4.0
    open_warm_s: float = 0.5
    held_streams: int = 1000
    hold_s: float = 3.0
    drip_interval_ms: float = 500.0
    flood_chunks: int = 512
    """Of 4 KiB: 2 MiB a stream is far over any bound worth having, and does not fill the machine if there is none."""
    growth_rounds: int = 4
    growth_s: int = 2
    few: int = 10
    many_keys: int = 100_000
    many_models: int = 10_000
    fsyncs: int = 200


FULL = Settings()
QUICK = Settings(
    quick=True,
    rounds=1,
    closed_s=1,
    short_stream_chunks=10,
    long_stream_chunks=60,
    open_s=0.8,
    open_warm_s=0.2,
    held_streams=200,
    hold_s=1.0,
    growth_rounds=1,
    growth_s=1,
    many_keys=20_000,
    many_models=2_000,
    fsyncs=50,
)
