"""Rows of what was booked to closed months after a comparison with an invoice: `ChargeClass` is Correction.

FOCUS 1.2, "Charge Class": a correction is one "to a previously invoiced billing period". So its charge period is the
day that is corrected, in the closed month, and its billing period the month in which it was booked. It is of no team,
and has no quantity: what is corrected is an amount.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from gateway.reports.books import Books
from gateway.reports.focus.columns import COLUMNS
from gateway.reports.focus.numbers import decimal
from gateway.reports.focus.rows import CATEGORY, CORRECTION, SUBCATEGORY, Row, corrected, day_of
from gateway.reports.period import Period

CREDIT: Final = "credit"
_SELECT: Final = (
    "SELECT month, booked_at, provider, day, model, meter, kind, nano, reason FROM corrections"
    " WHERE day >= ? AND day <= ? ORDER BY day, id"
)


class Booked(NamedTuple):
    """A correction, in the order of the statement."""

    month: str
    booked_at: int
    provider: str
    day: int
    model: str
    meter: str
    kind: str
    nano: int
    reason: str


def are_known(books: Books) -> bool:
    """Whether the ledger has closed months at all; one that only an older gateway has opened has no such tables."""
    return books.one("SELECT COUNT(*) FROM sqlite_master WHERE name = 'corrections'") > 0


def booked(books: Books, period: Period) -> Iterator[Booked]:
    """The corrections of the days of a period, in the order of days."""
    for values in books.stream(_SELECT, (period.first, period.last)):
        yield Booked._make(values)


def row(found: Booked, account: str | None) -> Row:
    """The row of a correction."""
    span = corrected(day_of(found.day), found.month, found.booked_at)
    cost = decimal(found.nano, 9)
    about = found.model or found.provider
    values = {
        "BilledCost": cost,
        "BillingAccountId": account or found.provider,
        "BillingAccountName": account or found.provider,
        "BillingCurrency": "USD",
        "BillingPeriodEnd": span.next_month,
        "BillingPeriodStart": span.month,
        "ChargeCategory": "Credit" if found.kind == CREDIT else "Adjustment",
        "ChargeClass": CORRECTION,
        "ChargeDescription": f"{about}: {found.kind.replace('_', ' ')}. {found.reason}",
        "ChargePeriodEnd": span.ends,
        "ChargePeriodStart": span.begins,
        "ContractedCost": cost,
        "EffectiveCost": cost,
        "InvoiceIssuerName": found.provider,
        "ListCost": cost,
        "ProviderName": found.provider,
        "PublisherName": found.provider,
        "ServiceCategory": CATEGORY,
        "ServiceName": f"{found.provider} API",
        "ChargeFrequency": "One-Time",
        "ServiceSubcategory": SUBCATEGORY,
        "x_Deployment": found.model,
        "x_Meter": found.meter,
        "x_Estimated": "false",
        "x_Unpriced": "false",
    }
    return tuple(values.get(name, "") for name in COLUMNS)
