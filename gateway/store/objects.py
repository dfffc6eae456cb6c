"""Whose is that file, that batch: providers keep one account for all callers, so the gateway keeps who made what.

Ownership is a team's. What is not known here belongs to nobody, and looks to everybody as if it did not exist: a
foreign id and an invented one get the same 404. The first to claim an id has it, until it is deleted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from gateway.errors import NotFound
from gateway.model.caller import Caller
from gateway.store.database import Database, Taken
from gateway.store.schema import objects as rows
from gateway.store.threads import Threads


@dataclass(frozen=True, slots=True)
class Owner:
    """Who made an object, with which provider, and when (epoch seconds)."""

    provider: str
    team: str
    project: str
    key_id: str
    created_at: int


class Objects:
    """Who owns the objects that providers keep, in the database at `url`.

    `kind` is the word of the path, as `file` or `batch`. `clock` gives epoch seconds. Every method raises `Unavailable`
    when the database does not answer.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        self._database = Database(url, [rows])
        self._threads = Threads(self._database.threads, "objects")
        self._clock = clock

    def __repr__(self) -> str:
        return f"<Objects {self._database.name}>"

    async def remember(self, kind: str, object_id: str, provider: str, caller: Caller) -> bool:
        """Note that `caller` made an object; false, and nothing changes, if it is another team's already."""
        return await self._threads.run(self._insert, kind, object_id, provider, caller)

    async def owner(self, kind: str, object_id: str, provider: str | None = None) -> Owner | None:
        """Who made it; without a provider, the first to have made one with this id at any."""
        return await self._threads.run(self._find, kind, object_id, provider, None)

    async def check(self, kind: str, object_id: str, caller: Caller, provider: str | None = None) -> Owner:
        """The owner, if it is of the caller's team. Raises `NotFound`, the same for a foreign id and an unknown one."""
        found = await self._threads.run(self._find, kind, object_id, provider, caller.team)
        if found is None:
            raise NotFound(f"There is no {kind} {object_id[:100]!a}, or it is not this key's team's.")
        return found

    async def ids(self, kind: str, team: str, provider: str | None = None) -> set[str]:
        """The ids of all that a team owns: what may be left in a provider's listing."""
        return await self._threads.run(self._ids, kind, team, provider)

    async def forget(self, kind: str, object_id: str, provider: str) -> None:
        """Drop an object that was deleted at its provider."""
        await self._threads.run(self._delete, kind, object_id, provider)

    def close(self) -> None:
        """Finish what is being written, and close the connections."""
        self._threads.close(wait=True)
        self._database.close()

    def _insert(self, kind: str, object_id: str, provider: str, caller: Caller) -> bool:
        try:
            with self._database.write() as connection:
                connection.execute(
                    insert(rows).values(
                        kind=kind,
                        object_id=object_id,
                        provider=provider,
                        team=caller.team,
                        project=caller.project,
                        key_id=caller.key_id,
                        created_at=int(self._clock()),
                    )
                )
        except Taken:
            found = self._find(kind, object_id, provider, None)
            return found is not None and found.team == caller.team
        return True

    def _find(self, kind: str, object_id: str, provider: str | None, team: str | None) -> Owner | None:
        query = (
            select(rows.c.provider, rows.c.team, rows.c.project, rows.c.key_id, rows.c.created_at)
            .where(rows.c.kind == kind, rows.c.object_id == object_id)
            .order_by(rows.c.created_at, rows.c.provider)
            .limit(1)
        )
        if provider is not None:
            query = query.where(rows.c.provider == provider)
        if team is not None:
            query = query.where(rows.c.team == team)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Owner(*row)

    def _ids(self, kind: str, team: str, provider: str | None) -> set[str]:
        query = select(rows.c.object_id).where(rows.c.kind == kind, rows.c.team == team)
        if provider is not None:
            query = query.where(rows.c.provider == provider)
        with self._database.read() as connection:
            return set(connection.execute(query).scalars())

    def _delete(self, kind: str, object_id: str, provider: str) -> None:
        with self._database.write() as connection:
            connection.execute(
                delete(rows).where(rows.c.kind == kind, rows.c.object_id == object_id, rows.c.provider == provider)
            )
