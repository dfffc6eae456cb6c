"""A worker process of the tests: holds on a shared budget until refused, and says what was let in.

Arguments: the folder, nano-dollars a call, calls, and whether to settle what is held or to wait to be killed.
"""

from __future__ import annotations

import asyncio
import sys
import time

from gateway.limits import Limit, Limits, RateLimited, Rule, Rules
from gateway.model.caller import Caller
from gateway.store.leases import Leases

CALLER = Caller("k" * 16, "retail", "web", "", "developer")
RULES = Rules([Rule("team", "retail", (Limit("usd", 1_000_000, "total"),))])
WORKERS = 4


async def main(folder: str, units: int, calls: int, end: str) -> None:
    bank = Leases(f"sqlite:///{folder}/budgets.db", workers=WORKERS)
    limits = Limits(bank, RULES, lambda key_id: None, workers=WORKERS)
    background = asyncio.create_task(limits.run())
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)

    async def call() -> int:
        try:
            hold = limits.hold(CALLER, "m", "", (), units, 0, time.time())
            await hold
        except RateLimited:
            return 0
        if end == "settle":
            await asyncio.sleep(0.01)
            limits.settle(hold, units, 0)
        return units

    print(sum(await asyncio.gather(*(call() for _ in range(calls)))), flush=True)
    if end == "wait":
        await asyncio.to_thread(sys.stdin.readline)
    background.cancel()
    await limits.close()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
