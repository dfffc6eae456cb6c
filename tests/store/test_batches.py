"""Which batches are open, and when they are due."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.model.caller import Caller
from gateway.store.batches import FIRST_LOOK_S, OpenBatches
from gateway.store.objects import Objects
from tests.store.conftest import Clock

ANN = Caller("key-a", "a", "web", "", "developer")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/keys.db"


@pytest.fixture
def objects(url: str, clock: Clock) -> Iterator[Objects]:
    opened = Objects(url, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def batches(url: str, clock: Clock) -> Iterator[OpenBatches]:
    opened = OpenBatches(url, clock=clock)
    yield opened
    opened.close()


async def due(batches: OpenBatches, limit: int = 10) -> list[tuple[str, int]]:
    return [(one.id, one.looks) for one in await batches.due(limit)]


async def test_a_batch_is_due_a_minute_after_it_was_made(objects: Objects, batches: OpenBatches, clock: Clock) -> None:
    await objects.remember("file", "file-1", "openai", ANN)
    await objects.remember("batch", "batch_1", "openai", ANN)
    assert await due(batches) == []
    clock.now += FIRST_LOOK_S
    (found,) = await batches.due(10)
    assert (found.id, found.looks, found.owner.team, found.owner.key_id) == ("batch_1", 0, "a", "key-a")
    assert found == await batches.find("batch_1", "openai")


async def test_it_is_due_again_when_it_was_put_off_to(objects: Objects, batches: OpenBatches, clock: Clock) -> None:
    await objects.remember("batch", "batch_1", "openai", ANN)
    clock.now += FIRST_LOOK_S
    await batches.postpone("batch_1", "openai", 1, 100)
    clock.now += 99
    assert await due(batches) == []
    clock.now += 1
    assert await due(batches) == [("batch_1", 1)]
    await batches.postpone("batch_1", "openai", 2, 200)
    clock.now += 200
    assert await due(batches) == [("batch_1", 2)]


async def test_what_is_closed_stays_so(objects: Objects, batches: OpenBatches, clock: Clock) -> None:
    await objects.remember("batch", "batch_1", "openai", ANN)
    await batches.close_batch("batch_1", "openai")
    await batches.postpone("batch_1", "openai", 1, 0)
    clock.now += 99_999
    assert await due(batches) == [] and await batches.find("batch_1", "openai") is None


async def test_a_provider_s_own_only(objects: Objects, batches: OpenBatches, clock: Clock) -> None:
    for provider in ("openai", "azure"):
        await objects.remember("batch", "batch_1", provider, ANN)
    await batches.close_batch("batch_1", "azure")
    clock.now += FIRST_LOOK_S
    assert [one.owner.provider for one in await batches.due(10)] == ["openai"]
    assert await batches.find("batch_1", "azure") is None and await batches.find("batch_2", "openai") is None


async def test_a_few_at_a_time(objects: Objects, batches: OpenBatches, clock: Clock) -> None:
    for number in range(5):
        await objects.remember("batch", f"batch_{number}", "openai", ANN)
        clock.now += 1
    clock.now += FIRST_LOOK_S
    assert await due(batches, 2) == [("batch_0", 0), ("batch_1", 0)]
