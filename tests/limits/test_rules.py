"""Which budgets a call falls under."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gateway.limits.rules import NANO, Limit, Rule, Rules, parse_usd
from gateway.model.caller import Caller

CALLER = Caller("k1", "retail", "web", "", "developer")
DAY = Limit("usd", 50 * NANO, "day")


@dataclass(frozen=True)
class Own:
    """What a key says of itself."""

    budget: str | None = None
    rpm: int | None = None
    tpm: int | None = None


@pytest.mark.parametrize(
    ("rule", "subject"),
    [
        (Rule("key", "k1", (DAY,)), "key:k1"),
        (Rule("key", "*", (DAY,)), "key:k1"),
        (Rule("team", "retail", (DAY,)), "team:retail"),
        (Rule("team", "wholesale", (DAY,)), None),
        (Rule("project", "retail/web", (DAY,)), "project:retail/web"),
        (Rule("project", "wholesale/*", (DAY,)), None),
        (Rule("model", "gpt-*", (DAY,)), "model:gpt-5-mini"),
        (Rule("model", "claude-*", (DAY,)), None),
        (Rule("user", "*", (DAY,)), "user:ada"),
        (Rule("tag", "feature=chat", (DAY,)), "tag:feature=chat"),
        (Rule("tag", "feature=*", (DAY,)), "tag:feature=chat"),
        (Rule("tag", "feature=search", (DAY,)), None),
    ],
    ids=lambda one: f"{one.dimension}:{one.pattern}" if isinstance(one, Rule) else "",
)
def test_a_rule_gives_whatever_it_fits_a_budget_of_its_own(rule: Rule, subject: str | None) -> None:
    terms = Rules([rule]).terms(CALLER, "gpt-5-mini", "ada", ["feature=chat", "feature=chat"], None)
    assert [term.subject for term in terms] == ([] if subject is None else [subject])


def test_of_one_name_and_kind_the_most_exact_rule_counts() -> None:
    rules = Rules(
        [
            Rule("team", "*", (Limit("usd", 1, "day"), Limit("rpm", 1))),
            Rule("team", "ret*", (Limit("usd", 2, "day"),)),
            Rule("team", "retail", (Limit("usd", 3, "month"),)),
        ]
    )
    terms = rules.terms(CALLER, "m", "", [], None)
    assert {(term.id, term.limit.cap) for term in terms} == {
        ("team:retail usd/month", 3),
        ("team:retail usd/day", 2),
        ("team:retail rpm", 1),
    }


def test_what_a_key_says_of_itself_goes_before_the_rules_for_keys() -> None:
    terms = Rules([Rule("key", "*", (DAY, Limit("tpm", 7)))]).terms(CALLER, "m", "", [], Own("1.5/day", rpm=9))
    assert {(term.id, term.limit.cap) for term in terms} == {
        ("key:k1 usd/day", 1_500_000_000),
        ("key:k1 rpm", 9),
        ("key:k1 tpm", 7),
    }


def test_a_call_without_user_or_tags_falls_under_none_of_their_budgets() -> None:
    rules = Rules([Rule("user", "*", (DAY,)), Rule("tag", "*", (DAY,))])
    assert rules.terms(CALLER, "m", "", [], None) == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("50/day", (50 * NANO, "day")),
        ("0.000000001/total", (1, "total")),
        ("1200.50/month", (1_200_500_000_000, "month")),
        ("50", None),
        ("50/week", None),
        ("-1/day", None),
        ("1e3/day", None),
    ],
)
def test_dollars_are_read_to_the_nano_dollar(text: str, found: object) -> None:
    assert parse_usd(text) == found
