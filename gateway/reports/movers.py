"""Whose spend changed most against the time before: as many days, just before the period."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from gateway.reports.base import FILTERS, Chart, Column, Parameter, Question, Report, Table, Value, money
from gateway.reports.books import Books
from gateway.reports.period import Period
from gateway.reports.sums import UNTIMED, blank, columns, filters, notes, sums, total, uncertain

_FIGURES: Final = (
    money("before_usd", "Before"),
    money("cost_usd", "Now"),
    money("change_usd", "Change"),
    Column("change_ratio", "Change", "ratio", "of before"),
)


def _run(books: Books, question: Question) -> Table:
    by: tuple[str, ...] = question["by"]
    only, period = filters(question), question.period
    now, before = _costs(books, period, by, only), _costs(books, period.before(), by, only)
    moved = [(names, before.get(names, 0), now.get(names, 0)) for names in now.keys() | before.keys()]
    moved.sort(key=lambda one: (-abs(one[2] - one[1]), one[0]))
    whole, whole_before = total(books, period, only), total(books, period.before(), only)
    total_row = (*blank(by), *_change(whole_before.cost_nano, whole.cost_nano))
    return Table(
        report="movers",
        title="Top movers" + (f" by {', '.join(by)}" if by else ""),
        period=period,
        columns=(*columns(by), *_FIGURES),
        rows=tuple((*names, *_change(was, is_)) for names, was, is_ in moved if was != is_)[: question["limit"]],
        totals=total_row if by else None,
        notes=(
            f"Before: {period.before()}, as many days. The total is that of all, the rows are those that moved most.",
            *notes(books, period.before(), by),
            *uncertain(whole),
            *(f"Before: {sentence}" for sentence in uncertain(whole_before)),
        ),
        chart=Chart("bar", by, "change_usd") if by else None,
    )


def _costs(
    books: Books, period: Period, by: tuple[str, ...], only: dict[str, str | None]
) -> dict[tuple[str, ...], int]:
    return {group.names: group.sums.cost_nano for group in sums(books, period, by, only)}


def _change(before: int, now: int) -> tuple[Value, ...]:
    ratio = Decimal(now - before) / before if before else None  # from nothing there is no ratio
    return before, now, now - before, ratio


REPORT: Final = Report(
    "movers",
    "Top movers",
    "Whose spend changed most against as many days before.",
    (
        Parameter("by", "names", "What to compare.", "team,model", UNTIMED),
        *FILTERS,
        Parameter("limit", "count", "Show so many.", "20"),
    ),
    _run,
)
