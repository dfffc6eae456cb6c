"""Brings a ledger's file up to the tables that this gateway knows, while other processes have it open.

Processes that start at once take turns by a lock on a file. Everything happens in one transaction: either the file is
at the newest step afterwards, or it is as it was.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import create_engine, event

from gateway.errors import ConfigError, Fault
from gateway.ledger.schema import HEAD

BUSY_S: Final = 30.0


def upgrade(file: Path) -> None:
    """Make `file` (mode 0600) and its tables, or bring them up to date.

    Raises `ConfigError` if the file cannot be made or was written by a newer gateway, `sqlite3.Error` or SQLAlchemy's
    errors if the database fails.
    """
    _make_private(file)
    with _turn(file):  # for the look, too: two that turn a fresh file to WAL at once collide
        version = _version(file)
        if version != HEAD:
            _migrate(file, version)


def _version(file: Path) -> str | None:
    with closing(sqlite3.connect(file, timeout=BUSY_S, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone() if known else None
    return str(found[0]) if found else None


def _migrate(file: Path, version: str | None) -> None:
    # Loaded only here: alembic takes a quarter of a second, and most starts have nothing to migrate.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "gateway.ledger:migrations")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if version is not None and version not in known:
        raise ConfigError(
            [Fault(str(file), None, f"made by a newer gateway (tables {version}, this one knows {HEAD})")]
        )
    engine = create_engine(f"sqlite:///{file}", connect_args={"timeout": BUSY_S, "isolation_level": None})
    # pysqlite begins no transaction before DDL; this one begins at once, and takes the lock that it will need.
    event.listen(engine, "begin", _begin)
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def _begin(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def _turn(file: Path) -> Iterator[None]:
    lock = os.open(f"{file}-upgrade", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _make_private(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise ConfigError([Fault(str(file), None, f"the ledger cannot be made: {error.strerror}")]) from error
