"""The shared side of budgets: one SQLite file from which workers draw leases, each draw one durable transaction.

The invariant, for every budget and window, before and after every transaction:

    spent - overrun + sum(what leases are good for) + ghosts <= cap

and a worker's lease is good for at least what it holds and has not reported yet (`gateway/limits/lease.py`). Together:
what all workers have settled and hold never exceeds the cap, but for what providers bill beyond their ceilings. A cap
that a changed configuration lowers is kept from then on: nothing is granted until so much has been spent less.

When a worker dies, whoever is refused next, or opens the store, takes its leases back. Of dollars, what its marks say
was used and not reported stays spent (`lost`), because a provider may bill it: the ledger has those attempts as
unknown. The share of a rate counts for another minute, because the dead worker may just have used it. Seats are free
at once: the calls died too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row, Table, and_, bindparam, delete, insert, select, tuple_, update

from gateway.errors import ConfigError, Fault
from gateway.limits.bank import Ask, Key, Reply, Report, Standing, allot, slice_of
from gateway.store.database import Database
from gateway.store.lease_marks import Marks, claim, claim_number
from gateway.store.lease_schema import budgets, leases
from gateway.store.schema import meta

GHOST_S: Final = 61
"""How long a dead worker's share of a rate still counts: what was let through in its last second, and a minute."""
LOOK_S: Final = 0.5
"""How often, at most, a refusal looks for the dead: a look costs a system call for every process with leases."""
KEEP_S: Final = 100 * 86_400
"""How long the rows of windows that have ended are kept, for `gateway budgets`."""
_CHUNK: Final = 200  # keys in one query; SQLite takes some thousand values a statement


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A budget's window as it stands, in its units. `held` is leased to workers: held by calls, or theirs to spare."""

    id: str
    kind: str
    starts: int
    ends: int
    cap: int
    spent: int
    held: int
    overrun: int
    lost: int

    @property
    def left(self) -> int:
        """What can still be leased."""
        return max(self.cap - self.spent - self.held, 0)


@dataclass(slots=True)
class _Budget:
    """A row of `budgets` on its way through a transaction."""

    cap: int
    spent: int
    leased: int
    overrun: int
    lost: int
    ghosts: int
    ghosts_until: int

    def left(self, now: float) -> int:
        return self.cap - self.spent - self.leased - (self.ghosts if now < self.ghosts_until else 0)


@dataclass(slots=True)
class _Lease:
    """A row of `leases`, likewise."""

    slot: int
    granted: int
    returned: int
    reported: int
    over: int

    def worth(self) -> int:
        return self.granted - self.returned - (self.reported - self.over)


class Leases:
    """One worker's access to the budgets in the database at `url`, which has to be SQLite's. A `Bank`.

    `workers` is how many draw from it. Raises `ConfigError` or `Unavailable` if the database cannot be used.
    """

    def __init__(
        self, url: str, *, workers: int = 1, durable: bool = True, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = Database(url, [budgets, leases], durable=durable)
        assert self._database.file is not None
        self._file = Path(self._database.file)
        self._workers = workers
        self._looked_at = 0.0
        self._marks = self._claim()
        self.number = self._marks.number
        self.mark = self._marks.mark
        self.draw_slot = self._marks.draw_slot
        self.free_slot = self._marks.free_slot
        self._begin(clock())

    def __repr__(self) -> str:
        return f"<Leases of process {self.number} in {self._database.name}>"

    def exchange(self, now: float, reports: Sequence[Report], asks: Sequence[Ask]) -> Reply:
        """Take in reports and answer asks in one transaction. Blocks. Raises `Unavailable`."""
        with self._database.write() as connection:
            _lock(connection)
            books = _Books(connection, self.number, reports)
            grants, answers = books.answer(now, reports, asks, self._workers)
            if any(answers) and not 0 <= now - self._looked_at < LOOK_S:
                self._looked_at = now
                if self._take_back_dead(connection, now):
                    books = _Books(connection, self.number, reports)
                    grants, answers = books.answer(now, reports, asks, self._workers)
            books.grant(grants)
            books.write(connection, reports)
        return Reply(books.standings(), answers)

    def close(self) -> None:
        """End. What is not reported is found by the marks, by whoever looks next."""
        self._database.close()
        self._marks.close()

    # Inside

    def _claim(self) -> Marks:
        try:
            return claim(self._file)
        except OSError as error:
            raise ConfigError([Fault(str(self._file), None, f"leases cannot be marked: {error}")]) from error

    def _begin(self, now: float) -> None:
        with self._database.write() as connection:
            _lock(connection)
            _take_back(connection, self._marks, now)  # what an earlier process of this number left
            self._take_back_dead(connection, now)
            _forget_old(connection, now)
        self._marks.reset()  # only now: until then another trial must find the marks

    def _take_back_dead(self, connection: Connection, now: float) -> int:
        """Take back the leases of processes that are dead by now; how many there were."""
        found = 0
        for (owner,) in connection.execute(select(leases.c.owner).distinct()).all():
            if owner == self.number:
                continue
            with suppress(OSError):
                marks = claim_number(self._file, owner)
                if marks is not None:
                    try:
                        found += _take_back(connection, marks, now)
                    finally:
                        marks.close()
        return found


def list_budgets(url: str) -> list[BudgetState]:
    """Every window of every budget, those that ended among them, while gateways run. Raises `Unavailable`."""
    database = Database(url, [budgets, leases])
    try:
        query = select(budgets).order_by(budgets.c.id, budgets.c.starts)
        with database.read() as connection:
            return [_state(row) for row in connection.execute(query)]
    finally:
        database.close()


class _Books:
    """The rows of one transaction: read once, changed in memory, written once."""

    def __init__(self, connection: Connection, owner: int, reports: Sequence[Report]) -> None:
        self._owner = owner
        keys = [report.key for report in reports]
        self._budgets = {key: _Budget(*row) for key, row in _read(connection, budgets, keys, _BUDGET)}
        self._known = set(self._budgets)
        own = leases.c.owner == owner
        self._leases = {key: _Lease(*row) for key, row in _read(connection, leases, keys, _LEASE, own)}
        self._had = set(self._leases)
        for report in reports:
            self._take_in(report)

    def answer(
        self, now: float, reports: Sequence[Report], asks: Sequence[Ask], workers: int
    ) -> tuple[dict[Key, int], list[Key | None]]:
        left = {key: budget.left(now) for key, budget in self._budgets.items()}
        free = {report.key: report.free for report in reports}
        slices = {one.key: slice_of(one.kind, one.cap, left[one.key], workers) for one in reports}
        return allot(left, free, slices, asks)

    def grant(self, grants: Mapping[Key, int]) -> None:
        for key, units in grants.items():
            self._leases[key].granted += units
            self._budgets[key].leased += units

    def standings(self) -> dict[Key, Standing]:
        return {
            key: Standing(lease.granted, budget.spent, budget.leased)
            for key, lease in self._leases.items()
            for budget in (self._budgets[key],)
        }

    def write(self, connection: Connection, reports: Sequence[Report]) -> None:
        by_key = {report.key: report for report in reports}
        ended = [key for key, report in by_key.items() if report.is_over]
        for key in ended:
            self._budgets[key].leased -= self._leases[key].worth()
        new = [key for key in self._budgets if key not in self._known]
        if new:
            rows = [_named(key, self._budgets[key]) | _first(by_key[key]) for key in new]
            connection.execute(insert(budgets), rows)
        _update(connection, budgets, {key: self._budgets[key] for key in self._known})
        gone = [{"b_id": key[0], "b_starts": key[1]} for key in ended if key in self._had]
        if gone:
            connection.execute(delete(leases).where(_is_key(leases), leases.c.owner == self._owner), gone)
        kept = {key: lease for key, lease in self._leases.items() if not by_key[key].is_over}
        fresh = [_named(key, lease) | {"owner": self._owner} for key, lease in kept.items() if key not in self._had]
        if fresh:
            connection.execute(insert(leases), fresh)
        old = {key: lease for key, lease in kept.items() if key in self._had}
        _update(connection, leases, old, leases.c.owner == self._owner)

    def _take_in(self, report: Report) -> None:
        key = report.key
        budget = self._budgets.setdefault(key, _Budget(report.cap, 0, 0, 0, 0, 0, 0))
        budget.cap = report.cap
        lease = self._leases.get(key)
        if lease is None:
            # It is new, or was forgotten when all of it had been told: its totals are where it goes on from.
            granted = report.returned + report.spent - report.over
            lease = _Lease(report.slot, granted, report.returned, report.spent, report.over)
            self._leases[key] = lease
        before = lease.worth()
        budget.spent += report.spent - lease.reported
        budget.overrun += report.over - lease.over
        lease.reported, lease.over, lease.returned = report.spent, report.over, report.returned
        budget.leased += lease.worth() - before


def _lock(connection: Connection) -> None:
    """Keep all other writers out until the commit, as a write of nothing does."""
    connection.execute(update(meta).where(meta.c.name == "").values(number=0))


def _take_back(connection: Connection, marks: Marks, now: float) -> int:
    """Take back all leases of a number whose process is dead, and whose lock is held by now; how many there were."""
    own = leases.c.owner == marks.number
    found = connection.execute(
        select(leases.c.id, leases.c.starts, *(leases.c[one] for one in _LEASE)).where(own)
    ).all()
    dead = {(row[0], row[1]): _Lease(*row[2:]) for row in found}
    kinds = dict(_read(connection, budgets, list(dead), ("kind",)))
    rows = {key: _Budget(*row) for key, row in _read(connection, budgets, list(dead), _BUDGET)}
    for key, budget in rows.items():
        _bury(budget, dead[key], str(kinds[key][0]), marks, now)
    _update(connection, budgets, rows)
    connection.execute(delete(leases).where(own))
    return len(dead)


def _bury(budget: _Budget, lease: _Lease, kind: str, marks: Marks, now: float) -> None:
    worth = lease.worth()
    budget.leased -= worth
    if kind == "usd":
        mark = marks.read(lease.slot)
        used = worth if mark is None else max(mark - lease.reported, 0)
        budget.spent += used
        budget.lost += used
        budget.overrun += max(used - worth, 0)
    elif kind != "concurrency":
        budget.ghosts = worth + (budget.ghosts if now < budget.ghosts_until else 0)
        budget.ghosts_until = int(now) + GHOST_S


def _forget_old(connection: Connection, now: float) -> None:
    connection.execute(delete(budgets).where(budgets.c.ends < int(now) - KEEP_S, budgets.c.leased == 0))


_BUDGET: Final = ("cap", "spent", "leased", "overrun", "lost", "ghosts", "ghosts_until")
_LEASE: Final = ("slot", "granted", "returned", "reported", "over")


def _read(
    connection: Connection, table: Table, keys: Sequence[Key], columns: Sequence[str], *where: Any
) -> Iterator[tuple[Key, Sequence[Any]]]:
    for at in range(0, len(keys), _CHUNK):
        wanted = tuple_(table.c.id, table.c.starts).in_(keys[at : at + _CHUNK])
        query = select(table.c.id, table.c.starts, *(table.c[name] for name in columns)).where(wanted, *where)
        for row in connection.execute(query).all():
            yield (row[0], row[1]), row[2:]


def _update(connection: Connection, table: Table, rows: Mapping[Key, _Budget | _Lease], *where: Any) -> None:
    if rows:
        names = _BUDGET if table is budgets else _LEASE
        values: dict[str, Any] = {name: bindparam(f"b_new_{name}") for name in names}
        data = [
            {"b_id": key[0], "b_starts": key[1], **{f"b_new_{name}": getattr(row, name) for name in names}}
            for key, row in rows.items()
        ]
        connection.execute(update(table).where(_is_key(table), *where).values(values), data)


def _is_key(table: Table) -> Any:
    return and_(table.c.id == bindparam("b_id"), table.c.starts == bindparam("b_starts"))


def _named(key: Key, row: _Budget | _Lease) -> dict[str, Any]:
    names = _BUDGET if isinstance(row, _Budget) else _LEASE
    return {"id": key[0], "starts": key[1], **{name: getattr(row, name) for name in names}}


def _first(report: Report) -> dict[str, Any]:
    return {"ends": report.ends, "kind": report.kind}


def _state(row: Row[Any]) -> BudgetState:
    return BudgetState(
        row.id, row.kind, row.starts, row.ends, row.cap, row.spent, row.leased + row.ghosts, row.overrun, row.lost
    )
