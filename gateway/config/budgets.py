"""The section `budgets`: what keys, teams, projects, models, users and tags may spend and how fast they may call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Final, cast

from pydantic import AfterValidator, Field, model_validator

from gateway.config.base import Number, Section, Whole, wrong
from gateway.config.words import did_you_mean
from gateway.limits import Limit, Rule, Rules
from gateway.limits.rules import DIMENSIONS, Dimension, parse_usd

_COUNT_LIMIT: Final = 2**31 - 1


def _scope(text: str) -> str:
    dimension, colon, name = text.partition(":")
    if not colon or dimension not in DIMENSIONS:
        hint = did_you_mean(dimension, DIMENSIONS)
        raise wrong(f"should be one of {', '.join(DIMENSIONS)}, a colon and a name, as in `team:retail`{hint}")
    if not name or name != name.strip() or not name.isprintable() or len(name) > 300:
        raise wrong("should name something after the colon; `*` stands for everything of its kind, each for itself")
    if "*" in name[:-1]:
        raise wrong("may have one `*`, as its last character")
    if dimension == "project" and name != "*" and "/" not in name:
        raise wrong("should say whose project it is, as in `project:retail/web` or `project:retail/*`")
    if dimension == "tag" and name != "*" and "=" not in name:
        raise wrong("should be a tag's name and value, as in `tag:feature=chat` or `tag:feature=*`")
    return text


def _usd(text: str) -> str:
    if parse_usd(text) is None:
        raise wrong("should be dollars and a period: 50/day, 1200.50/month or 500/total")
    return text


Count = Annotated[Whole, Field(ge=1, le=_COUNT_LIMIT)]


class Budget(Section):
    """The limits of one name, or of each of those that a pattern fits."""

    scope: Annotated[str, AfterValidator(_scope)]
    """`key:ID`, `team:NAME`, `project:TEAM/NAME`, `model:NAME`, `user:ID` or `tag:NAME=VALUE`; `*` may end it."""
    usd: Annotated[str, AfterValidator(_usd)] | None = None
    """Dollars a day, a month (UTC) or in all: `50/day`, `1200/month`, `500/total`."""
    rpm: Count | None = None
    """Requests in any 60 seconds."""
    tpm: Count | None = None
    """Tokens in any 60 seconds, those of the prompt and of the answer together."""
    concurrency: Count | None = None
    """Calls at once."""
    warn_at: Annotated[Number, Field(gt=0, lt=1)] | None = None
    """The share of a limit from which calls are told that it comes near, as 0.8; no warning if not given."""
    allow_unpriced: bool = False
    """Whether models without a price may be used under this budget of dollars; they count nothing."""

    @model_validator(mode="after")
    def _has_a_limit(self) -> Budget:
        if not any(self.limits()):
            raise wrong("limits nothing; give `usd`, `rpm`, `tpm` or `concurrency`")
        return self

    def limits(self) -> Iterator[Limit]:
        """What is limited, in whole units."""
        money = parse_usd(self.usd) if self.usd is not None else None
        if money is not None:
            yield Limit("usd", *money, warn_at=self.warn_at, allow_unpriced=self.allow_unpriced)
        if self.rpm is not None:
            yield Limit("rpm", self.rpm, warn_at=self.warn_at)
        if self.tpm is not None:
            yield Limit("tpm", self.tpm, warn_at=self.warn_at)
        if self.concurrency is not None:
            yield Limit("concurrency", self.concurrency, warn_at=self.warn_at)


def _once(found: tuple[Budget, ...]) -> tuple[Budget, ...]:
    seen: set[tuple[str, str]] = set()
    for budget in found:
        for limit in budget.limits():
            if (budget.scope, limit.name) in seen:
                raise wrong(f"limits `{limit.name}` of `{budget.scope}` twice")
            seen.add((budget.scope, limit.name))
    return found


Budgets = Annotated[tuple[Budget, ...], AfterValidator(_once)]
"""The whole section."""


def rules(budgets: Sequence[Budget]) -> Rules:
    """The section as the rules that calls are held to."""
    return Rules(_rule(budget) for budget in budgets)


def _rule(budget: Budget) -> Rule:
    dimension, _, name = budget.scope.partition(":")
    return Rule(cast(Dimension, dimension), name, tuple(budget.limits()))
