"""The ledger's side: what the attempts of a provider were booked at, by day, model, meter and price.

Reads the rows of the month and of the days beside it, one at a time; what is kept is sums, so memory grows with days,
models and prices, not with calls. An attempt's model is the one that the provider said has answered.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Final, NamedTuple

from gateway.ledger.months import REST, Month
from gateway.pricing.meters import METERS, TOKENS
from gateway.reconcile.model import Booked, Group, Key, State
from gateway.reports.books import Books
from gateway.reports.lines import lines_of

_SELECT: Final = """
SELECT r.began_at / 86400000000, r.began_at / 3600000000 % 24, r.request_id, r.deployment, r.held_nano, e.state,
  e.answering_model, e.input_tokens, e.output_tokens, e.cache_read_tokens, e.cache_write_tokens, e.reasoning_tokens,
  e.more_tokens, e.cost_nano, e.lines,
  e.state = 'void' AND EXISTS (SELECT 1 FROM sendings AS s WHERE s.attempt_id = r.attempt_id)
FROM reservations AS r INDEXED BY reservations_by_time CROSS JOIN endings AS e ON e.attempt_id = r.attempt_id
WHERE r.began_at >= ? AND r.began_at < ? AND r.provider = ? ORDER BY r.began_at, r.attempt_id"""


class _Row(NamedTuple):
    """In the order of the statement."""

    day: int
    hour: int
    request_id: str
    deployment: str
    held_nano: int | None
    state: str
    answering_model: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    more_tokens: str | None
    cost_nano: int | None
    lines: str | None
    was_sent: int


Prices = dict[Fraction | None, Booked]


@dataclass(slots=True)
class Ours:
    """Sums by day, model and meter, and by price within them (None: without one).

    `groups` by day and model; `hours` are quantities by hour of the days around the month's two ends; `answers` are the
    models that have answered for a deployment.
    """

    cells: dict[Key, Prices] = field(default_factory=dict)
    groups: dict[tuple[int, str], Group] = field(default_factory=dict)
    hours: dict[Key, list[int]] = field(default_factory=dict)
    answers: dict[str, set[str]] = field(default_factory=dict)
    deployments: dict[str, str] = field(default_factory=dict)
    attempts: int = 0
    nano: int = 0


def read(books: Books, provider: str, month: Month) -> Ours:
    """Add up. Of the days beside the month everything but `attempts` and `nano` is counted, too."""
    found = Ours()
    span = (month.begins - 86_400_000_000, month.ends + 86_400_000_000, provider)
    edges = (month.first - 1, month.first, month.last, month.last + 1)
    for values in books.stream(_SELECT, span):
        row = _Row._make(values)
        model = row.answering_model or row.deployment
        if row.answering_model:
            found.answers.setdefault(row.deployment, set()).add(model)
        if row.deployment < found.deployments.get(model, "\uffff"):
            found.deployments[model] = row.deployment
        _see(found, row, model)
        for meter, price, quantity, nano in _uses(row):
            key = Key(row.day, model, meter)
            _add(found, key, price, quantity, nano, is_estimated=row.state == "estimated")
            if row.day in edges:
                found.hours.setdefault(key, [0] * 24)[row.hour] += quantity
        if month.first <= row.day <= month.last:
            found.attempts += 1
            found.nano += row.cost_nano or 0
    return found


def _see(found: Ours, row: _Row, model: str) -> None:
    group = found.groups.setdefault((row.day, model), Group())
    state: State
    if row.state in ("settled", "estimated"):
        state = "unpriced" if row.cost_nano is None else "estimated" if row.state == "estimated" else "settled"
    elif row.state == "void" and not row.was_sent:
        return
    else:
        state = "void" if row.state == "void" else "unknown"
    group.see(state, row.request_id, row.held_nano)
    group.reasoning += row.reasoning_tokens


def _uses(row: _Row) -> Iterator[tuple[str, Fraction | None, int, int]]:
    """(meter, price, quantity, nano-dollars) of one attempt."""
    if row.cost_nano is None:
        if row.state in ("settled", "estimated"):
            yield from ((meter, None, quantity, 0) for meter, quantity in _without_price(row) if quantity > 0)
        return
    left = row.cost_nano
    for line in lines_of(row.lines):
        left -= line.nano_usd
        if line.quantity or line.nano_usd:
            yield line.meter, _price(line.rate, line.per), line.quantity, line.nano_usd
    if left:
        yield REST, Fraction(1), left, left


@lru_cache(maxsize=4096)
def _price(rate: int, per: int) -> Fraction:
    return Fraction(rate, per)


def _without_price(row: _Row) -> Iterator[tuple[str, int]]:
    more = _more(row.more_tokens)
    hour = min(more.pop("cache_write_1h", 0), row.cache_write_tokens)
    yield "input", row.input_tokens - row.cache_read_tokens - row.cache_write_tokens
    yield "cache_read", row.cache_read_tokens
    yield "cache_write", row.cache_write_tokens - hour
    yield "cache_write_1h", hour
    yield "output", row.output_tokens
    yield from ((meter, quantity) for meter, quantity in more.items() if meter in METERS and meter not in TOKENS)


def _more(text: str | None) -> dict[str, int]:
    found = json.loads(text) if text else {}
    if not isinstance(found, dict):
        return {}
    return {name.removesuffix("_tokens"): value for name, value in found.items() if isinstance(value, int)}


def _add(found: Ours, key: Key, price: Fraction | None, quantity: int, nano: int, *, is_estimated: bool) -> None:
    booked = found.cells.setdefault(key, {}).setdefault(price, Booked())
    booked.quantity += quantity
    booked.nano += nano
    booked.count += 1
    if is_estimated:
        booked.estimated += quantity
        booked.estimated_nano += nano
