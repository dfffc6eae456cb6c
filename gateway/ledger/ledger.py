"""The ledger as the event loop sees it: reserve and wait, send, settle.

`reserve` gives a ticket at once, and the ticket is durable when it has been awaited; only then may the provider be
dialled. The ticket exists before anybody waits, so that whoever is cancelled while waiting can still end it. `sent` and
`settle` wait for nothing; they cannot fail while the ledger is open.

The loop is never blocked by the disk, so it can always refuse: a reservation that is not durable after `patience_s` is
refused, and while one is that old, or writing fails, or too much is queued, new ones are refused at once. What happened
to attempts that were let in is kept in memory and written as soon as that works again.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import Unavailable
from gateway.ledger.file import LedgerFile, Steps
from gateway.ledger.ids import Ids
from gateway.ledger.owners import RING, Owner, claim
from gateway.ledger.recovery import floor, recover, recover_owner
from gateway.ledger.upgrade import upgrade
from gateway.ledger.writer import UNAVAILABLE, Batch, Work, Writer
from gateway.model.record import Reservation, Settlement

HIGH_WATER: Final = 10_000
"""Events that may be queued. A worker makes about 30,000 a second, so this is far more than a slow disk's commit."""
PATIENCE_S: Final = 2.0
RETRY_AFTER_S: Final = 1
_LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class LedgerState:
    """How the ledger of this process does.

    `error` is empty unless it refuses; `queued` counts events that are not durable yet, `in_flight` attempts that have
    not ended, `oldest_s` the seconds that the oldest reservation has waited.
    """

    error: str
    queued: int
    in_flight: int
    oldest_s: float


class Ticket:
    """One attempt in the ledger. Await it; then `sent`, dial, and `settle`, whatever happens."""

    __slots__ = ("_durable", "_is_ended", "_is_sent", "_ledger", "began", "id", "is_durable")

    def __init__(self, id: int, ledger: Ledger, began: float, durable: asyncio.Future[None]) -> None:
        self.id = id
        self.began = began  # seconds of the loop's clock
        self.is_durable = False
        self._ledger = ledger
        self._durable = durable
        self._is_sent = False
        self._is_ended = False

    def __repr__(self) -> str:
        state = "ended" if self._is_ended else "sent" if self._is_sent else "reserved"
        return f"<Ticket {self.id} {state}{'' if self.is_durable else ', not durable'}>"

    @property
    def is_ended(self) -> bool:
        """Whether it was settled, or refused."""
        return self._is_ended

    def __await__(self) -> Generator[Any, None, None]:
        """Wait until the reservation outlives a crash. Raises `Unavailable` (ledger_unavailable): do not dial."""
        return self._durable.__await__()

    def sent(self, at: int) -> None:
        """Say, before the first byte goes out, that the provider is about to see the attempt. `at` in microseconds.

        Raises `Unavailable` only if the ledger has been closed: nobody would know of what is sent after that.
        """
        if not (self._is_sent or self._is_ended):
            assert self.is_durable, "sent before the reservation was durable"
            self._ledger.note_sent(self.id, at)
            self._is_sent = True

    def settle(self, settlement: Settlement) -> bool:
        """End the attempt; False if it has ended before, and this changes nothing."""
        if self._is_ended:
            return False
        self._is_ended = True
        self._ledger.note_end(self, settlement)
        return True

    def acknowledge(self) -> None:
        """The reservation is durable. Called by the ledger."""
        self.is_durable = True
        if not self._durable.done():
            self._durable.set_result(None)

    def refuse(self, error: Unavailable) -> None:
        """The reservation will not be used. Called by the ledger."""
        self._is_ended = True
        if not self._durable.done():
            self._durable.set_exception(error)
            self._durable.exception()  # seen: a caller that was cancelled will not ask


class Ledger:
    """One worker's part of the ledger. Make it with `Ledger.open` in the loop that uses it.

    `clock` is Unix time in microseconds; it stamps only what nobody else stamps.
    """

    def __init__(
        self,
        file: LedgerFile,
        owner: Owner,
        clock: Callable[[], int],
        *,
        high_water: int = HIGH_WATER,
        patience_s: float = PATIENCE_S,
    ) -> None:
        assert high_water <= RING // 4, "the ring of marks must hold all that can be sent and not yet committed"
        self._loop = asyncio.get_running_loop()
        self._owner = owner
        self._clock = clock
        self._high_water = high_water
        self._patience_s = patience_s
        self._ids = Ids(owner.number, floor(file.connection))
        self._writer = Writer(file, owner, clock, self._tell_written, self._tell_refused)
        # Not durable, the oldest first. In a plain dict the first is found only past all that were taken out before.
        self._waiting: OrderedDict[int, Ticket] = OrderedDict()
        self._queued = 0
        self._in_flight = 0
        self._error = ""
        self._is_closed = False
        self._look: asyncio.TimerHandle | None = None
        self._writer.start()

    @classmethod
    def open(
        cls,
        path: Path,
        clock: Callable[[], int],
        *,
        high_water: int = HIGH_WATER,
        patience_s: float = PATIENCE_S,
        steps: Steps | None = None,
    ) -> Ledger:
        """Open the ledger at `path`, made or migrated as needed, and end what dead processes left open.

        Blocks for as long as that takes. `patience_s` is how many seconds a reservation may wait to be durable,
        `high_water` how many events may be queued. Raises `ConfigError`, and `Unavailable` if the database or its disk
        fails.
        """
        try:
            with ExitStack() as opened:
                upgrade(path)
                file = LedgerFile(path, steps)
                opened.callback(file.close)
                owner = claim(path)
                opened.callback(owner.close)
                recover_owner(file, owner, clock())
                recover(file, owner, clock())
                ledger = cls(file, owner, clock, high_water=high_water, patience_s=patience_s)
                opened.pop_all()  # the writer closes them
                return ledger
        except (sqlite3.Error, SQLAlchemyError, OSError) as error:
            raise _unavailable(f"it cannot be opened ({type(error).__name__})") from error

    def __repr__(self) -> str:
        return f"<Ledger {self.state()}>"

    @property
    def work(self) -> Work:
        """What the writing thread has done so far."""
        return self._writer.work

    def state(self) -> LedgerState:
        """How it does now."""
        oldest = self._loop.time() - next(iter(self._waiting.values())).began if self._waiting else 0.0
        return LedgerState(self._refusing(), self._queued, self._in_flight, max(0.0, oldest))

    def reserve(self, reservation: Reservation) -> Ticket:
        """Queue a reservation, and wait for it by awaiting the ticket.

        Raises `Unavailable` (ledger_unavailable) at once if it could not become durable soon.
        """
        now = self._loop.time()
        waiting = self._waiting
        if self._error or self._queued >= self._high_water or self._is_closed or (waiting and self._is_late(now)):
            raise _unavailable(self._refusing())
        id = self._ids.draw(reservation.began_at)
        ticket = Ticket(id, self, now, self._loop.create_future())
        waiting[id] = ticket
        self._queued += 1
        self._in_flight += 1
        self._writer.reserve(id, reservation)
        if self._look is None:
            self._look = self._loop.call_later(_LOOK_S, self._give_up)
        return ticket

    async def close(self, timeout_s: float = 10.0) -> bool:
        """Write what is queued and end; False if that took longer than `timeout_s` and something is not written.

        Attempts that have not ended by then are ended by whoever opens the ledger next.
        """
        self._is_closed = True
        if self._look is not None:
            self._look.cancel()
        self._writer.end(timeout_s)
        ended = await asyncio.to_thread(self._writer.join, timeout_s + 1.0)
        await asyncio.sleep(0)  # what the thread told last is heard
        self._refuse(list(self._waiting), "it is closed")
        return ended and self._queued == 0

    # From tickets

    def note_sent(self, id: int, at: int) -> None:
        """See `Ticket.sent`."""
        if self._is_closed:
            raise _unavailable("it is closed")
        self._owner.mark(id)
        self._queued += 1
        self._writer.sent(id, at)

    def note_end(self, ticket: Ticket, settlement: Settlement) -> None:
        """See `Ticket.settle`."""
        self._in_flight -= 1
        self._queued += 1
        if ticket.is_durable:
            self._writer.settle(ticket.id, settlement)
        else:
            self._writer.withdraw(ticket.id, settlement)

    # From the thread

    def _tell_written(self, batch: Batch) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self._written, batch)

    def _tell_refused(self, ids: Sequence[int], why: str, *, failing: bool) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._failed if failing else self._refuse, ids, why)

    def _written(self, batch: Batch) -> None:
        self._queued -= batch.size
        self._error = ""
        waiting = self._waiting
        for id, _ in batch.reservations:
            ticket = waiting.pop(id, None)
            if ticket is not None:
                ticket.acknowledge()

    # Refusing

    def _is_late(self, now: float) -> bool:
        return now - next(iter(self._waiting.values())).began > self._patience_s

    def _refusing(self) -> str:
        """Why new reservations are refused; empty if they are not."""
        if self._is_closed:
            return "it is closed"
        if self._error:
            return self._error
        if self._queued >= self._high_water:
            return f"{self._queued} events wait to be written"
        if self._waiting and self._is_late(self._loop.time()):
            return f"nothing could be written for {self._patience_s:g} s"
        return ""

    def _give_up(self) -> None:
        """Refuse what has waited too long; look again while anything waits."""
        self._look = None
        limit = self._loop.time() - self._patience_s
        late = []
        for ticket in self._waiting.values():
            if ticket.began > limit:
                break
            late.append(ticket)
        if late:
            void = Settlement(state="void", ended_at=self._clock(), code=UNAVAILABLE, cost_nano=0)
            why = f"nothing could be written for {self._patience_s:g} s"
            for ticket in late:
                del self._waiting[ticket.id]
                ticket.settle(void)  # should the reservation make it yet
                ticket.refuse(_unavailable(why))
        if self._waiting and not self._is_closed:
            self._look = self._loop.call_later(_LOOK_S, self._give_up)

    def _failed(self, ids: Sequence[int], why: str) -> None:
        self._error = why
        self._refuse(ids, why)

    def _refuse(self, ids: Sequence[int], why: str) -> None:
        """Refuse reservations that the thread has dropped."""
        for id in ids:
            ticket = self._waiting.pop(id, None)
            if ticket is not None:
                self._in_flight -= not ticket.is_ended
                ticket.refuse(_unavailable(why))


def _unavailable(why: str) -> Unavailable:
    return Unavailable(
        f"The ledger takes no reservations now: {why}. Try again.", code=UNAVAILABLE, retry_after_s=RETRY_AFTER_S
    )
