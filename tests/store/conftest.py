"""A store in a folder of its own, with a clock that stands still unless it is moved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.store.keystore import KeyStore

PEPPER = b"p" * 32


class Clock:
    """Epoch seconds, as the test says."""

    def __init__(self, now: float = 1_800_000_000) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/keys.db"


@pytest.fixture
def store(url: str, clock: Clock) -> Iterator[KeyStore]:
    opened = KeyStore(url, PEPPER, clock=clock)
    yield opened
    opened.close()
