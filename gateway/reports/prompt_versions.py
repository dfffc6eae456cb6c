"""What each version of each managed prompt costs, and how that compares with the version before it.

The cost of an answer is that of the answers that have a price: one that has none is not free, and must not make its
version look cheap.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import groupby
from typing import Final

from gateway.reports.base import FILTERS, Chart, Column, Parameter, Question, Report, Table, Value, money
from gateway.reports.books import Books
from gateway.reports.reprice import REPRICE, Repricing, repriced
from gateway.reports.rounding import half_even
from gateway.reports.sums import Group, Sums, columns, filters, partial, sums, uncertain

_BY: Final = ("prompt", "version")
_FIGURES: Final = (
    Column("answers", "Answers", "count", "answers"),
    Column("input_tokens_per_answer", "Input", "number", "tokens/answer"),
    Column("output_tokens_per_answer", "Output", "number", "tokens/answer"),
    money("cost_usd", "Cost"),
    money("usd_per_1k_answers", "per 1k answers"),
    Column("change_ratio", "Change", "ratio", "of version before"),
    Column("unpriced", "Unpriced", "count", "answers"),
)


def _run(books: Books, question: Question) -> Table:
    groups = [group for group in sums(books, question.period, _BY, filters(question)) if group.names[0]]
    if question["prompt"] is not None:
        groups = [group for group in groups if group.names[0] == question["prompt"]]
    groups.sort(key=lambda group: (group.names[0], _place(group.names[1])))
    anew = repriced(books, question, _BY)
    rows: list[tuple[Value, ...]] = []
    whole = Sums()
    for _, versions in groupby(groups, key=lambda group: group.names[0]):
        rows += _compared(list(versions), anew)
    for group in groups:
        whole = whole.plus(group.sums)
    return Table(
        report="prompt-versions",
        title="Cost per prompt version",
        period=question.period,
        columns=(*columns(_BY), *_FIGURES, *((*anew.columns, anew.thousand_column) if anew else ())),
        rows=tuple(rows),
        notes=(
            "Change: of the cost of one answer, against the version before. Traffic of other kinds may explain it too.",
            "Costs per 1k answers are those of answers that have a price, rounded to a nano-dollar.",
            *(anew.of(groups).notes(whole.cost_nano) if anew else ()),
            *(partial(books, question.period) if anew else ()),
            *uncertain(whole),
        ),
        chart=Chart("bar", _BY, "usd_per_1k_answers"),
    )


def _compared(versions: list[Group], anew: Repricing | None) -> list[tuple[Value, ...]]:
    rows: list[tuple[Value, ...]] = []
    before: Decimal | None = None
    for group in versions:
        found = group.sums
        priced = found.answers - found.unpriced
        each = Decimal(found.cost_nano) / priced if priced else None
        change = each / before - 1 if each is not None and before else None
        rows.append(
            (
                *group.names,
                found.answers,
                _each(found.input_tokens, found.answers),
                _each(found.output_tokens, found.answers),
                found.cost_nano,
                half_even(found.cost_nano * 1000, priced) if priced else None,
                change,
                found.unpriced,
                *((*anew.cells(group.names), anew.thousand(group.names)) if anew else ()),
            )
        )
        before = each if each is not None else before
    return rows


def _each(tokens: int, answers: int) -> Decimal | None:
    return (Decimal(tokens) / answers).quantize(Decimal("0.1")) if answers else None


def _place(version: str) -> tuple[int, int, str]:
    """Numbers in their order, and before names."""
    return (0, int(version), "") if version.isdecimal() and len(version) < 20 else (1, 0, version)


REPORT: Final = Report(
    "prompt-versions",
    "Cost per prompt version",
    "What each version of each managed prompt costs.",
    (Parameter("prompt", "text", "Only this prompt's versions."), *FILTERS, REPRICE),
    _run,
)
