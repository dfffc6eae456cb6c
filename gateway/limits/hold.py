"""What one call holds in all of its budgets, from before it is made until its cost is known."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

from gateway.limits.lease import Grains, Lease, Rate
from gateway.limits.refusal import dollars, moment

if TYPE_CHECKING:
    from gateway.limits.limits import Limits

PENDING: Final = 0
HELD: Final = 1
ENDED: Final = 2


class Hold:
    """A call's units in each of its budgets. `is_held` at once as a rule; else await it before the call is made.

    Whatever happens afterwards, it must be settled or released, once; a second time changes nothing.
    """

    __slots__ = ("_limits", "_ready", "grains", "now", "parts", "state")

    def __init__(self, limits: Limits | None, parts: list[tuple[Lease, int]], now: float) -> None:
        self._limits = limits
        self.parts = parts
        self.now = now  # epoch seconds
        self.grains: list[Grains | None] = []
        self.state = PENDING
        self._ready: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Hold {('pending', 'held', 'ended')[self.state]}: {self.parts!r}>"

    @property
    def is_held(self) -> bool:
        """Whether the call may be made."""
        return self.state == HELD

    def __await__(self) -> Generator[Any, None, None]:
        """Wait until it is held. Raises `RateLimited`, and `Unavailable` if the store does not answer.

        Who is cancelled meanwhile releases it, as ever.
        """
        if self._ready is not None:
            yield from self._ready.__await__()

    def wait(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on there is something to wait for. Called by `Limits`."""
        self._ready = loop.create_future()

    def take(self) -> None:
        """Hold everything; it must be free. Called by `Limits`."""
        self.grains = [lease.take(units) for lease, units in self.parts]
        self.state = HELD
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    def refuse(self, error: Exception) -> None:
        """Nothing will be held. Called by `Limits`."""
        self.state = ENDED
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(error)
            self._ready.exception()  # seen: a caller that was cancelled will not ask

    def drop(self) -> None:
        """Nobody waits any more. Called by `Limits`."""
        self.state = ENDED
        if self._ready is not None:
            self._ready.cancel()

    def warnings(self) -> list[str]:
        """The budgets that come near their caps, a sentence each; none as a rule."""
        return [_warning(lease) for lease, _ in self.parts if lease.free < lease.warn_below]

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The `x-ratelimit-*` headers of the reply, of the tightest limit of each kind; none where there is no limit.

        What other workers have leased counts as used. `reset` is in whole seconds.
        """
        found: list[tuple[bytes, bytes]] = []
        for kind, what in (("rpm", "requests"), ("tpm", "tokens")):
            rates = [one for one, _ in self.parts if isinstance(one, Rate) and one.account.limit.kind == kind]
            if rates:
                tightest = min(rates, key=_left)
                reset = tightest.full_in_s(tightest.second)
                for name, value in (
                    ("limit", str(tightest.account.limit.cap)),
                    ("remaining", str(_left(tightest))),
                    ("reset", f"{reset}s"),
                ):
                    found.append((f"x-ratelimit-{name}-{what}".encode(), value.encode()))
        return found


NOTHING: Final = Hold(None, [], 0.0)
"""The hold of every call that falls under no budget."""
NOTHING.state = HELD


def _left(lease: Lease) -> int:
    return max(lease.account.limit.cap - lease.used(), 0)


def _warning(lease: Lease) -> str:
    account = lease.account
    shown = dollars if account.limit.kind == "usd" else str
    until = moment(lease.ends)
    resets = f", starts anew at {until}" if until else ""
    return f"{account.id}: {shown(lease.used())} of {shown(account.limit.cap)}{resets}"
