"""Promises that a gateway can be made to break, so that a test can see that the harness notices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from gateway.ledger.ledger import Ledger, Ticket
from gateway.ledger.owners import Owner


def _hasty() -> None:
    """Dial before the reservation is durable."""
    reserve = Ledger.reserve

    def reserved(ledger: Ledger, reservation: Any) -> Ticket:
        ticket = reserve(ledger, reservation)
        ticket.acknowledge()
        return ticket

    _replace(Ledger, "reserve", reserved)


def _unmarked() -> None:
    """Leave no mark of what is sent."""
    _replace(Owner, "mark", lambda owner, attempt_id: None)


def _dear() -> None:
    """Book a nano-dollar too much."""
    settle = Ticket.settle

    def settled(ticket: Ticket, settlement: Any) -> bool:
        if settlement.cost_nano:
            settlement = msgspec.structs.replace(settlement, cost_nano=settlement.cost_nano + 1)
        return settle(ticket, settlement)

    _replace(Ticket, "settle", settled)


def _replace(holder: type, name: str, function: Callable[..., Any]) -> None:
    setattr(holder, name, function)


PROMISES: Final = {"hasty": _hasty, "unmarked": _unmarked, "dear": _dear}
"""By name: what makes this process break it."""


def break_promise(name: str) -> None:
    """Do so in this process from now on."""
    PROMISES[name]()
