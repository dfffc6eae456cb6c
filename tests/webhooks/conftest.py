"""A receiver on a real socket that answers as told, and webhooks over an outbox in a folder of the test."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.webhooks import Endpoint, Event, Webhooks
from gateway.webhooks.events import EventType, calls_unpriced
from gateway.webhooks.observer import End
from gateway.webhooks.sender import Outcome
from tests.upstream.providers import Line, serving

SECRET = b"0123456789abcdef0123456789abcdef"
NOW = 1_795_428_000.0  # 2026-11-23T10:00:00Z


class Clock:
    """Epoch seconds, as the test says."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Tally:
    """Counts."""

    def __init__(self) -> None:
        self.types: Counter[EventType] = Counter()
        self.outcomes: Counter[Outcome] = Counter()
        self.ends: Counter[End] = Counter()

    def emitted(self, type: EventType) -> None:
        self.types[type] += 1

    def attempted(self, type: EventType, outcome: Outcome) -> None:
        self.outcomes[outcome] += 1

    def ended(self, type: EventType, end: End) -> None:
        self.ends[end] += 1


class Receiver:
    """Answers each request with the next of its answers, the last one for good; `None` never answers."""

    def __init__(self, answers: Sequence[bytes | None]) -> None:
        self.port = 0
        self.answers = list(answers)
        self.requests: list[tuple[dict[str, str], bytes]] = []

    async def play(self, line: Line) -> None:
        while request := await line.request():
            head, _, body = request.partition(b"\r\n\r\n")
            pairs = (text.partition(": ") for text in head.decode().split("\r\n")[1:])
            self.requests.append(({name.lower(): value for name, _, value in pairs}, body))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if answer is None:
                await line.closed()
                return
            await line.send(answer)

    async def arrived(self, count: int) -> None:
        """Wait for so many requests."""
        async with asyncio.timeout(30):
            while len(self.requests) < count:  # noqa: ASYNC110 - the connections tell nobody
                await asyncio.sleep(0.02)

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.requests]


def answer(status: int, more: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\n{more}Content-Length: 0\r\n\r\n".encode()


@asynccontextmanager
async def receiving(*answers: bytes | None) -> AsyncIterator[Receiver]:
    receiver = Receiver(answers or [answer(204)])
    async with serving(receiver.play) as provider:
        receiver.port = provider.port
        yield receiver


def endpoint(port: int, **more: Any) -> Endpoint:
    return Endpoint(
        f"http://127.0.0.1:{port}/hooks?t=1", **{"secrets": (SECRET,), "allow_private": True, "timeout_s": 2.0, **more}
    )


def event(model: str = "m", now: float = NOW) -> Event:
    return calls_unpriced(now, "local", model)


def expected_signature(secret: bytes, headers: dict[str, str], body: bytes) -> str:
    """By the specification's words, and none of the gateway's code."""
    signed = headers["webhook-id"].encode() + b"." + headers["webhook-timestamp"].encode() + b"." + body
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/webhooks.db"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tally() -> Tally:
    return Tally()


Make = Callable[..., Webhooks]


@pytest.fixture
async def make(url: str, clock: Clock, tally: Tally) -> AsyncIterator[Make]:
    made: list[Webhooks] = []

    def build(*endpoints: Endpoint, at: str = url) -> Webhooks:
        made.append(Webhooks(at, endpoints, observer=tally, clock=clock, chance=lambda: 0.0))
        return made[-1]

    yield build
    for one in made:
        await one.close(0.0)


async def turned(webhooks: Webhooks, *, times: int = 1) -> None:
    """Rounds, each to the end of its attempts."""
    for _ in range(times):
        webhooks._look_at = 0.0
        await webhooks.turn()
        while webhooks._flying:
            await asyncio.wait(list(webhooks._flying))
            await asyncio.sleep(0)
