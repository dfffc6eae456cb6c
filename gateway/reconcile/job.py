"""One comparison from files: reads the invoice and the ledger, compares them, and books what is accepted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import GatewayError, InvalidRequest, Unavailable
from gateway.ledger import corrections
from gateway.ledger.corrections import Correction
from gateway.ledger.months import Month
from gateway.reconcile import ours, theirs
from gateway.reconcile.compare import Finding, Result, reconcile
from gateway.reconcile.invoices import Names, opened
from gateway.reconcile.kinds import UNEXPLAINED
from gateway.reconcile.model import Prices
from gateway.reconcile.ours import Ours
from gateway.reconcile.theirs import Theirs
from gateway.reports.books import Books
from gateway.reports.sums import dollars


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison and what it was made from; `providers` are those that the ledger has in the month."""

    result: Result
    invoice: Theirs
    format: str
    digest: str
    booked: tuple[Correction, ...]
    providers: tuple[str, ...]


def compare(
    ledger: Path, invoice: Path, provider: str, month: Month, prices: Prices, *, format: str = "auto", names: Names
) -> Compared:
    """Read both, and compare. Raises `GatewayError` if either cannot be read."""
    with opened(invoice, format, names) as file:
        billed = theirs.read(file, month, names.models, names.meters)
        digest = file.digest
    if not billed.lines and billed.faulty:
        raise GatewayError(f"{invoice.name} as {file.format.title}: {billed.faults[0]}.")
    with Books.open(ledger) as books:
        booked = ours.read(books, provider, month)
        _check(books, booked, provider, month)
        found = books.all(
            "SELECT DISTINCT provider FROM daily WHERE day >= ? AND day <= ? ORDER BY provider",
            (month.first, month.last),
        )
    known = _corrections(ledger, month, provider)
    result = reconcile(booked, billed, month, prices, known)
    return Compared(result, billed, file.format.name, digest, tuple(known), tuple(name for (name,) in found))


def book(
    ledger: Path, compared: Compared, invoice: Path, provider: str, month: Month, kinds: Collection[str], now: int
) -> list[Correction]:
    """Book what is open of these kinds, or of all that are explained; `now` in microseconds since 1970.

    Raises `Refused` if the month is not closed, and `InvalidRequest` if the invoice was not read as a whole.
    """
    if compared.invoice.faulty:
        raise InvalidRequest("Nothing was booked, as lines of the invoice could not be read.", param="invoice")
    made = [
        _correction(found, compared, invoice, provider, month, now)
        for found in compared.result.findings
        if found.open and (found.kind in kinds if kinds else found.kind != UNEXPLAINED)
    ]
    corrections.book(ledger, month, provider, made, len(compared.booked))
    return made


def _correction(found: Finding, compared: Compared, invoice: Path, provider: str, month: Month, now: int) -> Correction:
    return Correction(
        month=month.name,
        booked_at=now,
        provider=provider,
        day=found.day,
        model=found.model,
        meter=found.meter,
        kind=found.kind,
        nano=found.open,
        reason=found.sentence,
        invoice=invoice.name,
        invoice_digest=compared.digest,
        evidence=json.dumps({"requests": found.requests, "lines": found.lines}),
    )


def _check(books: Books, booked: Ours, provider: str, month: Month) -> None:
    """That the rows are all there: without some, everything they were billed for would seem to be past the gateway."""
    nano = books.one(
        "SELECT SUM(cost_nano) FROM daily WHERE day >= ? AND day <= ? AND provider = ?",
        (month.first, month.last, provider),
    )
    if nano == booked.nano and books.kept_from() <= month.begins:
        return
    reason = f"The ledger's rows of {month.name} are {dollars(booked.nano)} USD, and its daily sums {dollars(nano)} USD"
    if books.kept_from() > month.begins:
        raise GatewayError(f"{reason}: rows have been moved to an archive. Compare a month before its rows are moved.")
    raise GatewayError(f"{reason}: the ledger is damaged.")


def _corrections(ledger: Path, month: Month, provider: str) -> list[Correction]:
    try:
        uri = f"{ledger.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=2.0, isolation_level=None)) as connection:
            return corrections.corrections(connection, month.name, provider)
    except sqlite3.Error as error:
        raise Unavailable(
            f"The ledger {ledger.name} did not answer: {error}.", code="ledger_unavailable", retry_after_s=1
        ) from error
