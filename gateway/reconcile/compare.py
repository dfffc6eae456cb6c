"""Compares a month's invoice with the ledger: the difference of every cell, as a sum of findings that is exact.

For each day, model and meter: invoice - ledger = the sum of its findings, in whole nano-dollars. What was booked as
corrections before is set against the findings of its kind, so that comparing again after booking finds nothing open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from gateway.ledger.corrections import Correction
from gateway.ledger.months import Month
from gateway.reconcile.amounts import total, whole
from gateway.reconcile.kinds import KINDS, ORDER, ROUNDING, UNEXPLAINED
from gateway.reconcile.match import board as match
from gateway.reconcile.model import SAMPLES, Board, Cell, Claim, Key, Prices
from gateway.reconcile.ours import Ours
from gateway.reconcile.theirs import Theirs


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference of one day, model and meter. `amount`: invoice less ledger; `booked`: corrections so far."""

    kind: str
    day: int
    model: str
    meter: str
    amount: int
    sentence: str
    requests: tuple[str, ...] = ()
    lines: tuple[int, ...] = ()
    booked: int = 0

    @property
    def open(self) -> int:
        """What is not booked yet."""
        return self.amount - self.booked


@dataclass(frozen=True, slots=True)
class Result:
    """A comparison, in nano-dollars: `invoice` - `ledger` is the sum of the findings' amounts."""

    findings: tuple[Finding, ...]
    invoice: int
    ledger: int
    attempts: int
    lines: int

    @property
    def residual(self) -> int:
        return self.invoice - self.ledger

    @property
    def unexplained(self) -> int:
        """The part of the residual that no kind explains, all of it counted as if positive."""
        return sum(abs(found.amount) for found in self.findings if found.kind == UNEXPLAINED)

    def beyond(self, tolerance: int) -> bool:
        """Whether anything but roundings is open that is more than `tolerance` nano-dollars in all."""
        return sum(abs(found.open) for found in self.findings if found.kind != ROUNDING) > tolerance


def reconcile(ours: Ours, theirs: Theirs, month: Month, prices: Prices, booked: Sequence[Correction] = ()) -> Result:
    """Compare, and explain."""
    board = match(ours, theirs, month, prices)
    claims: dict[Key, list[Claim]] = {}
    for kind in KINDS:
        for claim in kind.find(board):
            _take(board, claim)
            claims.setdefault(claim.key, []).append(claim)
    inside = [cell for cell in board.cells.values() if not cell.is_outside]
    findings = [found for cell in inside for found in _findings(cell, claims.get(cell.key, []))]
    result = Result(
        tuple(sorted(_against(findings, booked, month), key=_order)),
        sum(whole(cell.theirs) for cell in inside),
        sum(cell.ours for cell in inside),
        ours.attempts,
        theirs.lines,
    )
    assert result.ledger == ours.nano, "every row of the ledger is in a cell"
    assert result.residual == sum(found.amount for found in findings), "the findings are the difference"
    return result


def _take(board: Board, claim: Claim) -> None:
    """Take what was claimed off its strand or part: nobody else can claim it."""
    cell = board.cells[claim.key]
    if claim.part is not None:
        cell.parts[claim.part].price -= claim.amount
    else:
        assert claim.strand is not None
        strand = cell.strands[claim.strand]
        assert claim.amount == claim.quantity * strand.price
        strand.left -= claim.quantity


def _findings(cell: Cell, claims: Iterable[Claim]) -> list[Finding]:
    """The claims of a cell by kind, in whole nano-dollars, and what they leave."""
    left = whole(cell.theirs) - cell.ours
    found = []
    by_kind: dict[str, list[Claim]] = {}
    for claim in claims:
        by_kind.setdefault(claim.kind, []).append(claim)
    for kind, same in by_kind.items():
        amount = whole(total(claim.amount for claim in same))
        left -= amount
        if amount:
            sentences = " ".join(dict.fromkeys(claim.sentence for claim in same if claim.amount))
            requests = tuple(dict.fromkeys(one for claim in same for one in claim.requests))[:SAMPLES]
            lines = tuple(dict.fromkeys(one for claim in same for one in claim.lines))[:SAMPLES]
            found.append(Finding(kind, *cell.key, amount, sentences, requests, lines))
    if left:
        is_rounding = abs(left) <= cell.slack + Fraction(len(by_kind), 2)
        said = (
            "Amounts are rounded, by the provider or by call here."
            if is_rounding
            else "No kind of difference explains this."
        )
        found.append(Finding(ROUNDING if is_rounding else UNEXPLAINED, *cell.key, left, said, (), cell.lines))
    return found


def _against(findings: Iterable[Finding], booked: Iterable[Correction], month: Month) -> Iterable[Finding]:
    """The findings, each with what was booked of it; what was booked and is no finding any more is one of zero."""
    sums: dict[tuple[str, int, str, str], int] = {}
    for correction in booked:
        key = (correction.kind, correction.day, correction.model, correction.meter)
        sums[key] = sums.get(key, 0) + correction.nano
    for found in findings:
        day = found.day if found.day >= 0 else month.last
        nano = sums.pop((found.kind, day, found.model, found.meter), 0)
        yield Finding(
            found.kind, day, found.model, found.meter, found.amount, found.sentence, found.requests, found.lines, nano
        )
    for (kind, day, model, meter), nano in sums.items():
        if nano:
            said = "This was booked, and the invoice does not show it any more."
            yield Finding(kind, day, model, meter, 0, said, booked=nano)


def _order(found: Finding) -> tuple[int, int, str, str]:
    return ORDER[found.kind], found.day, found.model, found.meter
