"""`Idempotency-Key`: a call that is sent again is answered again, not made and billed again, for 24 hours.

SDKs retry by themselves, with the same key. The first one to come begins a row and does the work; its answer goes into
the row, and whoever comes later with the same body gets that answer, from whichever worker. Semantics are Stripe's:
the same key with another body is refused, and so is one whose first call is still at work.

Whoever works holds the row by a lease, which `run` renews as long as the process lives. A process that is killed stops
renewing, so that a retry waits for at most `LEASE_S` and then runs; it may then be charged a second time, if the
provider had answered: the dead process took that knowledge with it. A process that lives and cannot write its answer
down (a full disk) does not let a retry run: as soon as it can write again it marks the row as not to be replayed.

Only calls that carry the header come here. Times are wall-clock, since several processes compare them.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, assert_never

import orjson
import structlog
from sqlalchemy import ColumnElement, Row, and_, delete, insert, select, update

from gateway.errors import Conflict, InvalidRequest, Unavailable
from gateway.store.database import Database, Taken
from gateway.store.schema import idempotency as rows
from gateway.store.threads import Threads

TTL_S: Final = 24 * 3600
LEASE_S: Final = 10.0
BEAT_S: Final = 2.5
POLL_S: Final = 0.05
POLL_MOST_S: Final = 0.5
REPLY_LIMIT: Final = 1024 * 1024  # bytes of a reply that are kept
PURGE_EVERY_S: Final = 60.0
PURGE_BATCH: Final = 200  # rows in one transaction, so that others wait for milliseconds

Headers = Sequence[tuple[bytes, bytes]]

_log = structlog.get_logger("gateway.idempotency")


# --- what `begin` finds


@dataclass(frozen=True, slots=True)
class Fresh:
    """Nobody has done this call: do it, then `complete` or `forget` it with this."""

    row: bytes
    owner: bytes


@dataclass(frozen=True, slots=True)
class Replay:
    """It was done; this was the answer. `body` is what was sent, a stream's events as one piece."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


@dataclass(frozen=True, slots=True)
class InProgress:
    """Somebody is at work on it."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The same key was used for another call."""


@dataclass(frozen=True, slots=True)
class Unreplayable:
    """It was done, but the answer was not kept: it was too large, or could not be written."""


Outcome = Fresh | Replay | InProgress | Mismatch | Unreplayable


def refusal(outcome: InProgress | Mismatch | Unreplayable) -> Conflict:
    """What to raise where a call may neither run nor be answered from memory."""
    match outcome:
        case InProgress():
            return Conflict(
                "A call with this Idempotency-Key is still at work. Try again with the same key shortly.",
                code="idempotency_in_progress",
                retry_after_s=1,
            )
        case Mismatch():
            return Conflict(
                "This Idempotency-Key was used for another call. Use a new key for each call, and the same one only "
                "to send the same method, path and body again.",
                code="idempotency_key_reused",
            )
        case Unreplayable():
            return Conflict(
                "The call with this Idempotency-Key was made, but its reply was not kept: it was too large, or could "
                "not be written. To make the call again, and pay for it again, use a new key.",
                code="idempotency_reply_too_large",
            )
        case _:
            assert_never(outcome)


def parse_key(value: bytes) -> str:
    """The header's value. Raises `InvalidRequest` unless it is 1 to 255 printable ASCII characters."""
    text = value.decode("latin-1").strip()
    if not 1 <= len(text) <= 255 or not text.isascii() or not text.isprintable():
        raise InvalidRequest(
            "Idempotency-Key takes 1 to 255 printable ASCII characters; a UUID is a good one.",
            code="invalid_idempotency_key",
            param="Idempotency-Key",
        )
    return text


def digest(method: str, path: str, body: bytes) -> bytes:
    """What makes two calls the same: SHA-256 of the method, the path with its query, and the body."""
    state = hashlib.sha256(f"{method} {path}\0".encode())
    state.update(body)
    return state.digest()


class Tape:
    """Records a reply on its way out, up to `limit` bytes; beyond them it lets go of all it has."""

    __slots__ = ("_limit", "_parts", "_size")

    def __init__(self, limit: int = REPLY_LIMIT) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        self._size += len(data)
        if self._size <= self._limit:
            self._parts.append(data)
        else:
            self._parts.clear()

    def body(self) -> bytes | None:
        """The whole of it; `None` if it was over the limit."""
        return b"".join(self._parts) if self._size <= self._limit else None


# --- the store


class Idempotency:
    """The calls of the last 24 hours that carried a key, in the database at `url`, shared by all workers.

    `clock` gives epoch seconds, `ttl_s`, `lease_s` and `beat_s` are seconds, `reply_limit` is bytes. `run` has to be
    running while calls are: it renews the leases. When the database does not answer, `begin` raises `Unavailable`, and
    the call must not be made; `complete` and `forget` come when it was made, so they log that and return.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], float] = time.time,
        ttl_s: int = TTL_S,
        lease_s: float = LEASE_S,
        beat_s: float = BEAT_S,
        reply_limit: int = REPLY_LIMIT,
    ) -> None:
        self._database = Database(url, [rows], durable=False)
        self._threads = Threads(self._database.threads, "idempotency")
        self._clock = clock
        self._ttl_s = ttl_s
        self._lease_s = lease_s
        self._beat_s = beat_s
        self.reply_limit = reply_limit
        self._held: set[Fresh] = set()  # calls at work in this process
        self._unwritten: set[Fresh] = set()  # calls that were made, and whose row does not say so yet
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself keeps no hold on a task

    def __repr__(self) -> str:
        return f"<Idempotency {self._database.name}, {len(self._held)} at work, {len(self._unwritten)} unwritten>"

    async def begin(self, caller: str, key: str, call: bytes, *, wait_s: float = 0.0) -> Outcome:
        """Find out what to do with a call: `caller` is the key's id, `key` the header, `call` the call's `digest`.

        Where it is in progress, here or in another process, it is looked at every `POLL_S` for up to `wait_s` seconds.
        """
        row = hashlib.sha256(f"{caller}\0{key}".encode()).digest()
        end = time.monotonic() + wait_s
        pause_s = POLL_S
        while True:
            outcome = await self._begin_once(row, call)
            if not isinstance(outcome, InProgress) or time.monotonic() >= end:
                return outcome
            await asyncio.sleep(pause_s)
            pause_s = min(1.5 * pause_s, POLL_MOST_S)  # many may wait for one call

    async def complete(self, fresh: Fresh, status: int, headers: Headers, body: bytes | None) -> None:
        """Keep the answer. `None`, or more than `reply_limit` bytes, means that it cannot be given again.

        It is written to the end though the waiting be cancelled. If it cannot be written, the call still counts as
        made, and `run` goes on trying to say so.
        """
        if body is not None and len(body) > self.reply_limit:
            body = None
        task = asyncio.ensure_future(self._threads.run(self._finish, fresh, status, headers, body))
        task.add_done_callback(lambda done: self._note_finished(fresh, done))
        try:
            await asyncio.shield(task)
        except Unavailable as error:
            _log.error("idempotency_reply_lost", error=error.message)

    async def forget(self, fresh: Fresh) -> None:
        """Let a retry run: for a call that failed before the provider could charge for it."""
        self._held.discard(fresh)
        try:
            await asyncio.shield(asyncio.ensure_future(self._threads.run(self._delete, fresh)))
        except Unavailable as error:
            _log.error("idempotency_row_left", error=error.message, lapses_in_s=self._lease_s)

    async def run(self) -> None:
        """Renew the leases and clear out what is old, until cancelled."""
        purge_at = time.monotonic() + PURGE_EVERY_S
        while True:
            await asyncio.sleep(self._beat_s)
            try:
                await self.beat()
                if time.monotonic() >= purge_at:
                    purge_at = time.monotonic() + PURGE_EVERY_S
                    await self.purge()
            except Exception as error:  # whatever it is: were this to end, every lease would lapse
                _log.error("idempotency_upkeep_failed", error=repr(error), held=len(self._held))

    async def beat(self) -> None:
        """Renew every lease held here, and mark the rows whose answer could not be written."""
        if self._held:
            await self._threads.run(self._renew, list(self._held))
        for fresh in list(self._unwritten):
            await self._threads.run(self._finish, fresh, None, (), None)
            self._unwritten.discard(fresh)

    async def purge(self) -> int:
        """Delete what is older than 24 hours, a batch at a time; how many rows went."""
        gone = 0
        while count := await self._threads.run(self._purge_batch):
            gone += count
        return gone

    def close(self) -> None:
        """Finish what is being written, and close the connections. Blocks for as long as that takes."""
        self._threads.close(wait=True)
        self._database.close()

    async def _begin_once(self, row: bytes, call: bytes) -> Outcome:
        task = asyncio.ensure_future(self._threads.run(self._claim, Fresh(row, secrets.token_bytes(16)), call))
        try:
            outcome = await asyncio.shield(task)
        except asyncio.CancelledError:
            # The client left, but the thread may still make the row, and nobody would ever finish it.
            task.add_done_callback(self._abandon)
            raise
        if isinstance(outcome, Fresh):
            self._held.add(outcome)
        return outcome

    def _abandon(self, task: asyncio.Future[Outcome]) -> None:
        if task.cancelled() or task.exception() is not None:
            return
        outcome = task.result()
        if isinstance(outcome, Fresh):
            forgetting = asyncio.create_task(self.forget(outcome))
            self._tasks.add(forgetting)
            forgetting.add_done_callback(self._tasks.discard)

    def _note_finished(self, fresh: Fresh, task: asyncio.Future[None]) -> None:
        self._held.discard(fresh)
        if task.cancelled() or task.exception() is not None:
            self._unwritten.add(fresh)

    # What follows runs in the threads.

    def _claim(self, fresh: Fresh, call: bytes) -> Outcome:
        now = self._clock()
        with suppress(Taken):
            with self._database.write() as connection:
                connection.execute(insert(rows).values(id=fresh.row, **self._values(fresh, call, now)))
            return fresh
        with self._database.read() as connection:
            found = connection.execute(select(rows).where(rows.c.id == fresh.row)).one_or_none()
        if found is None:
            return InProgress()  # it went in this moment; the next look will make it
        if found.expires_at <= now:
            return self._take_over(found, fresh, call, now)
        if found.digest != call:
            return Mismatch()
        if found.state == "running":
            lapsed = found.lease_until <= now * 1000
            return self._take_over(found, fresh, call, now) if lapsed else InProgress()
        if found.state == "unreplayable":
            return Unreplayable()
        return Replay(found.status, _headers(found.headers), found.body)

    def _take_over(self, found: Row[Any], fresh: Fresh, call: bytes, now: float) -> Outcome:
        """Of several who find a lapsed row, the one whose update still meets it as it was found gets it."""
        is_as_found = and_(
            rows.c.id == fresh.row,
            rows.c.owner == found.owner,
            rows.c.state == found.state,
            rows.c.lease_until == found.lease_until,
        )
        with self._database.write() as connection:
            changed = connection.execute(
                update(rows)
                .where(is_as_found)
                .values(**self._values(fresh, call, now), status=None, headers=None, body=None)
            )
            return fresh if changed.rowcount == 1 else InProgress()

    def _values(self, fresh: Fresh, call: bytes, now: float) -> dict[str, Any]:
        return {
            "digest": call,
            "owner": fresh.owner,
            "state": "running",
            "lease_until": int((now + self._lease_s) * 1000),
            "expires_at": int(now) + self._ttl_s,
        }

    def _finish(self, fresh: Fresh, status: int | None, headers: Headers, body: bytes | None) -> None:
        kept = body is not None
        values = {
            "state": "done" if kept else "unreplayable",
            "status": status,
            "headers": _headers_text(headers) if kept else None,
            "body": body,
        }
        with self._database.write() as connection:
            connection.execute(update(rows).where(_is_mine(fresh)).values(**values))

    def _delete(self, fresh: Fresh) -> None:
        with self._database.write() as connection:
            connection.execute(delete(rows).where(_is_mine(fresh)))

    def _renew(self, held: list[Fresh]) -> None:
        until = int((self._clock() + self._lease_s) * 1000)
        with self._database.write() as connection:
            for fresh in held:
                connection.execute(update(rows).where(_is_mine(fresh)).values(lease_until=until))

    def _purge_batch(self) -> int:
        old = select(rows.c.id).where(rows.c.expires_at <= self._clock()).limit(PURGE_BATCH)
        with self._database.write() as connection:
            return connection.execute(delete(rows).where(rows.c.id.in_(old))).rowcount


def _is_mine(fresh: Fresh) -> ColumnElement[bool]:
    """Only a row that is still at work, and not one that lapsed and is somebody else's by now."""
    return and_(rows.c.id == fresh.row, rows.c.owner == fresh.owner, rows.c.state == "running")


def _headers_text(headers: Headers) -> bytes:
    return orjson.dumps([[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers])


def _headers(text: bytes) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in orjson.loads(text)]
