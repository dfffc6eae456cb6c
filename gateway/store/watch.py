"""Keeps one process's ring of keys up to date: a key that is revoked anywhere stops working here within a second.

Four times a second the loop asks whether the database has changed, which costs 5 us; only then is it read, in a thread
of its own, and only what is new. While the database cannot be read the last known keys go on for `KEEP_S` seconds, and
then nobody comes in: a revocation may have been missed. That end is a timer of the loop, so that a read which
hangs in its thread cannot keep old keys alive.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.access.keys import KeyRing
from gateway.errors import Unavailable
from gateway.store.keystore import KeyStore
from gateway.store.threads import Threads

POLL_S: Final = 0.25
KEEP_S: Final = 60.0
_BATCH: Final = 1000  # changes taken in at once: about half a millisecond of the loop

_log = structlog.get_logger("gateway.keys")


@dataclass(frozen=True, slots=True)
class WatchState:
    """How the keys stand: for readiness and metrics. `age_s` is the time since they were last known to be current."""

    is_open: bool
    age_s: float
    keys: int
    seq: int
    failures: int
    error: str | None


class KeyWatch:
    """The ring of this process, and what keeps it current while `run` runs.

    `clock` is monotonic, in seconds. Building one reads all keys, and raises `Unavailable` if that cannot be done:
    a gateway does not start without its keys.
    """

    def __init__(
        self,
        store: KeyStore,
        *,
        poll_s: float = POLL_S,
        keep_s: float = KEEP_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._poll_s = poll_s
        self._keep_s = keep_s
        self._clock = clock
        self._behind = store.changed()  # asked before reading, so that no change falls in between
        self._replaced = store.replaced
        self.ring: KeyRing = store.load()
        self._current_at = clock()
        self._failures = 0
        self._error: str | None = None

    def __repr__(self) -> str:
        return f"<KeyWatch of {self.ring!r}>"

    def state(self) -> WatchState:
        """How the keys stand now."""
        ring = self.ring
        age_s = self._clock() - self._current_at
        return WatchState(not ring.closed, age_s, len(ring), ring.seq, self._failures, self._error)

    async def run(self) -> None:
        """Follow the store until cancelled."""
        loop = asyncio.get_running_loop()
        end = loop.call_later(self._keep_s, self._close_ring)
        thread = Threads(1, "keys")
        try:
            while True:
                if await self._is_current(thread):
                    end.cancel()
                    end = loop.call_later(self._keep_s, self._close_ring)
                await asyncio.sleep(self._poll_s)
        finally:
            end.cancel()
            thread.close(wait=False)  # a read that hangs must not hold up the end of the process

    async def _is_current(self, thread: Threads) -> bool:
        try:
            # Kept until a reading has succeeded: the store tells of a change only once.
            self._behind = self._store.changed() or self._behind
            if self._behind:
                await self._follow(thread)
                self._behind = False
        except Exception as error:  # whatever it is, following must go on, and refusing begin in time
            self._note_failure(error.message if isinstance(error, Unavailable) else repr(error))
            return False
        self._note_success()
        return True

    async def _follow(self, thread: Threads) -> None:
        replaced = self._store.replaced
        newest = await thread.run(self._store.seq)
        if replaced != self._replaced or newest < self.ring.seq:
            self.ring.replace(await thread.run(self._store.load))
            self._replaced = replaced
            _log.warning("keys_database_replaced", keys=len(self.ring))
            return
        while changes := await thread.run(self._store.changes, self.ring.seq, _BATCH):
            self.ring.apply(changes)

    def _note_success(self) -> None:
        self._current_at = self._clock()
        if self._error is not None:
            _log.info("keys_readable_again", keys=len(self.ring))
        self._error = None
        self.ring.closed = False

    def _note_failure(self, error: str) -> None:
        self._failures += 1
        if self._error is None:  # one line an outage, not four a second
            _log.error("keys_unreadable", error=error, refusing_in_s=self._keep_s)
        self._error = error

    def _close_ring(self) -> None:
        self.ring.closed = True
        _log.critical("keys_too_old", keep_s=self._keep_s, error=self._error)
