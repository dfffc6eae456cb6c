"""Days on which somebody spent far more, or less, than on such days before.

Scores are explained in `robust.py`: the modified z-score (Iglewicz & Hoaglin 1993) of residuals from the weekday's
median, over the period and the eight weeks before it, from at least 21 days. Today is not over, and not judged.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Final

from gateway.reports.base import FILTERS, Chart, Column, Parameter, Question, Report, Table, Value, money
from gateway.reports.books import Books
from gateway.reports.period import Period, iso
from gateway.reports.robust import LEAST_DAYS, Score, scores
from gateway.reports.sums import UNTIMED, columns, filters, notes, sums

BEFORE_DAYS: Final = 56

_FIGURES: Final = (
    Column("day", "Day"),
    money("cost_usd", "Cost"),
    money("expected_usd", "Usual on that weekday"),
    money("excess_usd", "Above usual"),
    Column("z", "Score", "number", "robust z"),
)


def _run(books: Books, question: Question) -> Table:
    by: tuple[str, ...] = question["by"]
    period = question.period
    last = min(period.last, question.today - 1)
    wide = Period(period.first - BEFORE_DAYS, last)
    series = _series(books, wide, by, filters(question)) if last >= period.first else {}
    found: list[tuple[tuple[str, ...], Score]] = []
    short = 0
    for names, costs in series.items():
        first = min(costs)
        judged = scores(first, [costs.get(day, 0) for day in range(first, last + 1)])
        short += not judged
        found += [(names, one) for one in judged if one.day >= period.first and _stands_out(one, question["threshold"])]
    found.sort(key=lambda one: (-abs(one[1].z or Decimal()), one[1].day, one[0]))
    said = [f"Score: robust z of what is above the usual for that weekday; shown from {question['threshold']} up."]
    if short:
        said.append(f"{short} of {len(series)} series are shorter than {LEAST_DAYS} days and were not judged.")
    return Table(
        report="anomalies",
        title="Anomalies by " + ", ".join(by) if by else "Anomalies",
        period=period,
        columns=(*columns(by), *_FIGURES),
        rows=tuple((*names, *_figures(one)) for names, one in found),
        notes=(*said, *notes(books, wide, by)),
        chart=Chart("bar", (*by, "day"), "excess_usd"),
    )


def _series(
    books: Books, wide: Period, by: tuple[str, ...], only: dict[str, str | None]
) -> dict[tuple[str, ...], dict[int, int]]:
    days = {iso(day): day for day in range(wide.first, wide.last + 1)}
    series: dict[tuple[str, ...], dict[int, int]] = defaultdict(dict)
    for group in sums(books, wide, ("day", *by), only):
        series[group.names[1:]][days[group.names[0]]] = group.sums.cost_nano
    return series


def _stands_out(score: Score, threshold: Decimal) -> bool:
    return score.z is not None and abs(score.z) >= threshold


def _figures(score: Score) -> tuple[Value, ...]:
    return iso(score.day), score.cost, score.expected, score.cost - score.expected, score.z


REPORT: Final = Report(
    "anomalies",
    "Anomalies",
    "Days on which somebody spent far more, or less, than on such days before.",
    (
        Parameter("by", "names", "Whose days are compared; empty for all together.", "team", UNTIMED),
        *FILTERS,
        Parameter("threshold", "number", "The score from which a day is shown.", "3.5"),
    ),
    _run,
)
