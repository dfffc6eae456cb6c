"""Keeps a ledger while fsync fails, under `fiu-run -x`: started by test_faults.py with the ledger and fiu-ctrl."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from gateway.errors import Unavailable
from gateway.ledger import Ledger
from loadtest.kill_child import micros
from tests.ledger.records import reservation, settlement

EIO = 5


async def main(path: Path, control: str) -> None:
    def tell(command: str) -> None:
        subprocess.run([control, "-c", command, str(os.getpid())], check=True)

    ledger = Ledger.open(path, micros)
    before = ledger.reserve(reservation("before"))
    await before
    for name in ("fsync", "fdatasync"):
        tell(f"enable name=posix/io/sync/{name},failinfo={EIO}")
    try:
        await ledger.reserve(reservation("during"))
    except Unavailable as error:
        assert "disk I/O error" in error.message, error.message
    else:
        raise AssertionError("fsync did not fail")
    before.settle(settlement())
    await asyncio.sleep(0.6)
    assert ledger.state().error, "recovered while fsync still fails"
    for name in ("fsync", "fdatasync"):
        tell(f"disable name=posix/io/sync/{name}")
    async with asyncio.timeout(10.0):
        while ledger.state().error:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.05)
    with suppress(Unavailable):
        after = ledger.reserve(reservation("after"))
        await after
        after.settle(settlement())
    assert await ledger.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
