"""Looks after the batches of this gateway until what they cost is booked.

A batch that has ended is noticed when a client asks for it (`see`), and where no client asks, by a look at each open
batch every now and then (`run`): at first after a minute, then at longer and longer intervals. One worker does the
looking at a time; the turn is that of whoever comes first, and passes on when it dies.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
import structlog

from gateway.batches.booker import Booker, Busy, turn
from gateway.batches.finished import ENDED, Finished, read_batch
from gateway.batches.prices import Bill, Used
from gateway.batches.tally import Tally, Unreadable
from gateway.errors import GatewayError, Unavailable, UpstreamError
from gateway.model.route import Timeouts
from gateway.store.batches import FIRST_LOOK_S, Open, OpenBatches
from gateway.upstream import wire
from gateway.upstreams import View

PERIOD_S: Final = 60.0
"""Between two rounds of looking."""
SLOWEST_S: Final = 1800.0
"""The longest interval at which one batch is looked at."""
GIVE_UP_S: Final = 35 * 86_400.0
"""Providers keep a batch for about a month; what was not seen to end by then is never going to be."""
GONE_S: Final = 2 * 86_400.0
"""How old a batch is before a provider is believed that it does not know it: the longest of them take a day."""
ROUND: Final = 200
"""Batches looked at in one round."""
AT_ONCE: Final = 100
"""Batches noticed by calls that may be at work; those beyond wait for the next round."""
REMEMBERED: Final = 10_000
MAX_OBJECT: Final = 1 << 20
_TIMEOUTS: Final = Timeouts(connect=10.0, first_byte=60.0, idle=60.0, total=600.0)

_log = structlog.get_logger("gateway.batches")


class _Gone(Exception):
    """The provider does not know the object any more."""


class Batches:
    """One worker's. `view` gives the providers and prices of now; `turn` is a file that all workers lock in turns."""

    def __init__(
        self,
        open_batches: OpenBatches,
        booker: Booker,
        view: Callable[[], View],
        turn: Path,
        *,
        clock: Callable[[], float] = time.time,
        period_s: float = PERIOD_S,
    ) -> None:
        self._open = open_batches
        self._booker = booker
        self._view = view
        self._turn = turn
        self._clock = clock
        self._period_s = period_s
        self._done: dict[tuple[str, str], None] = {}  # the latest that need no look, so that polling clients cost none
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"<Batches {len(self._tasks)} at work>"

    def see(self, batch: Mapping[str, Any], provider: str) -> None:
        """A batch object went by to a client. Books it in the background if it has ended; never raises, never waits."""
        id = batch.get("id")
        if batch.get("status") not in ENDED or not isinstance(id, str):
            return
        key = (provider, id)
        if key in self._done or key in self._tasks or len(self._tasks) >= AT_ONCE:
            return
        task = asyncio.get_running_loop().create_task(self._book_seen(dict(batch), provider))
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await asyncio.sleep(self._period_s)
            try:
                await self.look()
            except Unavailable as error:
                _log.warning("batches_not_looked_at", error=error.message)

    async def look(self) -> int:
        """One round, if no other worker is at it; how many batches were looked at. Raises `Unavailable`."""
        try:
            async with turn(self._turn, 0.0):
                due = await self._open.due(ROUND)
                for one in due:
                    await self._look_at(one)
                return len(due)
        except Busy:
            return 0

    async def close(self) -> None:
        """End what is at work: it is found again by the next look."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _book_seen(self, batch: dict[str, Any], provider: str) -> None:
        try:
            found = await self._open.find(str(batch["id"]), provider)
            if found is None:
                self._remember(provider, str(batch["id"]))
            else:
                await self._book(found, batch)
        except (GatewayError, Busy) as error:
            _log.warning("batch_not_booked_yet", batch=batch["id"], error=str(error))
        except Exception:
            _log.exception("batch_not_booked_yet", batch=batch["id"])

    async def _look_at(self, one: Open) -> None:
        provider = one.owner.provider
        is_gone = False
        try:
            batch = await self._ask(provider, one.id)
            if await self._book(one, batch):
                return
        except _Gone:
            is_gone = True
        except (UpstreamError, Busy, Unavailable) as error:
            _log.warning("batch_not_booked_yet", batch=one.id, error=str(error))
        except Exception:
            _log.exception("batch_not_booked_yet", batch=one.id)  # its turn comes again, and that of the others now
        if self._clock() - one.owner.created_at > (GONE_S if is_gone else GIVE_UP_S):
            _log.error("batch_given_up", batch=one.id, provider=provider, team=one.owner.team, is_gone=is_gone)
            await self._close(provider, one.id)
            return
        await self._open.postpone(
            one.id, provider, one.looks + 1, min(SLOWEST_S, FIRST_LOOK_S * 2.0 ** min(one.looks, 9))
        )

    async def _book(self, one: Open, batch: Mapping[str, Any]) -> bool:
        """Book it if it has ended; whether it is done with."""
        finished = read_batch(batch)
        if finished is None or finished.id != one.id:
            return False
        if not finished.is_free:
            view = self._view()
            at = datetime.fromtimestamp(min(finished.ended_at or self._clock(), self._clock()), UTC)
            bill = Bill(view.snapshot.prices, one.owner.provider, at)
            used = await self._measure(one.owner.provider, finished, bill)
            if not await self._booker.book(one.owner, finished, used, view.snapshot.digest, bill.version):
                return False
        await self._close(one.owner.provider, one.id)
        return True

    async def _measure(self, provider: str, batch: Finished, bill: Bill) -> list[Used]:
        """What each model used: from the batch's own sum where that is enough, else from its output."""
        if batch.usage is not None and batch.model and bill.is_told_by_totals(batch.model):
            bill.add(batch.model, batch.usage)
            return bill.used()
        if not batch.output_file_id:
            return [bill.guess(batch.model, batch.usage, "the batch has no output that tells what each request used")]
        try:
            tally = await self._read_output(provider, batch.output_file_id, bill)
        except (_Gone, Unreadable) as error:
            _log.error("batch_output_unread", batch=batch.id, error=str(error) or "gone")
            return [bill.guess(batch.model, batch.usage, "its output could not be read")]
        used = bill.used(is_guess=tally.silent > 0)
        return used or [bill.guess(batch.model, batch.usage, "its output tells no usage")]

    async def _ask(self, provider: str, id: str) -> dict[str, Any]:
        reply = await self._get(provider, f"/batches/{id}")
        try:
            body = await reply.read_all(MAX_OBJECT)
        finally:
            reply.close()
        try:
            found = orjson.loads(body)
        except orjson.JSONDecodeError:
            found = None
        return found if isinstance(found, dict) else {}

    async def _read_output(self, provider: str, file_id: str, bill: Bill) -> Tally:
        tally = Tally(bill.add)
        reply = await self._get(provider, f"/files/{file_id}/content")
        try:
            while data := await reply.read():
                tally.feed(data)
            tally.close()
        finally:
            reply.close()
        return tally

    async def _get(self, provider: str, target: str) -> wire.Reply:
        served = self._view().served.get(provider)
        if served is None:
            raise Unavailable(f"No provider {provider} is configured any more.")
        reply = await served.upstream.send(wire.Request("GET", target, timeouts=_TIMEOUTS))
        if reply.status == 200:
            return reply
        reply.close()
        if reply.status in (404, 410):
            raise _Gone
        raise Unavailable(f"The provider answered {reply.status} to GET {target}.")

    async def _close(self, provider: str, id: str) -> None:
        await self._open.close_batch(id, provider)
        self._remember(provider, id)

    def _remember(self, provider: str, id: str) -> None:
        while len(self._done) >= REMEMBERED:
            del self._done[next(iter(self._done))]
        self._done[provider, id] = None
