"""A circuit breaker for one deployment: a table of (state, event) -> state, and the counts that make the events.

Closed lets everything through and counts. It opens when `consecutive` calls in a row failed, or when at least
`min_calls` ended within `window_s` and the share `share` of them failed. Open lets nothing through for `open_s`. Then
it is half open: `probes` calls at once may pass, and one more for every `open_s` in which none of them answered, until
`successes` of them have gone well (closed) or one has failed (open). With the defaults an outage costs one call in 2 s
a detour, and a deployment that works again is back within 2 s and twice the time to its first byte: under 5 s where
that is less than 1.5 s.

Every change of state begins a new round, and each call carries the number of the round in which it was let through.
What ends in a later round says nothing about it: a call that began before the outage and failed in the middle of the
recovery is not a failed probe.

What counts as a failure is for the caller to say (`causes.py`); a refusal that is the client's own fault is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from gateway.routing.window import Window

State = Literal["closed", "open", "half_open"]
Event = Literal["passed", "failed", "tripped", "cooled", "recovered"]
"""`passed`, `failed`: a call ended. `tripped`: failed, and that was one too many. `cooled`: `open_s` are over.
`recovered`: passed, and that was the last one needed."""

TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = MappingProxyType(
    {
        ("closed", "passed"): "closed",
        ("closed", "failed"): "closed",
        ("closed", "tripped"): "open",
        ("open", "cooled"): "half_open",
        ("half_open", "passed"): "half_open",
        ("half_open", "recovered"): "closed",
        ("half_open", "tripped"): "open",
    }
)
"""Pairs that are not here cannot happen: an open breaker hears of no call, because no call is of its round."""


@dataclass(frozen=True, slots=True)
class Terms:
    """When a breaker opens, and how it comes back. Seconds; `share` in 0..1."""

    consecutive: int = 5
    share: float = 0.5
    min_calls: int = 20
    window_s: float = 10.0
    open_s: float = 2.0
    probes: int = 1
    successes: int = 2


class Breaker:
    """The breaker of one deployment. `now` is monotonic seconds.

    A call asks `enter`, and says once how it ended, with the round it got: `passed`, `failed` or `dropped`.
    """

    __slots__ = ("_calls", "_failures", "_free", "_good", "_row", "_until", "opened", "round", "state", "terms")

    def __init__(self, terms: Terms | None = None) -> None:
        self.terms = terms or Terms()
        self.state: State = "closed"
        self.round = 0
        self.opened = 0
        """How often it has opened."""
        self._row = 0
        self._calls = Window(self.terms.window_s)
        self._failures = Window(self.terms.window_s)
        self._until = 0.0
        self._free = 0
        self._good = 0

    def __repr__(self) -> str:
        return f"<Breaker {self.state}, {self._row} failed in a row, opened {self.opened} times>"

    def is_blocking(self, now: float) -> bool:
        """Whether `enter` would refuse now. Changes nothing."""
        if self.state == "closed":
            return False
        return now < self._until and not (self.state == "half_open" and self._free)

    def wait_s(self, now: float) -> float:
        """Seconds until a call may pass; 0 if one may now."""
        return max(self._until - now, 0.0) if self.is_blocking(now) else 0.0

    def enter(self, now: float) -> int | None:
        """Let a call through: the round to give back when it ends. None: not now."""
        if self.state == "closed":
            return self.round
        if self.state == "open":
            if now < self._until:
                return None
            self._change("cooled", now)
        if self._free:
            self._free -= 1
        elif now < self._until:
            return None
        # a probe that never answers must not keep the door shut: `open_s` after the last one, another may pass
        self._until = now + self.terms.open_s
        return self.round

    def passed(self, round: int, now: float) -> None:
        """A call of `round` brought its first byte."""
        if round != self.round:
            return
        if self.state == "closed":
            self._row = 0
            self._calls.add(now)
            return
        self._good += 1
        self._change("recovered" if self._good >= self.terms.successes else "passed", now)

    def failed(self, round: int, now: float) -> None:
        """A call of `round` failed in a way that says something about the deployment."""
        if round != self.round:
            return
        if self.state != "closed":
            self._change("tripped", now)
            return
        self._row += 1
        self._calls.add(now)
        self._failures.add(now)
        self._change("tripped" if self._is_too_much(now) else "failed", now)

    def dropped(self, round: int, now: float) -> None:
        """A call of `round` ended without a verdict: the client left, or was refused for its own fault."""
        if round == self.round and self.state == "half_open":
            self._return_probe()

    def _is_too_much(self, now: float) -> bool:
        terms = self.terms
        if self._row >= terms.consecutive:
            return True
        calls = self._calls.total(now)
        return calls >= terms.min_calls and self._failures.total(now) >= terms.share * calls

    def _return_probe(self) -> None:
        self._free = min(self._free + 1, self.terms.probes)

    def _change(self, event: Event, now: float) -> None:
        after = TRANSITIONS[self.state, event]
        if after == self.state:
            if after == "half_open" and event == "passed":
                self._return_probe()
            return
        self.state = after
        self.round += 1
        if after == "open":
            self.opened += 1
            self._until = now + self.terms.open_s
        elif after == "half_open":
            self._free, self._good = self.terms.probes, 0
        else:
            self._row = 0
            self._calls.clear()
            self._failures.clear()
