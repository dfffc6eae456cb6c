"""Builds the next snapshot off the loop and swaps it in whole, or changes nothing and says why.

A reload is asked for by SIGHUP, by the admin port, or by a file that changed: the files that were read are looked at
twice a second, which costs a `stat` each. Calls in flight keep the view they began with.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import structlog

from gateway.config.snapshot import Snapshot
from gateway.errors import ConfigError, Fault

WATCH_S = 0.5
SETTLE_NS = 100_000_000
SETTLE_AT_MOST_NS = 2_000_000_000
"""A file that is written all the time is read after so long anyway."""
READINGS = 10
RECENT_NS = 60_000_000_000
"""More than a start takes."""

Stamps = dict[Path, tuple[int, int, int] | None]
"""Time of change in nanoseconds, size, inode; None for a file that is not there."""

_log = structlog.get_logger("gateway.config")

Outcome = Literal["ok", "unchanged", "failed"]


@dataclass(frozen=True, slots=True)
class ReloadState:
    """The last reload, for readiness, metrics and the admin port. `faults` are empty unless it failed."""

    at: datetime
    outcome: Outcome
    faults: tuple[Fault, ...] = ()


class Reloader:
    """Holds how to `read` the files, and how to `apply` what was read; does one reload at a time."""

    def __init__(
        self,
        current: Snapshot,
        read: Callable[[], Snapshot],
        apply: Callable[[Snapshot], Awaitable[None]],
        watched: Callable[[Snapshot], list[Path]],
        on_outcome: Callable[[Outcome], None],
    ) -> None:
        self._current = current
        self._read = read
        self._apply = apply
        self._watched = watched
        self._on_outcome = on_outcome
        self._turn = asyncio.Lock()
        # what was written a moment ago may have been written after it was read: the first look reads it again
        recent = time.time_ns() - RECENT_NS
        self._seen: Stamps = {path: one for path, one in _stamps(watched(current)).items() if one and one[0] < recent}
        self.state = ReloadState(datetime.now(UTC), "ok")

    async def reload(self) -> ReloadState:
        """Read the files now. Whatever is wrong with them, the view in force stays."""
        async with self._turn:
            try:
                snapshot = await self._read_settled()
                outcome: Outcome = "unchanged"
                if snapshot.digest != self._current.digest:
                    await self._apply(snapshot)
                    self._current = snapshot
                    outcome = "ok"
                faults: tuple[Fault, ...] = ()
            except ConfigError as error:
                outcome, faults = "failed", tuple(error.faults)
            except Exception as error:  # a fault of ours must not end the watching, nor pass unseen
                _log.exception("config_reload_broke")
                outcome, faults = "failed", (Fault("configuration", None, f"cannot be taken up: {error!r}"),)
            self.state = ReloadState(datetime.now(UTC), outcome, faults)
            self._tell()
            return self.state

    async def _read_settled(self) -> Snapshot:
        """What the files say; read again if they changed meanwhile. Raises `ConfigError`."""
        for _ in range(READINGS):
            self._seen = await self._settled()
            fault: ConfigError | None = None
            try:
                snapshot = await asyncio.to_thread(self._read)
            except ConfigError as error:
                fault = error
            if await asyncio.to_thread(_stamps, list(self._seen)) == self._seen:
                break
        if fault is not None:
            raise fault
        if empty := [path for path, stamp in self._seen.items() if stamp is not None and stamp[1] == 0]:
            # valid, and it would take everything away; in truth somebody has just begun to write
            raise ConfigError([Fault(str(path), None, "the file is empty") for path in empty])
        return snapshot

    async def _settled(self) -> Stamps:
        """The files' stamps, once nobody has written for a moment: half a file can be a valid one that serves less."""
        ends = time.time_ns() + SETTLE_AT_MOST_NS
        while True:
            stamps = await asyncio.to_thread(_stamps, self._watched(self._current))
            now = time.time_ns()
            if now > ends or not any(now - SETTLE_NS < stamp[0] <= now for stamp in stamps.values() if stamp):
                return stamps
            await asyncio.sleep(SETTLE_NS / 1e9)

    def _tell(self) -> None:
        self._on_outcome(self.state.outcome)
        if self.state.faults:
            _log.error("config_reload_failed", faults=[str(fault) for fault in self.state.faults])
        elif self.state.outcome == "ok":
            _log.info("config_reloaded", digest=self._current.digest, models=len(self._current.routes))
            for warning in self._current.warnings:
                _log.warning("config_warning", detail=warning)

    async def watch(self) -> None:
        """Reload whenever a file changes, until cancelled."""
        while True:
            await asyncio.sleep(WATCH_S)
            if _stamps(self._watched(self._current)) != self._seen:
                await self.reload()


def _stamps(paths: list[Path]) -> Stamps:
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
