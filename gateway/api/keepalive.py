"""Says something into a stream that has been silent for long: a comment, which every client reads over.

A model that thinks sends nothing for minutes, and load balancers cut what is silent for one. Comments go out between
events only, and are not the provider's, so whoever wants its bytes alone asks for them without a proxy.
"""

from __future__ import annotations

import asyncio

from gateway.api.asgi import Send
from gateway.dialects.sse import KEEP_ALIVE
from gateway.exchange import Exchange
from gateway.upstream.sweep import Sweep

SILENCE_S = 15.0


class KeepAlive:
    """Watches one stream from its first event to its last. Costs nothing an event: the sweep looks at what was sent."""

    __slots__ = ("_seen", "_send", "_since", "_sweep", "_task", "_trip")

    def __init__(self, trip: Exchange, send: Send, sweep: Sweep) -> None:
        self._trip = trip
        self._send = send
        self._sweep = sweep
        self._seen = -1
        self._since = sweep.now
        self._task: asyncio.Task[None] | None = None
        sweep.add(self)

    def check(self, now: float) -> None:
        """See `sweep.Watched`."""
        if self._trip.bytes_out != self._seen:
            self._seen = self._trip.bytes_out
            self._since = now
        elif now - self._since > SILENCE_S and (self._task is None or self._task.done()):
            self._since = now
            self._task = asyncio.get_running_loop().create_task(self._speak())

    async def _speak(self) -> None:
        await self._send({"type": "http.response.body", "body": KEEP_ALIVE, "more_body": True})

    def close(self) -> None:
        """The stream ends: nothing may follow its last event."""
        self._sweep.discard(self)
        if self._task is not None:
            self._task.cancel()
