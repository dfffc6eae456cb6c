"""How fast a budget burns, and where the month will end: spent day by day, then a forecast with its interval.

The forecast is explained in `forecast.py`: the mean of each weekday over the last eight weeks, from at least 14 whole
days, with the prediction interval of a regression on weekdays (Hyndman & Athanasopoulos, fpp3, 7.6). Today counts as
not over: at least what has been spent already, at best its weekday's mean. A period that begins later begins with
nothing spent.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from gateway.errors import InvalidRequest
from gateway.reports.base import FILTERS, Chart, Column, Parameter, Question, Report, Table, Value, money
from gateway.reports.books import Books
from gateway.reports.forecast import LEAST_DAYS, MOST_CERTAIN, MOST_DAYS, Forecast, fit
from gateway.reports.period import Period, iso, month_bounds
from gateway.reports.sums import dollars, filters, sums, total, uncertain

_COLUMNS: Final = (
    Column("day", "Day"),
    Column("basis", "Basis"),
    money("cost_usd", "That day"),
    money("spent_usd", "Spent until then"),
    money("low_usd", "Low"),
    money("high_usd", "High"),
    money("left_usd", "Left"),
)
_OPEN: Final = "{0} whole days of history are too few for a forecast; it takes {1}."


def _run(books: Books, question: Question) -> Table:
    level = question["level"]
    if not 0 < level <= MOST_CERTAIN:
        raise InvalidRequest(
            f"level: {level} is not over 0 and at most {MOST_CERTAIN}; write 0.9 for 90 %.", param="level"
        )
    only, today = filters(question), question.today
    end = _end(question.period, today)
    history = _history(books, Period(min(question.period.first, today), min(today, end)), only, today)
    spent = _spent(history, question.period.first, min(today - 1, end))
    rows = [_row(day, "actual", cost, so_far, None, question["budget"]) for day, cost, so_far in spent]
    learned = _learn(history, today)
    notes: list[str] = []
    if end >= today:
        so_far = spent[-1][2] if spent else 0
        ahead = _ahead(learned, history.get(today, 0), so_far, today, max(today, question.period.first), end, level)
        rows += [_row(*one, question["budget"]) for one in ahead]
        notes = _said(learned, history, rows, today, level)
    if question["budget"] is not None and rows:
        notes.append(_lasts(rows, question["budget"]))
    return Table(
        report="budget-burn",
        title="Budget burn" + (f" of {dollars(question['budget'])} USD" if question["budget"] is not None else ""),
        period=Period(question.period.first, end),
        columns=_COLUMNS,
        rows=tuple(rows),
        notes=(*notes, *uncertain(total(books, question.period, only))),
        chart=Chart("line", ("day",), "spent_usd", ("low_usd", "high_usd")),
    )


def _end(period: Period, today: int) -> int:
    """The last day of the table: of the period, or where that ends today, of the month."""
    return month_bounds(today)[1] - 1 if period.last == today else period.last


def _history(books: Books, period: Period, only: dict[str, str | None], today: int) -> dict[int, int]:
    wide = Period(min(period.first, today - MOST_DAYS), period.last if period.last > today else today)
    rows = sums(books, wide, ("day",), only)
    days = {iso(day): day for day in range(wide.first, wide.last + 1)}
    return {days[group.names[0]]: group.sums.cost_nano for group in rows}


def _spent(history: dict[int, int], first: int, last: int) -> list[tuple[int, int, int]]:
    found, so_far = [], 0
    for day in range(first, last + 1):
        so_far += history.get(day, 0)
        found.append((day, history.get(day, 0), so_far))
    return found


def _learn(history: dict[int, int], today: int) -> Forecast | None:
    """From the first day that cost something (there was no gateway before) to yesterday."""
    begin = max(min((day for day, cost in history.items() if cost), default=today), today - MOST_DAYS)
    return fit(begin, [history.get(day, 0) for day in range(begin, today)])


def _ahead(
    learned: Forecast | None, today_cost: int, spent: int, today: int, begin: int, end: int, level: Decimal
) -> list[tuple[int, str, int | None, int, tuple[int, int] | None]]:
    """The days from `begin`, which is today or later, to `end`."""
    if begin > today:
        today_cost = 0
    if learned is None:
        return [(today, "so far", today_cost, spent + today_cost, None)] if begin == today else []
    rows: list[tuple[int, str, int | None, int, tuple[int, int] | None]] = []
    floor = spent + today_cost  # what is spent is spent
    before = spent
    for day in range(begin, end + 1):
        low, middle, high = learned.between(range(begin, day + 1), level)
        expected = max(floor, spent + middle)
        rows.append((day, "forecast", expected - before, expected, (max(floor, spent + low), max(floor, spent + high))))
        before = expected
    return rows


def _row(
    day: int, basis: str, cost: int | None, spent: int, around: tuple[int, int] | None, budget: int | None
) -> tuple[Value, ...]:
    low, high = around if around is not None else (None, None)
    return iso(day), basis, cost, spent, low, high, None if budget is None else budget - spent


def _said(
    learned: Forecast | None,
    history: dict[int, int],
    rows: list[tuple[Value, ...]],
    today: int,
    level: Decimal,
) -> list[str]:
    if learned is None:
        first = min((day for day, cost in history.items() if cost), default=today)
        return [_OPEN.format(max(0, today - first), LEAST_DAYS)]
    day, _, _, spent, low, high, _ = rows[-1]
    share = f"{(level * 100).normalize():f} %"
    return [
        f"By the end of {day} about {dollars(_int(spent))} USD, with {share} certainty between"
        f" {dollars(_int(low))} and {dollars(_int(high))} USD, if weeks go on like those of the last"
        f" {sum(learned.seen)} days.",
    ]


def _lasts(rows: list[tuple[Value, ...]], budget: int) -> str:
    last = rows[-1]
    over = next((row for row in rows if _int(row[3]) > budget), None)
    at_worst = next((row for row in rows if _int(row[5] if row[5] is not None else row[3]) > budget), None)
    if over is not None and over[1] != "forecast":
        return f"The budget was used up on {over[0]}."
    if last[1] != "forecast":
        return f"The budget was not used up by {last[0]}."
    return (f"The budget is used up on {over[0]}" if over else f"The budget lasts beyond {last[0]}") + (
        f"; at the upper end of the interval on {at_worst[0]}." if at_worst else ", even at the upper end."
    )


def _int(value: Value) -> int:
    assert isinstance(value, int)
    return value


REPORT: Final = Report(
    "budget-burn",
    "Budget burn",
    "What was spent day by day, and where the month will end, with an interval.",
    (
        Parameter("budget", "usd", "The budget for the period, in dollars."),
        *FILTERS,
        Parameter("level", "number", "How certain the interval is, as 0.9.", "0.9"),
    ),
    _run,
)
