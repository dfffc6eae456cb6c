"""Which budgets a call falls under: rules by key, team, project, model, user and tag, and what each one limits.

A rule whose name ends in `*` gives everything that it fits a budget of its own: `team:*` at 50 dollars a day is 50
dollars for each team, not for all together. Where several rules of one dimension limit the same thing for the same
name, the most exact counts, so that a rule with `*` reads as a default: what a key itself says goes before the name
written out, that before a pattern, a longer pattern before a shorter one. Different dimensions add up: a call has
to fit into all of its budgets.

Amounts are whole numbers: nano-dollars, requests, tokens, calls at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, Protocol, get_args

from gateway.limits.windows import Period
from gateway.model.caller import Caller

Dimension = Literal["key", "team", "project", "model", "user", "tag"]
DIMENSIONS: Final[tuple[Dimension, ...]] = get_args(Dimension)
Kind = Literal["usd", "rpm", "tpm", "concurrency"]
NANO: Final = 1_000_000_000

_USD: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)/(day|month|total)")


class KeyTerms(Protocol):
    """What a key says of its own limits; a record of the key store has it."""

    @property
    def budget(self) -> str | None: ...
    @property
    def rpm(self) -> int | None: ...
    @property
    def tpm(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `cap` of one thing: nano-dollars in a `period`, requests or tokens in any 60 s, calls at once.

    From the share `warn_at` of the cap on, calls are told that it comes near; None never warns.
    """

    kind: Kind
    cap: int
    period: Period = "total"
    warn_at: float | None = None
    allow_unpriced: bool = False

    @property
    def name(self) -> str:
        """`usd/day`, `rpm`: two limits of one name on one subject are the same budget."""
        return f"usd/{self.period}" if self.kind == "usd" else self.kind


@dataclass(frozen=True, slots=True)
class Rule:
    """The limits of everything of one dimension that `pattern` fits: a name, or the beginning of names and `*`."""

    dimension: Dimension
    pattern: str
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True)
class Term:
    """One budget that a call falls under: of whom (`team:retail`), and what it limits."""

    subject: str
    limit: Limit

    @property
    def id(self) -> str:
        """`team:retail usd/day`: the name of the budget in the store, which a changed cap leaves as it is."""
        return f"{self.subject} {self.limit.name}"


def parse_usd(text: str) -> tuple[int, Period] | None:
    """`50/day`, `1200.50/month`, `500/total`: nano-dollars and the period; None if it is none of these."""
    found = _USD.fullmatch(text)
    if found is None:
        return None
    period: Period = "day" if found[2] == "day" else "month" if found[2] == "month" else "total"
    return int(Decimal(found[1]) * NANO), period


class Rules:
    """All rules of one configuration."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._exact: dict[tuple[Dimension, str], list[Limit]] = {}
        self._patterns: dict[Dimension, list[tuple[str, Limit]]] = {}
        for rule in rules:
            if rule.pattern.endswith("*"):
                found = self._patterns.setdefault(rule.dimension, [])
                found += [(rule.pattern[:-1], limit) for limit in rule.limits]
            else:
                self._exact.setdefault((rule.dimension, rule.pattern), []).extend(rule.limits)
        for patterns in self._patterns.values():
            patterns.sort(key=lambda one: -len(one[0]))
        dimensions = {dimension for dimension, _ in self._exact} | set(self._patterns)
        self.asks_user = "user" in dimensions
        self.asks_tags = "tag" in dimensions
        self._dimensions = [dimension for dimension in DIMENSIONS if dimension in dimensions or dimension == "key"]

    def __repr__(self) -> str:
        return f"<Rules of {len(self._exact)} names and {sum(map(len, self._patterns.values()))} patterns>"

    def terms(
        self, caller: Caller, model: str, user: str, tags: Sequence[str], own: KeyTerms | None
    ) -> tuple[Term, ...]:
        """Every budget that such a call falls under, each once; `own` are the limits that its key brings along."""
        found: list[Term] = []
        for dimension in self._dimensions:
            for name in _names(dimension, caller, model, user, tags):
                first = list(_own(own)) if dimension == "key" and own is not None else []
                found += [Term(f"{dimension}:{name}", limit) for limit in self._limits(dimension, name, first)]
        return tuple(found)

    def _limits(self, dimension: Dimension, name: str, first: list[Limit]) -> Iterable[Limit]:
        chosen: dict[str, Limit] = {}
        for limit in (*first, *self._exact.get((dimension, name), ())):
            chosen.setdefault(limit.name, limit)
        for start, limit in self._patterns.get(dimension, ()):
            if name.startswith(start):
                chosen.setdefault(limit.name, limit)
        return chosen.values()


def _names(dimension: Dimension, caller: Caller, model: str, user: str, tags: Sequence[str]) -> Iterable[str]:
    match dimension:
        case "key":
            return (caller.key_id,)
        case "team":
            return (caller.team,)
        case "project":
            return (f"{caller.team}/{caller.project}",)
        case "model":
            return (model,) if model else ()
        case "user":
            return (user,) if user else ()
        case "tag":
            return dict.fromkeys(tags)


def _own(terms: KeyTerms) -> Iterator[Limit]:
    """A key's own limits. Its budget was checked when the key was made."""
    money = parse_usd(terms.budget) if terms.budget is not None else None
    if money is not None:
        yield Limit("usd", money[0], money[1])
    if terms.rpm is not None:
        yield Limit("rpm", terms.rpm)
    if terms.tpm is not None:
        yield Limit("tpm", terms.tpm)
