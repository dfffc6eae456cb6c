"""A value that expires, such as an access token: fetched in a thread, kept, and fetched again before it is too old.

One fetch runs at a time, however many calls wait for it, and while the value at hand is still good nobody waits. A
fetch that failed is not tried again at once: a token server in trouble must not be asked by every call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from gateway.errors import Unreachable

T = TypeVar("T")

EARLY_S = 300.0
"""Seconds before its end at which a value is fetched anew, while calls go on with the old one."""

RETRY_S = 5.0
"""Seconds after a failed fetch in which none is tried."""

MARGIN_S = 10.0
"""Seconds before its end at which a value is no longer given out: the call has yet to reach the provider."""


class Fetched(NamedTuple, Generic[T]):
    """A value, and the Unix time in seconds at which it ends."""

    value: T
    expires_at: float


class Expiring(Generic[T]):
    """Holds the value that `fetch` (blocking, called in a thread) gives. `what` names it to callers when it cannot be
    had; why it cannot goes only into the cause, for it may tell of files and hosts."""

    def __init__(
        self,
        fetch: Callable[[], Fetched[T]],
        what: str,
        *,
        early_s: float = EARLY_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fetch = fetch
        self._what = what
        self._early_s = early_s
        self._clock = clock
        self._held: Fetched[T] | None = None
        self._task: asyncio.Task[None] | None = None
        self._failed: Exception | None = None
        self._failed_at = 0.0

    def __repr__(self) -> str:
        state = "none yet" if self._held is None else f"good for {self._held.expires_at - self._clock():.0f} s"
        return f"<Expiring {self._what}: {state}{', fetching' if self._task is not None else ''}>"

    async def get(self) -> T:
        """The value, good for some seconds at least. Raises `Unreachable`: nothing was sent to the provider."""
        now = self._clock()
        held = self._held
        if held is not None and now < held.expires_at - self._early_s:
            return held.value
        if self._task is None and (self._failed is None or not 0 <= now - self._failed_at < RETRY_S):
            self._task = asyncio.create_task(self._renew())
        if held is not None and now < held.expires_at - MARGIN_S:
            return held.value
        if self._task is not None:
            await asyncio.shield(self._task)  # who leaves must not take the fetch away from the others
        if self._held is not None and self._clock() < self._held.expires_at:
            return self._held.value
        raise Unreachable(
            f"The gateway could not get {self._what} for the provider.", code="upstream_credentials"
        ) from self._failed

    async def _renew(self) -> None:
        try:
            self._held = await asyncio.to_thread(self._fetch)
            self._failed = None
        except Exception as error:  # of whatever package fetches: kept for those who have to know
            self._failed, self._failed_at = error, self._clock()
        finally:
            self._task = None
