"""A sum over the last seconds, in a ring of slices: constant memory, constant time, and the time comes in.

The slices are aligned to the clock that is passed in. A window of `span_s` counts everything of the last `span_s`
seconds and up to one slice more, never less: as a limit it errs on the side of the limit.
"""

from __future__ import annotations


class Window:
    """What was added within the last `span_s` seconds (monotonic), in `slices` parts."""

    __slots__ = ("_at", "_per_s", "_ring", "_sum")

    def __init__(self, span_s: float = 10.0, slices: int = 10) -> None:
        self._per_s = slices / span_s
        self._ring = [0] * (slices + 1)
        self._at: int | None = None
        self._sum = 0

    def add(self, now: float, amount: int = 1) -> None:
        """Count `amount` at `now`. A moment before the latest one corrects its own slice, while that is kept."""
        at = int(now * self._per_s)
        if at != self._at:
            self._move(at)
            assert self._at is not None
            if self._at - at >= len(self._ring):
                return
        self._ring[at % len(self._ring)] += amount
        self._sum += amount

    def total(self, now: float) -> int:
        """The sum of what is still within the window."""
        at = int(now * self._per_s)
        if at != self._at:
            self._move(at)
        return self._sum

    def left_s(self, now: float, room: int) -> float:
        """Seconds until at most `room` is in the window, if nothing is added; 0 if that is so now. `room` >= 0."""
        total = self.total(now)
        assert self._at is not None
        size = len(self._ring)
        for step in range(1, size + 1):
            if total <= room:
                return 0.0
            total -= self._ring[(self._at + step) % size]
            if total <= room:
                return max((self._at + step) / self._per_s - now, 0.0)
        return size / self._per_s

    def clear(self) -> None:
        """Forget everything."""
        self._ring = [0] * len(self._ring)
        self._sum = 0

    def _move(self, at: int) -> None:
        """Empty the slices that fell out of the window."""
        if self._at is None:
            self._at = at
            return
        size = len(self._ring)
        passed = at - self._at
        if passed <= 0:
            return
        if passed >= size:
            self.clear()
        else:
            for step in range(self._at + 1, at + 1):
                slot = step % size
                self._sum -= self._ring[slot]
                self._ring[slot] = 0
        self._at = at
