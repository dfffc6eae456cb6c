"""The money of one attempt, in order: held in every budget, durable in the ledger, sent, priced, settled.

Nothing is dialled before the hold is there and the reservation is on disk, and whatever ends an attempt ends its
booking, once. A wrong order here is a lost row or a lost dollar, so it stands in one place.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Final

import msgspec
import structlog

from gateway.errors import GatewayError
from gateway.ledger import Ledger, Ticket
from gateway.limits import Hold, Limits
from gateway.model.caller import Caller
from gateway.model.price import Cost, Rates, Unpriced, UsageError
from gateway.model.record import Reservation, Settlement, Terminal
from gateway.model.route import Candidate, Timeouts
from gateway.model.usage import Usage
from gateway.pricing.bound import Bound
from gateway.pricing.cost import ceiling, meter
from gateway.pricing.table import PriceTable
from gateway.store.objects import Owner
from gateway.telemetry.families import Counter
from gateway.telemetry.metrics import Metrics
from gateway.upstream.wire import Request

MAX_UNPRICED: Final = 100
"""Models without a price that are remembered until somebody asks."""

_FREE: Final = Cost(0)
_day = lru_cache(maxsize=1_000)(date.isoformat)
_STANDARD: Final = ("", "default", "standard", "auto")
_TIERS: Final = ("flex", "priority", "fast", "batch")
_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger("gateway.booking")


def micros() -> int:
    """Unix time in microseconds."""
    return time.time_ns() // 1000


class Booking:
    """One attempt that has been let in: `sent` before its first byte goes out, then `settle` or `void`, once."""

    __slots__ = (
        "_book",
        "_candidate",
        "_dialled",
        "_first",
        "_held",
        "_hold",
        "_table",
        "_ticket",
        "_tier",
        "_units",
        "at",
        "cost",
        "is_sent",
        "request",
    )

    def __init__(
        self,
        book: Book,
        ticket: Ticket,
        hold: Hold,
        table: PriceTable,
        candidate: Candidate,
        at: datetime,
        *,
        held: int | None,
    ) -> None:
        self._book = book
        self._ticket = ticket
        self._hold = hold
        self._table = table
        self._candidate = candidate
        self._dialled = 0
        self._first = 0
        self._held = held  # nano-dollars at most; None without a price
        self.at = at
        self.is_sent = False
        self.request: Request | None = None  # as it was sent; knows how often
        self._tier = ""
        self._units: Mapping[str, int] = {}
        self.cost: Cost | None = None

    def __repr__(self) -> str:
        return f"<Booking of {self._ticket!r} at {self._candidate.provider}/{self._candidate.model}>"

    def limit_headers(self) -> list[tuple[bytes, bytes]]:
        """What the caller is told of its limits; nothing where it has none."""
        hold = self._hold
        if not hold.parts:
            return []
        found = hold.headers()
        warnings = hold.warnings()
        if warnings:
            found.append((b"x-gateway-budget-warning", "; ".join(warnings).encode("ascii", "backslashreplace")))
        return found

    @property
    def may_cost(self) -> bool:
        """Whether it has a price that is not zero."""
        return bool(self._held)

    @property
    def is_ended(self) -> bool:
        """Whether it was settled."""
        return self._ticket.is_ended

    def sent(self) -> None:
        """The provider is about to see the attempt. Raises `Unavailable` if the ledger has been closed."""
        if not self.is_sent:
            self._dialled = now = micros()
            self._ticket.sent(now)
            self.is_sent = True

    def answered(self) -> None:
        """The first bytes of an answer are here."""
        self._first = micros()

    def price(
        self,
        usage: Usage | None,
        tier: str = "",
        units: Mapping[str, int] | None = None,
        told: Mapping[str, int] | None = None,
    ) -> Cost:
        """What it costs, as far as that is known.

        `units` are what was asked for that is not tokens (images, characters, seconds): they are charged where there
        is a price for them, and the provider counted no tokens or there is none for those. `told` is what the provider
        counted beside the tokens (web searches).
        """
        provider, model = self._candidate.provider, self._candidate.model
        self._tier = "" if tier in _STANDARD else tier
        self._units = {**(units or {}), **(told or {})}
        if not model:
            return _FREE  # a path that names no model: files and the like cost nothing by the call
        rates = self._table.rates(provider, model, self.at, tier or None)
        if isinstance(rates, Unpriced):
            return Cost(None, unpriced=rates.reason)
        if units and (not _counts_tokens(usage) or _is_without_tokens(rates)):
            units = {name: count for name, count in units.items() if name in rates.levels[-1].prices}
            usage = _UNUSED if units else usage
        else:
            units = None
        if told:
            units = {**(units or {}), **told}
        if usage is None:
            return Cost(None, unpriced="nobody said what it used")
        try:
            return meter(rates, usage, units)
        except UsageError as error:
            _log.warning("usage_not_believed", provider=provider, model=model, error=str(error))
            return Cost(None, unpriced=f"the count cannot be true: {error}")

    def settle(
        self,
        usage: Usage | None,
        *,
        status: int,
        code: str = "",
        model: str = "",
        cost: Cost | None = None,
        state: Terminal | None = None,
        is_lost: bool = False,
    ) -> None:
        """End it with what was used. `cost` is what `price` gave; `state` follows from who counted if not given.

        `is_lost`: nothing of an answer was seen, so budgets keep all that was held. The ledger says what is known.
        """
        if self._ticket.is_ended:
            return
        priced = self.cost = cost if cost is not None else self.price(usage)
        if state is None:
            state = "estimated" if usage is not None and usage.source == "estimated" else "settled"
        self._end(state, status, code, model, usage, priced, is_lost=is_lost)

    def void(self, *, status: int = 0, code: str = "") -> None:
        """End it as one that costs nothing: it was not sent, or the provider refused it."""
        if not self._ticket.is_ended:
            self.cost = _FREE
            self._end("void", status, code, "", None, _FREE)

    def _end(
        self,
        state: Terminal,
        status: int,
        code: str,
        model: str,
        usage: Usage | None,
        cost: Cost,
        *,
        is_lost: bool = False,
    ) -> None:
        now = micros()
        dialled, source = self._dialled, cost.source
        used = usage or _UNUSED
        self._ticket.settle(
            Settlement(
                state=state,
                ended_at=now,
                status=status,
                code=code,
                source=usage.source if usage is not None else None,
                answering_model=model,
                input_tokens=used.input_tokens,
                output_tokens=used.output_tokens,
                cache_read_tokens=used.cache_read_tokens,
                cache_write_tokens=used.cache_write_tokens,
                reasoning_tokens=used.reasoning_tokens,
                more_tokens=_more(used, self._tier, self._units),
                cost_nano=cost.nano_usd,
                lines=_encode(cost.lines) if cost.lines else b"",
                price_source=cost.unpriced or (source.where if source is not None else ""),
                price_version=self._table.version if source is not None else "",
                price_date=_day(source.date) if source is not None and source.date is not None else "",
                latency_us=now - dialled if dialled else None,
                first_token_us=self._first - dialled if self._first and dialled else None,
                retries=self.request.retries if self.request is not None else 0,
            )
        )
        if state == "void":
            self._book.limits.release(self._hold)
        else:
            # Where there is no price, no more than a unit was held, and that is given back.
            spent = None if is_lost and self._held else cost.nano_usd
            if spent is None and not self._held:
                spent = 0
            self._book.limits.settle(self._hold, spent, used.input_tokens + used.output_tokens)
        overrun = 0
        if cost.nano_usd is not None and self._held is not None:
            overrun = max(0, cost.nano_usd - self._held)
        self._book.count(self._candidate, state, cost, overrun)


class Book:
    """Opens bookings, and counts them."""

    def __init__(self, ledger: Ledger, limits: Limits, metrics: Metrics) -> None:
        self.ledger = ledger
        self.limits = limits
        self._metrics = metrics
        self._unpriced: set[tuple[str, str]] = set()
        self._charging: set[asyncio.Task[None]] = set()
        self._ends: dict[tuple[str, Terminal], Counter] = {}
        self._spent: dict[tuple[str, str, Terminal], Counter] = {}

    async def open(
        self,
        table: PriceTable,
        caller: Caller,
        candidate: Candidate,
        reservation: Reservation,
        tokens: int,
        at: datetime,
    ) -> Booking:
        """Hold the reservation's ceiling and so many tokens in the budgets, and reserve it in the ledger.

        `at` is when the attempt began. Returns when both would outlive a crash. Raises `RateLimited`, `Forbidden`
        (model_unpriced), `Unavailable` (ledger_unavailable, store_unavailable).
        """
        began = reservation.began_at / 1e6
        model = candidate.route if candidate.route and not candidate.route.endswith("*") else reservation.model
        hold = self.limits.hold(caller, model, reservation.user, reservation.tags, reservation.held_nano, tokens, began)
        ticket: Ticket | None = None
        try:
            if not hold.is_held:
                await hold
            ticket = self.ledger.reserve(reservation)
            await ticket
        except BaseException:
            if ticket is not None:
                ticket.settle(Settlement(state="void", ended_at=micros(), code="not_sent", cost_nano=0))
            self.limits.release(hold)
            raise
        return Booking(self, ticket, hold, table, candidate, at, held=reservation.held_nano)

    def charge(self, owner: Owner, model: str, cost_nano: int | None, tokens: int) -> None:
        """Let budgets know of what was booked late, as a batch is. It is owed whether they have room or not."""
        self.count(Candidate(owner.provider, model, "", Timeouts()), "settled", Cost(cost_nano), 0)
        task = asyncio.get_running_loop().create_task(self._charge(owner, model, cost_nano, tokens))
        self._charging.add(task)
        task.add_done_callback(self._charging.discard)

    async def _charge(self, owner: Owner, model: str, cost_nano: int | None, tokens: int) -> None:
        caller = Caller(owner.key_id, owner.team, owner.project, "", "developer")
        try:
            hold = self.limits.hold(caller, model, "", (), 0, 0, time.time())
            if not hold.is_held:
                await hold
            self.limits.settle(hold, cost_nano or 0, tokens)
        except GatewayError as error:  # the ledger has it all the same
            _log.warning("late_cost_beyond_budget", team=owner.team, model=model, code=error.code)

    def take_unpriced(self) -> Iterator[tuple[str, str]]:
        """Provider and model of the calls that had no price, since this was last asked."""
        while self._unpriced:
            yield self._unpriced.pop()

    def count(self, candidate: Candidate, state: Terminal, cost: Cost, overrun: int) -> None:
        """Count one end. `overrun` is what it cost beyond what was held, in nano-dollars."""
        provider, route = candidate.provider, candidate.route
        ends = self._ends.get((provider, state))
        if ends is None:
            ends = self._ends[provider, state] = self._metrics.attempts.labels(provider=provider, state=state)
        ends.inc()
        if cost.nano_usd is None:
            self._metrics.unpriced.labels(model=route, provider=provider).inc()
            if len(self._unpriced) < MAX_UNPRICED:
                self._unpriced.add((provider, candidate.model))
        elif cost.nano_usd:
            spent = self._spent.get((route, provider, state))
            if spent is None:
                source = "provider" if state == "settled" else "estimated"
                spent = self._metrics.cost_usd.labels(model=route, provider=provider, source=source)
                self._spent[route, provider, state] = spent
            spent.inc(cost.nano_usd / 1e9)  # for plots; the ledger has the exact sum
        if overrun:
            self._metrics.budget_overruns.inc()
            self._metrics.budget_overrun_usd.inc(overrun / 1e9)
            _log.warning("budget_overrun", provider=provider, model=candidate.model, overrun_nano_usd=overrun)


_UNUSED: Final = Usage()
_MORE: Final = Usage.__struct_fields__[Usage.__struct_fields__.index("source") + 1 :]


def _counts_tokens(usage: Usage | None) -> bool:
    """Whether the provider says how many there were."""
    return usage is not None and usage.source == "provider" and bool(usage.input_tokens or usage.output_tokens)


def _is_without_tokens(rates: Rates) -> bool:
    return rates.levels[-1].input is None and rates.levels[-1].output is None


def _more(usage: Usage, tier: str, units: Mapping[str, int]) -> bytes:
    """What has no column of its own and decided the price, as JSON; empty as a rule."""
    if units or tier:
        more = {name: getattr(usage, name) for name in _MORE if getattr(usage, name)}
        return _encode({**more, **units, **({"service_tier": tier} if tier else {})})
    if usage.cache_write_1h_tokens or usage.input_audio_tokens or usage.output_audio_tokens or usage.input_image_tokens:
        pass
    elif not (usage.output_image_tokens or usage.cache_read_audio_tokens or usage.cache_read_image_tokens):
        return b""
    return _encode({name: getattr(usage, name) for name in _MORE if getattr(usage, name)})


def most(table: PriceTable, candidate: Candidate, bound: Bound, at: datetime, tier: str = "") -> int | None:
    """Nano-dollars that an attempt cannot exceed which began at `at`, an aware time; None without a price."""
    if not candidate.model:
        return 0
    rates = table.rates(candidate.provider, candidate.model, at)
    if tier in _TIERS:
        dearer = table.rates(candidate.provider, candidate.model, at, tier)
        if isinstance(dearer, Unpriced):
            return None
        if isinstance(rates, Unpriced) or tier in ("priority", "fast"):
            rates = dearer
    if tier == "auto" and not isinstance(rates, Unpriced):  # the provider may choose to serve, and charge, priority
        dearer = table.rates(candidate.provider, candidate.model, at, "priority")
        rates = rates if isinstance(dearer, Unpriced) else dearer
    if isinstance(rates, Unpriced):
        return None
    units = {name: count for name, count in bound.units.items() if name in rates.levels[-1].prices}
    return ceiling(rates, bound.input_tokens, bound.output_tokens, without=bound.without, units=units)
