"""A budget as people and programs are shown it."""

from __future__ import annotations

from typing import Any, Final

from gateway.limits.refusal import moment
from gateway.model.price import dollars
from gateway.store.leases import BudgetState

_UNIT: Final = {"usd": "usd", "rpm": "requests", "tpm": "tokens", "concurrency": "calls"}


def describe_budget(budget: BudgetState) -> dict[str, Any]:
    """A budget for machines. Dollars are decimal strings; rates and seats are counts, of which nothing is spent."""
    scope, _, limit = budget.id.rpartition(" ")
    amounts = {"cap": budget.cap, "spent": budget.spent, "held": budget.held, "left": budget.left}
    if budget.kind == "usd":
        amounts |= {"overrun": budget.overrun, "lost": budget.lost}
    shown: dict[str, Any] = {name: _amount(budget, units) for name, units in amounts.items()}
    starts = moment(budget.starts) if budget.starts else None
    return {
        "scope": scope,
        "limit": limit,
        "unit": _UNIT[budget.kind],
        **shown,
        "starts_at": starts,
        "resets_at": moment(budget.ends),
    }


def _amount(budget: BudgetState, units: int) -> str | int:
    return dollars(units) if budget.kind == "usd" else units
