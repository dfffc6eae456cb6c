"""Notices that a client has left while its call is at work, without costing those that are quick.

ASGI tells of a disconnect only to one who awaits `receive`, which takes a task. So a call gets one when the sweep finds
it at work for longer than `PATIENCE_S`; most are done by then.
"""

from __future__ import annotations

import asyncio

from gateway.api.asgi import Receive
from gateway.exchange import Exchange
from gateway.upstream.sweep import Sweep

PATIENCE_S = 0.2
LINGER_S = 0.4
"""How long an answer that is not streamed, and costs nothing, is still awaited when its client has left.

One that costs is awaited to its end, within the model's timeouts: the provider charges for all of it, and only the
answer says how much that is. So nobody can spend more than a budget by leaving early."""


class ClientWatch:
    """Cancels the task that made it if the client leaves. `begin` once the request's body was read.

    `trip` tells whether the answer is streamed.
    """

    __slots__ = ("_receive", "_since", "_task", "_trip", "_watcher", "gone", "sweep")

    def __init__(self, receive: Receive, sweep: Sweep, trip: Exchange | None = None) -> None:
        self._receive = receive
        self._trip = trip
        self.sweep = sweep
        self._since = sweep.now
        self._task = asyncio.current_task(sweep.loop)  # without the loop it asks the kernel for the process's id
        self._watcher: asyncio.Task[None] | None = None
        self.gone = False

    def begin(self) -> None:
        """From now on nobody else receives."""
        if self._task is not None:
            self.sweep.add(self)

    def check(self, now: float) -> None:
        """See `sweep.Watched`."""
        if now - self._since > PATIENCE_S:
            self.sweep.discard(self)
            self._watcher = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> None:
        message = await self._receive()
        if message["type"] == "http.disconnect" and self._task is not None:
            self.gone = True
            if self._trip is not None:
                self._trip.client_left = True
            if self._trip is not None and not self._trip.stream and self._trip.booking is not None:
                if self._trip.booking.may_cost:
                    return
                await asyncio.sleep(LINGER_S)
            if self._task is not None:
                self._task.cancel()

    def close(self) -> None:
        """The call is over."""
        self.sweep.discard(self)
        self._task = None
        if self._watcher is not None:
            self._watcher.cancel()
