"""`gateway ledger`, typed beside a gateway that runs."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.gateway_process import eventually, running, verb


def test_the_ledger_is_checked_looked_into_and_rotated_while_a_gateway_runs(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        for _ in range(3):
            assert gateway.chat().status_code == 200
        eventually(lambda: json.loads(verb(tmp_path, "ledger", "spool", "--format", "json").stdout)["open"] == 0)
        found = json.loads(verb(tmp_path, "ledger", "verify", "--format", "json").stdout)
        assert (found["attempts"], found["faults"]) == (3, []) and float(found["cost_usd"]) > 0
        moved = verb(tmp_path, "ledger", "rotate", "--before", "2026-01-01", "--archive", "old.db")
        assert (moved.returncode, moved.stdout) == (0, "0 attempts moved to old.db\n")
        assert gateway.chat().status_code == 200
        assert verb(tmp_path, "ledger", "verify").stdout.startswith("4 attempts")


def test_what_cannot_be_done_is_told(tmp_path: Path) -> None:
    missing = verb(tmp_path, "ledger", "verify")
    assert missing.returncode == 1 and "there is no ledger yet" in missing.stderr
    for day, told in (("yesterday", "is no day"), ("2100-01-01", "not come yet")):
        wrong = verb(tmp_path, "ledger", "rotate", "--before", day, "--archive", "old.db")
        assert wrong.returncode == 2 and told in wrong.stderr


def test_a_ledger_whose_sums_were_changed_has_faults(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        assert gateway.chat().status_code == 200
    with closing(sqlite3.connect(tmp_path / "data" / "ledger.db")) as connection:
        connection.execute("UPDATE daily SET cost_nano = cost_nano + 1")
        connection.commit()
    checked = verb(tmp_path, "ledger", "verify")
    assert checked.returncode == 1 and "daily" in checked.stderr
