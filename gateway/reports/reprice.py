"""What the answers of a period would cost at the prices of another day, beside what was booked for them.

It is a question, never a correction: nothing is written. Every answer is priced as a call is (`pricing.cost.meter`),
from the counts of its row and at the hour of its day, because a meter is rounded once for each call and a level of long
context is a matter of one call's input: sums of tokens would give other figures. So this reads the rows of the period,
one at a time, in 5 to 6 us each.

The ledger keeps no tier of service, so the standard one is taken unless `more_tokens` names one (`service_tier`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from gateway.errors import InvalidRequest
from gateway.model.price import Rates, Unpriced, UsageError
from gateway.model.usage import Usage
from gateway.pricing.cost import meter
from gateway.pricing.meters import TOKENS
from gateway.reports.base import Column, Parameter, Question, Value, money
from gateway.reports.books import Books
from gateway.reports.lines import lines_of
from gateway.reports.period import DAY_US, EPOCH, iso
from gateway.reports.rounding import half_even
from gateway.reports.sums import Group, dollars, expressed, filters, from_rows, named

if TYPE_CHECKING:  # the catalogue's library takes a quarter of a second to import, which listing the reports need not
    from gateway.pricing.table import PriceTable

REPRICE: Final = Parameter(
    "reprice",
    "day",
    "Beside the booked cost, what it would be at the prices of today. Reads the rows of the period: 6 s for every"
    " million.",
)
MEMORY: Final = 10_000
"""Deployments whose prices are remembered; clients may name models, so there can be any number."""

_FIELDS: Final = frozenset(Usage.__struct_fields__)
_METERS: Final = {name.removesuffix("_tokens"): name for name in _FIELDS if name.endswith("_tokens")}
_ANSWERS: Final = frozenset({"settled", "estimated"})

# The lines matter only where they have something that is no token, and every such meter's name is a plural.
_COUNTS: Final = """provider, deployment, began_at % 86400000000, state, source, input_tokens, output_tokens,
  cache_read_tokens, cache_write_tokens, reasoning_tokens, more_tokens, booked_nano,
  CASE WHEN instr(lines, 's","quantity"') THEN lines END"""


class Repriced(NamedTuple):
    """What became of one group. Money in nano-dollars.

    `nano` is what the `answers` with a price that day cost at it, `difference` that less what was booked, of answers
    that have both prices. `unpriced` answers have no price that day, and were booked at `gone`; answers that had none
    when they were booked would now cost `new`. So booked + difference - gone + new is `nano`.
    """

    answers: int = 0
    nano: int = 0
    difference: int = 0
    unpriced: int = 0
    gone: int = 0
    new: int = 0


class Repricing(NamedTuple):
    """The groups by their names, all of it, and the day (since 1970-01-01) with the name of its price table."""

    groups: Mapping[tuple[str, ...], Repriced]
    whole: Repriced
    day: int
    version: str

    def cells(self, names: tuple[str, ...]) -> tuple[Value, ...]:
        """Those of a group, for `columns`."""
        return _cells(self.groups.get(names, _NOTHING))

    def together(self, several: Sequence[Group]) -> tuple[Value, ...]:
        """Those of several groups that are shown as one."""
        return _cells(self.of(several).whole)

    def of(self, several: Sequence[Group]) -> Repricing:
        """Only some of the groups."""
        kept = {group.names: self.groups.get(group.names, _NOTHING) for group in several}
        return self._replace(groups=kept, whole=_sum(list(kept.values())))

    @property
    def totals(self) -> tuple[Value, ...]:
        """Those of all together, each call once."""
        return _cells(self.whole)

    def thousand(self, names: tuple[str, ...] | None) -> int | None:
        """What 1,000 answers of a group (None: of all) that have a price that day cost at it."""
        found = self.whole if names is None else self.groups.get(names, _NOTHING)
        return half_even(found.nano * 1000, found.answers) if found.answers else None

    @property
    def columns(self) -> tuple[Column, ...]:
        """What `cells` has."""
        return (
            money("repriced_usd", f"At prices of {iso(self.day)}"),
            money("difference_usd", "Difference"),
            Column("unpriced_then", f"Unpriced on {iso(self.day)}", "count", "answers"),
        )

    @property
    def thousand_column(self) -> Column:
        """What `thousand` gives."""
        return money("repriced_usd_per_1k_answers", f"per 1k answers at prices of {iso(self.day)}")

    def notes(self, booked: int) -> tuple[str, ...]:
        """What must be said beside these figures, `booked` being the nano-dollars of the whole."""
        whole = self.whole
        said = [
            f"Repriced call by call at the prices of {iso(self.day)} ({self.version}), at the standard tier of service"
            " unless the row names another; what was booked stays. Difference: of answers that have both prices.",
        ]
        if whole.unpriced:
            said.append(
                f"{whole.unpriced:,} answers, booked at {dollars(whole.gone)} USD, have no price on that day and are"
                " not in the difference."
            )
        if whole.new:
            said.append(
                f"Answers that had no price when they were booked would cost {dollars(whole.new)} USD; that is not in"
                " the difference either."
            )
        missing = booked + whole.difference - whole.gone + whole.new - whole.nano
        if missing:
            said.append(f"{dollars(missing)} USD of what was booked is in rows that were moved out.")
        return tuple(said)


_NOTHING: Final = Repriced()


def repriced(books: Books, question: Question, by: tuple[str, ...]) -> Repricing | None:
    """The period's answers at other prices, by the same dimensions as the report; None where that is not asked.

    Memory does not grow with the rows, only with the groups. Raises `InvalidRequest` where there are no prices.
    """
    day = question.values.get("reprice")
    if day is None:
        return None
    if question.prices is None:
        raise InvalidRequest("reprice: there are no prices here to reprice at.", param="reprice")
    table = question.prices()
    prices = _Prices(table, day if isinstance(day, int) else question.today)
    plain = tuple(name for name in by if name != "tag")  # a call with several tags is priced once
    source, kept = from_rows((), filters(question))
    names = f"{expressed(plain)}, " if plain else ""
    values = [question.period.begins_us, question.period.ends_us, *kept]
    found: defaultdict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * len(_NOTHING))
    whole = [0] * len(_NOTHING)
    width = len(plain)
    for row in books.stream(f"SELECT {names}tags, {_COUNTS} FROM {source}", values):
        change = prices.reprice(*row[width + 1 :])
        if change is None:
            continue
        _add(whole, change)
        for group in _groups(by, row, width):
            _add(found[group], change)
    groups = {named(by, names): Repriced(*sums) for names, sums in found.items()}
    return Repricing(groups, Repriced(*whole), prices.day, table.version)


class _Prices:
    """Prices calls as if they were made on `day`, at the hour at which they were."""

    def __init__(self, table: PriceTable, day: int) -> None:
        self.day = day
        self._table = table
        self._midnight = datetime.combine(EPOCH + timedelta(days=day), datetime.min.time(), UTC)
        self._known: dict[tuple[str, str, str | None], tuple[int, int, Rates | Unpriced]] = {}

    def reprice(
        self,
        provider: str,
        deployment: str,
        hour_us: int,
        state: str,
        source: str,
        input_tokens: int,
        output_tokens: int,
        cache_read_tokens: int,
        cache_write_tokens: int,
        reasoning_tokens: int,
        more_tokens: str | None,
        booked: int | None,
        lines: str | None,
    ) -> tuple[int, ...] | None:
        """One attempt, as the members of `Repriced`; None where there is nothing to say: no answer, no cost."""
        if state not in _ANSWERS:
            return (0, 0, 0, 0, booked, 0) if booked else None
        more, units, tier = _more(more_tokens, lines)
        nano: int | None
        if not deployment:
            nano = 0  # a path that names no model: files and the like cost nothing by the call
        elif not source and not units:
            nano = None  # nobody said what it used
        else:
            counts = (input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens)
            nano = self._cost(self._rates(provider, deployment, tier, hour_us), Usage(*counts, **more), units)
        if nano is None:
            return 0, 0, 0, 1, booked or 0, 0
        if booked is None:
            return 1, nano, 0, 0, 0, nano
        return 1, nano, nano - booked, 0, 0, 0

    def _rates(self, provider: str, deployment: str, tier: str | None, hour_us: int) -> Rates | Unpriced:
        found = self._known.get((provider, deployment, tier))
        if found is None or not found[0] <= hour_us < found[1]:
            rates = self._table.rates(provider, deployment, self._midnight + timedelta(microseconds=hour_us), tier)
            if len(self._known) >= MEMORY:
                self._known.clear()
            found = (self._micros(rates.valid_from), self._micros(rates.valid_until), rates)
            self._known[provider, deployment, tier] = found
        return found[2]

    def _micros(self, at: datetime) -> int:
        """Since the midnight at which the day begins."""
        return min(max((at - self._midnight) // timedelta(microseconds=1), 0), DAY_US)

    @staticmethod
    def _cost(rates: Rates | Unpriced, usage: Usage, units: Mapping[str, int]) -> int | None:
        try:
            return meter(rates, usage, units).nano_usd
        except UsageError:  # as when it was booked: a count that cannot be true has no price
            return None


_NO_MORE: Final[tuple[dict[str, Any], dict[str, int], str | None]] = ({}, {}, None)


def _more(text: str | None, lines: str | None) -> tuple[dict[str, Any], dict[str, int], str | None]:
    """Further token counts by the members of `Usage`, units by their meters, and the tier of service."""
    if text is None and lines is None:
        return _NO_MORE
    found = msgspec.json.decode(text) if text else {}
    tier = found.pop("service_tier", None)
    more = {_METERS.get(name, name): count for name, count in found.items() if _METERS.get(name, name) in _FIELDS}
    units = {name: count for name, count in found.items() if _METERS.get(name, name) not in _FIELDS}
    for line in lines_of(lines):
        if line.meter not in TOKENS and line.meter != "requests":  # the fee of a request follows from the rates
            units.setdefault(line.meter, line.quantity)
    return more, units, tier


def _groups(by: tuple[str, ...], row: tuple[Any, ...], width: int) -> list[tuple[Any, ...]]:
    if "tag" not in by:
        return [row[:width]]
    at = by.index("tag")
    tags = dict.fromkeys(msgspec.json.decode(row[width])) if row[width] else {"": None}
    return [(*row[:at], tag, *row[at:width]) for tag in tags]


def _add(sums: list[int], change: tuple[int, ...]) -> None:
    for at, number in enumerate(change):
        if number:
            sums[at] += number


def _sum(several: list[Repriced]) -> Repriced:
    return Repriced(*(sum(numbers) for numbers in zip(*several, strict=True))) if several else _NOTHING


def _cells(found: Repriced) -> tuple[Value, ...]:
    return found.nano, found.difference, found.unpriced
