"""How certain the books are: the shares that have no price, were estimated, or whose end nobody saw."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from gateway.reports.base import FILTERS, Chart, Column, Parameter, Question, Report, Table, Value, money
from gateway.reports.books import Books
from gateway.reports.sums import DIMENSIONS, TIMES, Sums, blank, columns, filters, notes, sums, total

_CHOICES: Final = tuple(name for name in DIMENSIONS if name not in ("state", "source"))
_FIGURES: Final = (
    Column("answers", "Answers", "count", "answers"),
    Column("unpriced", "Unpriced", "count", "answers"),
    Column("unpriced_ratio", "Unpriced", "ratio", "of answers"),
    Column("estimated", "Estimated", "count", "answers"),
    Column("estimated_ratio", "Estimated", "ratio", "of answers"),
    money("cost_usd", "Cost"),
    money("estimated_usd", "of it estimated"),
    Column("estimated_cost_ratio", "Estimated", "ratio", "of cost"),
    Column("unknown", "Unknown end", "count", "attempts"),
    money("at_most_more_usd", "At most more"),
)


def _run(books: Books, question: Question) -> Table:
    by: tuple[str, ...] = question["by"]
    only = filters(question)
    groups = [group for group in sums(books, question.period, by, only) if group.sums.attempts]
    if not (by and by[0] in TIMES):
        groups.sort(key=lambda group: (-group.sums.unpriced, -group.sums.estimated_nano, group.names))
    return Table(
        report="unpriced",
        title="Unpriced and estimated shares" + (f" by {', '.join(by)}" if by else ""),
        period=question.period,
        columns=(*columns(by), *_FIGURES),
        rows=tuple((*group.names, *_figures(group.sums)) for group in groups),
        totals=(*blank(by), *_figures(total(books, question.period, only))) if by else None,
        notes=(
            "An unpriced answer is not a free one: give its model a price in prices.yaml.",
            *notes(books, question.period, by),
        ),
        chart=Chart("line" if len(by) == 1 and by[0] in TIMES else "bar", by, "unpriced_ratio") if by else None,
    )


def _figures(found: Sums) -> tuple[Value, ...]:
    return (
        found.answers,
        found.unpriced,
        _ratio(found.unpriced, found.answers),
        found.estimated,
        _ratio(found.estimated, found.answers),
        found.cost_nano,
        found.estimated_nano,
        _ratio(found.estimated_nano, found.cost_nano),
        found.unknown,
        found.held_nano,
    )


def _ratio(part: int, whole: int) -> Decimal | None:
    return Decimal(part) / whole if whole else None


REPORT: Final = Report(
    "unpriced",
    "Unpriced and estimated shares",
    "How certain the books are: what has no price, was estimated, or ended unseen.",
    (Parameter("by", "names", "What to group by.", "provider,model", _CHOICES), *FILTERS),
    _run,
)
