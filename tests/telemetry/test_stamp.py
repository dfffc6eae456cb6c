from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.telemetry.stamp import Stamp


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_762_171_445.0009, "2025-11-03T12:04:05.000Z"),
        (1_762_171_445.9999, "2025-11-03T12:04:05.999Z"),
        (1_709_210_096.5, "2024-02-29T12:34:56.500Z"),
    ],
)
def test_a_time_is_told_in_utc_with_milliseconds_cut(now: float, text: str) -> None:
    assert Stamp()(now) == text


def test_seconds_that_follow_each_other_are_told_apart() -> None:
    stamp = Stamp()
    for now in (1e9, 1e9 + 0.25, 1e9 + 1, 1e9 + 0.5):
        expected = datetime.fromtimestamp(now, UTC)
        assert datetime.fromisoformat(stamp(now)) == expected
