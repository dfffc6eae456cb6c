"""The provider's bill against the gateway's ledger, attempt by attempt, with prices reckoned here.

Nothing of the gateway's own arithmetic or reading is used: the tables are asked in SQL, the amounts are Decimals. An
attempt is known on both sides by `<request id>-<attempt>`.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

from loadtest.crash.world import FRAMING, RECKONED, USD

SHOWN: Final = 3


class Row(NamedTuple):
    """One attempt of the ledger; `state` is None while it has not ended."""

    attempt_id: int
    request_id: str
    attempt: int
    began_at: int
    deployment: str
    stream: int
    held_nano: int | None
    sent_at: int | None
    state: str | None
    code: str | None
    source: str | None
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cost_nano: int | None
    retries: int | None

    @property
    def id(self) -> str:
        return f"{self.request_id}-{self.attempt}"


class Charge(NamedTuple):
    """One line of the provider's bill."""

    id: str
    model: str
    billed: bool
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    completed: bool

    @property
    def nano(self) -> int:
        """What it comes to."""
        if not self.billed:
            return 0
        return price(self.model, self.input_tokens, self.output_tokens, self.cache_read_tokens)


def price(model: str, given: int, made: int, cached: int) -> int:
    """Nano-dollars: each meter half-even to a whole one, then added up."""
    per_million = USD[model]
    counts = (given - cached, cached, made)
    meters = [Decimal(usd) * 1000 * count for usd, count in zip(per_million, counts, strict=True)]
    return sum(int(meter.quantize(Decimal(1), ROUND_HALF_EVEN)) for meter in meters)


_ROWS: Final = """
SELECT r.attempt_id, r.request_id, r.attempt, r.began_at, r.deployment, r.stream, r.held_nano, s.sent_at, e.state,
  e.code, e.source, e.input_tokens, e.output_tokens, e.cache_read_tokens, e.cost_nano, e.retries
FROM reservations AS r LEFT JOIN sendings AS s USING (attempt_id) LEFT JOIN endings AS e USING (attempt_id)
WHERE r.attempt_id >= ? ORDER BY r.attempt_id
"""


def read_rows(ledger: Path, since: int = 0) -> list[Row]:
    """Attempts from the id `since` on, in the order of their ids."""
    with closing(sqlite3.connect(f"{ledger.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
        return [Row(*row) for row in connection.execute(_ROWS, (since,))]


class Bill:
    """The provider's file, read as it grows."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._at = 0

    def more(self) -> list[Charge]:
        """The lines that have come since the last call."""
        if not self._file.exists():
            return []
        with self._file.open("rb") as opened:
            opened.seek(self._at)
            data = opened.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._at += len(whole)
        return [_charge(json.loads(line)) for line in whole.splitlines()]


def _charge(line: Mapping[str, Any]) -> Charge:
    return Charge(
        line["client_request_id"] or "",
        line["model"] or "",
        line["billed"],
        line["input_tokens"],
        line["output_tokens"],
        line["cache_read_tokens"],
        line["completed"],
    )


@dataclass(slots=True)
class Balance:
    """What both sides come to, in nano-dollars. The ledger's sum and what it leaves open are the bill, exactly:

    `settled + estimated - above + below + unknown + resent == billed`. `unknown` is the bill of attempts that ended
    unknown; `above` what estimates have for the framing of a message, which this provider does not count; `below` what
    it had generated and billed of answers that were cut short, and of which nothing more arrived; `resent` what it
    billed for copies that it took and did not answer, of attempts whose row says that they were sent again.
    """

    attempts: int = 0
    charges: int = 0
    states: Counter[str] = field(default_factory=Counter)
    billed: int = 0
    settled: int = 0
    estimated: int = 0
    above: int = 0
    below: int = 0
    unknown: int = 0
    resent: int = 0
    exact: int = 0
    """Estimates that are what was reckoned beforehand, of `states["estimated"]`."""
    faults: list[str] = field(default_factory=list)

    def add(self, other: Balance) -> None:
        """Take another gateway's books in."""
        for name in (
            "attempts",
            "charges",
            "billed",
            "settled",
            "estimated",
            "above",
            "below",
            "unknown",
            "resent",
            "exact",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.states += other.states
        self.faults += other.faults


def judge(rows: Iterable[Row], charges: Iterable[Charge], answered: Iterable[str] = ()) -> Balance:
    """Compare all of both sides, after the last recovery. `answered` are ids of requests that callers saw answered."""
    found = Balance()
    bill: dict[str, list[Charge]] = {}
    for charge in charges:
        bill.setdefault(charge.id, []).append(charge)
        found.charges += 1
    known: dict[str, Row] = {}
    wrong: dict[str, list[str]] = {}
    for row in rows:
        found.attempts += 1
        if row.id in known:
            wrong.setdefault("booked twice", []).append(row.id)
        known[row.id] = row
        found.states[row.state or "open"] += 1
        for what in _weigh(row, bill.get(row.id, []), found):
            wrong.setdefault(what, []).append(f"{row.id} ({row.deployment})")
    wrong["billed without a row"] = [id for id in bill if id not in known]
    paid = {row.request_id for row in known.values() if row.state != "void"}
    wrong["answered, and nothing but void in the ledger"] = [id for id in answered if id not in paid]
    found.billed = sum(charge.nano for lines in bill.values() for charge in lines)
    if (
        total := found.settled + found.estimated - found.above + found.below + found.unknown + found.resent
    ) != found.billed:
        wrong["nano-dollars are in the bill and not in the ledger"] = [str(found.billed - total)]
    found.faults += [f"{len(ids)} {what}: {sorted(ids)[:SHOWN]}" for what, ids in wrong.items() if ids]
    return found


def _weigh(row: Row, charges: list[Charge], found: Balance) -> list[str]:
    """What is wrong with one attempt; its money goes into `found`."""
    cost = row.cost_nano or 0
    wrong = []
    # A process that was lost cannot say whether it had sent a second time, which it does once at most.
    if len(charges) > (2 if row.state == "unknown" else 1 + (row.retries or 0)):
        wrong.append("sent more often than the ledger says")
    elif row.retries and row.state != "unknown":  # the last is the one whose answer, or end, was seen
        found.resent += sum(charge.nano for charge in charges[:-1])
        charges = charges[-1:]
    nano = sum(charge.nano for charge in charges)
    if charges and row.sent_at is None and row.state == "void":  # an end that costs says by itself that it was sent
        wrong.append("in the bill, and not marked as sent")
    match row.state:
        case "settled":
            found.settled += cost
            if not charges:
                wrong.append("settled, and no call of it in the bill")
            elif row.cost_nano != nano:
                wrong.append("settled at another amount than billed")
        case "estimated":
            found.estimated += cost
            wrong += _weigh_estimate(row, charges, found)
        case "void":
            if nano:
                wrong.append("void, and billed")
            if row.cost_nano != 0:
                wrong.append("void, and not free")
        case "unknown":
            found.unknown += nano
            if row.cost_nano is not None:
                wrong.append("unknown, and at a known cost")
            if row.held_nano is None or nano > row.held_nano:
                wrong.append("unknown, and billed above its ceiling")
        case _:
            wrong.append("without an end")
    return wrong


def _weigh_estimate(row: Row, charges: list[Charge], found: Balance) -> list[str]:
    if row.source != "estimated":
        return ["estimated, and not flagged as such"]
    given, made = row.input_tokens or 0, row.output_tokens or 0
    if row.cost_nano != price(row.deployment, given, made, 0):
        return ["estimated, and not priced as estimated"]
    if not charges:  # it was sent, and never came there
        found.above += row.cost_nano
        return []
    charge = charges[-1]
    reckoned = price(charge.model, charge.input_tokens + FRAMING, charge.output_tokens, 0)
    found.above += reckoned - charge.nano
    found.below += reckoned - row.cost_nano
    found.exact += row.cost_nano == reckoned
    if charge.model not in RECKONED:
        return []
    if given != charge.input_tokens + FRAMING or made > charge.output_tokens:
        return ["estimated above what was reckoned"]
    if made != charge.output_tokens and not row.code:
        return ["estimated, whole, and not what was reckoned"]
    return []
