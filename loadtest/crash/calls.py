"""Callers: each sends one call after another, over a new connection, and remembers what it was told.

They go on while gateways die and come back: a connection that is refused or breaks is what they expect.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from loadtest.crash.world import KINDS, Kind, question

PATIENCE_S: Final = 10.0
"""Seconds for one call. None takes as long, so that one that does is a fault."""
RETRY_S: Final = 0.01


@dataclass(slots=True)
class Seen:
    """What callers saw. `answered` are ids of calls whose status was 200: of those a provider has worked on each."""

    answered: set[str] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)
    whole: int = 0
    left: int = 0
    broken: int = 0
    faults: list[str] = field(default_factory=list)

    def add(self, other: Seen) -> None:
        """Take other callers' in."""
        self.answered |= other.answered
        self.statuses += other.statuses
        self.whole += other.whole
        self.left += other.left
        self.broken += other.broken
        self.faults += other.faults


class Callers:
    """`count` callers of the gateway on `port`, until `stop`. `key` is read for each call: it may come late."""

    def __init__(self, port: int, count: int, draw: Random, seen: Seen, kinds: Sequence[Kind] = KINDS) -> None:
        self.key = ""
        self._kinds = kinds
        self._port = port
        self._seen = seen
        self._stopping = False
        self._tasks = [asyncio.create_task(self._run(Random(draw.randrange(2**63)))) for _ in range(count)]

    async def stop(self) -> None:
        """End after the calls under way."""
        self._stopping = True
        await asyncio.gather(*self._tasks)

    async def _run(self, draw: Random) -> None:
        while not self._stopping:
            kind = draw.choice(self._kinds)
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self._call(kind, draw)
            except TimeoutError:
                self._seen.faults.append(f"a call of {kind} was not answered within {PATIENCE_S:g} s")
            except OSError:
                self._seen.broken += 1
                await asyncio.sleep(RETRY_S)
            await asyncio.sleep(draw.uniform(0, 0.01))

    async def _call(self, kind: Kind, draw: Random) -> None:
        leaves_at = draw.uniform(0.0, 0.12) if kind.leaves else None
        if not self.key:
            raise ConnectionRefusedError
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(request(kind, self.key, draw))
            try:
                async with asyncio.timeout(leaves_at):
                    await self._read(reader)
            except TimeoutError:
                if leaves_at is None:
                    raise
                self._seen.left += 1
        finally:
            writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        head = b""
        while line := await reader.readline():
            head += line
            if line == b"\r\n":
                break
        else:
            self._seen.broken += 1
            return
        status = int(head[9:12])
        self._seen.statuses[status] += 1
        if status == 200:
            self._seen.answered.add(header(head, b"x-request-id"))
        body = await reader.read(-1)
        self._seen.whole += body.endswith((b"}", b"\r\n0\r\n\r\n", b"}\n"))


def request(kind: Kind, key: str, draw: Random) -> bytes:
    """The bytes of one call; its connection ends with its answer."""
    message = {"role": "user", "content": question(draw)}
    asked = {"model": kind.model, "messages": [message], "stream": kind.stream, "max_tokens": 64}
    body = json.dumps(asked).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def header(head: bytes, name: bytes) -> str:
    """A header's value out of a head, empty if it is not there."""
    for line in head.split(b"\r\n"):
        found, _, value = line.partition(b":")
        if found.lower() == name:
            return value.strip().decode()
    return ""
