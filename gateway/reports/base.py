"""What a report is: a name, typed parameters, and a function from the books to a table whose columns have units.

A report reads the ledger's daily sums, not its rows, unless what it says cannot be known from them; then it says so in
a note. Money is integer nano-dollars from the ledger to the last step, where `formats/` writes it as exact decimal
dollars. What is an estimate is labelled as one.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, Literal

from gateway.errors import InvalidRequest
from gateway.reports.books import Books
from gateway.reports.period import Period, day_of

if TYPE_CHECKING:
    from gateway.pricing.table import PriceTable

Kind = Literal["text", "count", "money", "ratio", "number"]
"""`count`: a whole number; `money`: integer nano-dollars; `ratio`: a Decimal, 0.25 a quarter; `number`: a Decimal."""

Value = str | int | Decimal | None
"""None: absent, not known or not defined; never zero."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `name` is what programs read, `title` what people do; `unit` is empty for text."""

    name: str
    title: str
    kind: Kind = "text"
    unit: str = ""


def money(name: str, title: str) -> Column:
    """A column of nano-dollars, shown in dollars; `name` ends in `_usd`."""
    return Column(name, title, "money", "USD")


@dataclass(frozen=True, slots=True)
class Chart:
    """What a plot of the table shows: the column `value` (numbers) over the columns `labels`; `line` over time.

    Of a table with subtotals it shows those. `band` names the columns of an interval around a line.
    """

    shape: Literal["bar", "line"]
    labels: tuple[str, ...]
    value: str
    band: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """What a report says. Rows and `totals` have a value for every column; `totals` is None where they mean nothing.

    `notes` are sentences that belong to the figures. `cursor` asks for the next page where there are pages.
    `subtotals` are the places of rows that add up others, so that programs need not count anything twice.
    """

    report: str
    title: str
    period: Period
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    totals: tuple[Value, ...] | None = None
    notes: tuple[str, ...] = ()
    chart: Chart | None = None
    cursor: str | None = None
    subtotals: frozenset[int] = frozenset()


TODAY: Final = "today"

ParameterKind = Literal["names", "text", "count", "usd", "number", "day"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that may be asked of a report. `default` is text as a person would write it, None for none.

    `names` is a list with commas, each one of `choices`; `text` is one of `choices` if there are any; `count` a whole
    number from 1 up; `usd` dollars; `number` a decimal from 0 up.
    """

    name: str
    kind: ParameterKind
    help: str
    default: str | None = None
    choices: tuple[str, ...] = ()

    def parse(self, text: str) -> Any:
        """The value: a tuple of names, text, an int, nano-dollars, a Decimal, or a day (`today`, or days since
        1970-01-01). Raises `InvalidRequest`."""
        if self.kind == "names":
            return tuple(dict.fromkeys(self._choice(name.strip()) for name in text.split(",") if name.strip()))
        if self.kind == "text":
            return self._choice(text)
        if self.kind == "day":
            return TODAY if text == TODAY else day_of(text, param=self.name)
        try:
            number = Decimal(text)
            if number < 0 or not number.is_finite():
                raise ValueError
            if self.kind == "usd":
                return int(number.scaleb(9).to_integral_exact())
            if self.kind == "count":
                if number != int(number) or number < 1:
                    raise ValueError
                return int(number)
            return number
        except (ValueError, InvalidOperation):
            wanted = {"usd": "dollars, as 1200.50", "count": "a whole number from 1 up"}.get(self.kind, "a number")
            raise InvalidRequest(f"{self.name}: `{text}` is not {wanted}.", param=self.name) from None

    def _choice(self, text: str) -> str:
        if self.choices and text not in self.choices:
            near = difflib.get_close_matches(text, self.choices, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"it is one of {', '.join(self.choices)}."
            raise InvalidRequest(f"{self.name}: there is no `{text}`; {hint}", param=self.name)
        return text


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: the period, the day it is asked on (days since 1970-01-01, UTC) and the parsed parameters.

    `prices` gives the table that is in force, for reports that reprice.
    """

    period: Period
    today: int
    values: Mapping[str, Any] = field(default_factory=dict)
    prices: Callable[[], PriceTable] | None = None

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


Run = Callable[[Books, Question], Table]


@dataclass(frozen=True, slots=True)
class Report:
    """One report. `summary` is one sentence; `run` answers, and raises `Unavailable` if the ledger does not."""

    name: str
    title: str
    summary: str
    parameters: tuple[Parameter, ...]
    run: Run

    def ask(
        self,
        books: Books,
        period: Period,
        texts: Mapping[str, str],
        today: int,
        prices: Callable[[], PriceTable] | None = None,
    ) -> Table:
        """Answer, with parameters as people write them. Raises `InvalidRequest` for one that is unknown or wrong."""
        return self.run(books, Question(period, today, self.parse(texts), prices))

    def parse(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """The parameters' values, defaults included. Raises `InvalidRequest`."""
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in texts:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean `{near[0]}`?" if near else f"it takes {', '.join(known) or 'none'}."
                raise InvalidRequest(f"{name}: the report {self.name} has no such parameter; {hint}", param=name)
        found: dict[str, Any] = {}
        for name, parameter in known.items():
            text = texts.get(name, parameter.default)
            found[name] = None if text is None else parameter.parse(text)
        return found


TEAM: Final = Parameter("team", "text", "Only this team's.")
PROJECT: Final = Parameter("project", "text", "Only this project's.")
PROVIDER: Final = Parameter("provider", "text", "Only this provider's.")
MODEL: Final = Parameter("model", "text", "Only this model's.")
FILTERS: Final = (TEAM, PROJECT, PROVIDER, MODEL)
