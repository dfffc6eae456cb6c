"""What was spent, by any dimensions and grain of time."""

from __future__ import annotations

from typing import Final

from gateway.reports.base import FILTERS, Chart, Column, Parameter, Question, Report, Table, Value, money
from gateway.reports.books import Books
from gateway.reports.sums import (
    DIMENSIONS,
    TIMES,
    Group,
    Sums,
    blank,
    columns,
    filters,
    notes,
    sums,
    total,
    uncertain,
)

OTHERS: Final = "(others)"

_FIGURES: Final = (
    Column("attempts", "Attempts", "count", "attempts"),
    Column("input_tokens", "Input", "count", "tokens"),
    Column("output_tokens", "Output", "count", "tokens"),
    money("cost_usd", "Cost"),
    money("estimated_usd", "of it estimated"),
    money("at_most_more_usd", "At most more"),
    Column("unpriced", "Unpriced", "count", "answers"),
)


def _run(books: Books, question: Question) -> Table:
    by: tuple[str, ...] = question["by"]
    only = filters(question)
    groups = _ordered(sums(books, question.period, by, only), by)
    whole = total(books, question.period, only)
    limit: int | None = question["limit"]
    if limit is not None and len(groups) > limit:
        groups = [*groups[:limit], _others(groups[limit:], by)]
    return Table(
        report="spend",
        title="Spend by " + ", ".join(by) if by else "Spend",
        period=question.period,
        columns=(*columns(by), *_FIGURES),
        rows=tuple((*group.names, *_figures(group.sums)) for group in groups if group.sums.attempts),
        totals=(*blank(by), *_figures(whole)) if by else None,
        notes=(*notes(books, question.period, by), *uncertain(whole)),
        chart=_chart(by),
    )


def _chart(by: tuple[str, ...]) -> Chart | None:
    """All together over time where the first dimension is a time."""
    if not by:
        return None
    return Chart("line", by[:1], "cost_usd") if by[0] in TIMES else Chart("bar", by, "cost_usd")


def _ordered(groups: list[Group], by: tuple[str, ...]) -> list[Group]:
    """By time where the first dimension is a time, and the dearest first."""
    timed = bool(by) and by[0] in TIMES
    return sorted(groups, key=lambda group: (group.names[0] if timed else "", -group.sums.cost_nano, group.names))


def _others(groups: list[Group], by: tuple[str, ...]) -> Group:
    rest = Sums()
    for group in groups:
        rest = rest.plus(group.sums)
    return Group((OTHERS, *[""] * (len(by) - 1)), rest)


def _figures(found: Sums) -> tuple[Value, ...]:
    return (
        found.attempts,
        found.input_tokens,
        found.output_tokens,
        found.cost_nano,
        found.estimated_nano,
        found.held_nano,
        found.unpriced,
    )


REPORT: Final = Report(
    "spend",
    "Spend",
    "What was spent, by any dimensions and grain of time.",
    (
        Parameter("by", "names", "What to group by.", "team", DIMENSIONS),
        *FILTERS,
        Parameter("limit", "count", "Show so many rows, the rest as one."),
    ),
    _run,
)
