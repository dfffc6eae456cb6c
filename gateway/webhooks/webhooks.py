"""Events out of the gateway: taken in without a wait, written down, and sent until they have arrived.

`emit` puts an event into a bounded queue and returns, so that nothing that emits is ever slowed by a receiver or a
disk. Four times a second `run` has a thread write what is queued into the outbox, and once a second it claims what is
due there, a few attempts at once for each endpoint, so that a slow one delays no other. All workers do the same on one
file. What cannot be written (a full disk is worth telling of) is kept, and tried from memory meanwhile.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.errors import GatewayError
from gateway.store.threads import Threads
from gateway.upstream.resolve import Resolver
from gateway.upstream.sweep import Sweep
from gateway.webhooks.endpoint import Endpoint
from gateway.webhooks.events import Event, EventType
from gateway.webhooks.observer import Observer, Uncounted
from gateway.webhooks.outbox import Claim, Outbox
from gateway.webhooks.retries import next_due
from gateway.webhooks.sender import CONNECTIONS, Result, Sender

TICK_S: Final = 0.25
LOOK_S: Final = 1.0
PURGE_S: Final = 3600.0
QUEUE: Final = 1000
"""Events that may wait to be written down."""
SEEN: Final = 10_000
"""Keys that are remembered, so that what is seen each second costs nothing; the outbox knows all of them."""
UNWRITTEN_S: Final = 10.0
"""Seconds between attempts from memory, while the outbox cannot be written."""
SLACK_S: Final = 10.0
"""What a claim lasts beyond the longest that its attempt may take."""

_log = structlog.get_logger("gateway.webhooks")


@dataclass(frozen=True, slots=True)
class State:
    """How it stands: events not written down yet, and by endpoint (or `outbox`) what somebody should look at."""

    queued: int
    dropped: int
    warnings: Mapping[str, str]


class Webhooks:
    """The webhooks of one worker, over the outbox at `url`, an SQLite URL.

    The outbox is opened when the first endpoint is there, by `run`; that it cannot be opened stops nothing else and
    shows in `state`. `clock` is epoch seconds, `chance` draws from [0, 1).
    """

    def __init__(
        self,
        url: str,
        endpoints: Sequence[Endpoint] = (),
        *,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
        resolver: Resolver | None = None,
    ) -> None:
        self._url = url
        self._endpoints = {one.id: one for one in endpoints}
        self._observer = observer or Uncounted()
        self._clock = clock
        self._chance = chance
        self._resolver = resolver
        self._loop = asyncio.get_running_loop()
        self._sweep = Sweep(self._loop)
        self._sweep.start()
        self._threads = Threads(1, "webhooks")
        self._outbox: Outbox | None = None
        self._tls: ssl.SSLContext | None = None
        self._queue: deque[Event] = deque()
        self._seen: set[str] = set()
        self._told: set[tuple[str, str]] = set()  # what was delivered from memory: pairs of event and endpoint
        self._senders: dict[str, Sender] = {}
        self._flying: dict[asyncio.Task[None], Claim] = {}
        self._look_at = self._purge_at = self._unwritten_at = 0.0
        self._trouble: dict[str, str] = {}
        self._disabled: dict[str, int] = {}
        self._dropped = 0
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<Webhooks to {len(self._endpoints)} endpoints, {len(self._queue)} queued, {len(self._flying)} at work>"

    @property
    def is_on(self) -> bool:
        """Whether anybody wants events at all."""
        return bool(self._endpoints)

    @property
    def seen(self) -> Collection[str]:
        """Keys of events that need not be emitted again."""
        return self._seen

    def emit(self, event: Event) -> bool:
        """Take an event in: at once, from any thread. False if nobody wants it or there is no room."""
        if not self._endpoints or event.key in self._seen:
            return False
        if len(self._queue) >= QUEUE:
            self._drop(event)
            return False
        if len(self._seen) >= SEEN:
            self._seen.clear()
        self._seen.add(event.key)
        self._queue.append(event)
        self._observer.emitted(event.type)
        return True

    def use(self, endpoints: Sequence[Endpoint]) -> None:
        """Follow a changed configuration. What waits for an endpoint that is gone stays in the outbox."""
        now = {one.id: one for one in endpoints}
        if now != self._endpoints:
            self._endpoints = now
            self._seen.clear()  # a new endpoint wants to hear of what still holds
            self._trouble.clear()

    def state(self) -> State:
        """For readiness and metrics."""
        gone = {
            one.name: "disabled, because it answered 410 Gone; `gateway webhooks test` enables it"
            for id, one in self._endpoints.items()
            if id in self._disabled
        }
        return State(len(self._queue), self._dropped, {**self._trouble, **gone})

    # The background

    async def run(self) -> None:
        """Write down and send, until cancelled. Attempts that have begun go on."""
        while True:
            try:
                await self.turn()
            except Exception as error:  # whatever it is: were this to end, nobody would be told of anything
                self._note("outbox", repr(error))
            await asyncio.sleep(TICK_S)

    async def turn(self) -> None:
        """One round: what is queued goes into the outbox, what is due is begun."""
        await self._close_gone()
        if not self._endpoints:
            self._queue.clear()
            return
        now = self._loop.time()
        try:
            if self._queue:
                await self._write()
                self._look_at = 0.0
            if now >= self._look_at:
                self._look_at = now + LOOK_S
                await self._look()
                self._trouble.pop("outbox", None)
            if now >= self._purge_at:
                self._purge_at = now + PURGE_S
                await self._threads.run((await self._open()).purge, self._clock())
        except GatewayError as error:
            self._note("outbox", error.message)
            if now >= self._unwritten_at:
                self._unwritten_at = now + UNWRITTEN_S
                await asyncio.gather(*map(self._send_unwritten, tuple(self._endpoints.values())))

    async def close(self, timeout_s: float = 5.0) -> None:
        """Write down what is queued, let attempts end for so many seconds, and leave the rest to whoever runs next.

        Closing twice does no harm.
        """
        if self._is_closed:
            return
        self._is_closed = True
        with suppress(GatewayError):
            if self._queue and self._endpoints:
                await self._write()
        if self._flying:
            await asyncio.wait(self._flying, timeout=timeout_s)
        left = dict(self._flying)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if self._outbox is not None:
            with suppress(GatewayError):
                await self._threads.run(self._outbox.release, list(left.values()))
        for sender in self._senders.values():
            await sender.aclose()
        self._sweep.stop()
        self._threads.close(wait=True)
        if self._outbox is not None:
            self._outbox.close()

    # Inside

    async def _open(self) -> Outbox:
        if self._outbox is None:
            self._outbox = await self._threads.run(Outbox, self._url)
        return self._outbox

    async def _write(self) -> None:
        outbox = await self._open()
        batch = list(self._queue)  # it stays queued until it is written
        dropped = await self._threads.run(
            outbox.add, batch, list(self._endpoints.values()), self._clock(), frozenset(self._told)
        )
        for _ in batch:
            self._queue.popleft()
        self._told.clear()
        for event in dropped:
            self._drop(event)

    async def _look(self) -> None:
        outbox = await self._open()
        disabled = self._disabled = await self._threads.run(outbox.disabled)
        busy = Counter(claim.endpoint for claim in self._flying.values())
        wanted = {
            id: (CONNECTIONS - busy[id], 2 * one.timeout_s + SLACK_S)
            for id, one in self._endpoints.items()
            if id not in disabled and busy[id] < CONNECTIONS
        }
        for claim in await self._threads.run(outbox.claim, self._clock(), wanted) if wanted else ():
            task = self._loop.create_task(self._deliver(outbox, claim))
            self._flying[task] = claim
            task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._flying.pop(task, None)
        self._look_at = 0.0  # there may be more
        if not task.cancelled() and (error := task.exception()) is not None:
            # The claim lapses, and the attempt is made again.
            self._note("outbox", error.message if isinstance(error, GatewayError) else repr(error))

    async def _deliver(self, outbox: Outbox, claim: Claim) -> None:
        endpoint = self._endpoints.get(claim.endpoint)
        if endpoint is None:  # a reload took it out in this moment
            await self._threads.run(outbox.release, [claim])
            return
        result = await self._attempt(endpoint, claim.event, claim.type, claim.body)
        now = self._clock()
        if result.outcome == "ok":
            await self._threads.run(outbox.deliver, claim, now, result.status)
            self._observer.ended(claim.type, "delivered")
            return
        attempts = claim.attempts + 1
        due = next_due(now, claim.queued_at, attempts, result.retry_after_s, self._chance())
        is_gone = result.outcome == "gone"
        due = None if is_gone else due
        await self._threads.run(outbox.postpone, claim, due, now, result.outcome, result.status)
        if is_gone:
            await self._threads.run(outbox.disable, endpoint.id, now)
        if due is None:
            self._observer.ended(claim.type, "failed")
            _log.error("webhook_given_up", endpoint=endpoint.name, webhook=claim.event, outcome=result.outcome)

    async def _attempt(self, endpoint: Endpoint, id: str, type: EventType, body: bytes) -> Result:
        sender = await self._sender(endpoint)
        result = await sender.send(id, body, self._clock())
        self._observer.attempted(type, result.outcome)
        if result.outcome == "ok":
            self._trouble.pop(endpoint.name, None)
        else:
            self._note(endpoint.name, f"deliveries fail: {result.outcome} {result.status or ''}".rstrip())
        return result

    async def _sender(self, endpoint: Endpoint) -> Sender:
        if self._tls is None:
            self._tls = await self._threads.run(ssl.create_default_context)
        known = self._senders.get(endpoint.id)
        if known is not None and known.endpoint == endpoint:
            return known
        sender = self._senders[endpoint.id] = Sender(endpoint, self._sweep, self._resolver, self._tls)
        if known is not None:
            await known.aclose()  # what is in flight there ends first
        return sender

    async def _send_unwritten(self, endpoint: Endpoint) -> None:
        """Try what could not be written down, up to the first that does not arrive; all of it stays queued."""
        for event in tuple(self._queue):
            pair = (event.id, endpoint.id)
            if pair in self._told or not endpoint.wants(event.type):
                continue
            result = await self._attempt(endpoint, event.id, event.type, event.body())
            if result.outcome != "ok":
                return
            self._told.add(pair)
            self._observer.ended(event.type, "delivered")

    async def _close_gone(self) -> None:
        """Close the connections to what a reload took out."""
        for id in self._senders.keys() - self._endpoints.keys():
            await self._senders.pop(id).aclose()

    def _drop(self, event: Event) -> None:
        self._dropped += 1
        self._observer.ended(event.type, "dropped")
        if self._dropped in (1, 10, 100) or self._dropped % 1000 == 0:
            _log.error("webhooks_dropped", type=event.type, dropped=self._dropped)

    def _note(self, what: str, trouble: str) -> None:
        if self._trouble.get(what) != trouble:  # one line an outage
            _log.warning("webhooks_failing", endpoint=what, error=trouble)
        self._trouble[what] = trouble
