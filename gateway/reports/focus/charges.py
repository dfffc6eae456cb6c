"""What one attempt is charged: a charge for each meter, and the rest, so that they add up to its cost exactly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from gateway.reports.lines import lines_of

UNPRICED: Final = "unpriced"
UNKNOWN: Final = "unknown"
REST: Final = "rest"


class Attempt(NamedTuple):
    """An ended attempt, in the order of `SELECT`."""

    request_id: str
    attempt: int
    kind: str
    began_at: int
    key_id: str
    team: str
    project: str
    user: str
    session: str
    agent: str
    tags: str | None
    provider: str
    deployment: str
    model: str
    prompt_id: str
    prompt_version: str
    held_nano: int | None
    state: str
    input_tokens: int
    output_tokens: int
    cost_nano: int | None
    lines: str | None
    price_source: str
    price_version: str
    ended_at: int
    tier: str | None = None
    """The tier of service, where it was not the standard one."""
    late: str | None = None
    """The closed month that it came into after that was closed."""


# In the order of time, which is that of the index: nothing is sorted, and any number of rows streams.
_SELECT: Final = """SELECT r.request_id, r.attempt, r.kind, r.began_at, r.key_id, r.team, r.project, r."user",
  r.session, r.agent, r.tags, r.provider, r.deployment, r.model, r.prompt_id, r.prompt_version, r.held_nano, e.state,
  e.input_tokens, e.output_tokens, e.cost_nano, e.lines, e.price_source, e.price_version, e.ended_at,
  json_extract(e.more_tokens, '$.service_tier'), {late}
FROM reservations AS r INDEXED BY reservations_by_time CROSS JOIN endings AS e ON e.attempt_id = r.attempt_id
WHERE r.began_at >= ? AND r.began_at < ? AND (e.state <> 'void' OR e.cost_nano <> 0)
ORDER BY r.began_at, r.attempt_id"""
SELECT: Final = _SELECT.format(late="(SELECT month FROM late WHERE late.attempt_id = r.attempt_id)")
SELECT_OPEN: Final = _SELECT.format(late="NULL")
"""Of a ledger that knows no closed months yet."""


class Charge(NamedTuple):
    """One charge: `quantity` of `meter` at `rate` nano-dollars for `per`, `nano` in all.

    `rate` is None where there is no price. `special` is empty for a meter with a price, else says what it is:
    `UNPRICED` and `UNKNOWN` cost nothing that is known, `REST` is what the meters leave of the cost.
    """

    meter: str
    quantity: int
    rate: int | None
    per: int
    nano: int
    special: str = ""


def charges(attempt: Attempt) -> Iterator[Charge]:
    """The charges of an attempt; `nano` adds up to its cost, or to zero where that is not known."""
    cost = attempt.cost_nano
    if cost is None:
        yield from _without_price(attempt)
        return
    left = cost
    for line in lines_of(attempt.lines):
        left -= line.nano_usd
        if line.quantity or line.nano_usd:
            yield Charge(line.meter, line.quantity, line.rate, line.per, line.nano_usd)
    if left:
        yield Charge(REST, 0, None, 1, left, REST)


def _without_price(attempt: Attempt) -> Iterator[Charge]:
    if attempt.state == UNKNOWN:
        yield Charge(UNKNOWN, 0, None, 1, 0, UNKNOWN)
        return
    counted = [("input", attempt.input_tokens), ("output", attempt.output_tokens)]
    for meter, quantity in counted:
        if quantity:
            yield Charge(meter, quantity, None, 1, 0, UNPRICED)
    if not any(quantity for _, quantity in counted):
        yield Charge(UNPRICED, 0, None, 1, 0, UNPRICED)
