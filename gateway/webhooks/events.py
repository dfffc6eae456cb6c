"""What webhooks tell: an id, a type, when it happened, and data of that type. Field names never change within a type.

An event's id is a digest of its `key`, which names what happened and not who saw it (`budget.warning:team:retail
usd/day:2026-11-23:50.00`). Workers that see the same thing, and a process that sees it again after a restart, make the
same event: it goes into the outbox once, and a receiver can tell it from any other by its id alone.

Dollars are decimal strings, counts are numbers, times are RFC 3339 in UTC.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Final, Literal, get_args

import msgspec

from gateway.limits.refusal import dollars, moment
from gateway.limits.rules import Kind
from gateway.limits.windows import NEVER

EventType = Literal[
    "budget.warning",
    "budget.exceeded",
    "prices.stale",
    "ledger.unavailable",
    "ledger.recovered",
    "calls.unpriced",
    "webhook.test",
]
BudgetEvent = Literal["budget.warning", "budget.exceeded"]
TYPES: Final[tuple[EventType, ...]] = get_args(EventType)

KEEP_S: Final = 7 * 86_400
"""How long an event is remembered at least, so that it can be looked at and sent again by hand."""
OUTAGE_S: Final = 300
"""Outages of the ledger that begin within the same so many seconds, in several workers as a rule, are one."""

_UNIT: Final = {"usd": "usd", "rpm": "requests", "tpm": "tokens", "concurrency": "calls"}


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A budget's window. Of `unit` usd amounts are decimal strings; a rate and seats have no `spent`, only `held`."""

    scope: str  # team:retail
    limit: str  # usd/day
    unit: str
    cap: str | int
    spent: str | int
    held: str | int  # by calls at work, or leased by other workers
    warn_at: float | None
    starts_at: str | None
    resets_at: str | None


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """A price table that nobody has renewed for `age_days`. `dated` is its own date, as 2026-08-01."""

    source: str
    dated: str
    age_days: int


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """An outage of the ledger: since when, what it says, and how long it lasted once it is over."""

    since: str
    error: str | None = None
    seconds: int | None = None


class Unpriced(msgspec.Struct, frozen=True, kw_only=True):
    """A model that was called and has no price: its calls are counted, and their cost is not."""

    provider: str
    model: str


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """Asked for by a person."""

    message: str


Data = Budget | Prices | Ledger | Unpriced | Trial


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell. `at` is when, in epoch seconds; until `keep_until` the same `key` is not told again."""

    key: str
    type: EventType
    at: int
    data: Data
    keep_until: int

    @property
    def id(self) -> str:
        """`evt_` and 128 bits that follow from the key."""
        return "evt_" + hashlib.sha256(self.key.encode()).hexdigest()[:32]

    def body(self) -> bytes:
        """The JSON that is sent."""
        return _encode({"id": self.id, "type": self.type, "created": _time(self.at), "data": self.data})


_encode = msgspec.json.Encoder().encode


def budget_event(
    type: BudgetEvent,
    now: float,
    *,
    id: str,
    kind: Kind,
    cap: int,
    spent: int,
    held: int,
    warn_at: float | None,
    starts: int,
    ends: int,
) -> Event:
    """A budget that comes near its cap, or that has refused a call. Amounts in the budget's units.

    Told once a window; of a rate, which has no windows, once an hour. A cap that has been changed counts anew.
    """
    scope, _, limit = id.rpartition(" ")
    shown = (lambda units: dollars(units).replace("$", "")) if kind == "usd" else int
    data = Budget(
        scope=scope,
        limit=limit,
        unit=_UNIT[kind],
        cap=shown(cap),
        spent=shown(spent),
        held=shown(held),
        warn_at=warn_at,
        starts_at=moment(starts) if starts else None,
        resets_at=moment(ends),
    )
    if kind != "usd":
        keep = int(now) + KEEP_S
    else:
        keep = NEVER if ends >= NEVER else ends + KEEP_S  # for good, where the window never ends: one row a budget
    return Event(
        key=f"{type}:{id}:{window(kind, starts, now)}:{shown(cap)}", type=type, at=int(now), data=data, keep_until=keep
    )


def window(kind: Kind, starts: int, now: float) -> str:
    """What names a budget's window: its first day, `total`, or for rates and seats the hour."""
    if kind != "usd":
        return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H")
    return datetime.fromtimestamp(starts, UTC).strftime("%Y-%m-%d") if starts else "total"


def prices_stale(now: float, source: str, dated: str, age_days: int) -> Event:
    """Told once for each table's date."""
    data = Prices(source=source, dated=dated, age_days=age_days)
    return _event("prices.stale", f"{source}:{dated}", now, data, keep_s=400 * 86_400)


def ledger_unavailable(now: float, since: float, error: str) -> Event:
    """`since` in epoch seconds; `error` is the ledger's own message, which names no payload."""
    return _event("ledger.unavailable", _outage(since), now, Ledger(since=_time(since), error=error))


def ledger_recovered(now: float, since: float) -> Event:
    """The end of the outage that began at `since`."""
    data = Ledger(since=_time(since), seconds=max(int(now - since), 0))
    return _event("ledger.recovered", _outage(since), now, data)


def calls_unpriced(now: float, provider: str, model: str) -> Event:
    """Told once a month of each model."""
    month = datetime.fromtimestamp(now, UTC).strftime("%Y-%m")
    data = Unpriced(provider=provider, model=model)
    return _event("calls.unpriced", f"{provider}/{model}:{month}", now, data, keep_s=40 * 86_400)


def trial_event(now: float, nonce: str) -> Event:
    """What `gateway webhooks test` sends; `nonce` makes it another one each time."""
    return _event("webhook.test", nonce, now, Trial(message="This is a test; nothing happened."))


def _event(type: EventType, what: str, now: float, data: Data, *, keep_s: int = KEEP_S) -> Event:
    return Event(key=f"{type}:{what}", type=type, at=int(now), data=data, keep_until=int(now) + keep_s)


def _outage(since: float) -> str:
    return _time(int(since) // OUTAGE_S * OUTAGE_S)


def _time(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
