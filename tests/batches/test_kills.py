"""A worker is killed at each step of a booking, and the next one books what is missing, and no more."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.ledger import Ledger, Reader
from tests.batches.kill_child import NOW, book

CHILD = Path(__file__).with_name("kill_child.py")


def _check(folder: Path, last: int) -> int:
    folder.mkdir()
    path = folder / "ledger.db"
    asyncio.run(_make(path))
    died = subprocess.run(
        [sys.executable, str(CHILD), str(folder), str(last)], cwd=CHILD.parents[2], env={"PYTHONPATH": "."}, timeout=50
    )
    assert asyncio.run(book(folder, 0))
    assert asyncio.run(book(folder, 0))
    ended = Reader(path).request("batch_1")
    booked = [one for one in ended if one.state == "settled"]
    assert sorted(one.reservation.model for one in booked) == ["a", "b"], (last, ended)
    assert all(one.state in ("settled", "void") for one in ended)
    (sums,) = Reader(path).sums(from_day=0, to_day=99_999, by=())
    assert sums["cost_nano"] == 2000 and Reader(path).verify().faults == ()
    return died.returncode


async def _make(path: Path) -> None:
    await Ledger.open(path, lambda: NOW * 1_000_000).close()


@pytest.mark.parametrize("last", [2, 5])
def test_a_kill_between_two_models_books_neither_twice(tmp_path: Path, last: int) -> None:
    assert _check(tmp_path / "one", last) == -9


@pytest.mark.slow
def test_a_kill_at_any_step_books_nothing_twice(tmp_path: Path) -> None:
    outcomes = [_check(tmp_path / str(last), last) for last in range(1, 16)]
    assert outcomes.count(-9) >= 6, "hardly a kill hit"
