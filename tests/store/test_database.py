"""Opening by URL, SQLite's ways, and errors in our words."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest
from sqlalchemy import Table, insert, select
from sqlalchemy.engine import make_url
from sqlalchemy.schema import CreateTable

from gateway.errors import ConfigError, Unavailable
from gateway.store.database import SCHEMA_VERSION, Bell, Database
from gateway.store.schema import meta, metadata

POSTGRESQL = make_url("postgresql+psycopg://").get_dialect()()


def test_the_file_and_its_log_are_private_and_its_folder_is_made(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/new/keys.db", [meta])
    modes = {name: stat.S_IMODE((tmp_path / "new" / name).stat().st_mode) for name in os.listdir(tmp_path / "new")}
    assert modes == {"keys.db": 0o600, "keys.db-wal": 0o600, "keys.db-shm": 0o600}
    database.close()


@pytest.mark.parametrize("durable", [True, False])
def test_sqlite_waits_for_others_and_syncs_as_told(url: str, durable: bool) -> None:
    database = Database(url, [meta], durable=durable)
    with database.read() as connection:
        pragmas = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in (
            "journal_mode", "busy_timeout", "synchronous", "secure_delete")]  # fmt: skip
    assert pragmas == ["wal", 5000, 2 if durable else 1, 1]
    database.close()


@pytest.mark.parametrize("url", ["", "keys.db", "sqlite://", "sqlite:///:memory:", "nosuch://x/y"])
def test_an_url_that_names_no_shared_database_is_a_fault_that_says_what_would_be_right(url: str) -> None:
    with pytest.raises(ConfigError, match=r"sqlite:///path/to/file\.db"):
        Database(url, [meta])


def test_a_password_in_the_url_is_never_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        Database("nosuch://user:hunter2@host/db", [meta])
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "keys.db").write_bytes(b"not a database, and long enough to be looked at" * 100)
    with pytest.raises(Unavailable) as caught:
        Database(f"sqlite:///{tmp_path}/keys.db", [meta])
    assert (caught.value.status, caught.value.code) == (503, "store_unavailable")


def test_a_folder_that_cannot_be_made_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        Database(f"sqlite:///{tmp_path}/file/keys.db", [meta])


def test_a_database_of_a_newer_gateway_is_left_alone(url: str, tmp_path: Path) -> None:
    Database(url, [meta]).close()
    with sqlite3.connect(tmp_path / "keys.db") as connection:
        connection.execute("UPDATE meta SET number = ? WHERE name = 'schema'", (SCHEMA_VERSION + 1,))
    connection.close()
    with pytest.raises(ConfigError, match="newer gateway"):
        Database(url, [meta])


def test_an_error_in_a_transaction_undoes_it_and_passes(url: str) -> None:
    database = Database(url, [meta])
    with pytest.raises(KeyError), database.write() as connection:
        connection.execute(insert(meta).values(name="x", number=1))
        raise KeyError
    assert database.number("x") is None
    database.close()


def test_an_error_of_the_database_says_neither_the_statement_nor_its_values(url: str) -> None:
    database = Database(url, [meta])
    with database.write() as connection:
        connection.exec_driver_sql("DROP TABLE meta")
    with pytest.raises(Unavailable) as caught, database.write() as connection:
        connection.execute(insert(meta).values(name="canary", data=b"canary"))
    assert "canary" not in caught.value.message
    assert "canary" not in str(caught.value.__cause__)
    database.close()


def test_what_comes_first_is_kept(url: str) -> None:
    database = Database(url, [meta])
    database.keep_first("x", number=1)
    database.keep_first("x", number=2)
    assert database.number("x") == 1
    database.close()


class TestBell:
    def test_it_rings_once_for_whatever_others_have_committed(self, url: str) -> None:
        database, other = Database(url, [meta]), Database(url, [meta])
        bell = Bell(database)
        assert [bell.rang(), bell.rang()] == [True, False]
        other.keep_first("x", number=1)
        other.keep_first("y", number=1)
        assert [bell.rang(), bell.rang()] == [True, False]
        database.keep_first("z", number=1)
        assert [bell.rang(), bell.rang()] == [True, False]
        bell.close()
        for opened in (database, other):
            opened.close()

    def test_it_notices_a_file_that_was_put_in_the_place_of_another(self, url: str, tmp_path: Path) -> None:
        database = Database(url, [meta])
        database.close()
        shutil.copy(tmp_path / "keys.db", tmp_path / "backup.db")
        database.keep_first("x", number=1)
        bell = Bell(database)
        assert bell.rang()
        bell.close()
        database.close()
        bell = Bell(database)
        assert bell.rang()
        os.replace(tmp_path / "backup.db", tmp_path / "keys.db")
        for log in ("keys.db-wal", "keys.db-shm"):
            (tmp_path / log).unlink(missing_ok=True)
        assert (bell.rang(), bell.replaced) == (True, 1)
        assert database.number("x") is None
        bell.close()
        database.close()

    def test_a_file_that_is_gone_cannot_be_told_about_and_is_not_made_again(self, url: str, tmp_path: Path) -> None:
        database = Database(url, [meta])
        bell = Bell(database)
        bell.rang()
        (tmp_path / "keys.db").unlink()
        with pytest.raises(Unavailable):
            bell.rang()
        assert not (tmp_path / "keys.db").exists()
        bell.close()
        database.close()


def test_every_row_of_meta_can_be_read_back(url: str) -> None:
    database = Database(url, [meta])
    database.keep_first("x", number=5, data=b"\0\xff")
    with database.read() as connection:
        assert connection.execute(select(meta).where(meta.c.name == "x")).one() == ("x", 5, b"\0\xff")
    database.close()


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_the_tables_can_be_made_on_postgresql_as_they_are(table: Table) -> None:
    assert f"CREATE TABLE {table.name}" in str(CreateTable(table).compile(dialect=POSTGRESQL))
