"""Whether a failed attempt is followed by another, where, and after how long.

The rule above all others: once a byte of an answer has been shown to the client, nothing is tried again. Below it, the
cause decides (`causes.py`), then the number of attempts, then the budget, then the client's deadline.

The budget counts every attempt beyond a call's first, retries, fallbacks and hedges alike: within any `window_s` no
more than `ratio` of the calls that began in it, or `reserve`, whichever is more. An attempt leaves the window no sooner
than the calls that paid for it, so none of them pays twice, and without a reserve all attempts together never exceed
`1 + ratio` of all calls. The reserve is for gateways with few calls: those that fail before a breaker opens, and
those that find it half open, may go elsewhere. From `reserve / ratio` calls in a window on it makes no difference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, Literal

from gateway.model.route import Timeouts
from gateway.routing.causes import CONSEQUENCES, Cause
from gateway.routing.window import Window

MAX_RETRY_AFTER_S: Final = 300.0
"""The longest rest that a provider can ask for: a wrong date must not take a deployment out for good. One that means
longer will say so again."""

Where = Literal["again", "next", "stop"]
"""The same candidate, the one after it, or nobody."""
Why = Literal["cause", "shown", "last", "attempts", "budget", "deadline", "circuit"]
"""What settled it: the cause itself, a byte already shown, no candidate left, too many attempts, an empty budget, a
wait that ends after the client's deadline, or a breaker that is open by then."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How hard a call tries. Seconds; `ratio` in 0..1; `retries` is how often one candidate is tried again."""

    retries: int = 1
    attempts: int = 5
    base_s: float = 0.1
    cap_s: float = 2.0
    ratio: float = 0.1
    reserve: int = 10
    window_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Step:
    """What comes after a failure: `wait_s` is to pass before it."""

    where: Where
    why: Why
    wait_s: float = 0.0


class Budget:
    """Attempts beyond the first, as a share of the calls. `now` is monotonic seconds."""

    __slots__ = ("_calls", "_extra", "_ratio", "_reserve")

    def __init__(self, terms: Terms | None = None) -> None:
        found = terms or Terms()
        self._calls = Window(found.window_s)
        self._extra = Window(found.window_s)
        self._ratio = found.ratio
        self._reserve = found.reserve

    def called(self, now: float) -> None:
        """A call began."""
        self._calls.add(now)

    def has(self, now: float) -> bool:
        """Whether `spend` would say yes. Changes nothing."""
        extra = self._extra.total(now) + 1
        return extra <= self._reserve or extra <= self._ratio * self._calls.total(now)

    def spend(self, now: float) -> bool:
        """Take one attempt out; False if there is none."""
        if not self.has(now):
            return False
        self._extra.add(now)
        return True


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt that failed, and where its call stands.

    `tried` counts the attempts of this candidate, `attempts` those of the call; `is_last`: no candidate is left that
    this cause may go to. `left_s` is what remains of the client's deadline, `retry_after_s` what the provider asked
    for. `shown`: a byte of an answer has gone to the client.
    """

    cause: Cause
    tried: int
    attempts: int
    is_last: bool
    left_s: float
    retry_after_s: float | None = None
    shown: bool = False


def after(failed: Failed, budget: Budget, terms: Terms, now: float, chance: float) -> Step:
    """What is tried next; a step that is not `stop` has been taken out of `budget`. `chance` is in [0, 1)."""
    if failed.shown:
        return Step("stop", "shown")
    if failed.attempts >= terms.attempts:
        return Step("stop", "attempts")
    step = _wanted(failed, terms, chance)
    if step.where == "stop":
        return step
    if step.wait_s >= failed.left_s:
        return Step("stop", "deadline")
    return step if budget.spend(now) else Step("stop", "budget")


def _wanted(failed: Failed, terms: Terms, chance: float) -> Step:
    """Elsewhere at once where there is an elsewhere; else here again, after what the provider asked for."""
    if not failed.is_last:
        return Step("next", "cause")
    if not CONSEQUENCES[failed.cause].again:
        return Step("stop", "last")
    if failed.tried > terms.retries:
        return Step("stop", "attempts")
    return Step("again", "cause", wait_s(failed.tried, failed.retry_after_s, terms, chance))


def wait_s(tried: int, retry_after_s: float | None, terms: Terms, chance: float) -> float:
    """Seconds to wait after the `tried`-th attempt: what the provider asked for, and a random part on top.

    The random part is "full jitter", uniform in 0..min(cap, base * 2^(tried - 1)).
    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
    """
    spread = min(terms.cap_s, terms.base_s * 2.0 ** min(tried - 1, 60))
    return (retry_after_s or 0.0) + chance * spread


def retry_after(value: bytes | None, wall: float, *, milliseconds: bytes | None = None) -> float | None:
    """Seconds that `Retry-After` asks for, at most five minutes; None if it is absent or says nothing.

    `value` is a number of seconds or a date (RFC 9110, 10.2.3, in any of its three forms), `wall` the Unix time against
    which a date is read, `milliseconds` the value of `retry-after-ms`, which some providers send besides.
    """
    if milliseconds is not None and (found := _number(milliseconds)) is not None:
        return min(found / 1000, MAX_RETRY_AFTER_S)
    if value is None:
        return None
    seconds = _number(value)
    if seconds is None:
        seconds = _until(value, wall)
    return None if seconds is None else min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def within(timeouts: Timeouts, left_s: float) -> Timeouts:
    """`timeouts` for an attempt that has `left_s` seconds of the call's time left."""
    if left_s >= timeouts.total:
        return timeouts
    left = max(left_s, 0.001)
    return Timeouts(
        min(timeouts.connect, left), min(timeouts.first_byte, left), min(timeouts.idle, left), min(timeouts.total, left)
    )


def _number(value: bytes) -> float | None:
    text = value.strip()
    if not text or len(text) > 20 or not all(byte in b"0123456789." for byte in text):
        return None
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _until(value: bytes, wall: float) -> float | None:
    if len(value) > 64:
        return None
    try:
        moment = parsedate_to_datetime(value.decode("ascii").strip())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)  # asctime's form has no zone, and means GMT
    try:
        return moment.timestamp() - wall
    except (OverflowError, ValueError):
        return None
