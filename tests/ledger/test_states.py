"""Whatever the order of events, replays, rollbacks and recoveries: one end an attempt, and sums that agree."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.ledger.file import LedgerFile
from gateway.ledger.ids import Ids
from gateway.ledger.owners import claim_number
from gateway.ledger.reader import Reader
from gateway.ledger.recovery import recover_owner
from gateway.ledger.rows import (
    ending_row,
    insert_endings,
    insert_reservations,
    insert_sendings,
    is_open,
    reservation_row,
)
from gateway.ledger.upgrade import upgrade
from gateway.model.record import Terminal
from tests.ledger.records import NOON, reservation, settlement

OWNERS = (1, 2)
which = st.integers(0, 30)
owners = st.sampled_from(OWNERS)


class Books(RuleBasedStateMachine):
    """A model of the ledger: for each attempt whether it was sent, and its first end."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ledger.db"
        upgrade(self.path)
        self.file = LedgerFile(self.path)
        self.reader = Reader(self.path)
        self.owners = {number: claim_number(self.path, number) for number in OWNERS}
        for owner in self.owners.values():
            assert owner is not None
            owner.reset()
        self.ids = {number: Ids(number, 0) for number in OWNERS}
        self.attempts: list[int] = []
        self.sent: set[int] = set()
        self.ends: dict[int, tuple[str, int | None]] = {}

    def teardown(self) -> None:
        self.file.close()
        for owner in self.owners.values():
            assert owner is not None
            owner.close()
        self.folder.cleanup()

    def pick(self, number: int) -> int:
        return self.attempts[number % len(self.attempts)]

    @rule(owner=owners)
    def reserve(self, owner: int) -> None:
        id = self.ids[owner].draw(NOON)
        with self.file.transaction() as connection:
            insert_reservations(connection, [reservation_row(id, reservation())])
        self.attempts.append(id)

    @precondition(lambda self: self.attempts)
    @rule(number=which)
    def reserve_again(self, number: int) -> None:
        with self.file.transaction() as connection:
            insert_reservations(connection, [reservation_row(self.pick(number), reservation("another"))])

    @precondition(lambda self: self.attempts)
    @rule(number=which, durable=st.booleans())
    def send(self, number: int, durable: bool) -> None:
        id = self.pick(number)
        if id in self.ends:
            return  # a ticket that has ended sends nothing
        owner = self.owners[id % 4096]
        assert owner is not None
        owner.mark(id)
        self.sent.add(id)
        if durable:
            with self.file.transaction() as connection:
                insert_sendings(connection, [(id, NOON)])

    @precondition(lambda self: self.attempts)
    @rule(number=which, state=st.sampled_from(["settled", "estimated", "void", "unknown"]), cost=st.none() | which)
    def end(self, number: int, state: Terminal, cost: int | None) -> None:
        id = self.pick(number)
        with self.file.transaction() as connection:
            insert_endings(connection, [ending_row(id, settlement(state=state, cost_nano=cost))])
        self.ends.setdefault(id, (state, cost))

    @precondition(lambda self: self.attempts)
    @rule(number=which)
    def roll_back(self, number: int) -> None:
        class Killed(Exception):
            pass

        try:
            with self.file.transaction() as connection:
                id = self.ids[1].draw(NOON)
                insert_reservations(connection, [reservation_row(id, reservation())])
                insert_endings(connection, [ending_row(self.pick(number), settlement(state="void"))])
                raise Killed
        except Killed:
            pass

    @rule(owner=owners)
    def recover(self, owner: int) -> None:
        held = self.owners[owner]
        assert held is not None
        recover_owner(self.file, held, NOON + 9)
        for id in self.attempts:
            if id % 4096 == owner and id not in self.ends:
                self.ends[id] = ("unknown", None) if id in self.sent else ("void", 0)

    @invariant()
    def the_first_end_stays_and_the_sums_agree(self) -> None:
        found = {
            attempt.id: (attempt.settlement.state, attempt.settlement.cost_nano)
            for attempt in self.reader.list(limit=1000).attempts
            if attempt.settlement is not None
        }
        assert found == self.ends
        audit = self.reader.verify()
        assert audit.faults == ()
        assert (audit.attempts, audit.in_flight) == (len(self.attempts), len(self.attempts) - len(self.ends))
        assert all(is_open(self.file.connection, id) == (id not in self.ends) for id in self.attempts)


Books.TestCase.settings = settings(
    max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_whatever_the_order_an_attempt_has_one_end_the_first = Books.TestCase
