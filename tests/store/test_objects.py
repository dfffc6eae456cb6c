"""Whose object is it: one team's, and to all others as if it were not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import NotFound
from gateway.model.caller import Caller
from gateway.store.objects import Objects, Owner
from tests.store.conftest import Clock

ALICE = Caller("key-a", "a", "web", "", "developer")
ALAN = Caller("key-a2", "a", "batch", "", "developer")
BOB = Caller("key-b", "b", "web", "", "admin")


@pytest.fixture
def objects(tmp_path: Path, clock: Clock) -> Iterator[Objects]:
    opened = Objects(f"sqlite:///{tmp_path}/objects.db", clock=clock)
    yield opened
    opened.close()


async def test_who_made_an_object_owns_it_for_the_whole_team(objects: Objects, clock: Clock) -> None:
    assert await objects.remember("file", "file-1", "openai", ALICE)
    owner = Owner("openai", "a", "web", "key-a", int(clock.now))
    assert await objects.owner("file", "file-1") == owner
    assert await objects.check("file", "file-1", ALICE) == owner
    assert await objects.check("file", "file-1", ALAN, "openai") == owner


async def test_a_foreign_id_and_an_invented_one_look_the_same(objects: Objects) -> None:
    await objects.remember("file", "file-1", "openai", ALICE)
    said = []
    for object_id in ("file-1", "file-2"):
        with pytest.raises(NotFound) as caught:
            await objects.check("file", object_id, BOB)
        said.append((caught.value.status, caught.value.code, caught.value.message.replace(object_id, "...")))
    assert said[0] == said[1]
    assert said[0][0] == 404


@pytest.mark.parametrize(
    ("kind", "object_id", "provider"),
    [("batch", "file-1", None), ("file", "file-1", "azure"), ("file", "FILE-1", None), ("file", "' OR 1=1 --", None)],
)
async def test_only_the_very_same_object_is_found(
    objects: Objects, kind: str, object_id: str, provider: str | None
) -> None:
    await objects.remember("file", "file-1", "openai", ALICE)
    assert await objects.owner(kind, object_id, provider) is None
    with pytest.raises(NotFound):
        await objects.check(kind, object_id, ALICE, provider)


async def test_nobody_can_claim_what_another_team_has(objects: Objects) -> None:
    assert await objects.remember("file", "file-1", "openai", ALICE)
    assert not await objects.remember("file", "file-1", "openai", BOB)
    assert await objects.remember("file", "file-1", "openai", ALAN)
    assert (await objects.check("file", "file-1", ALICE)).key_id == "key-a"


async def test_two_providers_may_give_the_same_id(objects: Objects) -> None:
    await objects.remember("file", "file-1", "openai", ALICE)
    await objects.remember("file", "file-1", "local", BOB)
    assert (await objects.check("file", "file-1", ALICE)).provider == "openai"
    assert (await objects.check("file", "file-1", BOB)).provider == "local"


async def test_a_team_sees_the_ids_of_its_own(objects: Objects) -> None:
    await objects.remember("file", "1", "openai", ALICE)
    await objects.remember("file", "2", "local", ALAN)
    await objects.remember("batch", "3", "openai", ALICE)
    await objects.remember("file", "4", "openai", BOB)
    assert await objects.ids("file", "a") == {"1", "2"}
    assert await objects.ids("file", "a", "local") == {"2"}
    assert await objects.ids("file", "nobody") == set()


async def test_what_was_deleted_is_gone_and_its_id_free(objects: Objects) -> None:
    await objects.remember("file", "1", "openai", ALICE)
    await objects.forget("file", "1", "openai")
    assert await objects.owner("file", "1") is None
    assert await objects.remember("file", "1", "openai", BOB)
