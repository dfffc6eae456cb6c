"""The keys on disk: every change is a row with a number of its own, which other processes follow.

Any number of processes may change keys and watch them at once. What is written never holds the text of a key: that
is given to whoever made it, once.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import orjson
from sqlalchemy import Connection, insert, select, update

from gateway.access.keys import (
    ENTROPY_BYTES,
    SECRET_BYTES,
    Former,
    Hasher,
    KeyRecord,
    KeyRing,
    mint,
    public_id,
    remint,
)
from gateway.errors import ConfigError, Conflict, Fault, NotFound
from gateway.model.caller import Caller
from gateway.store.database import Bell, Database
from gateway.store.schema import keys, meta
from gateway.store.spec import KeySpec

_SEQ: Final = "key_seq"
_PEPPER_CHECK: Final = "pepper_check"
_FORMER_KEPT: Final = 8  # enough for an operator who rotates again because the first new key got lost
_COLUMNS: Final = tuple(keys.c)


class KeyStore:
    """The keys in the database at `url`, hashed under `pepper`. Blocks: off the loop, except for `changed`.

    `clock` gives epoch seconds, `entropy(n)` n random bytes. Raises `ConfigError` if the database was begun under
    another pepper; every method raises `Unavailable` when the database does not answer.
    """

    def __init__(
        self,
        url: str,
        pepper: bytes,
        *,
        clock: Callable[[], float] = time.time,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._database = Database(url, [keys])
        self._pepper = pepper
        self._hash = Hasher(pepper)
        self._clock = clock
        self._entropy = entropy
        self._bell = Bell(self._database)
        self._begin()

    def __repr__(self) -> str:
        return f"<KeyStore {self._database.name}>"

    def now(self) -> int:
        """Epoch seconds by the store's clock."""
        return int(self._clock())

    def create(self, spec: KeySpec) -> tuple[KeyRecord, str]:
        """Make a key; its text comes back here and can never be had again."""
        return self.create_many([spec])[0]

    def create_many(self, specs: Iterable[KeySpec]) -> list[tuple[KeyRecord, str]]:
        """Make keys in one transaction, as `create` does one."""
        wanted = list(specs)
        if not wanted:
            return []
        now = self.now()
        with self._database.write() as connection:
            last = _draw(connection, len(wanted))
            first = last - len(wanted) + 1
            made = [self._make(spec, seq, now) for seq, spec in enumerate(wanted, first)]
            connection.execute(insert(keys), [_row(record) for record, _ in made])
        return made

    def list(self, team: str | None = None) -> list[KeyRecord]:
        """All keys, or a team's, oldest first, the revoked and the expired among them."""
        query = select(*_COLUMNS).order_by(keys.c.created_at, keys.c.id)
        if team is not None:
            query = query.where(keys.c.team == team)
        with self._database.read() as connection:
            return [_record(row) for row in connection.execute(query)]

    def get(self, key_id: str) -> KeyRecord:
        """One key. Raises `NotFound`."""
        with self._database.read() as connection:
            return _get(connection, key_id)

    def find(self, text: str) -> KeyRecord | None:
        """The key whose current text this is; `None` if it has none, is revoked or has expired."""
        key_id = public_id(text)
        if key_id is None:
            return None
        try:
            record = self.get(key_id)
        except NotFound:
            return None
        now = self.now()
        alive = record.revoked_at is None and (record.expires_at is None or now < record.expires_at)
        return record if alive and hmac.compare_digest(self._hash(text.encode()), record.digest) else None

    def rotate(self, key_id: str, overlap_s: int) -> tuple[KeyRecord, str]:
        """Give a key a new secret under its old id; the old secret works for another `overlap_s` seconds.

        Secrets that are still in their overlap keep their own end. Raises `NotFound`, and `Conflict` if the
        key is revoked or has expired: a rotation must not bring one back.
        """
        now = self.now()
        with self._database.write() as connection:
            seq = _draw(connection)
            old = _get(connection, key_id)
            _check_alive(old, now)
            text = remint(key_id, self._entropy(SECRET_BYTES))
            former = (Former(old.digest, now + overlap_s), *old.former)[:_FORMER_KEPT]
            connection.execute(
                update(keys)
                .where(keys.c.id == key_id)
                .values(digest=self._hash(text.encode()), former=_former_text(former), seq=seq)
            )
            return _get(connection, key_id), text

    def revoke(self, key_id: str) -> KeyRecord:
        """End a key and all its secrets for good; every gateway follows within a second. Raises `NotFound`.

        Doing it again changes nothing, the time of the first included.
        """
        with self._database.write() as connection:
            seq = _draw(connection)
            connection.execute(
                update(keys)
                .where(keys.c.id == key_id, keys.c.revoked_at.is_(None))
                .values(revoked_at=self.now(), seq=seq)
            )
            return _get(connection, key_id)

    def seq(self) -> int:
        """The number of the newest change."""
        return self._database.number(_SEQ) or 0

    def changes(self, since_seq: int, limit: int = 5000) -> Sequence[KeyRecord]:
        """The keys that changed after `since_seq`, in the order of their changes, at most `limit` of them."""
        query = select(*_COLUMNS).where(keys.c.seq > since_seq).order_by(keys.c.seq).limit(limit)
        with self._database.read() as connection:
            return [_record(row) for row in connection.execute(query)]

    def changed(self) -> bool:
        """Whether there may be changes since this was last asked; cheap enough for the loop (about 5 us on SQLite)."""
        return self._bell.rang()

    @property
    def replaced(self) -> int:
        """How often `changed` found that the file was put back from elsewhere, so that all has to be read anew."""
        return self._bell.replaced

    def load(self) -> KeyRing:
        """All keys, ready for the path of a call. 100,000 take well under a second."""
        with self._database.read() as connection:
            rows = connection.execute(select(*_COLUMNS).order_by(keys.c.seq)).all()
        return KeyRing(self._pepper, map(_record, rows))

    def close(self) -> None:
        """Close its connections."""
        self._bell.close()
        self._database.close()

    def _begin(self) -> None:
        """Put in what an empty database needs; see that it was begun under the same pepper."""
        check = self._hash(b"the pepper of this database")
        self._database.keep_first(_SEQ, number=0)
        self._database.keep_first(_PEPPER_CHECK, data=check)
        with self._database.read() as connection:
            found = connection.execute(select(meta.c.data).where(meta.c.name == _PEPPER_CHECK)).scalar_one()
        if not hmac.compare_digest(found, check):
            raise ConfigError(
                [
                    Fault(
                        self._database.name,
                        None,
                        "its keys were made under another pepper, and none of them would be known; "
                        "put the pepper that belongs to it back from a backup",
                    )
                ]
            )

    def _make(self, spec: KeySpec, seq: int, now: int) -> tuple[KeyRecord, str]:
        key_id, text = mint(self._entropy(ENTROPY_BYTES))
        record = KeyRecord(
            id=key_id,
            digest=self._hash(text.encode()),
            seq=seq,
            caller=Caller(key_id, spec.team, spec.project, spec.name, spec.role, spec.models, spec.agents),
            created_at=now,
            budget=spec.budget,
            rpm=spec.rpm,
            tpm=spec.tpm,
            expires_at=spec.expires_at,
        )
        return record, text


def _draw(connection: Connection, count: int = 1) -> int:
    """Number the next `count` changes; the last number. Its lock keeps all other writers out until the commit."""
    connection.execute(update(meta).where(meta.c.name == _SEQ).values(number=meta.c.number + count))
    number: int = connection.execute(select(meta.c.number).where(meta.c.name == _SEQ)).scalar_one()
    return number


def _get(connection: Connection, key_id: str) -> KeyRecord:
    row = connection.execute(select(*_COLUMNS).where(keys.c.id == key_id)).one_or_none()
    if row is None:
        raise NotFound(
            f"There is no key with the id {key_id[:40]!a}; `keys list` shows all, and an id is a key's middle part.",
            code="key_not_found",
        )
    return _record(row)


def _check_alive(record: KeyRecord, now: int) -> None:
    ended = "is revoked" if record.revoked_at is not None else "has expired"
    if record.revoked_at is not None or (record.expires_at is not None and now >= record.expires_at):
        raise Conflict(f"The key {record.id} {ended}; create a new one instead.", code="key_ended")


def _row(record: KeyRecord) -> dict[str, Any]:
    caller = record.caller
    return {
        "id": record.id,
        "digest": record.digest,
        "former": _former_text(record.former),
        "seq": record.seq,
        "team": caller.team,
        "project": caller.project,
        "name": caller.name,
        "role": caller.role,
        "models": _names_text(caller.models),
        "agents": _names_text(caller.agents),
        "budget": record.budget,
        "rpm": record.rpm,
        "tpm": record.tpm,
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "revoked_at": record.revoked_at,
    }


def _record(row: Any) -> KeyRecord:
    # By position, in the order of the table's columns: by name it takes three times as long.
    (key_id, digest, former, seq, team, project, name, role, models, agents,
     budget, rpm, tpm, created_at, expires_at, revoked_at) = row  # fmt: skip
    caller = Caller(key_id, team, project, name, role, _names(models), _names(agents))
    return KeyRecord(key_id, digest, seq, caller, created_at, budget, rpm, tpm, expires_at, revoked_at, _former(former))


def _names_text(names: frozenset[str] | None) -> str | None:
    return None if names is None else orjson.dumps(sorted(names)).decode()


@lru_cache(maxsize=4096)  # most keys of a gateway share a few lists; so they share the sets as well
def _names(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(orjson.loads(text))


def _former_text(former: tuple[Former, ...]) -> str | None:
    return orjson.dumps([[old.digest.hex(), old.valid_until] for old in former]).decode() if former else None


def _former(text: str | None) -> tuple[Former, ...]:
    if text is None:
        return ()
    return tuple(Former(bytes.fromhex(digest), valid_until) for digest, valid_until in orjson.loads(text))
