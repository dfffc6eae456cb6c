"""One gateway's series of lives on one data folder, each ended by SIGKILL, with callers, a provider and its bill.

A life begins when its predecessor is dead. As soon as it is ready, nothing that the dead left behind may be open any
more; what the provider has billed until then has its row. In the end all of the books are compared.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext
from pathlib import Path
from random import Random
from typing import Final

from gateway.ledger import Reader
from gateway.ledger.ids import OWNERS
from gateway.store.leases import list_budgets
from loadtest.crash import world
from loadtest.crash.books import Balance, Bill, Charge, judge, read_rows
from loadtest.crash.calls import Callers, Seen
from loadtest.crash.lives import Fate, Life
from loadtest.crash.processes import GONE_S, START_S, CampaignError, Gateway, provider_port, quiet_port, until_gone
from loadtest.processes import start

CALLERS: Final = 8
LATE_S: Final = 10
"""Seconds by which a row may be committed after one that began later, in another worker: far more than it waits."""
RECOVERED_S: Final = 20.0
"""Seconds within which the attempts of a killed worker are ended by its successor or a sibling."""

_OPEN: Final = "SELECT r.request_id FROM pending JOIN reservations AS r USING (attempt_id) WHERE r.began_at < ?"


@dataclass(slots=True)
class Tally:
    """What one or more campaigns came to. `faults` is empty if every promise was kept."""

    kills: int = 0
    by_point: Counter[str] = field(default_factory=Counter)
    in_doubt: int = 0
    balance: Balance = field(default_factory=Balance)
    seen: Seen = field(default_factory=Seen)
    budgets: int = 0
    logged: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take another campaign's in."""
        self.kills += other.kills
        self.by_point += other.by_point
        self.in_doubt += other.in_doubt
        self.balance.add(other.balance)
        self.seen.add(other.seen)
        self.budgets += other.budgets
        self.logged += other.logged
        self.faults += other.faults


class Campaign:
    """One gateway in `folder`, called with `kinds`. `told` is called after each kill."""

    def __init__(
        self,
        folder: Path,
        draw: Random,
        context: ForkServerContext,
        told: Callable[[], None],
        kinds: Sequence[world.Kind] = world.KINDS,
    ) -> None:
        self.folder = folder
        self.tally = Tally()
        self._draw = draw
        self._context = context
        self._told = told
        self._kinds = kinds
        self._ledger = folder / "data/ledger.db"
        self._charges: list[Charge] = []
        self._known: set[str] = set()
        self._low = 0
        self._killed_at = 0
        self._port, self._admin_port = quiet_port(draw), quiet_port(draw)
        self._callers: Callers | None = None

    async def run(self, lives: list[Life]) -> Tally:
        """Live them all, then one more that ends well, and compare the books. Raises `CampaignError`."""
        self.folder.mkdir(parents=True)
        script = world.write_script(self.folder)
        bill = Bill(self.folder / "bill.jsonl")
        options = ["--port", "0", "--script", str(script), "--bill", str(self.folder / "bill.jsonl")]
        command = [sys.executable, "-m", "gateway", "provider", *options]
        provider = start("provider", command, frozenset(os.sched_getaffinity(0)), self.folder, {})
        try:
            port = await provider_port(self.folder / "provider.log")
            self._configs = {
                workers: world.write_config(
                    self.folder,
                    port=self._port,
                    admin_port=self._admin_port,
                    provider=port,
                    workers=workers,
                    more=world.BUDGETS,
                )
                for workers in (1, 2)
            }
            self._callers = Callers(self._port, CALLERS, self._draw, self.tally.seen, self._kinds)
            for life in lives:
                if life.waits_s:
                    await self._live_by_two(life, bill)
                else:
                    while not await self._live(life, bill):
                        pass  # it had drained before it was to be killed: a good end, but no kill
            await self._end_well(bill)
        finally:
            provider.stop()
        self._close_books(bill)
        return self.tally

    # Lives

    async def _live(self, life: Life, bill: Bill) -> bool:
        """One process's life; whether it was killed."""
        fate = life.fate
        gateway = Gateway(self._context, self.folder, self._configs[1], fate)
        name = "start" if fate.start_s else "drain" if fate.terminates else "random time"
        try:
            if await gateway.ready(fate.start_s or START_S) and not fate.start_s:
                self._check_recovered(bill)
                if not await gateway.died_within(fate.after_s) and fate.terminates:
                    gateway.send(signal.SIGTERM)
                    await gateway.died_within(fate.drain_s)
            gateway.send(signal.SIGKILL)
            await gateway.gone()
        finally:
            gateway.close()
        if not gateway.was_killed:
            if not fate.terminates:
                raise CampaignError(f"a gateway ended by itself ({gateway.exitcode}): {self._log()}")
            return False
        self._killed(fate.point if gateway.struck else name)
        return True

    async def _live_by_two(self, life: Life, bill: Bill) -> None:
        """Two workers and their supervisor: workers are killed and come back, until the supervisor is killed."""
        gateway = Gateway(self._context, self.folder, self._configs[2], Fate())
        try:
            if not await gateway.ready():
                raise CampaignError(f"a gateway of two workers did not start: {self._log()}")
            self._check_recovered(bill)
            for at, wait_s in enumerate(life.waits_s[:-1]):
                await asyncio.sleep(wait_s)
                workers = gateway.children()
                if workers:
                    os.kill(workers[life.victims[at] % len(workers)], signal.SIGKILL)
                    self._killed("one of two workers")
                    await self._until_recovered(_micros(), bill)
            await asyncio.sleep(life.waits_s[-1])
            orphans = [os.pidfd_open(pid) for pid in gateway.children()]
            gateway.send(signal.SIGKILL)
            for orphan in orphans:
                if life.all_at_once:
                    signal.pidfd_send_signal(orphan, signal.SIGKILL)
            await gateway.gone()
            self._killed("supervisor and workers" if life.all_at_once else "supervisor")
            for orphan in orphans:
                await until_gone(orphan)
        finally:
            gateway.close()

    async def _end_well(self, bill: Bill) -> None:
        gateway = Gateway(self._context, self.folder, self._configs[1], Fate())
        try:
            if not await gateway.ready():
                raise CampaignError(f"the last gateway did not start: {self._log()}")
            self._check_recovered(bill)
            await asyncio.sleep(0.3)
            assert self._callers is not None
            await self._callers.stop()
            gateway.send(signal.SIGTERM)
            if not await gateway.died_within(GONE_S):
                raise CampaignError("the last gateway did not end")
            await gateway.gone()
            if gateway.exitcode != 0:
                raise CampaignError(f"the last gateway ended with {gateway.exitcode}: {self._log()}")
        finally:
            gateway.close()

    def _killed(self, point: str) -> None:
        self.tally.kills += 1
        self.tally.by_point[point] += 1
        self._killed_at = _micros()
        self._told()

    # Checks

    def _check_recovered(self, bill: Bill) -> None:
        """The gateway is ready: its predecessor's attempts have ended, and what is billed has a row."""
        assert self._callers is not None
        self._callers.key = (self.folder / "data/dev.key").read_text().strip()
        if self.tally.kills:
            left = self._open_before(self._killed_at)
            if left:
                self.tally.faults.append(f"after kill {self.tally.kills}: {len(left)} open after recovery: {left[:3]}")
        self._check_rows(bill)

    def _check_rows(self, bill: Bill) -> None:
        more = bill.more()
        self._charges += more
        rows = read_rows(self._ledger, self._low)
        if rows:
            self._low = max(0, rows[-1].attempt_id - LATE_S * 1_000_000 * OWNERS)
        self._known |= {row.id for row in rows}
        orphans = [charge.id for charge in more if charge.id not in self._known]
        if orphans:
            self.tally.faults.append(f"after kill {self.tally.kills}: billed without a row: {orphans[:3]}")

    async def _until_recovered(self, killed_at: int, bill: Bill) -> None:
        ends = time.monotonic() + RECOVERED_S
        while left := self._open_before(killed_at):
            if time.monotonic() > ends:
                self.tally.faults.append(f"{len(left)} attempts of a killed worker stay open: {left[:3]}")
                break
            await asyncio.sleep(0.05)
        self._check_rows(bill)

    def _open_before(self, at: int) -> list[str]:
        with closing(sqlite3.connect(f"{self._ledger.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            return [id for (id,) in connection.execute(_OPEN, (at,))]

    def _close_books(self, bill: Bill) -> None:
        tally = self.tally
        self._charges += bill.more()
        tally.balance = judge(read_rows(self._ledger), self._charges, tally.seen.answered)
        tally.in_doubt = tally.balance.states["unknown"]
        tally.faults += tally.balance.faults + tally.seen.faults
        reader = Reader(self._ledger)
        tally.faults += reader.verify().faults
        reader.close()
        self._check_budgets()
        self._read_log()

    def _check_budgets(self) -> None:
        """Nothing is held once all have ended, and no budget has missed what the ledger says was spent."""
        file = self._ledger.with_name("budgets.db")
        if not file.exists():
            self.tally.faults.append("there is no file of budgets")
            return
        booked = self.tally.balance.settled + self.tally.balance.estimated
        for budget in list_budgets(f"sqlite:///{file}"):
            self.tally.budgets += 1
            if budget.held:
                self.tally.faults.append(f"{budget.id} holds {budget.held} after the end")
            if budget.id.startswith("team:") and budget.spent < booked:
                self.tally.faults.append(f"{budget.id} has counted {budget.spent} of {booked} nano-dollars")

    def _read_log(self) -> None:
        """What gateways met and did not expect. It is shown, but is no fault if the books agree."""
        for line in (self.folder / "gateway.log").read_text(errors="replace").splitlines():
            is_wrong = '"level":"error"' in line or '"level":"critical"' in line
            if line.startswith("Traceback") or (is_wrong and '"event":"worker_died"' not in line):
                self.tally.logged.append(line[:300])

    def _log(self) -> str:
        return (self.folder / "gateway.log").read_text(errors="replace")[-3000:]


def _micros() -> int:
    return time.time_ns() // 1000
