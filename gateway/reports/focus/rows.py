"""A row of the export out of a charge: the values of every column, as the specification's rules want them.

Who sells is the provider; our teams are its sub-accounts. `BilledCost` and `EffectiveCost` are the ledger's, rounded to
a nano-dollar; `ListCost` and `ContractedCost` are price times quantity in full, as FOCUS demands, and so may differ
from them by less than a nano-dollar. What is no use of a meter is an `Adjustment`, which has no price.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from gateway.reports.focus.charges import REST, UNKNOWN, UNPRICED, Attempt, Charge
from gateway.reports.focus.numbers import decimal, pricing, product
from gateway.reports.period import iso, month_bounds

Row = tuple[str, ...]

CORRECTION: Final = "Correction"
CATEGORY: Final = "AI and Machine Learning"
SUBCATEGORY: Final = "Generative AI"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SAID: Final = {
    REST: "cost that the meters do not explain",
    UNKNOWN: "an attempt whose end is not known",
    UNPRICED: "usage without a price",
}


class Span(NamedTuple):
    """A charge period and its billing period; ends are exclusive.

    The charge lies within the billing period, unless it `is_correction`: then it lies in an earlier one, now closed.
    """

    begins: str
    ends: str
    month: str
    next_month: str
    is_correction: bool = False


def row(attempt: Attempt, charge: Charge, span: Span, account: str | None, *, single: bool) -> Row:
    """The row of a charge. `account` is the billing account, the provider's name where None.

    `single`: the charge is this attempt's alone; else it adds up many, and what tells them apart is left empty.
    """
    billed = decimal(charge.nano, 9)
    use = _use(charge, billed) if charge.quantity and charge.rate is not None else _NO_USE
    full = use.cost or billed
    sku = f"{attempt.provider}/{attempt.deployment}/{charge.meter}" if use.quantity else ""
    return (
        billed,
        account or attempt.provider,
        account or attempt.provider,
        "USD",
        span.next_month,
        span.month,
        "Usage" if use.quantity else "Adjustment",
        CORRECTION if span.is_correction else "",
        _description(attempt.deployment, charge.meter, charge.special),
        span.ends,
        span.begins,
        full,
        billed,
        attempt.provider,
        full,
        use.quantity,
        use.unit,
        attempt.provider,
        attempt.provider,
        CATEGORY,
        f"{attempt.provider} API",
        "Usage-Based" if use.quantity else "One-Time",
        str(charge.quantity) if use.quantity else "",
        use.consumed,
        use.price,
        "",
        use.price,
        "Standard" if use.quantity else "",
        SUBCATEGORY,
        sku,
        charge.meter if use.quantity else "",
        # a price's id must not change when the price does, so it is the meter's, at its tier of service
        f"{sku}/{attempt.tier}" if sku and attempt.tier else sku,
        attempt.team,
        attempt.team,
        *(_particulars(attempt, charge) if single else _general(attempt, charge)),
    )


class _Use(NamedTuple):
    """What is priced: all empty for an adjustment."""

    quantity: str = ""
    unit: str = ""
    consumed: str = ""
    price: str = ""
    cost: str = ""


_NO_USE: Final = _Use()


def _use(charge: Charge, billed: str) -> _Use:
    assert charge.rate is not None
    found = pricing(charge.meter, charge.rate, charge.per)
    if found.price:
        quantity = decimal(charge.quantity, found.places)
        return _Use(quantity, found.unit, found.consumed, found.price, product(charge.quantity, charge.rate, found))
    # A usage must have a price, and this one's has no end in decimals: so all of it is one unit.
    return _Use("1", f"{charge.quantity} {found.consumed}", found.consumed, billed, billed)


def _particulars(attempt: Attempt, charge: Charge) -> Row:
    """From `Tags` on."""
    return (
        tags(attempt.tags),
        attempt.request_id,
        str(attempt.attempt),
        attempt.kind,
        moment(attempt.began_at),
        attempt.project,
        attempt.key_id,
        attempt.user,
        attempt.session,
        attempt.agent,
        attempt.model,
        attempt.deployment,
        attempt.prompt_id,
        attempt.prompt_version,
        *_certainty(attempt, charge),
        attempt.price_source,
        attempt.price_version,
    )


def _general(attempt: Attempt, charge: Charge) -> Row:
    """From `Tags` on, of many attempts."""
    return (
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        attempt.deployment,
        "",
        "",
        *_certainty(attempt, charge),
        "",
        "",
    )


def _certainty(attempt: Attempt, charge: Charge) -> Row:
    held = attempt.held_nano
    return (
        charge.meter,
        str(charge.quantity),
        attempt.state,
        "true" if attempt.state == "estimated" else "false",
        "true" if charge.special == UNPRICED else "false",
        decimal(held, 9) if charge.special == UNKNOWN and held is not None else "",
    )


@lru_cache(maxsize=4096)
def _description(deployment: str, meter: str, special: str) -> str:
    if special == UNPRICED and meter != UNPRICED:
        return f"{deployment}: {meter.replace('_', ' ')}, without a price"
    return f"{deployment}: {_SAID.get(special, meter.replace('_', ' '))}"


@lru_cache(maxsize=64)
def hour_of(hour: int) -> Span:
    """The span of an hour; `hour` counts since 1970."""
    begins = _EPOCH + timedelta(hours=hour)
    return _span(begins, begins + timedelta(hours=1), hour // 24)


@lru_cache(maxsize=64)
def day_of(day: int) -> Span:
    """The span of a day; `day` counts since 1970."""
    begins = _EPOCH + timedelta(days=day)
    return _span(begins, begins + timedelta(days=1), day)


def _span(begins: datetime, ends: datetime, day: int) -> Span:
    month, following = month_bounds(day)
    return Span(_text(begins), _text(ends), f"{iso(month)}T00:00:00Z", f"{iso(following)}T00:00:00Z")


def corrected(span: Span, closed: str, at: int) -> Span:
    """The span of a charge that came into the month `closed` (`2026-10`) after that was closed, at `at` (microseconds).

    It is billed in the month in which it came, and at the earliest in the one after the closed one.
    """
    year, month = int(closed[:4]), int(closed[5:])
    begins = max(date(year + month // 12, month % 12 + 1, 1), (_EPOCH + timedelta(microseconds=at)).date())
    first, following = month_bounds((begins - _EPOCH.date()).days)
    return Span(span.begins, span.ends, f"{iso(first)}T00:00:00Z", f"{iso(following)}T00:00:00Z", True)


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(micros: int) -> str:
    """`2026-11-23T12:00:00.000001Z`."""
    seconds, rest = divmod(micros, 1_000_000)
    return f"{_second(seconds)}.{rest:06d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=4096)
def tags(text: str | None) -> str:
    """Tags in FOCUS's key-value format: `["env=prod", "beta"]` is `{"env": "prod", "beta": true}`; empty for none."""
    if not text:
        return ""
    found: dict[str, str | bool] = {}
    for tag in json.loads(text):
        name, equals, value = str(tag).partition("=")
        found[name] = value if equals else True
    return json.dumps(found, ensure_ascii=False)
