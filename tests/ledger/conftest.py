"""A ledger in a folder of its own, closed after the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.ledger import Ledger, Reader
from tests.ledger.records import micros


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest_asyncio.fixture
async def ledger(path: Path) -> AsyncIterator[Ledger]:
    opened = Ledger.open(path, micros)
    yield opened
    await opened.close()


@pytest.fixture
def reader(path: Path) -> Reader:
    return Reader(path)
