"""A full disk: calls are refused with 503 before anything is dialled, health goes on, and room mends it all."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.gateway_process import Gateway, eventually, provider, running
from tests.money.books import Books, check_equal, written
from tests.money.callers import Caller, chat

SCRIPT = """
models: [tiny]
replies:
  - {when: {contains: before}, text: " again again again", usage: {input_tokens: 7}, delay: {first: 0.1, chunk: 0.3}}
  - {text: " again again", usage: {input_tokens: 7}}
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def ready(gateway: Gateway) -> int:
    return gateway.admin("GET", "/readyz").status_code


async def test_a_full_disk_refuses_calls_before_dialling_and_room_brings_them_back(
    tmp_path: Path, small_disk: Path
) -> None:
    with (
        provider(tmp_path, SCRIPT) as up,
        running(tmp_path, config=written(tmp_path, up), extra={"GATEWAY_DATA": str(small_disk)}) as gateway,
    ):
        caller, books = Caller(gateway.port, gateway.key), Books(small_disk, up)
        assert (await caller.post(chat("x"))).status == 200
        begun = [asyncio.create_task(caller.post(chat("before", stream=True))) for _ in range(10)]
        await asyncio.to_thread(eventually, lambda: gateway.metric("gateway_streams") == 10)
        fill(small_disk / "ballast")
        served = 1

        # What is in pages that are there already still fits; then no more does.
        for _ in range(300):
            answer = await caller.post(chat("x"))
            if answer.status != 200:
                break
            served += 1
        refused = [await caller.post(chat("x")) for _ in range(20)]
        began = time.monotonic()
        refused.append(await caller.post(chat("x")))
        assert time.monotonic() - began < 0.5, "refused at once"
        assert {(one.status, one.code()) for one in refused} == {(503, "ledger_unavailable")}
        assert {one.headers["retry-after"] for one in refused} == {"1"}
        assert gateway.admin("GET", "/healthz").status_code == 200
        report = gateway.admin("GET", "/readyz")
        assert report.status_code == 503
        assert "ledger" in report.json()["not_ready"]
        for one in await asyncio.gather(*begun):  # what was let in goes on to its end
            assert one.data.endswith(b"data: [DONE]\n\n")
        assert len(up.bill()) == served + 10, "nothing was dialled"

        (small_disk / "ballast").unlink()
        await asyncio.to_thread(eventually, lambda: ready(gateway) == 200, 5)
        for _ in range(5):
            assert (await caller.post(chat("x"))).status == 200
        await asyncio.to_thread(books.closed)
        pairs = list(books.pairs())
        assert len(pairs) == len(books.bill()) == served + 15
        for attempt, line in pairs:
            assert attempt.state == "settled"
            check_equal(attempt, line)
        assert gateway.stop() == 0
