"""What was spent, by any dimensions and grain of time."""

from __future__ import annotations

from typing import Final

from gateway.reports.base import FILTERS, Chart, Column, Parameter, Question, Report, Table, Value, money
from gateway.reports.books import Books
from gateway.reports.reprice import REPRICE, Repricing, repriced
from gateway.reports.sums import (
    DIMENSIONS,
    TIMES,
    Group,
    Sums,
    blank,
    columns,
    filters,
    notes,
    partial,
    reads_rows,
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
    groups = [group for group in _ordered(sums(books, question.period, by, only), by) if group.sums.attempts]
    whole = total(books, question.period, only)
    anew = repriced(books, question, by)
    rows = [_row(group, anew) for group in groups]
    limit: int | None = question["limit"]
    if limit is not None and len(groups) > limit:
        rows = [*rows[:limit], _others(groups[limit:], by, anew)]
    return Table(
        report="spend",
        title="Spend by " + ", ".join(by) if by else "Spend",
        period=question.period,
        columns=(*columns(by), *_FIGURES, *(anew.columns if anew else ())),
        rows=tuple(rows),
        totals=(*blank(by), *_figures(whole), *(anew.totals if anew else ())) if by else None,
        notes=(
            *(anew.notes(whole.cost_nano) if anew else ()),
            *(partial(books, question.period) if anew and not reads_rows(by) else ()),
            *notes(books, question.period, by),
            *uncertain(whole),
        ),
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


def _row(group: Group, anew: Repricing | None) -> tuple[Value, ...]:
    return *group.names, *_figures(group.sums), *(anew.cells(group.names) if anew else ())


def _others(groups: list[Group], by: tuple[str, ...], anew: Repricing | None) -> tuple[Value, ...]:
    rest = Sums()
    for group in groups:
        rest = rest.plus(group.sums)
    more = anew.together(groups) if anew else ()
    return (OTHERS, *[None] * (len(by) - 1), *_figures(rest), *more)


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
        REPRICE,
    ),
    _run,
)
