"""In which order the deployments of a name are tried, by one of five strategies, each choice with its reason.

First those are taken out that may not serve the call (`options.py`) or cannot now (`health.py`); then the rest is
ordered, priority by priority. Sessions are held by weighted rendezvous hashing: every replica finds the same
deployment without asking another, and one that goes away moves only the sessions that it had. Source: Wang and
Ravishankar, "Weighted Distributed Hash Tables" (2009): the highest of -weight / ln(hash) wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import groupby
from math import inf, log
from typing import Final, Literal

from gateway.routing.choice import Left, Taken
from gateway.routing.health import Health
from gateway.routing.options import ANYWHERE, Option, Residency, TagRule, excluded

Strategy = Literal["weight", "latency", "cost", "busy"]
"""Drawn by weight; the least decayed time to the first byte; the least cost of this call; the fewest calls in flight
for its weight. Where a call names a session and the group holds sessions, that goes before all of them."""

EXPLORED: Final = 0.05
"""The share of calls that latency routing sends by weight instead, so that a slow deployment that became fast is
noticed."""

_MASK: Final = 2**64 - 1
_UNIT: Final = 2.0**-64
_NOBODY: Final[Mapping[str, Health]] = {}


@dataclass(frozen=True, slots=True)
class _Ready:
    """An option, and what is asked of it on every call."""

    option: Option
    id: str
    weight: float
    share: float
    """The inverse of the weight."""
    salt: int


@dataclass(slots=True)
class Order:
    """`options` as they are to be tried, `reasons` beside them; `left` are those passed over, and why."""

    options: Sequence[Option] = ()
    reasons: Sequence[Taken] = ()
    left: Sequence[tuple[Option, Left]] = field(default=())


class Group:
    """The deployments of one name, made ready once for each snapshot. A weight of 0 takes one out."""

    __slots__ = ("_only", "_tiers", "keeps_sessions", "options", "rules", "strategy")

    def __init__(
        self,
        options: Sequence[Option],
        *,
        strategy: Strategy = "weight",
        keeps_sessions: bool = False,
        rules: Sequence[TagRule] = (),
    ) -> None:
        self.options = tuple(
            sorted((one for one in options if one.weight > 0), key=lambda one: (one.priority, -one.weight))
        )
        self.strategy = strategy
        self.keeps_sessions = keeps_sessions
        self.rules = tuple(rules)
        ready = [_Ready(one, one.id, one.weight, 1 / one.weight, _number(one.id) | 1) for one in self.options]
        self._tiers = [list(tier) for _, tier in groupby(ready, lambda one: one.option.priority)]
        self._only = Order(self.options, ("only",)) if len(ready) == 1 else None

    def order(
        self,
        chance: float,
        now: float,
        health: Mapping[str, Health] = _NOBODY,
        *,
        residency: Residency = ANYWHERE,
        tags: Sequence[str] = (),
        session: str = "",
        costs: Mapping[str, int | None] | None = None,
    ) -> Order:
        """The attempts for one call; `chance` is in [0, 1), `now` monotonic. What is returned may be shared.

        `health` and `costs` (nano-dollars that this call may cost; None: no price) are by `Option.id`. Nothing is left
        of `options` if no deployment may or can take the call; `wait_s` then tells how long that lasts at least.
        """
        rules = [rule for rule in self.rules if rule.fits(tags)] if tags and self.rules else ()
        only = self._only
        if only is not None and residency is ANYWHERE and not rules:
            found = health.get(self._tiers[0][0].id)
            if found is None or (found.breaker.state == "closed" and now >= found.cooled_until):
                return only
        left: list[tuple[Option, Left]] = []
        check = residency is not ANYWHERE or bool(rules)
        order: list[Option] = []
        reasons: list[Taken] = []
        for tier in self._tiers:
            usable = []
            for one in tier:
                why = excluded(one.option, residency, rules) if check else None
                if why is None and (known := health.get(one.id)) is not None:
                    if known.breaker.state != "closed" or now < known.cooled_until:
                        why = known.blocked(now)
                if why is None:
                    usable.append(one)
                else:
                    left.append((one.option, why))
            if usable:
                usable, reason = self._sort(usable, chance, health, session, costs)
                reasons.append(reason if tier is self._tiers[0] else "priority")
                reasons += _following(usable)
                order += [one.option for one in usable]
        if rules:
            return _preferred(order, reasons, left, rules)
        return Order(order, reasons, left)

    def _sort(
        self,
        usable: list[_Ready],
        chance: float,
        health: Mapping[str, Health],
        session: str,
        costs: Mapping[str, int | None] | None,
    ) -> tuple[list[_Ready], Taken]:
        if self._only is not None:
            return usable, "only"
        if session and self.keeps_sessions:
            return _by_session(usable, session), "affinity"
        strategy = self.strategy
        if strategy == "weight":
            return _drawn(usable, chance), "weight"
        if strategy == "latency":
            if chance < EXPLORED:
                return _drawn(usable, chance / EXPLORED), "explore"
            return sorted(usable, key=lambda one: _latency(health.get(one.id))), "latency"
        # what is equal is shared out by weight
        drawn = _drawn(usable, chance)
        if strategy == "busy":
            return sorted(drawn, key=lambda one: _busy(health.get(one.id)) / one.weight), "busy"
        known = costs or {}
        return sorted(drawn, key=lambda one: _cost(known.get(one.id))), "cost"


def wait_s(order: Order, health: Mapping[str, Health], now: float) -> float | None:
    """Seconds until one of those that were passed over can take a call; None if none of them ever may."""
    waits = [
        health[option.id].wait_s(now)
        for option, why in order.left
        if why in ("circuit_open", "cooling") and option.id in health
    ]
    return min(waits, default=None)


def _drawn(usable: list[_Ready], chance: float) -> list[_Ready]:
    """The drawn one first, the rest as they stand, heavier first."""
    if len(usable) == 1:
        return usable
    total = 0.0
    for one in usable:
        total += one.weight
    point = chance * total
    for at, one in enumerate(usable):
        point -= one.weight
        if point < 0:
            return [one, *usable[:at], *usable[at + 1 :]] if at else usable
    return usable  # the sum was rounded up


def _by_session(usable: list[_Ready], session: str) -> list[_Ready]:
    """The session's own first, the rest as they stand: where that one goes, another is found anew.

    The session is hashed once and multiplied by each option's own odd number (Dietzfelbinger's multiply-shift), which
    takes all of 64 bits to all of 64 bits: ten digests would cost 6 us.
    """
    number = _number(session)
    best, highest = 0, -inf
    for at, one in enumerate(usable):
        score = log((((number * one.salt) & _MASK) + 1) * _UNIT) * one.share
        if score > highest:
            best, highest = at, score
    return [usable[best], *usable[:best], *usable[best + 1 :]] if best else usable


def _latency(known: Health | None) -> float:
    """One that nobody has measured is measured first, by one call at a time."""
    mean = None if known is None else known.latency.first_byte.mean
    if mean is not None:
        return mean
    return 0.0 if known is None or not known.in_flight else inf


def _busy(known: Health | None) -> int:
    return 0 if known is None else known.in_flight


def _cost(nano: int | None) -> float:
    """What has no price is not free: it comes last."""
    return inf if nano is None else nano


def _preferred(
    order: list[Option], reasons: list[Taken], left: list[tuple[Option, Left]], rules: Sequence[TagRule]
) -> Order:
    wanted = [rule for rule in rules if rule.action == "prefer"]
    first = [one for one in order if any(rule.names(one) for rule in wanted)]
    if not first or len(first) == len(order):
        return Order(order, reasons, left)
    rest = [one for one in order if one not in first]
    return Order([*first, *rest], ["tag", *_following(order)], left)


def _following(options: Sequence[object]) -> list[Taken]:
    """The reasons of all but the first."""
    return ["next"] * (len(options) - 1)


def _number(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
