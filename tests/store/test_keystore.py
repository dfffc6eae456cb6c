"""Keys on disk: made, changed, followed; never their text."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.access import authenticate
from gateway.errors import ConfigError, Conflict, NotFound, Unauthenticated
from gateway.store.keystore import KeyStore
from gateway.store.spec import KeySpec
from tests.store.conftest import PEPPER, Clock


def test_a_key_comes_back_as_it_was_asked_for_and_opens_the_door(store: KeyStore, clock: Clock) -> None:
    spec = KeySpec(
        team="search",
        project="web",
        name="search box",
        role="finance",
        models=frozenset({"gpt-5-mini", "claude-*"}),
        agents=frozenset({"scout"}),
        budget="50/day",
        rpm=600,
        tpm=100_000,
        expires_at=int(clock.now) + 60,
    )
    record, text = store.create(spec)
    assert store.get(record.id) == record
    assert store.list() == [record]
    caller = authenticate(store.load(), text, store.now())
    assert caller == record.caller
    assert (caller.team, caller.project, caller.name, caller.role) == ("search", "web", "search box", "finance")
    assert (caller.models, caller.agents) == (spec.models, spec.agents)
    assert (record.budget, record.rpm, record.tpm, record.expires_at) == ("50/day", 600, 100_000, clock.now + 60)
    assert (record.created_at, record.revoked_at, record.former) == (clock.now, None, ())


def test_no_byte_of_a_secret_is_in_any_file(store: KeyStore, tmp_path: Path) -> None:
    record, text = store.create(KeySpec(team="search"))
    _, rotated = store.rotate(record.id, 60)
    secrets = [key.rsplit("-", 1)[1].encode() for key in (text, rotated)]
    for moment in ("while open", "after closing"):
        files = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
        assert "keys.db" in files, moment
        assert record.id.encode() in b"".join(files.values()), moment
        for name, content in files.items():
            assert not any(secret in content or PEPPER in content for secret in secrets), (moment, name)
        store.close()


def test_a_teams_keys_can_be_listed_alone(store: KeyStore) -> None:
    store.create_many([KeySpec(team="a", name="1"), KeySpec(team="b"), KeySpec(team="a", name="2")])
    assert sorted(record.caller.name for record in store.list("a")) == ["1", "2"]
    assert store.list("c") == []


def test_rotation_keeps_the_id_and_the_old_secret_until_the_overlap_has_passed(store: KeyStore, clock: Clock) -> None:
    record, old = store.create(KeySpec(team="search"))
    rotated, new = store.rotate(record.id, 60)
    assert rotated.id == record.id
    assert new != old
    ring = store.load()
    assert authenticate(ring, old, store.now() + 59) == authenticate(ring, new, store.now() + 59)
    with pytest.raises(Unauthenticated):
        authenticate(ring, old, store.now() + 60)


def test_rotating_again_because_the_new_key_got_lost_does_not_cut_off_the_one_in_use(store: KeyStore) -> None:
    record, in_use = store.create(KeySpec(team="search"))
    store.rotate(record.id, 3600)
    _, newest = store.rotate(record.id, 60)
    ring = store.load()
    assert authenticate(ring, in_use, store.now() + 3599).key_id == record.id
    assert authenticate(ring, newest, store.now() + 9999).key_id == record.id


def test_rotation_without_overlap_ends_the_old_secret_at_once(store: KeyStore) -> None:
    record, old = store.create(KeySpec(team="search"))
    store.rotate(record.id, 0)
    with pytest.raises(Unauthenticated):
        authenticate(store.load(), old, store.now())


def test_revocation_ends_all_secrets_and_keeps_its_first_time(store: KeyStore, clock: Clock) -> None:
    record, old = store.create(KeySpec(team="search"))
    _, new = store.rotate(record.id, 3600)
    first = store.revoke(record.id)
    clock.now += 10
    assert store.revoke(record.id) == first
    for text in (old, new):
        with pytest.raises(Unauthenticated) as caught:
            authenticate(store.load(), text, store.now())
        assert caught.value.code == "revoked_api_key"


def test_a_rotation_brings_no_ended_key_back(store: KeyStore, clock: Clock) -> None:
    revoked, _ = store.create(KeySpec(team="search"))
    store.revoke(revoked.id)
    expired, _ = store.create(KeySpec(team="search", expires_at=store.now() + 5))
    clock.now += 5
    for key_id, word in ((revoked.id, "is revoked"), (expired.id, "has expired")):
        with pytest.raises(Conflict, match=word):
            store.rotate(key_id, 60)


@pytest.mark.parametrize("key_id", ["nobody", "", "' OR 1=1 --", "%", "x" * 100_000])
def test_an_id_that_is_none_is_not_found_whatever_it_says(store: KeyStore, key_id: str) -> None:
    store.create(KeySpec(team="search"))
    for attempt in (store.get, store.revoke, lambda which: store.rotate(which, 0)):
        with pytest.raises(NotFound) as caught:
            attempt(key_id)
        assert len(caught.value.message) < 300
    assert [record.revoked_at for record in store.list()] == [None]


def test_changes_are_those_since_a_number_in_their_order(store: KeyStore) -> None:
    made = [record for record, _ in store.create_many([KeySpec(team=str(n)) for n in range(5)])]
    assert [record.seq for record in made] == [1, 2, 3, 4, 5]
    assert store.changes(5) == []
    store.revoke(made[3].id)
    store.rotate(made[0].id, 60)
    assert [(record.id, record.seq) for record in store.changes(5)] == [(made[3].id, 6), (made[0].id, 7)]
    assert [record.seq for record in store.changes(0, limit=2)] == [2, 3]
    assert store.seq() == 7


def test_a_change_that_fails_takes_no_number(store: KeyStore) -> None:
    with pytest.raises(NotFound):
        store.revoke("nobody")
    assert store.seq() == 0


def test_processes_that_write_at_once_never_share_a_number(store: KeyStore, url: str) -> None:
    code = (
        "import sys; from gateway.store.keystore import KeyStore; from gateway.store.spec import KeySpec\n"
        f"store = KeyStore(sys.argv[1], {PEPPER!r})\n"
        "for _ in range(25): store.create(KeySpec(team='t'))\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, url]) for _ in range(3)]
    assert [writer.wait(timeout=50) for writer in writers] == [0, 0, 0]
    assert sorted(record.seq for record in store.list()) == list(range(1, 76))


def test_another_pepper_is_refused_before_every_key_seems_unknown(store: KeyStore, url: str) -> None:
    with pytest.raises(ConfigError, match="another pepper"):
        KeyStore(url, b"q" * 32)
    KeyStore(url, PEPPER).close()


def test_a_keys_text_finds_it_only_while_it_is_good(store: KeyStore, clock: Clock) -> None:
    record, text = store.create(KeySpec(team="search", expires_at=store.now() + 5))
    assert store.find(text) == record
    assert store.find(text[:-1] + "!") is None
    assert store.find("") is None
    other, _ = store.create(KeySpec(team="search"))
    assert store.find(text.replace(record.id, other.id)) is None
    clock.now += 5
    assert store.find(text) is None


def test_100_000_keys_are_made_and_loaded_in_seconds(store: KeyStore) -> None:
    """A generous bound for a busy machine; alone, 3 s and 0.6 s."""
    began = time.perf_counter()
    made = store.create_many([KeySpec(team=f"team-{n % 100}", models=frozenset({"a"})) for n in range(100_000)])
    assert time.perf_counter() - began < 30
    began = time.perf_counter()
    ring = store.load()
    assert time.perf_counter() - began < 10
    assert len(ring) == ring.seq == 100_000
    record, text = made[77_777]
    assert authenticate(ring, text, store.now()) == record.caller


def test_making_none_is_nothing(store: KeyStore) -> None:
    assert store.create_many([]) == []
    assert store.seq() == 0
