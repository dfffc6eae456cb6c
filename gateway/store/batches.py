"""Which batches have not been booked yet, and when each is to be looked at next.

Who made a batch stands in `objects`; a row here says how the looking goes. A batch without a row has never been looked
at, so that those made before this table was there are found too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from sqlalchemy import BigInteger, Column, Integer, String, Table, and_, insert, or_, select, update

from gateway.store.database import Database, Taken
from gateway.store.objects import Owner
from gateway.store.schema import metadata
from gateway.store.schema import objects as owners
from gateway.store.threads import Threads

FIRST_LOOK_S: Final = 60

rows = Table(
    "batches",
    metadata,
    Column("object_id", String(256), primary_key=True),
    Column("provider", String(128), primary_key=True),
    Column("looks", Integer, nullable=False),
    Column("due_at", BigInteger, nullable=False, index=True),  # epoch seconds
    Column("closed_at", BigInteger),  # booked, or given up; null: open
)


@dataclass(frozen=True, slots=True)
class Open:
    """A batch that is due. `looks` counts how often it was looked at."""

    id: str
    owner: Owner
    looks: int


class OpenBatches:
    """The batches of `objects` in the database at `url`. `clock` gives epoch seconds.

    Every method raises `Unavailable` when the database does not answer.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        self._database = Database(url, [owners, rows])
        self._threads = Threads(self._database.threads, "batches")
        self._clock = clock

    def __repr__(self) -> str:
        return f"<OpenBatches {self._database.name}>"

    async def due(self, limit: int) -> list[Open]:
        """Those that are due, the longest waiting first."""
        return await self._threads.run(self._due, limit)

    async def find(self, object_id: str, provider: str) -> Open | None:
        """That one, due or not; None if nobody here has made it, or it is closed."""
        return await self._threads.run(self._find, object_id, provider)

    async def postpone(self, object_id: str, provider: str, looks: int, after_s: float) -> None:
        """Look again in so many seconds."""
        due_at = int(self._clock() + after_s)
        await self._threads.run(self._put, object_id, provider, {"looks": looks, "due_at": due_at})

    async def close_batch(self, object_id: str, provider: str) -> None:
        """Never look again."""
        await self._threads.run(self._put, object_id, provider, {"closed_at": int(self._clock())})

    def close(self) -> None:
        """Finish what is being written, and close the connections."""
        self._threads.close(wait=True)
        self._database.close()

    def _due(self, limit: int) -> list[Open]:
        now = int(self._clock())
        fresh = and_(rows.c.object_id.is_(None), owners.c.created_at <= now - FIRST_LOOK_S)
        again = and_(rows.c.closed_at.is_(None), rows.c.due_at <= now)
        asked = _OPEN.where(or_(fresh, again)).order_by(rows.c.due_at, owners.c.created_at).limit(limit)
        with self._database.read() as connection:
            return [_open(tuple(row)) for row in connection.execute(asked)]

    def _find(self, object_id: str, provider: str) -> Open | None:
        asked = _OPEN.where(owners.c.object_id == object_id, owners.c.provider == provider, rows.c.closed_at.is_(None))
        with self._database.read() as connection:
            row = connection.execute(asked).one_or_none()
        return None if row is None else _open(tuple(row))

    def _put(self, object_id: str, provider: str, values: dict[str, int]) -> None:
        here = and_(rows.c.object_id == object_id, rows.c.provider == provider)
        with suppress(Taken), self._database.write() as connection:
            # one that is closed stays so, whoever was looking meanwhile
            changed = connection.execute(update(rows).where(here, rows.c.closed_at.is_(None)).values(**values))
            if changed.rowcount == 0:
                first = {"looks": 0, "due_at": 0, **values}
                connection.execute(insert(rows).values(object_id=object_id, provider=provider, **first))


_OPEN: Final = (
    select(
        owners.c.object_id,
        owners.c.provider,
        owners.c.team,
        owners.c.project,
        owners.c.key_id,
        owners.c.created_at,
        rows.c.looks,
    )
    .outerjoin(rows, and_(rows.c.object_id == owners.c.object_id, rows.c.provider == owners.c.provider))
    .where(owners.c.kind == "batch")
)


def _open(row: tuple[object, ...]) -> Open:
    object_id, provider, team, project, key_id, created_at, looks = row
    assert isinstance(created_at, int)
    owner = Owner(str(provider), str(team), str(project), str(key_id), created_at)
    return Open(str(object_id), owner, looks if isinstance(looks, int) else 0)
