"""Sums over a period, grouped by any dimensions: from the daily sums where those know them, else from the rows.

The ledger keeps its daily sums by everything in `ROLLED`. Who the user was, which agent, session, tag, endpoint or
hour, and which model answered, only the rows know: grouping by those reads the rows of the period, by the index of
their times. A table of sums by these too would have nearly as many rows as the ledger (a session has a handful of
calls), and each call would have to update it. An attempt with several tags counts under each, so sums by tag may exceed
the total; `total` never does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from gateway.model.price import dollars as dollars
from gateway.reports.base import Column, Question, Value
from gateway.reports.books import Books
from gateway.reports.period import Period, iso

_MONDAY: Final = "(day - (day + 3) % 7)"  # 1970-01-01 was a Thursday
_DAYS: Final[Mapping[str, str]] = {
    "day": "day",
    "week": _MONDAY,
    "month": "strftime('%Y-%m', day * 86400, 'unixepoch')",
}
_HOUR: Final = {"hour": "began_at / 3600000000"}
TIMES: Final[Mapping[str, str]] = {**_HOUR, **_DAYS}
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
    **_DAYS,
}
ROWS_ONLY: Final[Mapping[str, str]] = {
    "user": '"user"',
    "session": "session",
    "agent": "agent",
    "endpoint": "endpoint",
    "answering": "answering_model",
    "tag": "COALESCE(tag.value, '')",
    **_HOUR,
}
_SQL: Final = {**ROLLED, **ROWS_ONLY}
DIMENSIONS: Final = tuple(_SQL)
UNTIMED: Final = tuple(name for name in DIMENSIONS if name not in TIMES)
FILTERED: Final = ("team", "project", "provider", "model")

_TITLES: Final = {
    "version": "Prompt version",
    "answering": "Answering model",
    "hour": "Hour from (UTC)",
    "week": "Week from",
    "source": "Counted by",
}

# Named one by one: of two columns of a name, as `held_nano` would be with r.*, SQLite takes the first.
ROWS: Final = """(SELECT r.attempt_id, r.request_id, r.began_at, r.endpoint, r.key_id, r.team, r.project, r."user",
  r.session, r.agent, r.tags, r.provider, r.deployment, r.model, r.prompt_id, r.prompt_version,
  r.began_at / 86400000000 AS day, e.state, COALESCE(e.source, '') AS source, 1 AS attempts,
  e.answering_model, e.more_tokens, e.lines, e.cost_nano AS booked_nano,
  e.cost_nano IS NULL AND e.state IN ('settled', 'estimated') AS unpriced,
  e.input_tokens, e.output_tokens, e.cache_read_tokens, e.cache_write_tokens, e.reasoning_tokens,
  COALESCE(e.cost_nano, 0) AS cost_nano,
  CASE e.state WHEN 'unknown' THEN COALESCE(r.held_nano, 0) ELSE 0 END AS held_nano
  FROM reservations AS r JOIN endings AS e USING (attempt_id) WHERE r.began_at >= ? AND r.began_at < ?) AS found"""
"""A row for each attempt that ended, with the columns of `daily`; its values are the first microsecond and the end."""
# The first of a kind only: a caller may have written a tag twice.
_TAGGED: Final = f"""{ROWS} LEFT JOIN json_each(found.tags) AS tag ON NOT EXISTS (
  SELECT 1 FROM json_each(found.tags) AS before WHERE before.key < tag.key AND before.value = tag.value)"""

PARTIAL: Final = (
    "Rows from before {0} have been moved out of the ledger: what only rows can tell (users, sessions, agents, tags,"
    " endpoints, hours, answering models, meters) is missing for that time."
)
BY_TAG: Final = (
    "A call with several tags counts under each of them, so the rows may add up to more than the total, in which each"
    " call is once."
)


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
    expressions = expressed(by)
    numbers = ", ".join(str(number + 1) for number in range(len(by)))
    condition = f" WHERE {' AND '.join(where)}" if where else ""
    rows = books.all(
        f"SELECT {expressions}, {_SUMS} FROM {source}{condition} GROUP BY {numbers} ORDER BY {numbers}",
        [*values, *kept],
    )
    width = len(by)
    return [Group(named(by, row[:width]), Sums(*row[width:])) for row in rows]


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
        said.append(f"{found.unpriced:,} answers have no price and are not in the cost.")
    if found.unknown:
        said.append(
            f"{found.unknown:,} attempts have an unknown end; they are not in the cost, and may have cost"
            f" at most {dollars(found.held_nano)} USD."
        )
    if found.estimated:
        said.append(
            f"{dollars(found.estimated_nano)} USD are estimates: the gateway counted, as the provider sent no count."
        )
    return tuple(said)


def blank(by: Sequence[str]) -> tuple[Value, ...]:
    """The names of a line of totals."""
    return ("Total, each call once" if "tag" in by else "Total", *[None] * (len(by) - 1)) if by else ()


def expressed(by: Sequence[str]) -> str:
    """The dimensions in SQL, as columns of the source that knows them."""
    return ", ".join(_SQL[name] for name in by)


def from_rows(by: Sequence[str], only: Mapping[str, str | None]) -> tuple[str, list[object]]:
    """The source of all rows of a period and its condition, in SQL; the period's edges come before these values."""
    where, kept = _filter(only, rolled=False)
    return (_TAGGED if "tag" in by else ROWS) + (f" WHERE {' AND '.join(where)}" if where else ""), kept


def named(by: Sequence[str], values: Sequence[object]) -> tuple[str, ...]:
    """What SQL says of the dimensions, as people read it."""
    return tuple(_WRITTEN.get(name, str)(value) for name, value in zip(by, values, strict=True))


def _source(period: Period, by: Sequence[str]) -> tuple[str, list[object]]:
    if not reads_rows(by):
        return "daily", [period.first, period.last]
    return (_TAGGED if "tag" in by else ROWS), [period.begins_us, period.ends_us]


def _filter(only: Mapping[str, str | None], *, rolled: bool) -> tuple[list[str], list[object]]:
    asked = {name: value for name, value in only.items() if value is not None}
    prefix = "" if rolled else "found."
    return [f"{prefix}{ROLLED[name]} = ?" for name in asked], list(asked.values())


def _hour(number: Any) -> str:
    return f"{iso(number // 24)}T{number % 24:02d}:00Z"


_WRITTEN: Final[Mapping[str, Callable[[Any], str]]] = {"hour": _hour, "day": iso, "week": iso}
