"""Reserve, send, settle: what the event loop's side promises."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Unavailable
from gateway.ledger import Ledger, Reader
from tests.ledger.records import NOON, micros, reservation, settlement, void


async def test_a_reservation_is_in_the_file_when_its_ticket_has_been_awaited(ledger: Ledger, reader: Reader) -> None:
    await ledger.reserve(reservation())
    (found,) = reader.request("req_1")
    assert (found.state, found.reservation, found.settlement) == ("reserved", reservation(), None)


async def test_everything_that_was_recorded_is_read_again(ledger: Ledger, reader: Reader) -> None:
    ticket = ledger.reserve(reservation())
    await ticket
    ticket.sent(NOON + 7)
    end = settlement(latency_us=settlement().ended_at - (NOON + 7))
    assert ticket.settle(end)
    await ledger.close()
    (found,) = reader.request("req_1")
    assert found.reservation == reservation()
    assert found.settlement == end
    assert (found.state, found.sent_at) == ("settled", NOON + 7)


async def test_a_sending_has_a_row_of_its_own_only_where_its_end_does_not_come_with_it(
    ledger: Ledger, reader: Reader, path: Path
) -> None:
    quick, slow, refused = (ledger.reserve(reservation(f"req_{name}")) for name in ("quick", "slow", "refused"))
    for ticket in (quick, slow, refused):
        await ticket
    slow.sent(NOON + 1)
    while ledger.state().queued:  # noqa: ASYNC110 - nobody tells of it
        await asyncio.sleep(0.01)
    quick.sent(NOON + 2)
    refused.sent(NOON + 3)
    for ticket, state in ((quick, "settled"), (slow, "settled"), (refused, "void")):
        ticket.settle(settlement(state=state))
    await ledger.close()
    with closing(sqlite3.connect(path)) as connection:
        rows = {found for (found,) in connection.execute("SELECT attempt_id FROM sendings")}
    assert rows == {slow.id, refused.id}  # what was sent and cost nothing has to be seen to have been sent
    assert all(reader.request(f"req_{name}")[0].sent_at for name in ("quick", "slow", "refused"))


@pytest.mark.parametrize("state", ["settled", "estimated", "void", "unknown"])
async def test_an_attempt_ends_in_the_state_that_it_was_given(ledger: Ledger, reader: Reader, state: str) -> None:
    ticket = ledger.reserve(reservation())
    await ticket
    ticket.settle(settlement(state=state))
    await ledger.close()
    assert [attempt.state for attempt in reader.request("req_1")] == [state]


async def test_a_second_end_changes_nothing_and_says_so(ledger: Ledger, reader: Reader) -> None:
    ticket = ledger.reserve(reservation())
    await ticket
    assert ticket.settle(settlement(cost_nano=1))
    assert not ticket.settle(settlement(cost_nano=2))
    await ledger.close()
    assert [attempt.settlement for attempt in reader.request("req_1")] == [settlement(cost_nano=1)]


async def test_no_price_is_none_and_not_zero(ledger: Ledger, reader: Reader) -> None:
    ticket = ledger.reserve(reservation(held_nano=None))
    await ticket
    ticket.settle(settlement(cost_nano=None))
    await ledger.close()
    (found,) = reader.request("req_1")
    assert found.settlement is not None and found.settlement.cost_nano is None
    (sums,) = reader.sums(from_day=0, to_day=10**6, by=["team"])
    assert (sums["unpriced"], sums["cost_nano"]) == (1, 0)


async def test_each_attempt_of_a_call_has_its_own_row_and_cost(ledger: Ledger, reader: Reader) -> None:
    for attempt, kind in enumerate(["first", "retry", "fallback", "hedge", "shadow"], start=1):
        ticket = ledger.reserve(reservation(attempt=attempt, kind=kind))
        await ticket
        ticket.settle(settlement(cost_nano=attempt))
    await ledger.close()
    rows = [(a.reservation.kind, a.settlement and a.settlement.cost_nano) for a in reader.request("req_1")]
    assert rows == [("first", 1), ("retry", 2), ("fallback", 3), ("hedge", 4), ("shadow", 5)]


async def test_a_caller_that_is_cancelled_while_waiting_can_end_its_attempt(ledger: Ledger, reader: Reader) -> None:
    ticket = ledger.reserve(reservation())
    waiting = asyncio.ensure_future(_wait(ticket))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    ticket.settle(void())
    await ledger.close()
    assert [attempt.state for attempt in reader.request("req_1")] == ["void"]
    assert reader.verify().faults == ()


async def test_an_attempt_that_was_committed_is_seen_by_others_before_the_ledger_is_closed(
    ledger: Ledger, reader: Reader
) -> None:
    ticket = ledger.reserve(reservation())
    await ticket
    ticket.settle(settlement())
    async with asyncio.timeout(1.0):
        while reader.depth():  # noqa: ASYNC110 - another process would have to ask, too
            await asyncio.sleep(0.01)
    assert reader.request("req_1")[0].state == "settled"


async def test_thousands_at_once_are_committed_together(ledger: Ledger, reader: Reader) -> None:
    async def call(number: int) -> None:
        ticket = ledger.reserve(reservation(f"req_{number}"))
        await ticket
        ticket.sent(micros())
        ticket.settle(settlement(cost_nano=number))

    await asyncio.gather(*[call(number) for number in range(2000)])
    await ledger.close()
    assert ledger.work.rows == 6000
    assert ledger.work.commits < 600
    audit = reader.verify()
    assert (audit.attempts, audit.in_flight, audit.cost_nano, audit.faults) == (2000, 0, sum(range(2000)), ())


async def test_past_the_high_water_mark_reservations_are_refused_at_once_and_ends_are_taken(path: Path) -> None:
    ledger = Ledger.open(path, micros, high_water=4)
    first = ledger.reserve(reservation())
    await first
    tickets = [ledger.reserve(reservation(f"req_{number}")) for number in range(4)]
    with pytest.raises(Unavailable, match="4 events wait") as refused:
        ledger.reserve(reservation("req_9"))
    assert (refused.value.status, refused.value.code, refused.value.retry_after_s) == (503, "ledger_unavailable", 1)
    assert first.settle(settlement())
    for ticket in tickets:
        await ticket
        ticket.settle(void())
    assert await ledger.close()
    assert Reader(path).verify().attempts == 5


async def test_a_closed_ledger_takes_no_reservation_and_lets_nothing_be_sent(path: Path) -> None:
    ledger = Ledger.open(path, micros)
    ticket = ledger.reserve(reservation())
    await ticket
    await ledger.close()
    with pytest.raises(Unavailable, match="closed"):
        ledger.reserve(reservation())
    with pytest.raises(Unavailable, match="closed"):
        ticket.sent(micros())


@pytest.mark.parametrize(
    "changes", [{"user": "\ud800"}, {"held_nano": 2**64}, {"session": object()}], ids=["text", "number", "type"]
)
async def test_a_reservation_that_no_column_takes_is_refused_alone(
    ledger: Ledger, reader: Reader, changes: dict[str, Any]
) -> None:
    good, bad = ledger.reserve(reservation("good")), ledger.reserve(reservation("bad", **changes))
    await good
    with pytest.raises(Unavailable, match="cannot be stored"):
        await bad
    good.settle(settlement())
    await ledger.reserve(reservation("later"))
    assert await ledger.close()
    assert reader.request("bad") == ()
    assert reader.request("good")[0].state == "settled"


async def test_an_end_that_no_column_takes_becomes_unknown_and_harms_no_other(ledger: Ledger, reader: Reader) -> None:
    tickets = [ledger.reserve(reservation(f"req_{number}")) for number in range(3)]
    for ticket in tickets:
        await ticket
    tickets[0].settle(settlement())
    tickets[1].settle(settlement(lines=b"\xff"))
    tickets[2].settle(settlement())
    assert await ledger.close()
    assert [reader.request(f"req_{number}")[0].state for number in range(3)] == ["settled", "unknown", "settled"]


async def test_a_clock_that_is_set_back_makes_no_clash_and_no_disorder(path: Path) -> None:
    for began_at in (NOON, NOON - 3_600_000_000):
        ledger = Ledger.open(path, micros)
        for number in range(2):
            await ledger.reserve(reservation(f"req_{began_at}_{number}", began_at=began_at))
        await ledger.close()
    with closing(sqlite3.connect(path)) as connection:
        began = [row[0] for row in connection.execute("SELECT began_at FROM reservations ORDER BY attempt_id")]
    assert began == [NOON, NOON, NOON - 3_600_000_000, NOON - 3_600_000_000]


async def test_its_state_can_be_told_in_words(ledger: Ledger) -> None:
    ticket = ledger.reserve(reservation())
    assert repr(ticket) == f"<Ticket {ticket.id} reserved, not durable>"
    await ticket
    ticket.sent(micros())
    assert repr(ticket) == f"<Ticket {ticket.id} sent>"
    assert ledger.state().in_flight == 1
    ticket.settle(settlement())
    assert repr(ticket) == f"<Ticket {ticket.id} ended>"
    assert ledger.state().in_flight == 0


async def _wait(ticket: Any) -> None:
    await ticket
