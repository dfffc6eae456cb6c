"""What a call costs, and what made it cost that: rates before the call, lines and a sum after it.

Money is whole nano-dollars (1e-9 USD), a rate whole nano-dollars for a million units: $2.50 per million tokens is
2,500,000,000. Nothing here is ever a float. A unit is a token, a request, an image, a page, a search; of durations,
which are counted in seconds, it is an hour, because providers' prices per hour are no whole number of nano-dollars
per second.

`Line` and `Cost` are msgspec structs because every call makes some (a frozen dataclass takes ten times as long).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

import msgspec

Origin = Literal["catalogue", "correction", "contract"]


class UsageError(ValueError):
    """Counts that cannot be true: a part exceeds its whole, or is negative. The message names both."""


@dataclass(frozen=True, slots=True)
class Source:
    """Who says so. `where` is `genai-prices 0.2.3: openai/gpt-5` or a file and line; `date` is that of the catalogue,
    or the day from which the row holds; `url` is the price page, where one is known."""

    origin: Origin
    where: str
    date: date | None = None
    url: str = ""

    def __str__(self) -> str:
        return f"{self.where} ({self.date.isoformat()})" if self.date else self.where


class Charge(msgspec.Struct, frozen=True):
    """One meter of a level: `rate` nano-dollars for `per` of its units, `None` where the meter has no price.

    `parts` are the more specific meters that are charged in their own right, and so not here.
    """

    meter: str
    rate: int | None
    per: int
    parts: tuple[str, ...]


class Level(msgspec.Struct, frozen=True):
    """The prices of a whole call whose input is over `above` tokens.

    `prices` holds nano-dollars per million units by meter; `charges` the same in the order of charging, most specific
    first. The members after it are `prices` again, at hand for the calls that have nothing but text; `plain` says that
    they are all there is to such a call.
    """

    above: int
    prices: Mapping[str, int]
    charges: tuple[Charge, ...]
    input: int | None
    cache_read: int | None
    cache_write: int | None
    output: int | None
    plain: bool


@dataclass(frozen=True, slots=True)
class Rates:
    """What one deployment costs from `valid_from` until before `valid_until` (UTC).

    `levels` begin with the highest; the last is that of any input. Crossing a level's threshold prices all of the
    call at it, not only the tokens above: the "cliff" that genai-prices documents (`types.TieredPrices`) and that
    OpenAI, Anthropic and Google bill by.
    """

    levels: tuple[Level, ...]
    source: Source
    tier: str
    valid_from: datetime
    valid_until: datetime

    def level(self, input_tokens: int) -> Level:
        """The level of a call with so many input tokens, cached ones included."""
        for level in self.levels:
            if input_tokens > level.above:
                return level
        return self.levels[-1]


@dataclass(frozen=True, slots=True)
class Unpriced:
    """No price, and why; holds over the same kind of span as `Rates`."""

    reason: str
    valid_from: datetime
    valid_until: datetime


class Line(msgspec.Struct, frozen=True):
    """One meter of one call: `quantity` units at `rate` nano-dollars for `per` units make `nano_usd`, rounded once."""

    meter: str
    quantity: int
    rate: int
    per: int
    nano_usd: int


class Cost(msgspec.Struct, frozen=True):
    """What one call costs. `nano_usd` is `None` where any part of it has no price; `unpriced` then says which and why.

    An unpriced call is never one that costs nothing: `known_nano_usd` is the sum of the lines that had a price.
    """

    nano_usd: int | None
    lines: tuple[Line, ...] = ()
    source: Source | None = None
    unpriced: str | None = None

    @property
    def known_nano_usd(self) -> int:
        return sum(line.nano_usd for line in self.lines)

    @property
    def usd(self) -> Decimal | None:
        """Dollars, exact."""
        return None if self.nano_usd is None else Decimal(self.nano_usd).scaleb(-9)


def dollars(nano_usd: int) -> str:
    """Exact decimal dollars with at least two places: 1500000000 is `1.50`."""
    whole, rest = divmod(abs(nano_usd), 1_000_000_000)
    fraction = f"{rest:09d}".rstrip("0").ljust(2, "0")
    return f"{'-' if nano_usd < 0 else ''}{whole}.{fraction}"
