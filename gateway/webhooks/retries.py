"""When a delivery that failed is tried again: soon, then ever more rarely, for a day. Pure: chance comes in."""

from __future__ import annotations

from typing import Final

ATTEMPTS: Final = 12
GIVE_UP_S: Final = 86_400
"""Seconds from an event on within which it is tried again. What waits longer, because no gateway ran, is tried once."""

_FIRST_S: Final = 5.0
_FACTOR: Final = 3.0
_MOST_S: Final = 6 * 3600.0


def next_due(now: float, since: float, attempts: int, retry_after_s: float | None, chance: float) -> float | None:
    """When to try again, in epoch seconds, after so many failed attempts; None to give up.

    The pauses triple from 5 s up to 6 h, and `chance`, from [0, 1), takes up to half off each, so that what failed
    together does not come back together. A receiver's own `Retry-After` goes before a shorter pause.
    """
    if attempts >= ATTEMPTS:
        return None
    pause_s = min(_FIRST_S * _FACTOR ** (attempts - 1), _MOST_S) * (1 - chance / 2)
    if retry_after_s is not None:
        pause_s = max(pause_s, min(retry_after_s, _MOST_S))
    due = now + pause_s
    return due if due <= since + GIVE_UP_S else None
