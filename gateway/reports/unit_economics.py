"""What one request, one session and a thousand answers cost.

A request is a call of an application; it may take several attempts, all of which cost. An answer is an attempt that
was settled or estimated; the cost of a thousand is that of those which have a price. How many requests and sessions
there were only the rows can tell, so this report reads the rows of the period (1.5 s for every million). Costs per unit
are rounded half-even to a nano-dollar.
"""

from __future__ import annotations

from typing import Final

from gateway.reports.base import FILTERS, Chart, Column, Parameter, Question, Report, Table, Value, money
from gateway.reports.books import Books, Row
from gateway.reports.reprice import REPRICE, repriced
from gateway.reports.rounding import half_even
from gateway.reports.sums import (
    BY_TAG,
    DIMENSIONS,
    TIMES,
    blank,
    columns,
    expressed,
    filters,
    from_rows,
    named,
    partial,
    total,
    uncertain,
)

_CHOICES: Final = tuple(name for name in DIMENSIONS if name not in ("state", "source", "session"))
_FIGURES: Final = (
    Column("requests", "Requests", "count", "requests"),
    Column("answers", "Answers", "count", "answers"),
    Column("sessions", "Sessions", "count", "sessions"),
    money("cost_usd", "Cost"),
    money("usd_per_request", "per request"),
    money("usd_per_1k_answers", "per 1k answers"),
    money("usd_per_session", "per session"),
    Column("unpriced", "Unpriced", "count", "answers"),
)
_SQL: Final = """SELECT {names} COUNT(DISTINCT request_id),
  COALESCE(SUM(state IN ('settled', 'estimated')), 0), COUNT(DISTINCT NULLIF(session, '')),
  COALESCE(SUM(cost_nano), 0), COALESCE(SUM(CASE WHEN session <> '' THEN cost_nano END), 0),
  COALESCE(SUM(unpriced), 0) FROM {source} {group}"""
_FEW: Final = (
    "Requests and sessions with unpriced answers or unknown ends cost more than is known, so what one of them costs is"
    " at least that."
)


def _run(books: Books, question: Question) -> Table:
    by: tuple[str, ...] = question["by"]
    only, period = filters(question), question.period
    anew = repriced(books, question, by)
    (whole,) = _ask(books, question, ())
    more = (*anew.totals, anew.thousand(None)) if anew else ()
    rows: list[tuple[Value, ...]] = []
    for row in _ask(books, question, by) if by else []:
        names = named(by, row[: len(by)])
        rows.append((*names, *_figures(*row[len(by) :]), *((*anew.cells(names), anew.thousand(names)) if anew else ())))
    if not by and whole[0]:
        rows.append((*_figures(*whole), *more))
    booked = total(books, period, only)
    return Table(
        report="unit-economics",
        title="Unit economics" + (f" by {', '.join(by)}" if by else ""),
        period=period,
        columns=(*columns(by), *_FIGURES, *((*anew.columns, anew.thousand_column) if anew else ())),
        rows=tuple(rows),
        totals=(*blank(by), *_figures(*whole), *more) if by else None,
        notes=(
            "Per session: the cost of calls that named a session, over the number of sessions.",
            "A request or a session that touches several groups counts in each, so these counts do not add up.",
            "Costs per 1k answers are those of answers that have a price.",
            *((BY_TAG,) if "tag" in by else ()),
            *(anew.notes(booked.cost_nano) if anew else ()),
            *partial(books, period),
            *uncertain(booked),
            *((_FEW,) if booked.unpriced or booked.unknown else ()),
        ),
        chart=Chart("line" if len(by) == 1 and by[0] in TIMES else "bar", by, "usd_per_request") if by else None,
    )


def _ask(books: Books, question: Question, by: tuple[str, ...]) -> list[Row]:
    source, kept = from_rows(by, filters(question))
    numbers = ", ".join(str(number + 1) for number in range(len(by)))
    statement = _SQL.format(
        names=f"{expressed(by)}," if by else "",
        source=source,
        group=f"GROUP BY {numbers} ORDER BY {numbers}" if by else "",
    )
    return books.all(statement, [question.period.begins_us, question.period.ends_us, *kept])


def _figures(
    requests: int, answers: int, sessions: int, cost: int, session_cost: int, unpriced: int
) -> tuple[Value, ...]:
    priced = answers - unpriced
    return (
        requests,
        answers,
        sessions,
        cost,
        half_even(cost, requests) if requests else None,
        half_even(cost * 1000, priced) if priced else None,
        half_even(session_cost, sessions) if sessions else None,
        unpriced,
    )


REPORT: Final = Report(
    "unit-economics",
    "Unit economics",
    "What one request, one session and a thousand answers cost.",
    (Parameter("by", "names", "What to group by; empty for all together.", "", _CHOICES), *FILTERS, REPRICE),
    _run,
)
