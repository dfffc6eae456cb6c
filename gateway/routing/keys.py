"""Several keys of one provider, each with the limits that the provider sets it: which one a call goes out with.

Fair is weighted fair queueing: each key has a virtual time that goes on by the tokens sent (or one, where none are
counted) over its weight, and the key that is furthest behind is next. So each gets its share of the calls over any
stretch of time; one that comes back from a rest goes on with the others instead of taking all calls to catch up.

Limits are counted over any 60 s, and up to one second more, so that the provider should not have to say 429. When it
does all the same, the key rests as long as the provider asks for, or 1, 2, 4 ... 60 s where it does not ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from gateway.routing.choice import Left
from gateway.routing.window import Window

LONGEST_REST_S: Final = 60.0
_MINUTE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Key:
    """One key, by the name that it has in the configuration: never the secret. Limits are those of a minute."""

    name: str
    rpm: int | None = None
    tpm: int | None = None
    weight: float | None = None
    """Its share of the calls; as `tpm`, else `rpm`, else 1, if not given."""


@dataclass(frozen=True, slots=True)
class Picked:
    """The key to use: the `at`-th of its provider, picked at `now` for a call of at most `tokens`."""

    key: Key
    at: int
    now: float
    tokens: int


@dataclass(frozen=True, slots=True)
class NoKey:
    """No key has room: `wait_s` until one may have, None if the call is larger than any key's minute."""

    reason: Left
    wait_s: float | None


class _State:
    __slots__ = ("cooled_until", "key", "limited", "requests", "time", "tokens", "weight")

    def __init__(self, key: Key, weight: float) -> None:
        self.key = key
        self.weight = weight
        self.time = 0.0
        self.cooled_until = 0.0
        self.limited = 0
        self.requests = Window(_MINUTE, 60) if key.rpm is not None else None
        self.tokens = Window(_MINUTE, 60) if key.tpm is not None else None

    def wait_s(self, now: float, tokens: int) -> float:
        """Seconds until a call of `tokens` may have room; infinite if it never will."""
        wait = max(self.cooled_until - now, 0.0)
        if self.requests is not None and self.key.rpm is not None:
            wait = max(wait, inf if self.key.rpm < 1 else self.requests.left_s(now, self.key.rpm - 1))
        if self.tokens is not None and self.key.tpm is not None:
            wait = max(wait, inf if tokens > self.key.tpm else self.tokens.left_s(now, self.key.tpm - tokens))
        return wait


class Keys:
    """The keys of one provider. `now` is monotonic seconds."""

    __slots__ = ("_states",)

    def __init__(self, keys: Sequence[Key]) -> None:
        if not keys:
            raise ValueError("a provider that has keys has at least one")
        self._states = [_State(key, weight) for key, weight in zip(keys, _weights(keys), strict=True)]

    def __repr__(self) -> str:
        shown = ", ".join(f"{one.key.name} at {one.time:g}" for one in self._states)
        return f"<Keys {shown}>"

    def pick(self, now: float, tokens: int = 0) -> Picked | NoKey:
        """The key for a call of at most `tokens`, which are counted against it until `settle` says what they were."""
        found, waits = self._next(now, tokens)
        if found is None:
            soonest = min(waits, default=inf)
            resting = any(one.cooled_until > now for one in self._states)
            return NoKey("cooling" if resting else "key_limit", None if soonest == inf else soonest)
        one = self._states[found]
        if one.requests is not None:
            one.requests.add(now)
        if one.tokens is not None:
            one.tokens.add(now, tokens)
        one.time += (tokens or 1) / one.weight
        return Picked(one.key, found, now, tokens)

    def settle(self, picked: Picked, used: int) -> None:
        """The call was of `used` tokens: its provider has answered, or has not and `used` is 0."""
        one = self._states[picked.at]
        one.time += ((used or 1) - (picked.tokens or 1)) / one.weight
        if one.tokens is not None:
            one.tokens.add(picked.now, used - picked.tokens)

    def accepted(self, picked: Picked) -> None:
        """The provider took a call with this key: a rest that nobody asked for begins at a second again."""
        self._states[picked.at].limited = 0

    def limited(self, picked: Picked, now: float, retry_after_s: float | None) -> float:
        """The provider said 429: let the key rest. Returns for how many seconds."""
        one = self._states[picked.at]
        rest = retry_after_s if retry_after_s is not None else min(2.0**one.limited, LONGEST_REST_S)
        one.limited = min(one.limited + 1, 10)
        one.cooled_until = max(one.cooled_until, now + rest)
        return rest

    def _next(self, now: float, tokens: int) -> tuple[int | None, Iterable[float]]:
        best: int | None = None
        waits: list[float] = []
        for at, one in enumerate(self._states):
            if (wait := one.wait_s(now, tokens)) > 0:
                waits.append(wait)
            elif best is None or one.time < self._states[best].time:
                best = at
        if best is not None:
            # those that could not be used do not save up for later
            behind = self._states[best].time
            for one in self._states if waits else ():
                if one.time < behind:
                    one.time = behind
        return best, waits


def _weights(keys: Sequence[Key]) -> list[float]:
    """In one measure: tokens if every key has a limit of them, else requests if every key has one, else all alike."""
    if all(key.weight is not None for key in keys):
        return [float(key.weight or 0) for key in keys]
    if all(key.tpm for key in keys):
        return [float(key.tpm or 0) for key in keys]
    if all(key.rpm for key in keys):
        return [float(key.rpm or 0) for key in keys]
    return [1.0] * len(keys)
