"""The windows that dollars are counted in: days and months of UTC, and one that never ends. Pure: the time comes in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal

Period = Literal["day", "month", "total"]
DAY_S: Final = 86_400
NEVER: Final = 2**62
"""The end of a window that has none, in epoch seconds."""


def bounds(period: Period, now: float) -> tuple[int, int]:
    """The first second of the window that `now` falls in and the first after it, in epoch seconds."""
    if period == "total":
        return 0, NEVER
    if period == "day":
        start = int(now // DAY_S) * DAY_S
        return start, start + DAY_S
    moment = datetime.fromtimestamp(now, UTC)
    first = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    after = datetime(moment.year + moment.month // 12, moment.month % 12 + 1, 1, tzinfo=UTC)
    return int(first.timestamp()), int(after.timestamp())
