"""What a worker and the shared store tell each other, and how the store divides what is left of a budget.

A worker reports running totals, never differences: should an answer get lost after its transaction was committed, the
same report says the same again, and nothing is counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.limits.rules import Kind

Key = tuple[str, int]
"""A budget's id and the first second of its window; 0 where it has none."""
Ask = Sequence[tuple[Key, int]]
"""What one call needs of every budget it falls under: all of it, or nothing."""


@dataclass(frozen=True, slots=True)
class Report:
    """One worker's lease on one budget: totals since the lease began, in the budget's units.

    `spent` includes `over`, what calls cost more than was held for them. `free` is what the lease has to spare now;
    `slot` is where its mark is kept (0: nowhere); `is_over` asks for its end, once nothing is held.
    """

    key: Key
    kind: Kind
    cap: int
    ends: int
    slot: int
    spent: int
    over: int
    returned: int
    free: int
    is_over: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """A budget as the store has it: what all spent, what all have leased, and all that this lease was ever granted."""

    granted: int
    spent: int
    leased: int


@dataclass(frozen=True, slots=True)
class Reply:
    """The standings of all that was reported, and for each ask the budget that refuses it, None if it is granted."""

    standings: Mapping[Key, Standing]
    answers: Sequence[Key | None]


class Bank(Protocol):
    """The shared store. `exchange` blocks, and is called from one thread at a time; the rest is cheap.

    All that a lease has to spare must be in its report, and every budget that is asked for must be reported.
    """

    def exchange(self, now: float, reports: Sequence[Report], asks: Sequence[Ask]) -> Reply:
        """Take in reports, answer asks, in one transaction. `now` in epoch seconds. Raises `Unavailable`."""

    def draw_slot(self) -> int:
        """A place for a mark, at zero; 0 if all are taken."""

    def free_slot(self, slot: int) -> None:
        """Give a place back."""

    def mark(self, slot: int, units: int) -> None:
        """Note what a lease has spent and holds. Outlives this process from here on."""

    def close(self) -> None:
        """End; what is not reported stays counted by its marks."""


def allot(
    left: Mapping[Key, int], free: Mapping[Key, int], slices: Mapping[Key, int], asks: Sequence[Ask]
) -> tuple[dict[Key, int], list[Key | None]]:
    """Divide what is `left`: the grants, and which budget refuses each ask (None: it is granted), the first first.

    An ask takes what the worker has to spare (`free`) before what is left. Once all are answered, a worker whose asks
    were granted gets up to a slice more, to be spent without asking.
    """
    left, free = dict(left), dict(free)
    grants: dict[Key, int] = {}
    answers: list[Key | None] = []
    for ask in asks:
        refused = next((key for key, units in ask if units > free[key] + max(left[key], 0)), None)
        answers.append(refused)
        if refused is not None:
            continue
        for key, units in ask:
            drawn = max(units - free[key], 0)
            free[key] += drawn - units
            left[key] -= drawn
            grants[key] = grants.get(key, 0) + drawn
    for key, drawn in grants.items():
        extra = min(slices[key], left[key])
        if drawn and extra > 0:
            grants[key] += extra
    return grants, answers


def slice_of(kind: Kind, cap: int, left: int, workers: int) -> int:
    """How much a worker may have to spare, of a budget of which so much is left.

    An eighth of an even share, so that slices shrink as the cap comes near. Of dollars never more than 1/32 of an even
    share of the cap: were all workers but one to fall silent with full slices, 96.9 % of the cap could still be
    spent, and all of it once they have given back what they do not use. Of rates an eighth: it is back in a moment.
    """
    most = cap // ((32 if kind == "usd" else 8) * workers)
    return max(min(left // (8 * workers), most), 0)
