"""The thread that writes: it commits together all that has queued since its last commit.

It knows nothing of patience. It tries until it succeeds or is told to end, and tells what became of each batch; who has
waited too long is for the event loop's side to say (`ledger.py`). What was earned is never dropped: sendings and
endings of a batch that failed are written with the next. A reservation that failed is not tried again, because its
caller has been refused: should it be in the file after all, which a failed commit leaves in doubt, it is ended there
as void.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Final, Protocol, TypeVar

import structlog

from gateway.ledger.file import LedgerFile
from gateway.ledger.owners import Owner
from gateway.ledger.recovery import recover
from gateway.ledger.rows import (
    Row,
    ending_row,
    insert_endings,
    insert_reservations,
    insert_sendings,
    is_open,
    reservation_row,
)
from gateway.model.record import Reservation, Settlement

BATCH: Final = 2048
"""Most events of a kind in one transaction, so that a sibling gets its turn soon."""
LAZY_S: Final = 0.01
"""What nobody waits for, sendings and ends, goes with the next reservation, or after so long by itself: a commit costs
as much as fifty rows, and at low load each call would take three."""
GATHER_S: Final = 0.001
CROWD: Final = 4
"""After a commit that so many calls waited for, the next waits `GATHER_S` for more of them: under load fewer, larger
commits cost less CPU time than they cost patience. Calls that come one by one are never held up."""
RETRY_S: Final = 0.25
"""Between two trials while nothing can be written."""
RECOVER_S: Final = 30.0
"""Between two looks for attempts that dead siblings left open."""

UNAVAILABLE: Final = "ledger_unavailable"
UNWRITABLE: Final = "unwritable"
"""The `code` of an end that held what no column takes: of the rest nothing is certain either."""
SQLITE_BUSY: Final = 5
SQLITE_FULL: Final = 13

_UNWRITABLE: Final = (ValueError, OverflowError, TypeError, sqlite3.ProgrammingError, sqlite3.DataError)
"""What the driver says to a value that fits no column: a number of more than 64 bits, text that is not Unicode."""

_PAID: Final = ("settled", "estimated")
_Event = TypeVar("_Event")
_log = structlog.get_logger("gateway")


@dataclass(slots=True)
class Batch:
    """What goes into one transaction; `size` counts its events.

    `withdrawn` holds ends of attempts whose reservation was not known to be durable: they are written if it is.
    """

    reservations: list[tuple[int, Reservation]] = field(default_factory=list)
    sendings: list[tuple[int, int]] = field(default_factory=list)
    endings: list[tuple[int, Settlement]] = field(default_factory=list)
    withdrawn: list[tuple[int, Settlement]] = field(default_factory=list)
    dropped: int = 0  # could not be stored at all

    @property
    def size(self) -> int:
        """How many events."""
        return len(self.reservations) + len(self.sendings) + len(self.endings) + len(self.withdrawn) + self.dropped


@dataclass(slots=True)
class Work:
    """What the thread has done so far. `cpu_s` and `commit_s` are seconds, `slowest_s` those of the longest commit."""

    commits: int = 0
    rows: int = 0
    cpu_s: float = 0.0
    commit_s: float = 0.0
    slowest_s: float = 0.0


Written = Callable[[Batch], None]


class Refused(Protocol):
    """Told the ids of reservations that were not written, and why; `failing`: nothing else can be written either.

    Called for every trial that fails, with no ids if there are none.
    """

    def __call__(self, ids: Sequence[int], why: str, *, failing: bool) -> None: ...


class Writer:
    """Owns the write connection from `start` to `join`. `written` and `refused` are called in its thread.

    `clock` is Unix time in microseconds.
    """

    def __init__(
        self, file: LedgerFile, owner: Owner, clock: Callable[[], int], written: Written, refused: Refused
    ) -> None:
        self.work = Work()
        self._file = file
        self._owner = owner
        self._clock = clock
        self._written = written
        self._refused = refused
        self._reservations: deque[tuple[int, Reservation]] = deque()
        self._sendings: deque[tuple[int, int]] = deque()
        self._endings: deque[tuple[int, Settlement]] = deque()
        self._withdrawn: deque[tuple[int, Settlement]] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._asleep = False  # nothing is queued: whatever comes rings
        self._dozing = False  # nothing that anybody waits for: a reservation rings
        self._is_crowded = False  # many waited for the last commit
        self._until: float | None = None  # set: end when all is written, or when this time (monotonic) has passed
        self._kept = Batch()  # could not be written yet
        self._failing = ""
        self._is_suspect = False  # what the connection holds in memory may not be what is in the file
        self._recovered_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="gateway-ledger", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    # From the event loop

    def reserve(self, attempt_id: int, reservation: Reservation) -> None:
        """Queue it."""
        self._reservations.append((attempt_id, reservation))
        if self._asleep or self._dozing:
            self._bell.put(None)

    def sent(self, attempt_id: int, at: int) -> None:
        """Queue it."""
        self._sendings.append((attempt_id, at))
        if self._asleep:
            self._bell.put(None)

    def settle(self, attempt_id: int, settlement: Settlement) -> None:
        """Queue it."""
        self._endings.append((attempt_id, settlement))
        if self._asleep:
            self._bell.put(None)

    def withdraw(self, attempt_id: int, settlement: Settlement) -> None:
        """Queue an end that is written only if the reservation is, or was."""
        self._withdrawn.append((attempt_id, settlement))
        if self._asleep:
            self._bell.put(None)

    def end(self, within_s: float) -> None:
        """Write what is queued, and end; try for `within_s` if it cannot be written."""
        self._until = time.monotonic() + within_s
        self._bell.put(None)

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; whether it came."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # In the thread

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        finally:
            self._file.close()
            self._owner.close()

    def _turn(self) -> bool:
        """Wait for something to do, and do it; False at the end."""
        until = self._until  # before the queues are looked at: what was queued before `end` is written
        self._rest()
        if self._is_crowded:
            time.sleep(GATHER_S)
        batch = self._take()
        self._is_crowded = len(batch.reservations) >= CROWD
        if batch.size or self._failing:
            written = self._write(batch)
            if not written:
                return until is None or time.monotonic() < until
        elif until is not None:
            return False
        self._recover_now_and_then()
        return True

    def _rest(self) -> None:
        if self._failing:
            self._wait(RETRY_S)
            return
        if not (self._queued() or self._until is not None):
            self._asleep = True
            if not self._queued() and self._until is None:  # may have come before the flag was up
                self._wait(RECOVER_S)
            self._asleep = False
        if self._queued() and not self._is_awaited():
            self._dozing = True
            if not self._is_awaited():
                self._wait(LAZY_S)
            self._dozing = False

    def _is_awaited(self) -> bool:
        """Whether somebody waits for what is queued, or it is enough for a commit of its own."""
        if self._reservations or self._kept.size or self._until is not None:
            return True
        return len(self._sendings) + len(self._endings) + len(self._withdrawn) >= BATCH

    def _wait(self, seconds: float) -> None:
        with suppress(Empty):
            self._bell.get(timeout=seconds)
            while True:
                self._bell.get_nowait()

    def _queued(self) -> bool:
        return bool(self._reservations or self._endings or self._sendings or self._withdrawn or self._kept.size)

    def _take(self) -> Batch:
        # Ends first and reservations last, all of them: an end that is queued while this runs then never comes before
        # its beginning.
        batch, self._kept = self._kept, Batch()
        _move(self._withdrawn, batch.withdrawn, BATCH)
        _move(self._endings, batch.endings, BATCH)
        _move(self._sendings, batch.sendings, BATCH)
        _move(self._reservations, batch.reservations, len(self._reservations))
        return batch

    def _write(self, batch: Batch) -> bool:
        began, cpu = time.perf_counter(), time.thread_time()
        try:
            if self._failing:
                self._mend()
            self._commit(batch)
        except Exception as error:
            self._failed(batch, error)
            return False
        took = time.perf_counter() - began
        work = self.work
        work.commits += 1
        work.rows += batch.size
        work.commit_s += took
        work.slowest_s = max(work.slowest_s, took)
        self._written(batch)
        work.cpu_s += time.thread_time() - cpu
        return True

    def _commit(self, batch: Batch) -> None:
        try:
            self._insert(
                [reservation_row(*item) for item in batch.reservations],
                _telling(batch),
                [ending_row(*item) for item in batch.endings],
                batch.withdrawn,
            )
        except _UNWRITABLE as error:
            _log.error("ledger_row_unwritable", error=repr(error))
            self._commit_singly(batch)

    def _insert(
        self,
        begun: Sequence[Row],
        sent: Sequence[Row] = (),
        ended: Sequence[Row] = (),
        withdrawn: Sequence[tuple[int, Settlement]] = (),
    ) -> None:
        with self._file.transaction() as connection:
            insert_reservations(connection, begun)
            insert_sendings(connection, sent)
            insert_endings(connection, ended)
            if withdrawn:
                insert_endings(connection, [ending_row(*item) for item in withdrawn if is_open(connection, item[0])])

    def _commit_singly(self, batch: Batch) -> None:
        """A batch with a value that no column takes: that row alone must suffer for it."""
        good = []
        for item in batch.reservations:
            try:
                self._insert([reservation_row(*item)])
                good.append(item)
            except _UNWRITABLE:
                batch.dropped += 1
                self._refused([item[0]], "this one holds a value that cannot be stored", failing=False)
        batch.reservations = good
        self._insert([], batch.sendings)
        for ends, insert in ((batch.endings, self._insert_ending), (batch.withdrawn, self._insert_withdrawn)):
            for attempt_id, settlement in ends:
                try:
                    insert(attempt_id, settlement)
                except _UNWRITABLE:
                    insert(attempt_id, Settlement(state="unknown", ended_at=self._clock(), code=UNWRITABLE))

    def _insert_ending(self, attempt_id: int, settlement: Settlement) -> None:
        self._insert([], [], [ending_row(attempt_id, settlement)])

    def _insert_withdrawn(self, attempt_id: int, settlement: Settlement) -> None:
        self._insert([], withdrawn=[(attempt_id, settlement)])

    def _failed(self, batch: Batch, error: Exception) -> None:
        self._kept = batch
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == SQLITE_BUSY and not self._failing:
            return  # nothing was begun; the reservations may still make it in time
        if not self._failing:
            _log.critical("ledger_failing", error=repr(error))
        self._failing = str(error) or type(error).__name__
        self._is_suspect = self._is_suspect or code not in (SQLITE_BUSY, SQLITE_FULL)
        refused = [attempt_id for attempt_id, _ in batch.reservations]
        void = Settlement(state="void", ended_at=self._clock(), code=UNAVAILABLE, cost_nano=0)
        batch.withdrawn += [(attempt_id, void) for attempt_id in refused]
        batch.reservations = []
        self._refused(refused, self._failing, failing=True)

    def _mend(self) -> None:
        """After a failure: show that the file is whole and takes writes."""
        if self._is_suspect:
            self._file.reopen()
        self._file.probe()
        _log.warning("ledger_recovered", after=self._failing)
        self._failing = ""
        self._is_suspect = False

    def _recover_now_and_then(self) -> None:
        if time.monotonic() - self._recovered_at < RECOVER_S:
            return
        self._recovered_at = time.monotonic()
        try:
            recover(self._file, self._owner, self._clock())
        except (sqlite3.Error, OSError) as error:
            _log.warning("ledger_recovery_failed", error=repr(error))  # tried again in half a minute


def _telling(batch: Batch) -> list[tuple[int, int]]:
    """The sendings that tell something: those of attempts that end in the same commit stand in their ends already."""
    if not (batch.sendings and batch.endings):
        return batch.sendings
    told = {id for id, end in batch.endings if end.latency_us is not None and end.state in _PAID}
    return [item for item in batch.sendings if item[0] not in told]


def _move(source: deque[_Event], target: list[_Event], most: int) -> None:
    for _ in range(min(len(source), most)):
        target.append(source.popleft())
