"""Who goes next when a deployment has all the calls that it may have at once: teams take turns, whatever their hurry.

Deficit round robin (Shreedhar and Varghese, "Efficient Fair Queueing Using Deficit Round Robin", 1995): teams that
wait stand in a ring; in its turn each is given a quantum for its weight and sends calls as long as its credit covers
them. A team with a thousand calls waiting and one with a single call are served alike; within a team, in order.

What waits is bounded, for each team and in all: a call that finds the queue full is refused at once, and is told so,
rather than being kept until its client has left.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final, Generic, Literal, TypeVar

T = TypeVar("T", bound=Hashable)
Answer = Literal["go", "wait", "full"]
QUANTUM: Final = 1.0


@dataclass(frozen=True, slots=True)
class Terms:
    """`limit`: calls at once. `waiting`, `waiting_per_team`: calls that may wait. `weights`: of teams, 1 if absent."""

    limit: int
    waiting: int = 1_000
    waiting_per_team: int = 100
    weights: Mapping[str, float] | None = None


@dataclass(slots=True)
class _Team(Generic[T]):
    calls: deque[tuple[T, float]]
    credit: float = 0.0


class Turns(Generic[T]):
    """The calls of one deployment: those under way, and those that wait for a turn. A call is anything hashable."""

    __slots__ = ("_ring", "_terms", "_waiting", "running")

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._ring: OrderedDict[str, _Team[T]] = OrderedDict()
        self._waiting = 0
        self.running = 0

    def __repr__(self) -> str:
        return f"<Turns {self.running} of {self._terms.limit} running, {self._waiting} waiting>"

    @property
    def waiting(self) -> int:
        """Calls that wait."""
        return self._waiting

    def enter(self, team: str, call: T, size: float = 1.0) -> Answer:
        """`go`: begin now. `wait`: `leave` will name it in its turn. `full`: refuse it. `size` > 0, in any measure."""
        if self.running < self._terms.limit and not self._waiting:
            self.running += 1
            return "go"
        found = self._ring.get(team)
        if self._waiting >= self._terms.waiting:
            return "full"
        if found is not None and len(found.calls) >= self._terms.waiting_per_team:
            return "full"
        if found is None:
            found = self._ring[team] = _Team(deque())
        found.calls.append((call, size))
        self._waiting += 1
        return "wait"

    def leave(self) -> T | None:
        """A call that ran has ended: the one that begins in its place, or None if nobody waits."""
        self.running -= 1
        call = self._take() if self.running < self._terms.limit else None
        if call is not None:
            self.running += 1
        return call

    def withdraw(self, team: str, call: T) -> bool:
        """A call that waits has been given up; False if it does not wait (any more): then it runs, and must `leave`."""
        found = self._ring.get(team)
        if found is None:
            return False
        for entry in found.calls:
            if entry[0] == call:
                found.calls.remove(entry)
                self._waiting -= 1
                if not found.calls:
                    del self._ring[team]
                return True
        return False

    def _take(self) -> T | None:
        """The next in turn. A team that waits for nothing is out of the ring and keeps no credit."""
        if not self._waiting:
            return None
        self._skip_rounds()
        while True:
            team, found = next(iter(self._ring.items()))
            size = found.calls[0][1]
            if found.credit < size:
                found.credit += self._quantum(team)
                if found.credit < size:
                    self._ring.move_to_end(team)
                    continue
            call, size = found.calls.popleft()
            found.credit -= size
            self._waiting -= 1
            if not found.calls:
                del self._ring[team]
            elif found.credit < found.calls[0][1]:
                self._ring.move_to_end(team)
            return call

    def _skip_rounds(self) -> None:
        """Give out at once the rounds in which nobody could have gone: sizes may be thousands of tokens."""
        rounds = min(ceil((team.calls[0][1] - team.credit) / self._quantum(name)) for name, team in self._ring.items())
        if rounds > 1:
            for name, team in self._ring.items():
                team.credit += (rounds - 1) * self._quantum(name)

    def _quantum(self, team: str) -> float:
        return QUANTUM * max((self._terms.weights or {}).get(team, 1.0), 0.001)
