"""Whether a copy of a call is sent to another model whose answer nobody waits for, to compare it or to warm it up.

A copy is an attempt with a booking of its own (kind `shadow`) and falls under the same residency as the call. It never
delays the call, never takes a retry's budget, and never goes out when there is more of them than was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.routing.window import Window

No = Literal["share", "busy", "rate", "cost", "stream"]
"""Not drawn, too many copies in flight, too many this minute, too dear, or a stream where only others are copied."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Which calls are copied to `model`: a `share` of them (0..1), and at most so many at once and in a minute.

    `max_nano` is the most that one copy may cost (nano-dollars); None: whatever the budgets allow.
    """

    model: str
    share: float
    at_once: int = 10
    per_minute: int = 60
    max_nano: int | None = None
    streams: bool = True


class Shadow:
    """The copies of one route. `now` is monotonic seconds."""

    __slots__ = ("_sent", "in_flight", "terms")

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.in_flight = 0
        self._sent = Window(60.0, 60)

    def begin(self, chance: float, now: float, *, stream: bool = False, cost_nano: int | None = None) -> No | None:
        """None: send a copy, and call `end` when it is done. Else why not. `chance` is in [0, 1).

        `cost_nano` is the most that the copy may cost; with a `max_nano` a copy without a price is not sent.
        """
        terms = self.terms
        if chance >= terms.share:
            return "share"
        if stream and not terms.streams:
            return "stream"
        if terms.max_nano is not None and (cost_nano is None or cost_nano > terms.max_nano):
            return "cost"
        if self.in_flight >= terms.at_once:
            return "busy"
        if self._sent.total(now) >= terms.per_minute:
            return "rate"
        self._sent.add(now)
        self.in_flight += 1
        return None

    def end(self) -> None:
        """A copy is done, however it ended."""
        self.in_flight -= 1
