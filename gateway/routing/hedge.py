"""When a call that has heard nothing is sent a second time elsewhere, and the first answer wins.

It is worth it past the 95th percentile of the time to the first byte: then one call in twenty is sent twice, and the
slow tail is cut to what two deployments are both slow at. Both legs are attempts with bookings of their own, and both
may cost: the one that loses is closed and booked as estimated, never void, because it was sent.
Source: Dean and Barroso, "The Tail at Scale" (2013).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

No = Literal["off", "alone", "repeats", "unknown", "budget", "too_late"]
"""Not asked for, nobody else to ask, not to be done twice, too little known of the first leg's speed, no budget for a
second, or the first leg's deadline comes before it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Seconds; `floor_s` keeps a fast deployment from being hedged after a blink, `factor` multiplies the p95."""

    enabled: bool = False
    floor_s: float = 0.05
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Hedge:
    """`after_s` seconds of silence of the first leg the second is sent; None: never, and why."""

    after_s: float | None
    why_not: No | None = None


def hedge(
    terms: Terms, *, p95_s: float | None, others: int, repeatable: bool, has_budget: bool, left_s: float
) -> Hedge:
    """Whether and when a second leg goes out.

    `p95_s` is the first leg's own (`Latency.p95`), `others` the candidates besides it. `repeatable`: the body is
    held and can be sent again, and the call starts nothing that must not be started twice (uploads, batches).
    `has_budget` is `Budget.has`; the budget is spent when the second leg goes out. `left_s` of the client's time.
    """
    if not terms.enabled:
        return Hedge(None, "off")
    if not others:
        return Hedge(None, "alone")
    if not repeatable:
        return Hedge(None, "repeats")
    if p95_s is None:
        return Hedge(None, "unknown")
    if not has_budget:
        return Hedge(None, "budget")
    after_s = max(p95_s * terms.factor, terms.floor_s)
    return Hedge(after_s) if after_s < left_s else Hedge(None, "too_late")
