"""Sums over a period, grouped by any dimensions: from the daily sums where those know them, else from the rows.

The ledger keeps its daily sums by everything in `ROLLED`. Who the user was, which agent, session, tag or endpoint, only
the rows know: grouping by those reads the rows of the period, by the index of their times. An attempt with several
tags counts under each, so sums by tag may exceed the total; `total` never does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.reports.base import Column, Question, Value
from gateway.reports.books import Books
from gateway.reports.period import Period, iso

_MONDAY: Final = "(day - (day + 3) % 7)"  # 1970-01-01 was a Thursday
TIMES: Final[Mapping[str, str]] = {
    "day": "day",
    "week": _MONDAY,
    "month": "strftime('%Y-%m', day * 86400, 'unixepoch')",
}
ROLLED: Final[Mapping[str, str]] = {
    "team": "team",
    "project": "project",
    "key": "key_id",
    "model": "model",
    "provider": "provider",
    "deployment": "deployment",
    "prompt": "prompt_id",
    "version": "prompt_version",
    "state": "state",
    "source": "source",
    **TIMES,
}
ROWS_ONLY: Final[Mapping[str, str]] = {
    "user": '"user"',
    "session": "session",
    "agent": "agent",
    "endpoint": "endpoint",
    "tag": "COALESCE(tag.value, '')",
}
_SQL: Final = {**ROLLED, **ROWS_ONLY}
DIMENSIONS: Final = tuple(_SQL)
FILTERED: Final = ("team", "project", "provider", "model")

_TITLES: Final = {"key": "Key", "version": "Prompt version", "week": "Week from", "source": "Counted by"}

_ROWS: Final = """(SELECT r.*, r.began_at / 86400000000 AS day, e.state, e.source, 1 AS attempts,
  e.cost_nano IS NULL AND e.state IN ('settled', 'estimated') AS unpriced,
  e.input_tokens, e.output_tokens, e.cache_read_tokens, e.cache_write_tokens, e.reasoning_tokens,
  COALESCE(e.cost_nano, 0) AS cost_nano,
  CASE e.state WHEN 'unknown' THEN COALESCE(r.held_nano, 0) ELSE 0 END AS held_nano
  FROM reservations AS r JOIN endings AS e USING (attempt_id) WHERE r.began_at >= ? AND r.began_at < ?) AS found"""
_TAGGED: Final = f"{_ROWS} LEFT JOIN json_each(found.tags) AS tag"

PARTIAL: Final = (
    "Rows from before {0} have been moved out of the ledger: what only rows can tell (users, sessions, agents, tags,"
    " endpoints, meters) is missing for that time."
)
BY_TAG: Final = "A call with several tags counts under each of them, so the rows may add up to more than the total."


class Sums(NamedTuple):
    """What came together in one group. Money in nano-dollars; `answers` were settled or estimated.

    `held_nano` is the most that attempts with an unknown end may have cost; it is in no other figure.
    """

    attempts: int = 0
    answers: int = 0
    estimated: int = 0
    unknown: int = 0
    void: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano: int = 0
    estimated_nano: int = 0
    held_nano: int = 0

    def plus(self, other: Sums) -> Sums:
        """Both together."""
        return Sums(*(one + two for one, two in zip(self, other, strict=True)))


_SUMS: Final = ", ".join(
    f"SUM({expression})"
    for expression in (
        "attempts",
        "CASE WHEN state IN ('settled', 'estimated') THEN attempts ELSE 0 END",
        "CASE state WHEN 'estimated' THEN attempts ELSE 0 END",
        "CASE state WHEN 'unknown' THEN attempts ELSE 0 END",
        "CASE state WHEN 'void' THEN attempts ELSE 0 END",
        "unpriced",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "reasoning_tokens",
        "cost_nano",
        "CASE state WHEN 'estimated' THEN cost_nano ELSE 0 END",
        "held_nano",
    )
)


@dataclass(frozen=True, slots=True)
class Group:
    """One group: the values of the dimensions, in the order asked for, and its sums."""

    names: tuple[str, ...]
    sums: Sums


def sums(books: Books, period: Period, by: Sequence[str], only: Mapping[str, str | None]) -> list[Group]:
    """The groups of a period, in the order of their names; `only` keeps what equals its values (None: no filter)."""
    if not by:
        return [Group((), total(books, period, only))]
    source, values = _source(period, by)
    where, kept = _filter(only, rolled=source == "daily")
    if source == "daily":
        where = ["day >= ?", "day <= ?", *where]
    expressions = ", ".join(_SQL[name] for name in by)
    numbers = ", ".join(str(number + 1) for number in range(len(by)))
    condition = f" WHERE {' AND '.join(where)}" if where else ""
    rows = books.all(
        f"SELECT {expressions}, {_SUMS} FROM {source}{condition} GROUP BY {numbers} ORDER BY {numbers}",
        [*values, *kept],
    )
    width = len(by)
    return [Group(_names(by, row[:width]), Sums(*row[width:])) for row in rows]


def total(books: Books, period: Period, only: Mapping[str, str | None]) -> Sums:
    """The sums of a whole period, always from the daily sums."""
    where, kept = _filter(only, rolled=True)
    condition = " AND ".join(["day >= ?", "day <= ?", *where])
    (row,) = books.all(f"SELECT {_SUMS} FROM daily WHERE {condition}", [period.first, period.last, *kept])
    return Sums(*(number or 0 for number in row))


def filters(question: Question) -> dict[str, str | None]:
    """What the question's filters say."""
    return {name: question.values.get(name) for name in FILTERED}


def reads_rows(by: Sequence[str]) -> bool:
    """Whether the daily sums do not know some of these dimensions."""
    return any(name in ROWS_ONLY for name in by)


def notes(books: Books, period: Period, by: Sequence[str]) -> tuple[str, ...]:
    """What must be said beside sums by these dimensions."""
    found = [BY_TAG] if "tag" in by else []
    if reads_rows(by):
        found += partial(books, period)
    return tuple(found)


def partial(books: Books, period: Period) -> list[str]:
    """A sentence if rows of the period have been moved out."""
    kept_from = books.kept_from()
    return [PARTIAL.format(iso(kept_from // 86_400_000_000))] if kept_from > period.begins_us else []


def columns(by: Sequence[str]) -> tuple[Column, ...]:
    """The columns of the dimensions."""
    return tuple(Column(name, _TITLES.get(name, name.capitalize())) for name in by)


def uncertain(found: Sums) -> tuple[str, ...]:
    """Sentences on what the cost of `found` leaves out or has only estimated."""
    said = []
    if found.unpriced:
        said.append(f"{found.unpriced} answers have no price and are not in the cost.")
    if found.unknown:
        said.append(
            f"{found.unknown} attempts have an unknown end; they are not in the cost, and may have cost"
            f" at most {dollars(found.held_nano)} USD."
        )
    if found.estimated:
        said.append(
            f"{dollars(found.estimated_nano)} USD are estimates: the gateway counted, as the provider sent no count."
        )
    return tuple(said)


def dollars(nano: int) -> str:
    """Exact decimal dollars with at least two places: 1500000000 is `1.50`."""
    sign, rest = "-" if nano < 0 else "", abs(nano)
    places = f"{rest % 1_000_000_000:09d}".rstrip("0").ljust(2, "0")
    return f"{sign}{rest // 1_000_000_000}.{places}"


def blank(by: Sequence[str]) -> tuple[Value, ...]:
    """The names of a line of totals."""
    return ("Total", *[None] * (len(by) - 1)) if by else ()


def _source(period: Period, by: Sequence[str]) -> tuple[str, list[object]]:
    if not reads_rows(by):
        return "daily", [period.first, period.last]
    return (_TAGGED if "tag" in by else _ROWS), [period.begins_us, period.ends_us]


def _filter(only: Mapping[str, str | None], *, rolled: bool) -> tuple[list[str], list[object]]:
    asked = {name: value for name, value in only.items() if value is not None}
    prefix = "" if rolled else "found."
    return [f"{prefix}{ROLLED[name]} = ?" for name in asked], list(asked.values())


def _names(by: Sequence[str], values: Sequence[object]) -> tuple[str, ...]:
    return tuple(
        iso(value) if name in ("day", "week") and isinstance(value, int) else str(value)
        for name, value in zip(by, values, strict=True)
    )
