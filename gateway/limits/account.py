"""One budget as one worker knows it, and its lease for the window that it is in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.limits.bank import Bank
from gateway.limits.lease import Lease, Rate, Seats
from gateway.limits.rules import Kind, Limit, Term
from gateway.limits.windows import NEVER, bounds

UNITS: Final[dict[Kind, int]] = {"usd": 0, "rpm": 1, "tpm": 2, "concurrency": 3}
"""Where the need of each kind stands in (nano-dollars, request, tokens, seat)."""
_KINDS: Final[dict[Kind, type[Lease]]] = {"usd": Lease, "rpm": Rate, "tpm": Rate, "concurrency": Seats}


class Account:
    """A budget of one subject. `opened` is told of every new lease."""

    __slots__ = ("__weakref__", "_bank", "_opened", "id", "is_rate", "lease", "limit", "subject", "unit")

    def __init__(self, term: Term, bank: Bank, opened: Callable[[Lease], None], now: float) -> None:
        self.id = term.id
        self.subject = term.subject
        self.limit = term.limit
        self.unit = UNITS[term.limit.kind]
        self.is_rate = term.limit.kind in ("rpm", "tpm")
        self._bank = bank
        self._opened = opened
        self.lease = self._lease(now)

    def __repr__(self) -> str:
        return f"<Account {self.id} of {self.limit.cap}>"

    def renew(self, now: float) -> Lease:
        """The lease of the window of `now`, in the place of one that has ended or was given up."""
        if self.lease.is_gone or now >= self.lease.ends:
            self.lease = self._lease(now)
        return self.lease

    def change(self, limit: Limit) -> None:
        """Follow a changed configuration."""
        self.limit = limit

    def _lease(self, now: float) -> Lease:
        start, ends = bounds(self.limit.period, now) if self.limit.kind == "usd" else (0, NEVER)
        slot = self._bank.draw_slot() if self.limit.kind == "usd" else 0
        lease = _KINDS[self.limit.kind](self, (self.id, start), ends, slot, self._bank.mark)
        self._opened(lease)
        return lease
