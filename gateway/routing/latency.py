"""How fast a deployment answers of late: a mean in which old answers fade, and a 95th percentile in fixed memory.

The mean weighs an answer of age t with exp(-t / `fade_s`), so it follows a deployment that slows down and forgets what
it was an hour ago, however many calls there are. The percentile is read from a histogram whose buckets grow by 15%:
it is never below the true one and at most 15% above it, which makes a hedge late rather than early. All counts are
halved every `fade_s`.
"""

from __future__ import annotations

from array import array
from math import exp, log
from typing import Final

FASTEST_S: Final = 0.001
GROWTH: Final = 1.15
BUCKETS: Final = 100  # up to 1,000 s; the last one takes the rest
MIN_SAMPLES: Final = 20.0
"""Answers, faded, below which no percentile is told: it would be the slowest of a handful."""

_PER_BUCKET: Final = 1 / log(GROWTH)


class Faded:
    """A mean in which old samples fade. Seconds."""

    __slots__ = ("_at", "_fade_s", "_sum", "weight")

    def __init__(self, fade_s: float = 60.0) -> None:
        self._fade_s = fade_s
        self._at = 0.0
        self._sum = 0.0
        self.weight = 0.0
        """How many samples the mean rests on, as of the last one."""

    def add(self, value: float, now: float) -> None:
        """Count one sample."""
        if now > self._at:
            kept = exp((self._at - now) / self._fade_s)
            self._sum *= kept
            self.weight *= kept
            self._at = now
        self._sum += value
        self.weight += 1.0

    @property
    def mean(self) -> float | None:
        """None before the first sample."""
        return self._sum / self.weight if self.weight else None


class Percentile:
    """The 95th percentile of a stream of durations, in seconds."""

    __slots__ = ("_counts", "_fade_s", "_fresh", "_halved_at", "_known", "_total")

    def __init__(self, fade_s: float = 60.0) -> None:
        self._fade_s = fade_s
        self._counts = array("d", bytes(8 * (BUCKETS + 1)))
        self._total = 0.0
        self._halved_at: float | None = None
        self._fresh = 0
        self._known: float | None = None

    def add(self, value: float, now: float) -> None:
        """Count one sample."""
        if self._halved_at is None:
            self._halved_at = now
        elif now - self._halved_at >= self._fade_s:
            self._halve(now)
        self._counts[_bucket(value)] += 1.0
        self._total += 1.0
        self._fresh += 1

    @property
    def p95(self) -> float | None:
        """None while there are too few samples. Read anew after one sample in 16, so that asking costs nothing."""
        if self._total < MIN_SAMPLES:
            return None
        if self._known is None or self._fresh >= 16:
            self._known = self._read(0.95)
            self._fresh = 0
        return self._known

    def _read(self, share: float) -> float:
        wanted = share * self._total
        so_far = 0.0
        for at, count in enumerate(self._counts):
            so_far += count
            if so_far >= wanted:
                return float(FASTEST_S * GROWTH**at)
        return float(FASTEST_S * GROWTH**BUCKETS)

    def _halve(self, now: float) -> None:
        assert self._halved_at is not None
        kept = 0.5 ** int((now - self._halved_at) / self._fade_s)
        for at, count in enumerate(self._counts):
            self._counts[at] = count * kept
        self._total = sum(self._counts)
        self._halved_at = now
        self._known = None


class Latency:
    """What is known of one deployment's speed: to the first byte, and to the last."""

    __slots__ = ("_percentile", "first_byte", "total")

    def __init__(self, fade_s: float = 60.0) -> None:
        self.first_byte = Faded(fade_s)
        self.total = Faded(fade_s)
        self._percentile = Percentile(fade_s)

    def __repr__(self) -> str:
        first, p95 = self.first_byte.mean, self.p95
        known = "nothing" if first is None else f"first byte {first:.3f} s"
        return f"<Latency {known}{'' if p95 is None else f', p95 {p95:.3f} s'}>"

    def began(self, first_byte_s: float, now: float) -> None:
        """An answer's first byte came `first_byte_s` after it was asked for."""
        self.first_byte.add(first_byte_s, now)
        self._percentile.add(first_byte_s, now)

    def ended(self, total_s: float, now: float) -> None:
        """An answer was whole after `total_s`."""
        self.total.add(total_s, now)

    @property
    def p95(self) -> float | None:
        """The 95th percentile of the time to the first byte; None while it rests on too little."""
        return self._percentile.p95


def _bucket(value: float) -> int:
    """The first bucket whose upper edge is not below `value`."""
    if value <= FASTEST_S:
        return 0
    at = int(log(value / FASTEST_S) * _PER_BUCKET)
    if at >= BUCKETS:
        return BUCKETS
    return at if FASTEST_S * GROWTH**at >= value else at + 1
