"""What a reader should know before believing a result: where a generator was the limit, or a peer failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_BUSY_ENOUGH = 0.9
_READS_ENOUGH = 0.9
_LAG_TOO_MUCH_MS = 1.0


def notes(rounds: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """One sentence a finding, without its full stop, each peer's together."""
    return [note for name, peers_rounds in rounds.items() for note in _of_peer(name, peers_rounds)]


def _of_peer(name: str, rounds: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    busy = [one["saturation"]["busy"] for one in rounds if one["saturation"]["busy"] is not None]
    if busy and max(busy) < _BUSY_ENOUGH:
        yield f"{name} was {max(busy):.0%} busy at most when saturated: its rps are those of what drove it"
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
    for kind in ("drip", "unread"):
        for memory in (one["memory"] for one in rounds if one.get("memory")):
            # Far from the asked number the quotient still holds, but the peer could not do the job.
            if memory[f"opened_{kind}"] < memory["asked"]:
                yield f"{name} opened {memory[f'opened_{kind}']:,} of {memory['asked']:,} {kind} streams"


def _of_rates(name: str, rounds: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for rate in rounds[0]["latency"] if rounds else ():
        found = [one["latency"][rate] for one in rounds]
        failed, unfinished = sum(one["failed"] for one in found), sum(one["unfinished"] for one in found)
        if failed or unfinished:
            total = sum(one["arrivals"] for one in found)
            yield f"{name} at {rate} rps: {failed:,} failed and {unfinished:,} unfinished of {total:,}"
        if max(one["lag_p99_ms"] for one in found) > _LAG_TOO_MUCH_MS:
            yield f"the generator itself was late at {rate} rps beside {name}: its latencies are too high"
