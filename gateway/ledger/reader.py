"""Read-only questions to the ledger. They block: ask them in a thread, not on the event loop.

Every question is one transaction, so that what it sees belongs together. What was committed by any process is seen by
all at once. Raises `Unavailable` (ledger_unavailable) where the database does not answer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, Select, create_engine, event, func, select, tuple_
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from gateway.errors import InvalidRequest, Unavailable
from gateway.ledger.audit import Audit, audit
from gateway.ledger.schema import daily, endings, pending, reservations, sendings
from gateway.model.record import Attempt, Reservation, Settlement, State

__all__ = ["Audit", "Page", "Reader"]

BUSY_MS: Final = 2000
MAX_PAGE: Final = 1000

_BEGUN: Final = [column for column in reservations.columns if column.name != "attempt_id"]
_ENDED: Final = [column.label(f"end_{column.name}") for column in endings.columns if column.name != "attempt_id"]
_ATTEMPTS: Final = (
    select(reservations.c.attempt_id, sendings.c.sent_at, *_BEGUN, *_ENDED)
    .outerjoin(sendings, sendings.c.attempt_id == reservations.c.attempt_id)
    .outerjoin(endings, endings.c.attempt_id == reservations.c.attempt_id)
)


class Page(msgspec.Struct, frozen=True):
    """Attempts, the latest first; `cursor` asks for those after them, and is None on the last page."""

    attempts: tuple[Attempt, ...]
    cursor: str | None


class Reader:
    """Reads the ledger at `path`, which may be open elsewhere and need not exist yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # mode=ro: a question must never make or change a file
        uri = f"sqlite:///{path.absolute().as_uri()}?mode=ro&uri=true"
        self._engine = create_engine(uri, poolclass=NullPool, connect_args={"isolation_level": None})
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)

    def __repr__(self) -> str:
        return f"<Reader of {self._path}>"

    def request(self, request_id: str) -> tuple[Attempt, ...]:
        """The attempts of one call, the first first; none if the ledger does not know it."""
        asked = _ATTEMPTS.where(reservations.c.request_id == request_id).order_by(
            reservations.c.attempt, reservations.c.attempt_id
        )
        with self._read() as connection:
            return tuple(_attempt(row) for row in connection.execute(asked))

    def list(
        self,
        *,
        from_: int | None = None,
        to: int | None = None,
        team: str | None = None,
        state: State | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page:
        """Attempts that began at or after `from_` and before `to` (microseconds since the epoch), the latest first.

        At most `limit` of them (`MAX_PAGE` at most). `cursor` is a former page's. Raises `InvalidRequest` for one that
        is none.
        """
        limit = max(1, min(limit, MAX_PAGE))
        asked = _ATTEMPTS.order_by(reservations.c.began_at.desc(), reservations.c.attempt_id.desc()).limit(limit + 1)
        if from_ is not None:
            asked = asked.where(reservations.c.began_at >= from_)
        if to is not None:
            asked = asked.where(reservations.c.began_at < to)
        if team is not None:
            asked = asked.where(reservations.c.team == team)
        if state is not None:
            asked = _in_state(asked, state)
        if cursor is not None:
            asked = asked.where(tuple_(reservations.c.began_at, reservations.c.attempt_id) < tuple_(*_place(cursor)))
        with self._read() as connection:
            found = [_attempt(row) for row in connection.execute(asked)]
        if len(found) <= limit:
            return Page(tuple(found), None)
        last = found[limit - 1]
        return Page(tuple(found[:limit]), f"{last.reservation.began_at}.{last.id}")

    def depth(self) -> int:
        """How many attempts have not ended."""
        with self._read() as connection:
            return int(connection.execute(select(func.count()).select_from(pending)).scalar_one())

    def sums(self, *, from_day: int, to_day: int, by: Sequence[str]) -> tuple[dict[str, Any], ...]:
        """The daily sums from `from_day` to before `to_day` (days since 1970-01-01, UTC), grouped by columns `by`."""
        grouped = [daily.c[name] for name in by]
        sums = [func.sum(column).label(column.name) for column in daily.columns if not column.primary_key]
        asked = select(*grouped, *sums).where(daily.c.day >= from_day, daily.c.day < to_day)
        asked = asked.group_by(*grouped).order_by(*grouped)
        with self._read() as connection:
            return tuple(dict(row._mapping) for row in connection.execute(asked))

    def verify(self) -> Audit:
        """Check that the ledger holds together. Reads all of it: seconds for every million rows."""
        with self._read() as connection:
            return audit(connection)

    def close(self) -> None:
        """Nothing is left open."""
        self._engine.dispose()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except (SQLAlchemyError, sqlite3.Error) as error:
            reason = getattr(error, "orig", None) or error
            raise Unavailable(
                f"The ledger did not answer: {type(reason).__name__}.", code="ledger_unavailable", retry_after_s=1
            ) from error


def _prepare(connection: Any, _record: object) -> None:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _in_state(asked: Select[Any], state: State) -> Select[Any]:
    if state not in ("reserved", "sent"):
        return asked.where(endings.c.state == state)
    was_sent = sendings.c.attempt_id.is_not(None) if state == "sent" else sendings.c.attempt_id.is_(None)
    return asked.where(reservations.c.attempt_id.in_(select(pending.c.attempt_id)), was_sent)


def _place(cursor: str) -> tuple[int, int]:
    began_at, _, attempt_id = cursor.partition(".")
    try:
        return int(began_at), int(attempt_id)
    except ValueError:
        raise InvalidRequest("cursor: not one that a former page gave", param="cursor") from None


def _attempt(row: Row[Any]) -> Attempt:
    found = row._mapping
    begun = {column.name: found[column.name] for column in _BEGUN}
    begun["tags"] = tuple(msgspec.json.decode(begun["tags"])) if begun["tags"] else ()
    begun["stream"] = bool(begun["stream"])
    settlement = None
    if found["end_state"] is not None:
        ended = {name: found[f"end_{name}"] for name in Settlement.__struct_fields__}
        for name in ("more_tokens", "lines"):
            ended[name] = (ended[name] or "").encode()
        settlement = Settlement(**ended)
    sent_at = found["sent_at"]
    if sent_at is None and settlement is not None and settlement.latency_us is not None:
        sent_at = settlement.ended_at - settlement.latency_us  # both came in one commit, and the end says it
    state: State = settlement.state if settlement else "reserved" if sent_at is None else "sent"
    return Attempt(
        id=found["attempt_id"], state=state, reservation=Reservation(**begun), sent_at=sent_at, settlement=settlement
    )
