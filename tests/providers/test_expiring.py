"""Values that expire: fetched once for all who wait, ahead of time, and not in a storm when that fails."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gateway.errors import Unreachable
from gateway.providers.expiring import EARLY_S, MARGIN_S, RETRY_S, Expiring, Fetched


class Source:
    """A token server: what it gives lasts an hour by its clock. `gate` holds its answers back."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.fetches = 0
        self.down = False
        self.gate = threading.Event()
        self.gate.set()

    def fetch(self) -> Fetched[int]:
        self.gate.wait(5)
        self.fetches += 1
        if self.down:
            raise OSError("down")
        return Fetched(self.fetches, self.now + 3600)

    def expiring(self) -> Expiring[int]:
        return Expiring(self.fetch, "a token", clock=lambda: self.now)


async def settled(expiring: Expiring[int]) -> None:
    for _ in range(500):
        if "fetching" not in repr(expiring):
            return
        await asyncio.sleep(0.002)
    raise AssertionError(repr(expiring))


async def test_one_fetch_serves_all_who_wait() -> None:
    source = Source()
    source.gate.clear()
    expiring = source.expiring()
    waiting = [asyncio.create_task(expiring.get()) for _ in range(50)]
    await asyncio.sleep(0)
    assert repr(expiring) == "<Expiring a token: none yet, fetching>"
    waiting.pop().cancel()  # who leaves does not take it from the others
    source.gate.set()
    assert await asyncio.gather(*waiting) == [1] * 49
    assert await expiring.get() == 1 and source.fetches == 1
    assert repr(expiring) == "<Expiring a token: good for 3600 s>"


async def test_it_is_fetched_anew_before_its_end_and_nobody_waits() -> None:
    source = Source()
    expiring = source.expiring()
    assert await expiring.get() == 1
    source.now += 3600 - EARLY_S - 1
    assert await expiring.get() == 1 and source.fetches == 1
    source.now += 1
    source.gate.clear()
    assert [await expiring.get(), await expiring.get()] == [1, 1]
    source.gate.set()
    await settled(expiring)
    assert await expiring.get() == 2 and source.fetches == 2


async def test_what_is_about_to_end_is_waited_for() -> None:
    source = Source()
    expiring = source.expiring()
    assert await expiring.get() == 1
    source.now += 3600 - MARGIN_S
    assert await expiring.get() == 2


async def test_a_failure_matters_only_once_the_old_value_has_ended() -> None:
    source = Source()
    expiring = source.expiring()
    assert await expiring.get() == 1
    source.down = True
    source.now += 3600 - EARLY_S
    assert await expiring.get() == 1
    await settled(expiring)
    assert await expiring.get() == 1 and source.fetches == 2
    source.now += EARLY_S
    with pytest.raises(Unreachable) as raised:
        await expiring.get()
    assert raised.value.code == "upstream_credentials" and not raised.value.sent
    assert raised.value.message == "The gateway could not get a token for the provider."
    assert isinstance(raised.value.__cause__, OSError)


async def test_a_source_in_trouble_is_not_asked_by_every_call() -> None:
    source = Source()
    source.down = True
    expiring = source.expiring()
    for _ in range(5):
        with pytest.raises(Unreachable):
            await expiring.get()
    assert source.fetches == 1
    source.down = False
    source.now += RETRY_S
    assert await expiring.get() == 2
