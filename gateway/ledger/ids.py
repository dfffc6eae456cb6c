"""Ids of attempts: they grow with time, and no two processes make the same.

`(microseconds since 2020) << 12 | owner`. An owner is the number of a process among those that have the ledger open, at
most 4096. Within a process an id is always above the one before, and above all that were in the ledger when it was
opened, so that a clock that is set back makes neither a clash nor disorder. 63 bits last until 2091.
"""

from __future__ import annotations

from typing import Final

EPOCH_US: Final = 1_577_836_800_000_000
OWNERS: Final = 4096


class Ids:
    """Makes the ids of one process. `floor` is the highest that the ledger had."""

    __slots__ = ("_last", "_owner")

    def __init__(self, owner: int, floor: int) -> None:
        self._owner = owner
        self._last = floor // OWNERS

    def draw(self, now: int) -> int:
        """An id for an attempt that is reserved `now` (microseconds since the Unix epoch)."""
        at = now - EPOCH_US
        if at <= self._last:
            at = self._last + 1
        self._last = at
        return at * OWNERS + self._owner


def owner_of(attempt_id: int) -> int:
    """The number of the process that made it."""
    return attempt_id % OWNERS


def lowest(at: int) -> int:
    """No attempt that began at or after `at` (microseconds since the Unix epoch) has an id below this."""
    return max(0, at - EPOCH_US) * OWNERS
