"""Workers that share budgets in a folder of the test, under clocks that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from gateway.limits import Hold, Limits, Rules
from gateway.limits.rules import KeyTerms
from gateway.model.caller import Caller
from gateway.store.leases import BudgetState, Leases, list_budgets

CALLER = Caller("k" * 16, "retail", "web", "", "developer")
NOON = 1_800_014_400.0  # 2027-01-15T12:00:00Z


class Clock:
    """Seconds, as the test says."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Workers:
    """The workers of one gateway, in one process: each with a bank and leases of its own."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder}/budgets.db"
        self.clock = Clock(NOON)
        self.monotonic = Clock(1000.0)
        self._all: list[tuple[Limits, Leases]] = []

    def start(
        self, rules: Rules, *, workers: int = 1, own: Callable[[str], KeyTerms | None] = lambda key_id: None
    ) -> Limits:
        bank = Leases(self.url, workers=workers, durable=False, clock=self.clock)
        limits = Limits(bank, rules, own, workers=workers, clock=self.clock, monotonic=self.monotonic)
        self._all.append((limits, bank))
        return limits

    async def kill(self, limits: Limits) -> None:
        """End a worker as SIGKILL does: the system drops its lock, and nothing more is told."""
        (bank,) = (bank for one, bank in self._all if one is limits)
        await settled(limits)
        self._all.remove((limits, bank))
        limits._thread.shutdown()
        bank.close()

    async def close(self) -> None:
        for limits, _ in self._all:
            await limits.close()
        self._all.clear()

    def state(self, id: str) -> BudgetState:
        """The newest window of a budget."""
        return [one for one in list_budgets(self.url) if one.id == id][-1]

    async def hold(
        self,
        limits: Limits,
        nano: int | None = 0,
        tokens: int = 0,
        *,
        caller: Caller = CALLER,
        model: str = "gpt-5-mini",
        user: str = "",
        tags: Sequence[str] = (),
    ) -> Hold:
        """A hold that is held. Raises what refuses it."""
        hold = limits.hold(caller, model, user, tags, nano, tokens, self.clock.now)
        await hold
        assert hold.is_held
        return hold


async def settled(limits: Limits) -> None:
    """Wait until the store has been told what was to be told."""
    while limits._pump is not None:
        await limits._pump


@pytest.fixture
async def workers(tmp_path: Path) -> AsyncIterator[Workers]:
    made = Workers(tmp_path)
    yield made
    await made.close()
