"""A batch is booked once, whoever books it, and whatever dies in between."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.batches import booker as module
from gateway.batches.booker import Busy, turn
from gateway.batches.finished import Finished
from gateway.batches.prices import Bill, Used
from gateway.ledger import Ledger
from gateway.ledger.recovery import PROCESS_LOST
from gateway.model.record import Reservation
from gateway.model.usage import Usage
from gateway.store.objects import Owner
from tests.batches.world import NOW, World

OWNER = Owner("p", "search", "web", "key-a", NOW - 3600)
BATCH = Finished(
    id="batch_1", status="completed", endpoint="/v1/x", ended_at=NOW - 60, model="", usage=None, output_file_id="f"
)


def measured(world: World, *models: str) -> list[Used]:
    bill = Bill(world.view.snapshot.prices, "p", datetime.fromtimestamp(NOW, UTC))
    for model in models:
        bill.add(model, Usage(1000, 100, 400, reasoning_tokens=50))
    return bill.used()


async def book(world: World, ledger: Ledger, *models: str) -> bool:
    return await world.booker(ledger).book(OWNER, BATCH, measured(world, *models), "digest", "version")


async def test_a_row_says_whose_it_was_what_it_used_and_what_it_cost(world: World) -> None:
    assert await book(world, world.ledger, "plain", "other")
    other, plain = await world.settled(rows=2)
    assert [one.reservation.attempt for one in (other, plain)] == [1, 2]
    begun, ended = plain.reservation, plain.settlement
    assert ended is not None and plain.state == "settled"
    assert (begun.team, begun.project, begun.key_id, begun.provider) == ("search", "web", "key-a", "p")
    assert (begun.model, begun.deployment, begun.endpoint, begun.began_at) == (
        "plain",
        "plain",
        "/v1/batches",
        (NOW - 60) * 1_000_000,
    )
    assert (ended.input_tokens, ended.output_tokens, ended.cache_read_tokens, ended.reasoning_tokens) == (
        1000,
        100,
        400,
        50,
    )
    assert ended.cost_nano == 600 * 1000 + 400 * 100 + 100 * 2000
    assert ended.price_source.endswith("prices.yaml:2") and ended.price_version == "version"
    assert world.charged == [("search", "other", 12_000_000, 1100), ("search", "plain", 840_000, 1100)]
    assert world.reader.verify().faults == ()


async def test_twice_is_once(world: World) -> None:
    for _ in range(3):
        assert await book(world, world.ledger, "plain")
    assert len(await world.settled()) == 1 and len(world.charged) == 1


async def test_workers_that_book_at_once_book_once(world: World) -> None:
    ledgers = [world.ledger, *(Ledger.open(world.path, lambda: NOW * 1_000_000) for _ in range(3))]
    assert await asyncio.gather(*(book(world, ledger, "plain", "other") for ledger in ledgers)) == [True] * 4
    for ledger in ledgers[1:]:
        await ledger.close()
    assert len(await world.settled(rows=2)) == 2 and len(world.charged) == 2


async def test_what_a_dead_worker_reserved_is_booked_anew(world: World) -> None:
    dead = Ledger.open(world.path, lambda: NOW * 1_000_000)
    await dead.reserve(
        Reservation(
            request_id="batch_1",
            attempt=1,
            began_at=NOW * 1_000_000,
            endpoint="/v1/batches",
            provider="p",
            deployment="plain",
            model="plain",
        )
    )
    monkey = pytest.MonkeyPatch()
    monkey.setattr(module, "_SEEN_S", 0.0)
    assert not await book(world, world.ledger, "plain"), "it may be at work yet, so nothing is booked beside it"
    monkey.undo()
    await dead.close()
    heir = Ledger.open(world.path, lambda: NOW * 1_000_000)
    assert await book(world, heir, "plain")
    await heir.close()
    lost, booked = await world.settled(rows=2)
    assert lost.settlement is not None and lost.settlement.code == PROCESS_LOST and lost.state == "void"
    assert (booked.state, booked.reservation.attempt) == ("settled", 2)
    assert world.charged == [("search", "plain", 840_000, 1100)]


async def test_a_batch_that_was_measured_in_another_way_before_is_not_booked_beside_itself(world: World) -> None:
    assert await book(world, world.ledger, "plain")
    assert await book(world, world.ledger, "plain-2026-01-01")
    assert [one.reservation.model for one in await world.settled()] == ["plain"]


async def test_an_unpriced_batch_is_seen_as_one(world: World) -> None:
    assert await book(world, world.ledger, "standard-only")
    (row,) = await world.settled()
    assert row.settlement is not None and row.settlement.cost_nano is None and row.settlement.price_source
    (sums,) = world.reader.sums(from_day=0, to_day=99_999, by=())
    assert sums["unpriced"] == 1


async def test_one_turn_at_a_time(tmp_path: Path) -> None:
    async with turn(tmp_path / "turn", 0.0):
        with pytest.raises(Busy):
            async with turn(tmp_path / "turn", 0.1):
                pass
    async with turn(tmp_path / "turn", 0.0):
        pass
