"""Following the keys: a change made anywhere counts here within a second, and old knowledge has an end."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.access import KeyRing, authenticate
from gateway.errors import GatewayError
from gateway.store.keystore import KeyStore
from gateway.store.spec import KeySpec
from gateway.store.watch import KEEP_S, POLL_S, KeyWatch
from tests.store.conftest import PEPPER

# Another process, which does what it is told on its standard input and says when it was done (monotonic time, which
# all processes of a machine share).
OPERATOR = f"""
import sys, time
from gateway.store.keystore import KeyStore
from gateway.store.spec import KeySpec
store = KeyStore(sys.argv[1], {PEPPER!r})
for line in sys.stdin:
    verb, *words = line.split()
    if verb == "create":
        said = store.create(KeySpec(team="t"))[1]
    elif verb == "rotate":
        said = store.rotate(words[0], 0)[1]
    else:
        said = store.revoke(words[0]).id
    print(time.monotonic(), said, flush=True)
"""


class Operator:
    """The other process."""

    def __init__(self, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", OPERATOR, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def do(self, line: str) -> tuple[float, str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        at, said = self._process.stdout.readline().split()
        return float(at), said

    def close(self) -> None:
        self._process.communicate(timeout=10)


@asynccontextmanager
async def running(watch: KeyWatch) -> AsyncIterator[KeyWatch]:
    task = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool], limit_s: float = 10) -> float:
    """When it became true, on the monotonic clock."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        await asyncio.sleep(0.005)
    return time.monotonic()


def code(ring: KeyRing, text: str) -> str:
    """What a call with this key gets."""
    try:
        authenticate(ring, text, 1_800_000_000)
    except GatewayError as error:
        return error.code
    return "ok"


async def becomes(watch: KeyWatch, text: str, expected: str) -> float:
    """When a call with this key first got that."""
    return await until(lambda: code(watch.ring, text) == expected)


class Reading(KeyStore):
    """A store that counts how often it is read, and takes its time."""

    reads = 0
    takes_s = 0.0

    def seq(self) -> int:
        self.reads += 1
        time.sleep(self.takes_s)
        return super().seq()


@pytest.fixture
def reading(url: str) -> Iterator[Reading]:
    opened = Reading(url, PEPPER)
    yield opened
    opened.close()


async def test_what_another_process_does_to_a_key_counts_here_within_a_second(store: KeyStore, url: str) -> None:
    operator = Operator(url)
    first = await asyncio.to_thread(operator.do, "create")  # the interpreter starts before the clock does
    async with running(KeyWatch(store)) as watch:
        for round_ in range(3):
            at, text = await asyncio.to_thread(operator.do, "create")
            assert await becomes(watch, text, "ok") - at <= 1, round_
            key_id = text.split("-")[1]
            at, new = await asyncio.to_thread(operator.do, f"rotate {key_id}")
            assert await becomes(watch, new, "ok") - at <= 1, round_
            assert code(watch.ring, text) == "expired_api_key"
            at, _ = await asyncio.to_thread(operator.do, f"revoke {key_id}")
            assert await becomes(watch, new, "revoked_api_key") - at <= 1, round_
        assert code(watch.ring, first[1]) == "ok"
    operator.close()


async def test_many_changes_at_once_are_all_taken_in(store: KeyStore) -> None:
    async with running(KeyWatch(store, poll_s=0.01)) as watch:
        other = await asyncio.to_thread(store.create_many, [KeySpec(team="t")] * 2_500)
        await until(lambda: watch.state().seq == 2_500)
        assert {code(watch.ring, text) for _, text in other} == {"ok"}


async def test_a_change_between_loading_and_following_is_not_missed(store: KeyStore) -> None:
    watch = KeyWatch(store, poll_s=0.01)
    _, text = store.create(KeySpec(team="t"))
    async with running(watch):
        await becomes(watch, text, "ok")


async def test_a_quiet_database_is_not_read(reading: Reading) -> None:
    async with running(KeyWatch(reading, poll_s=0.005)) as watch:
        await asyncio.sleep(0.2)
        assert reading.reads <= 1  # once at the start, to be sure
        assert watch.state().age_s < 0.2


async def test_keys_that_cannot_be_read_are_trusted_for_a_while_and_then_refused(
    store: KeyStore, tmp_path: Path
) -> None:
    _, text = store.create(KeySpec(team="t"))
    async with running(KeyWatch(store, poll_s=0.01, keep_s=0.5)) as watch:
        await asyncio.sleep(0.1)
        os.rename(tmp_path / "keys.db", tmp_path / "away.db")
        await until(lambda: watch.state().failures > 3)
        assert code(watch.ring, text) == "ok"
        assert watch.state().error is not None
        await until(lambda: watch.ring.closed)
        assert code(watch.ring, text) == "keys_unavailable"
        assert not watch.state().is_open
        assert watch.state().age_s >= 0.5

        os.rename(tmp_path / "away.db", tmp_path / "keys.db")
        await becomes(watch, text, "ok")
        assert (watch.state().is_open, watch.state().error) == (True, None)


async def test_a_read_that_hangs_does_not_keep_old_keys_alive(reading: Reading) -> None:
    reading.takes_s = 1.0
    async with running(KeyWatch(reading, poll_s=0.01, keep_s=0.3)) as watch:
        began = time.monotonic()
        reading.create(KeySpec(team="t"))
        assert await until(lambda: watch.ring.closed) - began < 0.9


async def test_a_backup_that_is_put_back_is_read_as_a_whole(store: KeyStore, tmp_path: Path) -> None:
    _, kept = store.create(KeySpec(team="t"))
    with sqlite3.connect(tmp_path / "keys.db") as source, sqlite3.connect(tmp_path / "backup.db") as target:
        source.backup(target)
    source.close()
    target.close()
    _, later = store.create(KeySpec(team="t"))
    async with running(KeyWatch(store, poll_s=0.01)) as watch:
        assert code(watch.ring, later) == "ok"
        shutil.move(tmp_path / "backup.db", tmp_path / "keys.db")
        for log in ("keys.db-wal", "keys.db-shm"):
            (tmp_path / log).unlink(missing_ok=True)
        await becomes(watch, later, "invalid_api_key")
        assert code(watch.ring, kept) == "ok"
        revoked = store.revoke(kept.split("-")[1])
        await until(lambda: watch.ring.seq == revoked.seq)
        assert code(watch.ring, kept) == "revoked_api_key"


async def test_an_error_of_any_kind_is_noted_and_following_goes_on(store: KeyStore, tmp_path: Path) -> None:
    record, text = store.create(KeySpec(team="t"))
    async with running(KeyWatch(store, poll_s=0.01)) as watch:
        with sqlite3.connect(tmp_path / "keys.db") as connection:
            connection.execute("UPDATE keys SET models = 'no JSON', seq = 2")
            connection.execute("UPDATE meta SET number = 2 WHERE name = 'key_seq'")
        await until(lambda: watch.state().failures > 1)
        assert "JSON" in (watch.state().error or "")
        assert code(watch.ring, text) == "ok"
        with sqlite3.connect(tmp_path / "keys.db") as connection:
            connection.execute("UPDATE keys SET models = NULL")
        connection.close()
        store.revoke(record.id)
        await becomes(watch, text, "revoked_api_key")


def test_a_gateway_does_not_start_without_its_keys(store: KeyStore, tmp_path: Path) -> None:
    (tmp_path / "keys.db").unlink()
    with pytest.raises(GatewayError):
        KeyWatch(store)


def test_the_promise_of_a_second_is_kept_with_room_to_spare() -> None:
    assert POLL_S <= 0.25
    assert KEEP_S <= 60
