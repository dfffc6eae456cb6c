"""The kernel's timer: it rings when it was told to, and is quiet before."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator

import pytest

from loadtest.alarm import Alarm


@pytest.fixture
def alarm() -> Iterator[Alarm]:
    one = Alarm()
    yield one
    one.close()


def _rings_within(alarm: Alarm, seconds: float) -> bool:
    return bool(select.select([alarm.fd], [], [], seconds)[0])


def test_it_rings_at_the_time_and_not_before(alarm: Alarm) -> None:
    due_ns = time.monotonic_ns() + 30_000_000
    alarm.set(due_ns)
    assert not _rings_within(alarm, 0)
    assert _rings_within(alarm, 2)
    assert time.monotonic_ns() >= due_ns


def test_a_time_that_has_passed_rings_at_once(alarm: Alarm) -> None:
    alarm.set(0)
    assert _rings_within(alarm, 1)


def test_it_is_quiet_once_it_was_noted(alarm: Alarm) -> None:
    alarm.set(0)
    assert _rings_within(alarm, 1)
    alarm.clear()
    assert not _rings_within(alarm, 0)


def test_noting_what_did_not_ring_does_nothing(alarm: Alarm) -> None:
    alarm.clear()
    assert not _rings_within(alarm, 0)
