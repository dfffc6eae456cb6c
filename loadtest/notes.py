"""What a reader should know before believing a result: where a generator was the limit, or a peer failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loadtest.metrics import BUSY_ENOUGH

_READS_ENOUGH = 0.9
_LAG_TOO_MUCH_MS = 1.0


def notes(rounds: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """One sentence a finding, without its full stop, each peer's together."""
    return [note for name, peers_rounds in rounds.items() for note in _of_peer(name, peers_rounds)] + _late(rounds)


def _of_peer(name: str, rounds: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    busy = [one["saturation"]["busy"] for one in rounds if one["saturation"]["busy"] is not None]
    if idle := sum(share < BUSY_ENOUGH for share in busy):
        yield f"{name} was held up in {idle} of {len(rounds)} rounds ({min(busy):.0%} busy): their rps are left out"
    if failed := sum(one["saturation"]["failed"] for one in rounds):
        yield f"{name} failed {failed:,} requests under saturation"
    yield from _of_streams(name, rounds)
    yield from _of_rates(name, rounds)


def _of_streams(name: str, rounds: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    chunks = [one["chunk"] for one in rounds if one["chunk"] is not None]
    if chunks and min(one["reads_per_chunk"] for one in chunks) < _READS_ENOUGH:
        yield f"chunks of {name} arrived several at a time: its cost per chunk is too low"
    if failed := sum(one["failed"] for one in chunks):
        yield f"{name} failed {failed:,} streams"
    for kind, memory in ((kind, memory) for one in rounds for kind, memory in (one["memory"] or {}).items()):
        # The quotient holds for those that did open, but the peer could not do the job.
        if memory["opened"] < memory["asked"]:
            yield f"{name} opened {memory['opened']:,} of {memory['asked']:,} {kind} streams"


def _of_rates(name: str, rounds: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for rate in rounds[0]["latency"] if rounds else ():
        found = [one["latency"][rate] for one in rounds]
        failed, unfinished = sum(one["failed"] for one in found), sum(one["unfinished"] for one in found)
        if failed or unfinished:
            total = sum(one["arrivals"] for one in found)
            yield f"{name} at {rate} rps: {failed:,} failed and {unfinished:,} unfinished of {total:,}"


def _late(rounds: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """One note for all: who is late is the generator, and what makes it late is the machine."""
    lags = [one["lag_p99_ms"] for peers in rounds.values() for turn in peers for one in turn["latency"].values()]
    late = [lag for lag in lags if lag > _LAG_TOO_MUCH_MS]
    if not late:
        return []
    return [
        f"the machine was not quiet: in {len(late)} of {len(lags)} runs the generator itself sent late "
        f"(p99 up to {max(late):.1f} ms), so that added latencies are too high"
    ]
