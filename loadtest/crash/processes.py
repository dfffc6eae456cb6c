"""Processes of a campaign: a gateway that may die at any moment, orphans, and the ports that they have."""

from __future__ import annotations

import asyncio
import os
import re
import select
import signal
import socket
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from random import Random
from typing import Final

from loadtest.crash.child import READY, STRUCK, child
from loadtest.crash.lives import Fate

START_S: Final = 30.0
GONE_S: Final = 20.0


class CampaignError(Exception):
    """The harness cannot go on: a gateway or the provider did not start, or did not die."""


class Gateway:
    """A forked gateway and the pipe that tells how it does."""

    def __init__(self, context: ForkServerContext, folder: Path, config: Path, fate: Fate) -> None:
        receive, send = context.Pipe(duplex=False)
        self._pipe: Connection = receive
        self._events: asyncio.Queue[bytes] = asyncio.Queue()
        self._dead = asyncio.Event()
        self.struck = False
        self.exitcode: int | None = None
        self._process: ForkServerProcess = context.Process(target=child, args=(str(folder), str(config), fate, send))
        self._process.start()
        send.close()
        self.pid = self._process.pid or 0
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._pipe.fileno(), self._read)

    @property
    def was_killed(self) -> bool:
        # 255: the fork server has lost its status, which happens about once in a thousand; an error would make it 1.
        return self.exitcode in (-signal.SIGKILL, 255)

    def _read(self) -> None:
        try:
            message = self._pipe.recv_bytes()
        except (EOFError, OSError):
            self._loop.remove_reader(self._pipe.fileno())
            self._dead.set()
            self._events.put_nowait(b"")
            return
        self.struck = self.struck or message == STRUCK
        self._events.put_nowait(message)

    async def ready(self, within_s: float = START_S) -> bool:
        """Wait until it takes calls; False if it died before, or took longer."""
        message = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while (message := await self._events.get()) not in (READY, b""):
                    pass
        return message == READY

    async def died_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._dead.wait()
        return self._dead.is_set()

    async def gone(self) -> None:
        """Wait for its end. Raises `CampaignError`."""
        await asyncio.to_thread(self._process.join, GONE_S)
        if self._process.exitcode is None:
            raise CampaignError(f"process {self.pid} does not die")
        self.exitcode = self._process.exitcode

    def send(self, number: signal.Signals) -> None:
        if not self._dead.is_set():  # its number may be somebody else's by then
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def children(self) -> list[int]:
        with suppress(OSError):
            return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        return []

    def close(self) -> None:
        if not self._dead.is_set():
            self._loop.remove_reader(self._pipe.fileno())
        if self.exitcode is None:
            self.send(signal.SIGKILL)
        self._pipe.close()


def quiet_port(draw: Random) -> int:
    """A port that no connection is given by chance: callers knock while nobody listens, and could meet themselves."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in draw.sample(range(10_000, low), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise CampaignError(f"no port below {low} is free")


async def until_gone(process: int) -> None:
    """Wait for the end of a process, by its descriptor, and close that."""
    try:
        if not await asyncio.to_thread(lambda: select.select([process], [], [], GONE_S)[0]):
            raise CampaignError(f"a worker outlives its supervisor by {GONE_S:g} s")
    finally:
        os.close(process)


async def provider_port(log: Path) -> int:
    """The port of the stand-alone provider that writes to `log`, once it has said so. Raises `CampaignError`."""
    ends = time.monotonic() + START_S
    while time.monotonic() < ends:
        text = await asyncio.to_thread(log.read_text)
        if found := re.search(r"http://127\.0\.0\.1:(\d+)/v1", text):
            return int(found[1])
        await asyncio.sleep(0.02)
    raise CampaignError(f"the provider did not start: {text}")
