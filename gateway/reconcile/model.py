"""What a comparison is made of: lines of an invoice, the ledger's sums, and the prices that say what either should be.

Amounts are exact until the end: nano-dollars as fractions, since providers bill a millionth of a dollar by the token
and write cents. A price is nano-dollars for one unit (a token, a request, a second).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, Literal, NamedTuple, Protocol

import msgspec

MONTH: Final = -1
"""The day of what is billed for a whole month."""
SAMPLES: Final = 5
"""Request ids, and lines of the invoice, that are kept as evidence."""

TIERS: Final = ("standard", "batch", "flex", "priority", "fast")
State = Literal["settled", "estimated", "unknown", "void", "unpriced"]


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an invoice. `model`, `meter`: empty where it does not say; `quantity` None where it has none.

    `slack` is half of the last place that the amount was written with. `credit` is what is no usage: credits,
    discounts, taxes. `day` counts since 1970, UTC; of what `is_monthly` it is the month's first.
    """

    line: int
    day: int
    model: str = ""
    meter: str = ""
    tier: str = ""
    long: bool = False
    quantity: Fraction | None = None
    nano: Fraction
    slack: Fraction
    credit: bool = False
    text: str = ""
    is_monthly: bool = False


class Fault(msgspec.Struct, frozen=True):
    """A line that could not be read, and so is in no sum."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


class Key(NamedTuple):
    """Where amounts are compared. `model` and `meter` are empty where the invoice does not tell them apart."""

    day: int
    model: str
    meter: str


@dataclass(slots=True)
class Billed:
    """Lines of the invoice that are alike, added up; `quantity` None: they have none."""

    quantity: Fraction | None
    nano: Fraction = Fraction(0)
    slack: Fraction = Fraction(0)
    count: int = 0
    lines: list[int] = field(default_factory=list)

    def add(self, quantity: Fraction | None, nano: Fraction, slack: Fraction, count: int, lines: list[int]) -> None:
        if self.quantity is not None and quantity is not None:
            self.quantity += quantity
        self.nano += nano
        self.slack += slack
        self.count += count
        self.lines += lines[: SAMPLES - len(self.lines)]


@dataclass(slots=True)
class Booked:
    """The ledger's rows at one price, added up; `estimated` and `estimated_nano` are part of the others."""

    quantity: int = 0
    nano: int = 0
    count: int = 0
    estimated: int = 0
    estimated_nano: int = 0


@dataclass(slots=True)
class Group:
    """Attempts of a day and model by how they ended. `held` is the most that they may have cost, None: not known."""

    attempts: int = 0
    reasoning: int = 0
    counts: dict[State, int] = field(default_factory=dict)
    held: dict[State, int | None] = field(default_factory=dict)
    samples: dict[State, list[str]] = field(default_factory=dict)

    def see(self, state: State, request_id: str, held: int | None) -> None:
        self.attempts += 1
        self.counts[state] = self.counts.get(state, 0) + 1
        before = self.held.get(state, 0)
        self.held[state] = None if held is None or before is None else before + held
        kept = self.samples.setdefault(state, [])
        if len(kept) < SAMPLES:
            kept.append(request_id)

    def plus(self, other: Group) -> None:
        self.attempts += other.attempts
        self.reasoning += other.reasoning
        for state, count in other.counts.items():
            self.counts[state] = self.counts.get(state, 0) + count
            mine, theirs = self.held.get(state, 0), other.held.get(state, 0)
            self.held[state] = None if mine is None or theirs is None else mine + theirs
            kept = self.samples.setdefault(state, [])
            kept += other.samples.get(state, [])[: SAMPLES - len(kept)]


class Prices(Protocol):
    """What a price list says."""

    def rate(self, model: str, meter: str, day: int, tier: str, *, long: bool) -> Fraction | None:
        """Nano-dollars a unit; None if it has no such price. `long`: of a call over the highest threshold of input."""


class NoPrices:
    """A price list without a price."""

    def rate(self, model: str, meter: str, day: int, tier: str, *, long: bool) -> Fraction | None:
        """None."""
        return None


class Part:
    """Like lines of the invoice within a cell: `price` is how much more they cost than at the price of their strand."""

    __slots__ = ("count", "credit", "lines", "long", "nano", "price", "quantity", "slack", "tier")

    def __init__(self, billed: Billed, tier: str, *, long: bool, credit: bool = False) -> None:
        self.quantity = billed.quantity
        self.nano = billed.nano
        self.slack = billed.slack
        self.count = billed.count
        self.lines = tuple(billed.lines)
        self.tier = tier
        self.long = long
        self.credit = credit
        self.price = billed.nano if credit else Fraction(0)


class Strand:
    """What a cell has at one price: `left` is how many units more the provider billed than the ledger has.

    `rate` is None for rows without a price. `is_money`: units are nano-dollars, because no quantity is known.
    """

    __slots__ = ("estimated", "is_money", "left", "ours", "rate")

    def __init__(self, rate: Fraction | None, ours: Fraction, estimated: Fraction, *, is_money: bool = False) -> None:
        self.rate = rate
        self.ours = ours
        self.estimated = estimated
        self.left = -ours
        self.is_money = is_money

    @property
    def price(self) -> Fraction:
        """Of one unit; 0 where there is none."""
        return self.rate or Fraction(0)


@dataclass(slots=True)
class Cell:
    """One day, model and meter: what either side has, and where they differ. `ours` and `theirs` are nano-dollars."""

    key: Key
    ours: int = 0
    theirs: Fraction = Fraction(0)
    parts: list[Part] = field(default_factory=list)
    strands: list[Strand] = field(default_factory=list)
    slack: Fraction = Fraction(1)
    lines: tuple[int, ...] = ()
    is_outside: bool = False


@dataclass(slots=True)
class Board:
    """All cells, and what is known beside them. `first` to `last` are the days of the month."""

    first: int
    last: int
    cells: dict[Key, Cell]
    groups: Mapping[tuple[int, str], Group]
    hours: Mapping[Key, list[int]]
    prices: Prices
    deployments: Mapping[str, str]

    def rate(self, key: Key, tier: str = "standard", *, meter: str = "", long: bool = False) -> Fraction | None:
        """The list price of a cell's meter, or of another `meter` of its model."""
        day = self.first if key.day == MONTH else key.day
        model = self.deployments.get(key.model, key.model)
        return self.prices.rate(model, meter or key.meter, day, tier or "standard", long=long)


class Claim(NamedTuple):
    """An explanation of a part of a cell's difference: `amount` nano-dollars, which is money that no other may explain.

    It takes `quantity` units off the strand, or its amount off the price of the part, whichever index is given.
    """

    kind: str
    key: Key
    amount: Fraction
    sentence: str
    strand: int | None = None
    part: int | None = None
    quantity: Fraction = Fraction(0)
    requests: tuple[str, ...] = ()
    lines: tuple[int, ...] = ()
