"""What is to be delivered, in one SQLite file that all workers share: written down before the first attempt.

Nothing that was written is lost: a worker claims what is due for the time that an attempt may take, and if it is killed
meanwhile the claim lapses and another makes the attempt again. So an event arrives at least once, and its id tells a
receiver that it has it already. One event goes to one endpoint once, whoever emits it and how often, until its
`keep_until`; that is the primary key of the table of deliveries.

Everything here blocks, and raises `Unavailable` when the database does not answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, FromClause, and_, delete, exists, func, select, update
from sqlalchemy.dialects.sqlite import insert

from gateway.store.database import Database
from gateway.store.schema import meta
from gateway.webhooks.endpoint import Endpoint
from gateway.webhooks.events import Event, EventType
from gateway.webhooks.schema import deliveries, endpoints, events

ROOM: Final = 10_000
"""Deliveries that may wait for one endpoint; what comes beyond them is dropped, and counted."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One delivery to attempt now. `attempts` were made before; `until` (epoch ms) is what marks the claim as ours."""

    event: str
    type: EventType
    endpoint: str
    body: bytes
    queued_at: int
    attempts: int
    until: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery as people see it; `due_at` and `ended_at` in epoch seconds."""

    event: str
    type: str
    endpoint: str
    state: str
    created_at: int
    attempts: int
    due_at: float
    outcome: str | None
    status: int | None
    ended_at: int | None


class Outbox:
    """The deliveries of all workers. Raises `ConfigError` or `Unavailable` if the file at `url` cannot be used."""

    def __init__(self, url: str, *, room: int = ROOM) -> None:
        self._database = Database(url, [events, deliveries, endpoints])
        self._room = room

    def __repr__(self) -> str:
        return f"<Outbox {self._database.name}>"

    def add(
        self, new: Sequence[Event], to: Sequence[Endpoint], now: float, told: Collection[tuple[str, str]] = ()
    ) -> list[Event]:
        """Put events in, for each endpoint that wants them and has not got them; those that found no room somewhere.

        `told` are pairs of event and endpoint that were delivered while this could not be written.
        """
        dropped: list[Event] = []
        with self._database.write() as connection:
            _lock(connection)
            room = self._find_room(connection, to)
            for event in new:
                wanting = [one.id for one in to if one.id in room and one.wants(event.type)]
                if wanting:
                    connection.execute(insert(events).values(_event(event)).on_conflict_do_nothing())
                for endpoint in wanting:
                    done = (event.id, endpoint) in told
                    if room[endpoint] <= 0 and not done:
                        dropped.append(event)
                        continue
                    row = _delivery(event.id, endpoint, now, is_done=done)
                    room[endpoint] -= connection.execute(
                        insert(deliveries).values(row).on_conflict_do_nothing()
                    ).rowcount
        return dropped

    def claim(self, now: float, wanted: Mapping[str, tuple[int, float]]) -> list[Claim]:
        """What is due, marked as being worked on; `wanted` says of each endpoint how many, and for how many seconds."""
        if not self._is_due(now, wanted):
            return []  # as a rule; nobody is kept from writing for it
        found: list[Claim] = []
        with self._database.write() as connection:
            for endpoint, (most, for_s) in wanted.items():
                until = int((now + for_s) * 1000)
                due = select(_waiting.c.event).where(_waiting.c.endpoint == endpoint, _due(_waiting, now))
                rows = connection.execute(
                    update(deliveries)
                    .where(
                        deliveries.c.endpoint == endpoint,
                        deliveries.c.event.in_(due.order_by(_waiting.c.due_at).limit(most)),
                    )
                    .values(claimed_until=until)
                    .returning(deliveries.c.event, deliveries.c.queued_at, deliveries.c.attempts)
                ).all()
                for row in rows:
                    type_, body = connection.execute(
                        select(events.c.type, events.c.body).where(events.c.id == row.event)
                    ).one()
                    found.append(Claim(row.event, type_, endpoint, body, row.queued_at, row.attempts, until))
        return found

    def deliver(self, claim: Claim, now: float, status: int) -> None:
        """It has arrived, whoever may have claimed it meanwhile."""
        values = {"state": "delivered", "outcome": "ok", "status": status, "ended_at": int(now)}
        self._update(claim, {**values, "attempts": claim.attempts + 1}, is_mine=False)

    def postpone(self, claim: Claim, due: float | None, now: float, outcome: str, status: int) -> None:
        """It has not, and is due again at `due` (epoch seconds); None gives it up."""
        values: dict[str, Any] = {"outcome": outcome, "status": status or None, "attempts": claim.attempts + 1}
        if due is None:
            values |= {"state": "failed", "ended_at": int(now)}
        else:
            values |= {"due_at": int(due * 1000), "claimed_until": 0}
        self._update(claim, values, is_mine=True)

    def release(self, claims: Iterable[Claim]) -> None:
        """Leave claims to others: these attempts are not made, or nobody waits for their end."""
        for claim in claims:
            self._update(claim, {"claimed_until": 0}, is_mine=True)

    def disable(self, endpoint: str, now: float) -> None:
        """It wants no more: what waits for it has failed, and nothing further is put in."""
        with self._database.write() as connection:
            connection.execute(insert(endpoints).values(id=endpoint, disabled_at=int(now)).on_conflict_do_nothing())
            connection.execute(
                update(deliveries)
                .where(deliveries.c.endpoint == endpoint, deliveries.c.state == "pending")
                .values(state="failed", outcome="gone", ended_at=int(now))
            )

    def enable(self, endpoint: str) -> None:
        """It may be told again, of what happens from now on."""
        with self._database.write() as connection:
            connection.execute(delete(endpoints).where(endpoints.c.id == endpoint))

    def disabled(self) -> dict[str, int]:
        """The endpoints that want no more, and since when, in epoch seconds."""
        with self._database.read() as connection:
            return {row.id: row.disabled_at for row in connection.execute(select(endpoints))}

    def find(self, states: Collection[str] = ("pending", "failed")) -> list[Delivery]:
        """The deliveries in these states, the oldest event first."""
        query = (
            select(deliveries, events.c.type, events.c.created_at)
            .join(events, events.c.id == deliveries.c.event)
            .where(deliveries.c.state.in_(states))
            .order_by(events.c.created_at, events.c.id, deliveries.c.endpoint)
        )
        with self._database.read() as connection:
            return [
                Delivery(
                    row.event,
                    row.type,
                    row.endpoint,
                    row.state,
                    row.created_at,
                    row.attempts,
                    row.due_at / 1000,
                    row.outcome,
                    row.status,
                    row.ended_at,
                )
                for row in connection.execute(query)
            ]

    def retry(self, event: str, now: float) -> int:
        """Make every delivery of an event that has not arrived due now, with all attempts before it; how many."""
        values = {"state": "pending", "queued_at": int(now), "attempts": 0, "due_at": 0, "ended_at": None}
        with self._database.write() as connection:
            return connection.execute(
                update(deliveries).where(deliveries.c.event == event, deliveries.c.state != "delivered").values(values)
            ).rowcount

    def purge(self, now: float) -> int:
        """Forget events that are old enough and wait for nobody; how many."""
        waiting = exists().where(deliveries.c.event == events.c.id, deliveries.c.state == "pending")
        with self._database.write() as connection:
            gone = connection.execute(delete(events).where(events.c.keep_until < int(now), ~waiting)).rowcount
            if gone:
                known = select(events.c.id)
                connection.execute(delete(deliveries).where(deliveries.c.event.not_in(known)))
        return gone

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    # Inside

    def _is_due(self, now: float, wanted: Collection[str]) -> bool:
        query = select(deliveries.c.event).where(_due(deliveries, now), deliveries.c.endpoint.in_(wanted)).limit(1)
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def _find_room(self, connection: Connection, to: Sequence[Endpoint]) -> dict[str, int]:
        """How many more deliveries may wait, by endpoint; those that want no more are not in it."""
        disabled = set(connection.execute(select(endpoints.c.id)).scalars())
        counted = select(deliveries.c.endpoint, func.count()).where(deliveries.c.state == "pending")
        waiting = {row[0]: row[1] for row in connection.execute(counted.group_by(deliveries.c.endpoint))}
        return {one.id: self._room - waiting.get(one.id, 0) for one in to if one.id not in disabled}

    def _update(self, claim: Claim, values: Mapping[str, Any], *, is_mine: bool) -> None:
        which = and_(deliveries.c.event == claim.event, deliveries.c.endpoint == claim.endpoint)
        if is_mine:  # and did not lapse: then it is somebody else's to say how it went
            which = and_(which, deliveries.c.state == "pending", deliveries.c.claimed_until == claim.until)
        with self._database.write() as connection:
            connection.execute(update(deliveries).where(which).values(values))


def _lock(connection: Connection) -> None:
    """Keep all other writers out until the commit, as a write of nothing does."""
    connection.execute(update(meta).where(meta.c.name == "").values(number=0))


_waiting: Final = deliveries.alias("waiting")


def _due(table: FromClause, now: float) -> Any:
    at = int(now * 1000)
    return and_(table.c.state == "pending", table.c.due_at <= at, table.c.claimed_until <= at)


def _event(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "type": event.type,
        "body": event.body(),
        "created_at": event.at,
        "keep_until": event.keep_until,
    }


def _delivery(event: str, endpoint: str, now: float, *, is_done: bool) -> dict[str, Any]:
    row = {"event": event, "endpoint": endpoint, "state": "pending", "queued_at": int(now), "attempts": 0}
    row |= {"due_at": int(now * 1000), "claimed_until": 0}
    return row | ({"state": "delivered", "outcome": "ok", "attempts": 1, "ended_at": int(now)} if is_done else {})
