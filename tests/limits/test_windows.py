"""Windows begin and end where the calendar of UTC says."""

from __future__ import annotations

from datetime import datetime

import pytest

from gateway.limits.windows import NEVER, Period, bounds


@pytest.mark.parametrize(
    ("period", "now", "starts", "ends"),
    [
        ("day", "2026-11-23T00:00:00", "2026-11-23", "2026-11-24"),
        ("day", "2026-11-23T23:59:59.9", "2026-11-23", "2026-11-24"),
        ("month", "2026-11-30T23:59:59", "2026-11-01", "2026-12-01"),
        ("month", "2026-12-01T00:00:00", "2026-12-01", "2027-01-01"),
        ("month", "2028-02-29T12:00:00", "2028-02-01", "2028-03-01"),
    ],
)
def test_a_window_is_the_day_or_month_around_a_moment(period: Period, now: str, starts: str, ends: str) -> None:
    assert bounds(period, _at(now)) == (_at(starts), _at(ends))


def test_a_total_never_starts_anew() -> None:
    assert bounds("total", 1e9) == bounds("total", 2e9) == (0, NEVER)


def _at(text: str) -> float:
    return datetime.fromisoformat(f"{text}+00:00" if "T" in text else f"{text}T00:00:00+00:00").timestamp()
