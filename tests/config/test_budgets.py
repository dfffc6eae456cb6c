"""The section `budgets`: what it takes, and what it says of mistakes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.config.budgets import Budget, Budgets, rules
from gateway.model.caller import Caller

SECTION: TypeAdapter[tuple[Budget, ...]] = TypeAdapter(Budgets)


def test_a_budget_becomes_limits_in_whole_units() -> None:
    section = SECTION.validate_python(
        [{"scope": "team:*", "usd": "0.5/day", "rpm": 60, "tpm": 9000, "concurrency": 4, "warn_at": 0.8}]
    )
    terms = rules(section).terms(Caller("k1", "retail", "web", "", "developer"), "m", "", [], None)
    assert [(term.id, term.limit.cap, term.limit.warn_at) for term in terms] == [
        ("team:retail usd/day", 500_000_000, 0.8),
        ("team:retail rpm", 60, 0.8),
        ("team:retail tpm", 9000, 0.8),
        ("team:retail concurrency", 4, 0.8),
    ]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ([{"scope": "retail", "usd": "1/day"}], "should be one of key, team"),
        ([{"scope": "taem:retail", "usd": "1/day"}], "should be one of key, team"),
        ([{"scope": "team:", "usd": "1/day"}], "should name something after the colon"),
        ([{"scope": "team:a*b", "usd": "1/day"}], "as its last character"),
        ([{"scope": "project:web", "usd": "1/day"}], "should say whose project it is"),
        ([{"scope": "tag:chat", "usd": "1/day"}], "should be a tag's name and value"),
        ([{"scope": "team:a", "usd": "1"}], "should be dollars and a period"),
        ([{"scope": "team:a", "rpm": True}], "should be a number, not `true`"),
        ([{"scope": "team:a", "rpm": 0}], "greater than or equal to 1"),
        ([{"scope": "team:a"}], "limits nothing"),
        (
            [{"scope": "team:a", "rpm": 1}, {"scope": "team:a", "usd": "1/day", "rpm": 2}],
            "limits `rpm` of `team:a` twice",
        ),
    ],
)
def test_a_mistake_is_told_with_what_would_be_right(section: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SECTION.validate_python(section)
    assert message in str(caught.value)


def test_one_scope_may_have_budgets_of_several_periods() -> None:
    both = [{"scope": "team:a", "usd": "1/day"}, {"scope": "team:a", "usd": "20/month"}]
    assert len(SECTION.validate_python(both)) == 2
