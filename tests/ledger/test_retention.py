"""Old history moves out in batches; sums stay, and what is younger cannot be touched."""

from __future__ import annotations

from pathlib import Path

from gateway.ledger import Ledger, Reader, rotate
from tests.ledger.records import DAY, NOON, reservation, settlement

MIDNIGHT = NOON // DAY * DAY


async def _fill(ledger: Ledger) -> None:
    for day in range(3):
        for number in range(4):
            began = MIDNIGHT - day * DAY + number
            ticket = ledger.reserve(reservation(f"req_{day}_{number}", began_at=began))
            await ticket
            ticket.sent(began)
            if number:
                ticket.settle(settlement(cost_nano=10))
    await ledger.reserve(reservation("last"))


async def test_old_attempts_move_to_the_archive_in_batches_and_the_sums_stay(
    ledger: Ledger, path: Path, reader: Reader, tmp_path: Path
) -> None:
    await _fill(ledger)
    sums = reader.sums(from_day=0, to_day=10**6, by=["day"])
    assert list(rotate(path, MIDNIGHT - DAY, archive=tmp_path / "archive.db", batch=2)) == [2, 1]
    archived = Reader(tmp_path / "archive.db")
    assert {attempt.reservation.request_id for attempt in archived.list().attempts} == {f"req_2_{n}" for n in (1, 2, 3)}
    assert archived.verify().faults == ()
    assert reader.request("req_2_1") == ()
    assert reader.request("req_1_1")[0].state == "settled"
    assert reader.sums(from_day=0, to_day=10**6, by=["day"]) == sums
    assert reader.verify().faults == ()


async def test_an_attempt_that_has_not_ended_stays(ledger: Ledger, path: Path, reader: Reader) -> None:
    await _fill(ledger)
    assert sum(rotate(path, MIDNIGHT, archive=None)) == 6
    assert {attempt.reservation.request_id for attempt in reader.list(to=MIDNIGHT).attempts} == {"req_1_0", "req_2_0"}


async def test_rotation_that_was_cut_off_goes_on(ledger: Ledger, path: Path, tmp_path: Path, reader: Reader) -> None:
    await _fill(ledger)
    archive = tmp_path / "archive.db"
    moving = rotate(path, MIDNIGHT, archive=archive, batch=2)
    next(moving)
    moving.close()
    assert sum(rotate(path, MIDNIGHT, archive=archive, batch=2)) == 4
    assert len(Reader(archive).list().attempts) == 6
    assert Reader(archive).verify().faults == () == reader.verify().faults


async def test_the_ledger_takes_calls_while_history_moves(ledger: Ledger, path: Path, reader: Reader) -> None:
    await _fill(ledger)
    for _ in rotate(path, MIDNIGHT, archive=None, batch=1):
        await ledger.reserve(reservation("meanwhile"))
    assert len(reader.request("meanwhile")) == 6
