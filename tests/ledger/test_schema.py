"""The tables: migrations lead to what the code believes, and history cannot be changed."""

from __future__ import annotations

import multiprocessing
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from gateway.errors import ConfigError
from gateway.ledger import Ledger
from gateway.ledger.schema import HEAD, endings, metadata, reservations
from gateway.ledger.upgrade import upgrade
from gateway.model.record import Reservation, Settlement
from tests.ledger.records import micros, reservation, settlement


def test_migrations_lead_to_the_tables_that_the_code_believes_in(path: Path) -> None:
    upgrade(path)
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_the_newest_step_is_the_one_that_is_looked_for() -> None:
    folder = Path(__file__).parents[2] / "gateway/ledger/migrations"
    assert ScriptDirectory(str(folder)).get_heads() == [HEAD]


def test_records_have_the_members_of_their_tables_in_order() -> None:
    assert [column.name for column in reservations.columns][1:] == list(Reservation.__struct_fields__)
    assert [column.name for column in endings.columns][1:] == list(Settlement.__struct_fields__)


def test_the_file_is_for_its_owner_only(path: Path) -> None:
    upgrade(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_processes_that_start_at_once_migrate_once(path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    processes = [context.Process(target=upgrade, args=(path,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]


def test_a_ledger_of_a_newer_gateway_is_refused_and_left_alone(path: Path) -> None:
    upgrade(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(ConfigError, match="newer gateway"):
        upgrade(path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="the ledger cannot be made"):
        upgrade(tmp_path / "file" / "ledger.db")


@pytest.mark.parametrize("table", ["reservations", "sendings", "endings"])
async def test_history_is_neither_changed_nor_deleted_by_anybody(ledger: Ledger, path: Path, table: str) -> None:
    ticket = ledger.reserve(reservation())
    await ticket
    ticket.sent(micros())
    ticket.settle(settlement(state="void"))
    await ledger.close()
    with closing(sqlite3.connect(path)) as connection:
        with pytest.raises(sqlite3.IntegrityError, match="never changed"):
            connection.execute(f"UPDATE {table} SET attempt_id = attempt_id + 1")
        with pytest.raises(sqlite3.IntegrityError, match="is kept"):
            connection.execute(f"DELETE FROM {table}")
