"""The span of days that a report covers, and how people write it.

Days are UTC and both ends are included, as people mean it: `--from 2026-11-01 --to 2026-11-30` is November, and so is
`--from 2026-11 --to 2026-11`. Inside, a day is the number of days since 1970-01-01, as in the ledger's sums.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from gateway.errors import InvalidRequest

EPOCH: Final = date(1970, 1, 1)
DAY_US: Final = 86_400_000_000
LAST: Final = date(2199, 12, 31).toordinal() - EPOCH.toordinal()

_MONTH: Final = re.compile(r"\d{4}-\d{2}")


@dataclass(frozen=True, slots=True)
class Period:
    """`first` to `last`, both included; days since 1970-01-01, UTC."""

    first: int
    last: int

    @property
    def days(self) -> int:
        """How many days."""
        return self.last - self.first + 1

    @property
    def begins_us(self) -> int:
        """The first microsecond."""
        return self.first * DAY_US

    @property
    def ends_us(self) -> int:
        """The first microsecond after it."""
        return (self.last + 1) * DAY_US

    def before(self) -> Period:
        """As many days, just before it."""
        return Period(self.first - self.days, self.first - 1)

    def __str__(self) -> str:
        return f"{iso(self.first)} to {iso(self.last)}"


def iso(day: int) -> str:
    """`2026-11-23`."""
    return (EPOCH + timedelta(days=day)).isoformat()


def day_of(text: str, *, param: str, last: bool = False) -> int:
    """The day that `text` names: a date, a time (its UTC day), or a month (its first day, or its last).

    Raises `InvalidRequest`.
    """
    try:
        if _MONTH.fullmatch(text):
            begin = date.fromisoformat(f"{text}-01")
            return (_next_month(begin) - timedelta(days=1) if last else begin).toordinal() - EPOCH.toordinal()
        return moment_of(text) // DAY_US
    except (ValueError, OverflowError):
        raise InvalidRequest(
            f"{param}: `{text}` is no date; write 2026-11-23, or 2026-11 for a month.", param=param
        ) from None


def moment_of(text: str) -> int:
    """Microseconds since 1970 of an ISO date or time, UTC if it says nothing else. Raises `ValueError`."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return (found - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def period_of(from_: str | None, to: str | None, today: int) -> Period:
    """The period that was asked for: without `from_` since the first of the month of its end, without `to` until today.

    Raises `InvalidRequest`.
    """
    last = today if to is None else day_of(to, param="to", last=True)
    end = EPOCH + timedelta(days=last)
    first = last - end.day + 1 if from_ is None else day_of(from_, param="from")
    for day, param in ((first, "from"), (last, "to")):
        if not 0 <= day <= LAST:  # a comparison with as long a time before must still be a time
            raise InvalidRequest(f"{param}: {iso(day)} is not between {iso(0)} and {iso(LAST)}.", param=param)
    if first > last:
        raise InvalidRequest(f"from: {iso(first)} is after {iso(last)}, the end.", param="from")
    return Period(first, last)


def month_bounds(day: int) -> tuple[int, int]:
    """The first day of the month of `day`, and the first of the next."""
    begin = (EPOCH + timedelta(days=day)).replace(day=1)
    return begin.toordinal() - EPOCH.toordinal(), _next_month(begin).toordinal() - EPOCH.toordinal()


def _next_month(begin: date) -> date:
    return (begin + timedelta(days=32)).replace(day=1)
