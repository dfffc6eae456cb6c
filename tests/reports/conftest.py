"""Ledgers to report on: a generated one, an empty one; `entries.book` writes small ones by the ledger itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.ledger.upgrade import upgrade
from gateway.reports.books import Books
from loadtest.ledger_rows import fill

ROWS = 6_000


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`ROWS` attempts, evenly over November 2026."""
    path = tmp_path_factory.mktemp("generated") / "ledger.db"
    fill(path, ROWS, seed=7)
    return path


@pytest.fixture
def books(generated: Path) -> Iterator[Books]:
    with Books.open(generated) as opened:
        yield opened


@pytest.fixture
def nothing(tmp_path: Path) -> Path:
    """A ledger without a row."""
    path = tmp_path / "ledger.db"
    upgrade(path)
    return path
