"""What is known of every deployment while the process lives: breaker, speed, calls in flight, rests asked for.

Kept by the deployment's id, so that it outlives a reload.
"""

from __future__ import annotations

from collections.abc import Container

from gateway.routing import breaker as breakers
from gateway.routing.breaker import Breaker
from gateway.routing.choice import Left
from gateway.routing.latency import Latency


class Health:
    """One deployment. `limit`: the calls that it may have at once; None: any number."""

    __slots__ = ("breaker", "cooled_until", "in_flight", "latency", "limit")

    def __init__(self, terms: breakers.Terms | None = None, limit: int | None = None) -> None:
        self.breaker = Breaker(terms)
        self.latency = Latency()
        self.in_flight = 0
        self.cooled_until = 0.0
        self.limit = limit

    def __repr__(self) -> str:
        return f"<Health {self.breaker.state}, {self.in_flight} in flight>"

    def cool(self, until: float) -> None:
        """Let it rest until `until` (monotonic); an earlier rest is not shortened."""
        self.cooled_until = max(self.cooled_until, until)

    def blocked(self, now: float) -> Left | None:
        """Why it cannot take a call now, or None."""
        if now < self.cooled_until:
            return "cooling"
        return "circuit_open" if self.breaker.is_blocking(now) else None

    def wait_s(self, now: float) -> float:
        """Seconds until it can."""
        return max(self.cooled_until - now, self.breaker.wait_s(now), 0.0)


class Board:
    """All deployments, made when they are first asked for."""

    __slots__ = ("_terms", "known")

    def __init__(self, terms: breakers.Terms | None = None) -> None:
        self._terms = terms
        self.known: dict[str, Health] = {}

    def of(self, id: str) -> Health:
        """The deployment `id`."""
        found = self.known.get(id)
        if found is None:
            found = self.known[id] = Health(self._terms)
        return found

    def keep(self, ids: Container[str]) -> None:
        """After a reload: forget those that are not among `ids` and have no call in flight."""
        for id in [id for id, one in self.known.items() if id not in ids and not one.in_flight]:
            del self.known[id]
