"""Numbers as FOCUS wants them (its attribute "Numeric Format"): digits and one point, no exponent, no sign of plus.

All exact: a price and a quantity are chosen so that their product is a finite decimal, and is written in full.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from gateway.pricing.meters import HOUR, METERS, MILLION

_UNITS: Final = {
    "token": "Tokens",
    "request": "Requests",
    "image": "Images",
    "character": "Characters",
    "message": "Messages",
    "second": "Seconds",
    "pixel": "Pixels",
    "page": "Pages",
    "search": "Searches",
    "execution": "Executions",
}


class Pricing(NamedTuple):
    """How a meter at some rate is priced.

    A quantity is written with `places` decimals shifted in: 5 tokens of `1000000 Tokens` are 0.000005. `price` is empty
    where no finite decimal is the price of a unit; `scale` is the number of decimals of quantity x rate in dollars.
    """

    unit: str
    consumed: str
    places: int
    price: str
    factor: int
    scale: int


@lru_cache(maxsize=4096)
def pricing(meter: str, rate: int | None, per: int) -> Pricing:
    """The unit, the price of one of it, and how costs follow: quantity * rate * factor, with `scale` decimals."""
    known = METERS.get(meter)
    consumed = _UNITS[known.unit] if known is not None else "Units"
    if consumed == "Tokens":
        is_usual = rate is not None and per == MILLION
        return Pricing("1000000 Tokens", consumed, 6, decimal(rate or 0, 9) if is_usual else "", 1, 15)
    if rate is not None and per == MILLION:
        return Pricing(consumed, consumed, 0, decimal(rate, 15), 1, 15)
    if rate is not None and per == MILLION * HOUR and rate % 9 == 0:
        # 1 / 3600 has no end in decimals, 9 / 3600 = 25 / 10^4 has.
        return Pricing(consumed, consumed, 0, decimal(rate // 9 * 25, 19), 25, 19)
    return Pricing(consumed, consumed, 0, "", 0, 0)


def product(quantity: int, rate: int, found: Pricing) -> str:
    """Quantity times price, in dollars, in full."""
    if found.factor == 1:
        return decimal(quantity * rate, found.scale)
    return decimal(quantity * (rate // 9) * found.factor, found.scale)


def decimal(number: int, places: int) -> str:
    """`number` / 10^`places`, without zeros at the end: (1500, 3) is `1.5`."""
    if not places:
        return str(number)
    sign, rest = ("-", -number) if number < 0 else ("", number)
    whole, part = divmod(rest, 10**places)
    text = f"{part:0{places}d}".rstrip("0")
    return f"{sign}{whole}.{text}" if text else f"{sign}{whole}"
