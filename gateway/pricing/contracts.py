"""`prices.yaml`: what was agreed with a provider, and models that no catalogue has.

A row says from which day it holds; on any day the latest row that has begun and not ended wins, of those that name the
model most closely: an exact name before a pattern, a longer pattern before a shorter, a region before none, days of the
week before any. A row without `service_tier` prices standard calls only.

This is a core: it is handed the file as data, with a function that tells the line of each part, and hands back what it
could read and every fault in it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any

from gateway.errors import Fault
from gateway.model.price import Level, Origin, Source
from gateway.pricing.meters import HOUR, MILLION, TOKENS, UNITS
from gateway.pricing.rates import NotRepresentable, build, rate

Loc = tuple[int | str, ...]
Line = Callable[[Loc], int | None]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TIERS = ("standard", "flex", "batch", "priority", "fast")
ANY = "*"
MAX_ROWS = 10_000

_KEYS = (
    "provider",
    "model",
    "from",
    "to",
    "days",
    "region",
    "service_tier",
    "usd_per_million",
    "usd_per_request",
    "usd_per_unit",
    "long_context",
    "source",
    "note",
)
_CORRECTION_KEYS = (*_KEYS, "instead_of", "checked", "why")
_DIGITS = 15
"""A float tells so many decimal digits apart; a price with more has to be quoted to arrive as it was written."""

_DURATIONS = {
    f"{name}_{unit}": (f"{name}_seconds", seconds)
    for name in ("audio", "input_audio", "output_audio")
    for unit, seconds in (("minutes", 60), ("hours", HOUR))
}
"""What may be priced by the minute or hour and is counted in seconds."""


@dataclass(frozen=True, slots=True)
class Row:
    """One price. `model` may end in `*`; `first` and `last` are days (UTC), both inclusive; `days` are days of the week
    (UTC), 0 being Monday; `None` there and for `region` is any.

    `instead_of`, for corrections: the wrong rates of the catalogue for any input, by meter. Where the catalogue says
    something else, it has been mended and the row is not needed.
    """

    provider: str
    model: str
    first: date
    last: date | None
    region: str | None
    tier: str
    levels: tuple[Level, ...]
    source: Source
    instead_of: Mapping[str, int] | None = None
    days: frozenset[int] | None = None
    why: str = ""

    def covers(self, model: str, day: date, tier: str, region: str | None) -> bool:
        named = self.model == model or (self.model.endswith("*") and model.startswith(self.model[:-1]))
        begun = self.first <= day and (self.last is None or day <= self.last)
        on = self.days is None or day.weekday() in self.days
        return named and begun and on and self.tier in (tier, ANY) and self.region in (None, region)

    @property
    def closeness(self) -> tuple[bool, int, bool, bool, bool, date]:
        """The greater, the more closely the row names what is asked for."""
        exact = not self.model.endswith("*")
        return exact, len(self.model), self.region is not None, self.tier != ANY, self.days is not None, self.first


@dataclass(frozen=True, slots=True)
class Book:
    """Rows, looked up by provider."""

    rows: tuple[Row, ...] = ()
    _by_provider: Mapping[str, tuple[Row, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shelves: dict[str, list[Row]] = {}
        for row in sorted(self.rows, key=lambda row: row.closeness, reverse=True):
            shelves.setdefault(row.provider, []).append(row)
        object.__setattr__(self, "_by_provider", {name: tuple(rows) for name, rows in shelves.items()})

    def find(self, provider: str, model: str, day: date, tier: str, region: str | None = None) -> Row | None:
        """The row that prices a call on `day` (UTC), if there is one."""
        rows = self._by_provider.get(provider, ())
        return next((row for row in rows if row.covers(model, day, tier, region)), None)


def parse(
    data: Any,
    file: str,
    line: Line,
    providers: Collection[str] | None = None,
    *,
    origin: Origin = "contract",
) -> tuple[Book, list[Fault]]:
    """Read a price file: `data` as YAML gives it, `line` the line of a place in it.

    `providers` are the names that a row may have; `None` allows any. Faults are in the order of the file; rows with a
    fault are left out of the book.
    """
    if data is None:
        return Book(), []
    if not isinstance(data, list):
        return Book(), [Fault(file, line(()), "should be a list of prices: `- {provider: ..., model: ..., ...}`")]
    if len(data) > MAX_ROWS:
        return Book(), [Fault(file, line(()), f"has {len(data):,} prices; {MAX_ROWS:,} is the most")]
    faults: list[Fault] = []
    rows = []
    for at, entry in enumerate(data):
        reader = _Reader(entry, (at,), file, line, providers, origin)
        row = reader.row()
        faults += reader.faults
        if row is not None and not reader.faults:
            rows.append((row, line((at,))))
    return Book(tuple(row for row, _ in rows)), faults + _twins(rows, file)


def _twins(rows: Iterable[tuple[Row, int | None]], file: str) -> list[Fault]:
    """Rows of which neither could be preferred."""
    seen: dict[tuple[object, ...], int | None] = {}
    faults = []
    for row, at in rows:
        key = (row.provider, row.model, row.first, row.region, row.tier, row.days)
        if key in seen:
            message = f"`{row.provider}` `{row.model}` has a price from {row.first} already (first: line {seen[key]})"
            faults.append(Fault(file, at, message))
        else:
            seen[key] = at
    return faults


@dataclass(slots=True)
class _Reader:
    """Reads one row and collects its faults."""

    entry: Any
    loc: Loc
    file: str
    line: Line
    providers: Collection[str] | None
    origin: Origin
    faults: list[Fault] = field(default_factory=list)

    def row(self) -> Row | None:
        if not isinstance(self.entry, dict):
            self._fault((), "a price should be a mapping: `{provider: ..., model: ..., from: ..., ...}`")
            return None
        self._names(self.entry, _CORRECTION_KEYS if self.origin == "correction" else _KEYS, (), "key")
        provider, model = self._text("provider"), self._text("model")
        if provider and self.providers is not None and provider not in self.providers:
            self._fault(("provider",), f"there is no provider `{provider}`{_near(provider, self.providers)}")
        if model and "*" in model[:-1]:
            self._fault(("model",), f"in `{model}` only the last character may be `*`")
        first, last = self._day("from"), self._day("to", required=False)
        if first and last and last < first:
            self._fault(("to",), f"`to` ({last}) is before `from` ({first})")
        tier = self._tier()
        region = self._text("region", required=False)
        days = self._days()
        levels = self._levels()
        if not provider or not model or first is None or levels is None or self.faults:
            return None
        source = Source(self.origin, self._where(model), self._dated(first), self._text("source", required=False) or "")
        wrong = self.entry.get("instead_of")
        instead = None
        if isinstance(wrong, dict):
            instead = build([(-1, self._rates(wrong, ("instead_of",)))])[0].prices
        why = str(self.entry.get("why") or self.entry.get("note") or "")
        return Row(provider, model, first, last, region, tier, levels, source, instead, days, why)

    def _where(self, model: str) -> str:
        at = self.line(self.loc)
        return f"{self.file}:{at}" if at is not None else f"{self.file}: {model}"

    def _dated(self, first: date) -> date:
        checked = self.entry.get("checked")
        return checked if isinstance(checked, date) else first

    def _tier(self) -> str:
        tier = self._text("service_tier", required=False) or "standard"
        if tier not in (*TIERS, ANY):
            names = ", ".join(TIERS)
            self._fault(("service_tier",), f"should be one of {names} or `*`, not `{tier}`{_near(tier, TIERS)}")
        return tier

    def _days(self) -> frozenset[int] | None:
        value = self.entry.get("days")
        if value is None:
            return None
        if not isinstance(value, list) or not value or any(day not in DAYS for day in value):
            self._fault(("days",), f"`days` should be a list of {', '.join(DAYS)}, not `{value}`")
            return None
        return frozenset(DAYS.index(day) for day in value)

    def _levels(self) -> tuple[Level, ...] | None:
        base = self._rates(self.entry, ())
        if not base and not self.faults:
            self._fault((), "prices nothing: give `usd_per_million`, `usd_per_request` or `usd_per_unit`")
        tiers = {-1: base}
        steps = self.entry.get("long_context") or []
        if not isinstance(steps, list):
            self._fault(("long_context",), "should be a list: `[{above: 200000, usd_per_million: {...}}]`")
            steps = []
        for at, step in enumerate(steps):
            above = self._above(step, at)
            if above in tiers:
                self._fault(("long_context", at), f"`above: {above}` stands there twice")
            elif above is not None:
                tiers[above] = {**base, **self._rates(step, ("long_context", at))}
        return None if self.faults else build(tiers.items())

    def _above(self, step: Any, at: int) -> int | None:
        here: Loc = ("long_context", at)
        if not isinstance(step, dict):
            self._fault(here, "should be a mapping: `{above: 200000, usd_per_million: {...}}`")
            return None
        self._names(step, ("above", "usd_per_million"), here, "key")
        above = step.get("above")
        if isinstance(above, bool) or not isinstance(above, int) or above < 0:
            self._fault((*here, "above"), f"`above` should be a number of input tokens, not `{above}`")
            return None
        return above

    def _rates(self, holder: Mapping[str, Any], here: Loc) -> dict[str, int]:
        """Rates by meter of the mappings that a row or a step of it has."""
        found: dict[str, int] = {}
        for name, usd in self._table(holder, here, "usd_per_million", TOKENS):
            self._add(found, name, usd, name, MILLION, (*here, "usd_per_million", name))
        for name, usd in self._table(holder, here, "usd_per_unit", {*UNITS, *_DURATIONS}):
            meter, units = _DURATIONS.get(name, (name, 1))
            self._add(found, meter, usd, name, units, (*here, "usd_per_unit", name))
        if holder.get("usd_per_request") is not None:
            self._add(found, "requests", holder["usd_per_request"], "usd_per_request", 1, (*here, "usd_per_request"))
        return found

    def _table(self, holder: Mapping[str, Any], here: Loc, key: str, names: Collection[str]) -> list[tuple[str, Any]]:
        table = holder.get(key)
        if table is None:
            return []
        if not isinstance(table, dict):
            self._fault((*here, key), f"`{key}` should be a mapping of meters to dollars")
            return []
        self._names(table, names, (*here, key), "meter")
        return [(name, usd) for name, usd in table.items() if name in names]

    def _add(self, found: dict[str, int], meter: str, value: Any, name: str, units: int, loc: Loc) -> None:
        usd = _dollars(value)
        if usd is None:
            self._fault(loc, f"`{name}` should be an amount of dollars, not `{value}`")
            return
        if isinstance(value, float) and len(usd.as_tuple().digits) > _DIGITS:
            self._fault(loc, f"`{name}`: put a price of more than {_DIGITS} digits in quotes")
            return
        if meter in found:
            self._fault(loc, f"`{name}` prices {meter} a second time")
            return
        try:
            found[meter] = rate(usd, meter, units)
        except NotRepresentable as error:
            self._fault(loc, f"`{name}`: {error}")

    def _text(self, key: str, *, required: bool = True) -> str | None:
        value = self.entry.get(key)
        if isinstance(value, str) and value.strip():
            return value
        if value is not None:
            self._fault((key,), f"`{key}` should be text, not `{value}`; put it in quotes")
        elif required:
            self._fault((), f"a price needs `{key}`")
        return None

    def _day(self, key: str, *, required: bool = True) -> date | None:
        value = self.entry.get(key)
        if isinstance(value, str):
            try:
                value = date.fromisoformat(value)
            except ValueError:
                pass
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        if value is not None:
            self._fault((key,), f"`{key}` should be a day such as 2026-01-31, not `{value}`")
        elif required:
            self._fault((), f"a price needs `{key}`, the day from which it holds")
        return None

    def _names(self, table: Mapping[Any, Any], known: Collection[str], here: Loc, what: str) -> None:
        for name in table:
            if name not in known:
                self._fault((*here, name), f"unknown {what} `{name}`{_near(str(name), known)}")

    def _fault(self, loc: Loc, message: str) -> None:
        self.faults.append(Fault(self.file, self.line((*self.loc, *loc)), message))


def _dollars(value: Any) -> Decimal | None:
    """What was written, exactly: YAML makes a float of it, whose shortest form is what stood there."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        usd = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        return None
    return usd if usd.is_finite() else None


def _near(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, sorted(known), 1, 0.6)
    return f"; did you mean `{close[0]}`?" if close else ""
