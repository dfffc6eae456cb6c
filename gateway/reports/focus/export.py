"""Streams the export: at any size one batch of rows is in memory, or with the grain `day` one day's sums."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO
from typing import Final, Literal, get_args

from gateway.reports.books import Books
from gateway.reports.focus import corrections
from gateway.reports.focus.charges import SELECT, SELECT_OPEN, UNKNOWN, Attempt, Charge, charges
from gateway.reports.focus.columns import COLUMNS
from gateway.reports.focus.rows import Row, Span, corrected, day_of, hour_of, row
from gateway.reports.period import DAY_US, Period

Grain = Literal["call", "day"]
"""`call`: a row for each meter of each attempt. `day`: a row for each day, team and price of a meter."""
GRAINS: tuple[Grain, ...] = get_args(Grain)

HOUR_US: Final = 3_600_000_000
BATCH: Final = 1000

_Key = tuple[str, str, str, str | None, str, str, int | None, int, str, Span]


class Export:
    """One export of a period; iterate over `chunks` once. The counts are right when that has ended.

    `attempts` counts what was read (calls that cost nothing, never having reached a provider, are not), `rows` what was
    written; `nano` is what the attempts cost in nano-dollars; `unpriced` and `unknown` count attempts, `late` those
    that came into a month after that was closed. `corrections` counts what was booked to closed months,
    `corrected_nano` is its amount; `nano` and `corrected_nano` together are the sum of `BilledCost`.
    """

    def __init__(self, books: Books, period: Period, grain: Grain = "call", account: str | None = None) -> None:
        self.attempts = 0
        self.rows = 0
        self.nano = 0
        self.unpriced = 0
        self.unknown = 0
        self.late = 0
        self.corrections = 0
        self.corrected_nano = 0
        self._knows_months = False  # until it is asked: an older gateway's ledger has no such tables
        self._books = books
        self._period = period
        self._grain = grain
        self._account = account

    def __repr__(self) -> str:
        return f"<Export of {self._period} by {self._grain}: {self.attempts} attempts, {self.rows} rows>"

    def chunks(self) -> Iterator[str]:
        """CSV (RFC 4180), the header first, about `BATCH` rows at a time."""
        text = StringIO()
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        waiting = 0
        for made in self._made():
            writer.writerow(made)
            waiting += 1
            if waiting == BATCH:
                self.rows += waiting
                waiting = 0
                yield text.getvalue()
                text.seek(0)
                text.truncate()
        self.rows += waiting
        yield text.getvalue()

    def _made(self) -> Iterator[Row]:
        self._knows_months = corrections.are_known(self._books)
        yield from self._by_call() if self._grain == "call" else self._by_day()
        if self._knows_months:
            for found in corrections.booked(self._books, self._period):
                self.corrections += 1
                self.corrected_nano += found.nano
                yield corrections.row(found, self._account)

    def _by_call(self) -> Iterator[Row]:
        for attempt in self._read():
            span = _billed(hour_of(attempt.began_at // HOUR_US), attempt)
            for charge in charges(attempt):
                self.nano += charge.nano
                yield row(attempt, charge, span, self._account, single=True)

    def _by_day(self) -> Iterator[Row]:
        day = -1
        found: dict[_Key, tuple[Attempt, Charge]] = {}
        for attempt in self._read():
            if attempt.began_at // DAY_US != day:
                yield from self._added_up(found)
                day, found = attempt.began_at // DAY_US, {}
            span = _billed(day_of(day), attempt)
            for charge in charges(attempt):
                self.nano += charge.nano
                _add(found, attempt, charge, span)
        yield from self._added_up(found)

    def _added_up(self, found: dict[_Key, tuple[Attempt, Charge]]) -> Iterator[Row]:
        for key in sorted(found, key=str):
            attempt, charge = found[key]
            yield row(attempt, charge, key[-1], self._account, single=False)

    def _read(self) -> Iterator[Attempt]:
        period = self._period
        statement = SELECT if self._knows_months else SELECT_OPEN
        for values in self._books.stream(statement, (period.begins_us, period.ends_us), batch=BATCH):
            attempt = Attempt._make(values)
            self.attempts += 1
            self.late += attempt.late is not None
            if attempt.cost_nano is None:
                self.unpriced += attempt.state != UNKNOWN
                self.unknown += attempt.state == UNKNOWN
            yield attempt


def _billed(span: Span, attempt: Attempt) -> Span:
    return span if attempt.late is None else corrected(span, attempt.late, attempt.ended_at)


def _add(found: dict[_Key, tuple[Attempt, Charge]], attempt: Attempt, charge: Charge, span: Span) -> None:
    """Add a charge to those of its kind; of the attempt only what they share is kept, and the ceilings' sum."""
    key: _Key = (
        attempt.team,
        attempt.provider,
        attempt.deployment,
        attempt.tier,
        attempt.state,
        charge.meter,
        charge.rate,
        charge.per,
        charge.special,
        span,
    )
    held = attempt.held_nano if charge.special == UNKNOWN else None
    if key in found:
        kept, so_far = found[key]
        charge = charge._replace(quantity=charge.quantity + so_far.quantity, nano=charge.nano + so_far.nano)
        held = None if held is None and kept.held_nano is None else (held or 0) + (kept.held_nano or 0)
    found[key] = (attempt._replace(held_nano=held), charge)
