"""A statement for each team: what it is charged, by project, provider and model, with a sum for each team.

The teams' sums add up to the ledger's. What is not certain yet (no price, no known end) is stated beside, never
charged.
"""

from __future__ import annotations

from itertools import groupby
from typing import Final

from gateway.reports.base import FILTERS, Chart, Column, Question, Report, Table, Value, money
from gateway.reports.books import Books
from gateway.reports.reprice import REPRICE, Repricing, repriced
from gateway.reports.sums import Group, Sums, columns, filters, partial, sums, total, uncertain

SUM: Final = "(sum)"

_BY: Final = ("team", "project", "provider", "model")
_FIGURES: Final = (
    Column("answers", "Answers", "count", "answers"),
    Column("input_tokens", "Input", "count", "tokens"),
    Column("cache_read_tokens", "of it cached", "count", "tokens"),
    Column("output_tokens", "Output", "count", "tokens"),
    money("cost_usd", "Charged"),
    money("estimated_usd", "of it estimated"),
    money("at_most_more_usd", "Not charged, at most"),
    Column("unpriced", "Unpriced", "count", "answers"),
)


def _run(books: Books, question: Question) -> Table:
    only = filters(question)
    anew = repriced(books, question, _BY)
    rows: list[tuple[Value, ...]] = []
    subtotals = []
    for team, groups in groupby(sums(books, question.period, _BY, only), key=lambda group: group.names[0]):
        rows += _statement(team, list(groups), anew)
        subtotals.append(len(rows) - 1)
    whole = total(books, question.period, only)
    return Table(
        report="chargeback",
        title="Chargeback" + (f" of team {only['team']}" if only["team"] else " by team"),
        period=question.period,
        columns=(*columns(_BY), *_FIGURES, *(anew.columns if anew else ())),
        rows=tuple(rows),
        totals=("Total", None, None, None, *_figures(whole), *(anew.totals if anew else ())),
        notes=(
            *((f"Rows with `{SUM}` add up those of a team above them.",) if rows else ()),
            *(anew.notes(whole.cost_nano) if anew else ()),
            *(partial(books, question.period) if anew else ()),
            *uncertain(whole),
        ),
        chart=Chart("bar", ("team",), "cost_usd"),
        subtotals=frozenset(subtotals),
    )


def _statement(team: str, groups: list[Group], anew: Repricing | None) -> list[tuple[Value, ...]]:
    whole = Sums()
    for group in groups:
        whole = whole.plus(group.sums)
    rows = [(*group.names, *_figures(group.sums), *(anew.cells(group.names) if anew else ())) for group in groups]
    together = anew.together(groups) if anew else ()
    return [*rows, (team, SUM, None, None, *_figures(whole), *together)]


def _figures(found: Sums) -> tuple[Value, ...]:
    return (
        found.answers,
        found.input_tokens,
        found.cache_read_tokens,
        found.output_tokens,
        found.cost_nano,
        found.estimated_nano,
        found.held_nano,
        found.unpriced,
    )


REPORT: Final = Report(
    "chargeback",
    "Chargeback",
    "A statement for each team, by project, provider and model.",
    (*FILTERS, REPRICE),
    _run,
)
