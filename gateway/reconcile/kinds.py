"""The kinds of difference, in the order in which they are looked for.

Each is a pure function from the board to claims. What it claims is taken off before the next one looks, so no money is
explained twice; and the order is that of how much a claim needs to be true: what the invoice itself says (credits,
tiers), then what a price list or a kindred meter confirms, then what the ledger says of its rows (estimates, lost
ends), and last what is so for want of any other reason. Roundings come after all of them, within what the places of the
amounts allow; what is left then is `unexplained`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.reconcile import by_price, by_quantity
from gateway.reconcile.model import Board, Claim

ROUNDING: Final = "rounding"
UNEXPLAINED: Final = "unexplained"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. `find` names what it explains of the board as it is."""

    name: str
    title: str
    find: Callable[[Board], list[Claim]]


KINDS: Final = (
    Kind("credit", "Credits and discounts", by_price.credit),
    Kind("missing_price", "Without a price here", by_price.missing_price),
    Kind("service_tier", "Service tier", by_price.service_tier),
    Kind("long_context", "Long context", by_price.long_context),
    Kind("cached_reads", "Cached reads", by_price.cached_reads),
    Kind("cache_writes", "Cache writes", by_price.cache_writes),
    Kind("reasoning", "Reasoning and output", by_price.reasoning),
    Kind("price_drift", "Another price", by_price.price_drift),
    Kind("day_shift", "Another day", by_quantity.day_shift),
    Kind("estimated", "Estimated rows", by_quantity.estimated),
    Kind("unknown_end", "Unknown ends", by_quantity.unknown_end),
    Kind("void_billed", "Failed calls that were billed", by_quantity.void_billed),
    Kind("bypassed", "Past the gateway", by_quantity.bypassed),
    Kind("not_billed", "Not billed", by_quantity.not_billed),
)
TITLES: Final = {kind.name: kind.title for kind in KINDS} | {ROUNDING: "Rounding", UNEXPLAINED: "Unexplained"}
ORDER: Final = {name: place for place, name in enumerate(TITLES)}
