"""Opening a database by its URL, and the few things that SQLite does in its own way: the one place for them.

SQLite runs in WAL mode, so that readers never wait for the writer and several processes of one gateway share a file.
A writer waits for another for at most `BUSY_S`. Every write transaction of this package begins with a write: one that
reads first and then wants to write is refused by SQLite at once, however long it would wait.

Errors of the database are renamed into ours here, without the statement and its values: they may carry replies.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, create_engine, event, insert, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from gateway.errors import ConfigError, Fault, Unavailable
from gateway.store.schema import meta, metadata

BUSY_S: Final = 5.0
SCHEMA_VERSION: Final = 1
_TRIALS: Final = 8


class Taken(Exception):
    """What was to be put in is there already: an answer, which whoever asked for the insertion expects."""


class Database:
    """One database and the tables of it that are in use, made where they are missing.

    `durable` asks for an fsync a commit: needed where forgetting the last second would matter (a revocation), and not
    where it would cost more than it is worth. Neither kind loses anything when the process is killed. Raises
    `ConfigError` if the URL is none, and `Unavailable` if the database cannot be opened.
    """

    def __init__(self, url: str, tables: Sequence[Table], *, durable: bool = True) -> None:
        self.name = _redacted(url)
        self._engine = _engine(url, durable)
        self.file = _file(self._engine)
        if self.file is not None:
            _make_private(self.file)
        with self.renamed():
            _make_tables(self._engine, [*tables, meta])
        self._check_version()

    def __repr__(self) -> str:
        return f"<Database {self.name}>"

    @property
    def threads(self) -> int:
        """How many threads may usefully work on it at once: SQLite has one writer."""
        return 1 if self._engine.dialect.name == "sqlite" else 8

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads: one consistent view."""
        with self.renamed(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction, committed at the end of the block unless it raises. Its first statement has to write."""
        with self.renamed(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def renamed(self) -> Iterator[None]:
        """Errors of the database as `Unavailable`, and a broken constraint as `Taken`."""
        try:
            yield
        except IntegrityError as error:
            raise Taken from error
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            reason = getattr(error, "orig", None) or error
            raise Unavailable(
                f"The database {self.name} did not answer: {type(reason).__name__}.",
                code="store_unavailable",
                retry_after_s=5,
            ) from error

    def number(self, name: str) -> int | None:
        """The number kept in `meta` under this name."""
        with self.read() as connection:
            found: int | None = connection.execute(select(meta.c.number).where(meta.c.name == name)).scalar()
        return found

    def keep_first(self, name: str, *, number: int | None = None, data: bytes | None = None) -> None:
        """Keep a value in `meta`, unless there is one: whoever comes first wins."""
        with suppress(Taken), self.write() as connection:
            connection.execute(insert(meta).values(name=name, number=number, data=data))

    def close(self) -> None:
        """Close all idle connections; use opens new ones. SQLite's last one of all processes folds its WAL up."""
        self._engine.dispose()

    def _check_version(self) -> None:
        found = self.number("schema")
        if found is None:
            self.keep_first("schema", number=SCHEMA_VERSION)
        elif found > SCHEMA_VERSION:
            raise ConfigError(
                [Fault(self.name, None, f"made by a newer gateway (tables {found}, this one knows {SCHEMA_VERSION})")]
            )


class Bell:
    """Tells whether another connection has committed since it was last asked, at about 5 us: fit for the event loop.

    On SQLite it reads `PRAGMA data_version` on a connection of its own, and looks whether the file still is the one it
    has open: after a backup was moved into place, a connection would go on reading the file that is gone. On
    other databases there is nothing as cheap to ask, and the answer is always yes.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: sqlite3.Connection | None = None
        self._seen: tuple[int, int, int] | None = None
        self.replaced = 0  # how often another file was found in the place of the one that was open

    def rang(self) -> bool:
        """True if there may be something new, and the first time. Raises `Unavailable` if it cannot be told."""
        if self._database.file is None:
            return True
        with self._database.renamed():
            seen = self._look(self._database.file)
        changed, self._seen = seen != self._seen, seen
        return changed

    def close(self) -> None:
        """Close its connection; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._seen = None

    def _look(self, file: str) -> tuple[int, int, int]:
        status = os.stat(file)
        if self._seen is not None and self._seen[:2] != (status.st_dev, status.st_ino):
            self.close()
            self.replaced += 1
            self._database.close()  # its pool has the old file open, too
        if self._connection is None:
            # No waiting, since this runs on the loop; mode=rw, so that asking never makes an empty file.
            uri = f"{Path(file).absolute().as_uri()}?mode=rw"
            self._connection = sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return status.st_dev, status.st_ino, version


def _engine(url: str, durable: bool) -> Engine:
    try:
        engine = create_engine(url, hide_parameters=True)
    except (ArgumentError, ImportError) as error:
        raise _no_database(url, f"cannot be used here ({type(error).__name__})") from error
    if engine.dialect.name == "sqlite":
        if _file(engine) is None:
            raise _no_database(url, "has no file, so that no other process could see it")
        event.listen(engine, "connect", _prepare_durable if durable else _prepare)
    return engine


def _no_database(url: str, why: str) -> ConfigError:
    right = "write sqlite:///path/to/file.db, or postgresql://... with psycopg installed"
    return ConfigError([Fault(_redacted(url), None, f"this database {why}; {right}")])


def _prepare(connection: Any, _record: object, synchronous: str = "NORMAL") -> None:
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("PRAGMA secure_delete = ON")  # what was deleted is overwritten: replies hold what people wrote


def _prepare_durable(connection: Any, record: object) -> None:
    _prepare(connection, record, "FULL")


def _file(engine: Engine) -> str | None:
    """The file of an SQLite database; `None` for any other, and for one in memory."""
    name = engine.url.database
    if engine.dialect.name != "sqlite" or not name or name == ":memory:" or name.startswith("file:"):
        return None
    return name


def _make_private(file: str) -> None:
    """Make the folder, and the file with 0600: SQLite gives its WAL the same mode.

    A file that is there is not opened, because closing any descriptor of a file takes away all of this process's POSIX
    locks on it, SQLite's included. The next command that ends would then believe that it was the last one, and
    remove the WAL under the running gateway, which from then on would hear of no revocation.
    Source: https://www.sqlite.org/howtocorrupt.html, section 2.2.
    """
    try:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        if not os.path.exists(file):
            with suppress(FileExistsError):
                os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        if not os.access(file, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise ConfigError([Fault(file, None, f"the database cannot be made: {error.strerror}")]) from error


def _make_tables(engine: Engine, tables: Sequence[Table]) -> None:
    for trial in range(_TRIALS):
        try:
            metadata.create_all(engine, tables=tables)
            return
        except SQLAlchemyError:
            # Another process that starts at the same moment makes them, one after the other: look again when it has.
            if trial == _TRIALS - 1:
                raise
            time.sleep(0.02 * (trial + 1))


def _redacted(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "the database"
