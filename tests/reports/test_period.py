"""How people write days, and what they mean."""

from __future__ import annotations

import pytest

from gateway.errors import InvalidRequest
from gateway.reports.period import Period, iso, month_bounds, period_of

TODAY = 20_780  # 2026-11-23


@pytest.mark.parametrize(
    ("from_", "to", "expected"),
    [
        ("2026-11-01", "2026-11-30", "2026-11-01 to 2026-11-30"),
        ("2026-11", "2026-11", "2026-11-01 to 2026-11-30"),
        ("2026-02", "2026-02", "2026-02-01 to 2026-02-28"),
        ("2025-12", "2026-01", "2025-12-01 to 2026-01-31"),
        (None, None, "2026-11-01 to 2026-11-23"),
        (None, "2026-10-05", "2026-10-01 to 2026-10-05"),
        ("2026-11-20", None, "2026-11-20 to 2026-11-23"),
        ("2026-11-23T23:59:59Z", "2026-11-23", "2026-11-23 to 2026-11-23"),
        ("2026-11-23T23:00:00-05:00", "2026-11-24", "2026-11-24 to 2026-11-24"),
    ],
)
def test_both_days_are_included_and_a_month_is_all_of_it(from_: str | None, to: str | None, expected: str) -> None:
    assert str(period_of(from_, to, TODAY)) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13", "2026-11-31", "11/23/2026", "999999999-01-01"])
def test_what_is_no_date_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidRequest, match="2026-11-23") as raised:
        period_of(text, None, TODAY)
    assert raised.value.param == "from"


def test_a_period_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="2026-11-02 is after 2026-11-01"):
        period_of("2026-11-02", "2026-11-01", TODAY)


def test_the_period_before_has_as_many_days() -> None:
    assert str(Period(20_758, 20_787).before()) == "2026-10-02 to 2026-10-31"


def test_a_month_is_bounded_by_its_first_day_and_that_of_the_next() -> None:
    begin, end = month_bounds(20_787)
    assert (iso(begin), iso(end)) == ("2026-11-01", "2026-12-01")
