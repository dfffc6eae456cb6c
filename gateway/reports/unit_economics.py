"""What one request, one session and a thousand answers cost.

A request is a call of an application; it may take several attempts, all of which cost. An answer is an attempt that
was settled or estimated. How many requests and sessions there were only the rows can tell, so this report reads the
rows of the period (1.5 s for every million). Costs per unit are rounded half-even to a nano-dollar.
"""

from __future__ import annotations

from typing import Final

from gateway.reports.base import FILTERS, Column, Parameter, Question, Report, Table, Value, money
from gateway.reports.books import Books
from gateway.reports.rounding import half_even
from gateway.reports.sums import ROLLED, columns, filters, partial

_CHOICES: Final = tuple(name for name in (*ROLLED, "agent", "endpoint") if name not in ("state", "source"))
_FIGURES: Final = (
    Column("requests", "Requests", "count", "requests"),
    Column("answers", "Answers", "count", "answers"),
    Column("sessions", "Sessions", "count", "sessions"),
    money("cost_usd", "Cost"),
    money("usd_per_request", "per request"),
    money("usd_per_1k_answers", "per 1k answers"),
    money("usd_per_session", "per session"),
)
_SQL: Final = """SELECT {names} COUNT(DISTINCT request_id),
  COALESCE(SUM(state IN ('settled', 'estimated')), 0), COUNT(DISTINCT NULLIF(session, '')),
  COALESCE(SUM(cost_nano), 0), COALESCE(SUM(CASE WHEN session <> '' THEN cost_nano END), 0)
FROM (SELECT r.*, r.began_at / 86400000000 AS day, e.state, e.cost_nano
  FROM reservations AS r JOIN endings AS e USING (attempt_id)
  WHERE r.began_at >= ? AND r.began_at < ?){where} {group}"""


def _run(books: Books, question: Question) -> Table:
    by: tuple[str, ...] = question["by"]
    only = {name: value for name, value in filters(question).items() if value is not None}
    where = f" WHERE {' AND '.join(f'{ROLLED[name]} = ?' for name in only)}" if only else ""
    values = [question.period.begins_us, question.period.ends_us, *only.values()]
    expressions = ", ".join(_expression(name) for name in by)
    numbers = ", ".join(str(number + 1) for number in range(len(by)))
    group = f"GROUP BY {numbers} ORDER BY {numbers}" if by else ""
    rows = books.all(_SQL.format(names=f"{expressions}," if by else "", where=where, group=group), values)
    whole = books.all(_SQL.format(names="", where=where, group=""), values)[0] if by else None
    return Table(
        report="unit-economics",
        title="Unit economics" + (f" by {', '.join(by)}" if by else ""),
        period=question.period,
        columns=(*columns(by), *_FIGURES),
        rows=tuple((*row[: len(by)], *_figures(*row[len(by) :])) for row in rows if row[len(by)]),
        totals=("Total", *[None] * (len(by) - 1), *_figures(*whole)) if whole else None,
        notes=(
            "Per session: the cost of calls that named a session, over the number of sessions.",
            "A request or a session that touches several groups counts in each, so these counts do not add up.",
            *partial(books, question.period),
        ),
    )


def _expression(name: str) -> str:
    if name in ("day", "week"):
        return f"date({ROLLED[name]} * 86400, 'unixepoch')"
    return ROLLED.get(name, name)


def _figures(requests: int, answers: int, sessions: int, cost: int, session_cost: int) -> tuple[Value, ...]:
    return (
        requests,
        answers,
        sessions,
        cost,
        half_even(cost, requests) if requests else None,
        half_even(cost * 1000, answers) if answers else None,
        half_even(session_cost, sessions) if sessions else None,
    )


REPORT: Final = Report(
    "unit-economics",
    "Unit economics",
    "What one request, one session and a thousand answers cost.",
    (Parameter("by", "names", "What to group by; empty for all together.", "", _CHOICES), *FILTERS),
    _run,
)
