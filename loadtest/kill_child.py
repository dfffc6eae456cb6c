"""One process that keeps a ledger until it is killed: see `kill_ledger.py`.

It is a module of its own so that it can be loaded once and forked for every kill.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.ledger import Ledger
from gateway.model.record import Reservation, Settlement

CALLERS: Final = 6
STEPS: Final = (
    *("reserved", "acknowledged", "marked", "dialled", "answered", "settled"),  # of the loop
    *("begin", "written", "committed"),  # of the writing thread
)


def micros() -> int:
    """Unix time in microseconds."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Fate:
    """When a child dies: the `count`th time that it reaches `step`; without a step, after `after_s`."""

    step: str
    count: int
    after_s: float


def child(path: str, port: int, log: str, fate: Fate, name: str) -> None:
    """One gateway's worth of calls, until it is killed."""
    left = {fate.step: fate.count}

    def reach(step: str) -> None:
        if step in left:
            left[step] -= 1
            if left[step] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(_gateway(Path(path), port, log, name, reach))


async def _gateway(path: Path, port: int, log: str, name: str, reach: Callable[[str], None]) -> None:
    ledger = Ledger.open(path, micros, steps=reach)
    acknowledged = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    await asyncio.gather(*[_caller(ledger, port, f"{name}-{number}", acknowledged, reach) for number in range(CALLERS)])


async def _caller(ledger: Ledger, port: int, name: str, acknowledged: int, reach: Callable[[str], None]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = 0
    while True:
        number += 1
        request = f"{name}-{number}"
        began = micros()
        ticket = ledger.reserve(
            Reservation(
                request_id=request,
                attempt=1,
                began_at=began,
                endpoint="/v1/chat/completions",
                team="t" + name[-1],
                provider="p",
                deployment="d",
                model="m",
                held_nano=10**9,
            )
        )
        reach("reserved")
        await ticket
        os.write(acknowledged, f"{request}\n".encode())
        reach("acknowledged")
        if number % 7 == 0:  # turned away by something between the ledger and the wire
            ticket.settle(Settlement(state="void", ended_at=micros(), cost_nano=0))
            continue
        ticket.sent(micros())
        reach("marked")
        writer.write(f"{request}\n".encode())
        reach("dialled")
        price = int(await reader.readline())
        reach("answered")
        ticket.settle(Settlement(state="settled", ended_at=micros(), status=200, source="provider", cost_nano=price))
        reach("settled")
