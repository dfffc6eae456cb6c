"""Books a batch of two models, and is killed at the nth step of the ledger's writer: `kill_child.py FOLDER N`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from itertools import count
from pathlib import Path

from gateway.batches.booker import Booker
from gateway.batches.finished import Finished
from gateway.batches.prices import Used
from gateway.ledger import Ledger, Reader
from gateway.model.price import Cost
from gateway.model.usage import Usage
from gateway.store.objects import Owner

NOW = 1_795_435_200
OWNER = Owner("p", "search", "web", "key-a", NOW - 3600)
BATCH = Finished(
    id="batch_1", status="completed", endpoint="/v1/x", ended_at=NOW - 60, model="", usage=None, output_file_id="f"
)
USED = [Used(model, Usage(10, 5), Cost(1000)) for model in ("a", "b")]


async def book(folder: Path, last: int) -> bool:
    """Whether all was booked; with `last` above 0 the process dies at that step."""
    steps = count(1)

    def step(_name: str) -> None:
        if next(steps) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    path = folder / "ledger.db"
    ledger = Ledger.open(path, lambda: NOW * 1_000_000, patience_s=10.0, steps=step)
    done = await Booker(ledger, Reader(path), folder / "turn", clock=lambda: NOW).book(OWNER, BATCH, USED, "", "")
    await ledger.close()
    return done


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(book(Path(sys.argv[1]), int(sys.argv[2]))) else 1)
