"""A process of the tests that emits events, and delivers them unless told to be killed first.

Arguments: the outbox's URL, the receiver's port, how many events, and `wait` (write down only) or `run`.
"""

from __future__ import annotations

import asyncio
import sys

from gateway.webhooks import Webhooks
from tests.webhooks.conftest import endpoint, event


async def main(url: str, port: int, count: int, do: str) -> None:
    webhooks = Webhooks(url, [endpoint(port, timeout_s=0.5)])
    for number in range(count):
        webhooks.emit(event(str(number)))
    if do == "wait":
        await webhooks.turn()
        print("written", flush=True)
        await asyncio.sleep(60)
    running = asyncio.create_task(webhooks.run())
    print("running", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    running.cancel()
    await webhooks.close()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
