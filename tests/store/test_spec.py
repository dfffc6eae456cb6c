"""What a key may be told to be, and what is refused with a word on what would be right."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.store.spec import Budget, KeySpec, parse_budget, parse_duration, parse_expiry

NOW = 1_800_000_000  # 2027-01-15T08:00:00Z


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("50/day", Budget(Decimal(50), "day")),
        ("1200.50/month", Budget(Decimal("1200.50"), "month")),
        ("0/day", Budget(Decimal(0), "day")),
        ("0.000000001/day", Budget(Decimal("1E-9"), "day")),
    ],
)
def test_a_budget_is_dollars_a_day_or_a_month(text: str, budget: Budget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize(
    "text", ["", "50", "50/week", "-1/day", "$50/day", "1e9/day", "nan/day", "5/day\n", "\u0665/day"]
)
def test_anything_else_is_no_budget(text: str) -> None:
    with pytest.raises(InvalidRequest, match="50/day"):
        parse_budget(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("45s", 45), ("90m", 5400), ("24h", 86_400), ("30d", 2_592_000), ("2w", 1_209_600), ("0s", 0)]
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse_duration(text, "overlap") == seconds


@pytest.mark.parametrize("text", ["", "24", "h", "-1h", "1.5h", "1 h", "1y", "9999999999d"])
def test_a_duration_without_either_is_refused_with_its_parameter(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_duration(text, "overlap")
    assert caught.value.param == "overlap"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("30d", NOW + 2_592_000),
        ("2027-01-31", 1_801_353_600),
        ("2027-01-31T18:00", 1_801_418_400),
        ("2027-01-31T18:00+01:00", 1_801_414_800),
        ("2027-01-31T18:00:00Z", 1_801_418_400),
    ],
)
def test_an_expiry_is_a_day_a_time_or_a_duration_from_now(text: str, at: int) -> None:
    assert parse_expiry(text, NOW) == at


@pytest.mark.parametrize("text", ["2027-01-15", "2020-01-01", "0d", "soon", "2027-13-01", "", "31.01.2027"])
def test_an_expiry_that_has_passed_or_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_expiry(text, NOW)
    assert caught.value.param == "expires"


@given(st.text())
def test_whatever_is_typed_as_an_expiry_is_a_moment_ahead_or_refused(text: str) -> None:
    try:
        assert parse_expiry(text, NOW) > NOW
    except InvalidRequest:
        pass


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("team", ""),
        ("team", " a"),
        ("team", "a\r\nb"),
        ("team", "a\0"),
        ("team", "x" * 129),
        ("project", ""),
        ("name", "\x1b[31m"),
        ("role", "king"),
        ("models", frozenset[str]()),
        ("models", frozenset({""})),
        ("models", frozenset({"a*b"})),
        ("models", frozenset({"a,b"})),
        ("agents", frozenset({"a\n"})),
        ("budget", "much"),
        ("rpm", 0),
        ("rpm", -1),
        ("tpm", 2**31),
    ],
)
def test_a_key_that_cannot_be_is_refused_with_the_field_to_blame(field: str, value: object) -> None:
    fields: dict[str, Any] = {"team": "search", field: value}
    with pytest.raises(InvalidRequest) as caught:
        KeySpec(**fields)
    assert (caught.value.status, caught.value.param) == (400, field)
    assert caught.value.message.isprintable()


def test_a_key_needs_no_more_than_a_team() -> None:
    spec = KeySpec(team="Suche & Beratung")
    assert (spec.project, spec.name, spec.role, spec.models, spec.budget) == ("default", "", "developer", None, None)
