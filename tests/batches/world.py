"""Batches in a folder of their own: a real ledger, a real store, providers that play scripts or say given bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from gateway import __version__
from gateway.batches import Batches, Booker
from gateway.config.loader import Loader
from gateway.errors import UpstreamError
from gateway.ledger import Ledger, Reader
from gateway.model.caller import Caller
from gateway.model.record import Attempt
from gateway.store.batches import OpenBatches
from gateway.store.objects import Objects, Owner
from gateway.telemetry.metrics import Metrics
from gateway.upstream.sweep import Sweep
from gateway.upstream.wire import Headers, Request
from gateway.upstreams import PoolObserver, View, kinds, open_view

NOW = 1_795_435_200
"""2026-11-23T12:00:00Z."""
ANN = Caller("key-a", "search", "web", "", "developer")
CONFIG = """
providers:
  p: {kind: scripted, script: p.yaml}
  q: {kind: scripted, script: p.yaml}
models:
  plain: {deployments: [{provider: p, model: plain}]}
passthrough: {default: p}
prices: {path: prices.yaml}
"""
SCRIPT = """
models: ["*"]
replies:
  - when: {endpoint: chat}
    text: "You said: {{ question }}"
"""
PRICES = """
- provider: p
  model: plain
  from: 2026-01-01
  service_tier: batch
  usd_per_million: {input: 1, cache_read: 0.1, output: 2}
- {provider: p, model: fee, from: 2026-01-01, service_tier: batch, usd_per_million: {input: 1}, usd_per_request: 0.001}
- {provider: p, model: other, from: 2026-01-01, service_tier: batch, usd_per_million: {input: 10, output: 20}}
- provider: p
  model: long
  from: 2026-01-01
  service_tier: batch
  usd_per_million: {input: 1, output: 2}
  long_context: [{above: 1000, usd_per_million: {input: 2, output: 3}}]
- {provider: p, model: standard-only, from: 2026-01-01, usd_per_million: {input: 1, output: 2}}
"""


def answer(model: str, given: int, made: int, status: int = 200, **usage: Any) -> bytes:
    """One line of an output file."""
    used = {"prompt_tokens": given, "completion_tokens": made, **usage}
    body = {"model": model, "choices": [], "usage": used} if status == 200 else {"error": {"message": "no"}}
    return orjson.dumps({"id": "r", "custom_id": "1", "response": {"status_code": status, "body": body}}) + b"\n"


def batch(id: str = "batch_1", status: str = "completed", **members: Any) -> dict[str, Any]:
    """A batch object."""
    return {"id": id, "object": "batch", "status": status, f"{status}_at": NOW - 60, "endpoint": "/v1/x", **members}


def totals(given: int, made: int, cached: int = 0, reasoning: int = 0) -> dict[str, Any]:
    """The `usage` of a batch object."""
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": given + made,
    }


class Clock:
    """Epoch seconds, as the test says."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


class Said:
    """A provider that has an answer for each target, and 404 for the rest. Implements `wire.Upstream`."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = dict(answers)
        self.asked: list[str] = []
        self.piece = 7
        self.idle = self.active = 0

    async def send(self, request: Request) -> SaidReply:
        self.asked.append(request.target)
        found = self.answers.get(request.target)
        if isinstance(found, UpstreamError):
            raise found
        if isinstance(found, int):
            return SaidReply(found, b"", self.piece)
        if found is None:
            return SaidReply(404, b"{}", self.piece)
        return SaidReply(200, found if isinstance(found, bytes) else orjson.dumps(found), self.piece)

    async def aclose(self) -> None:
        return None


class SaidReply:
    """Implements `wire.Reply`, in pieces of a few bytes."""

    def __init__(self, status: int, body: bytes, piece: int) -> None:
        self.status = status
        self.headers: Headers = []
        self._rest = body
        self._piece = piece

    async def read(self) -> bytes:
        await asyncio.sleep(0)
        data, self._rest = self._rest[: self._piece], self._rest[self._piece :]
        return data

    async def read_all(self, limit: int) -> bytes:
        assert len(self._rest) <= limit
        data, self._rest = self._rest, b""
        return data

    def close(self) -> None:
        self._rest = b""

    def fail(self, error: Exception) -> None:
        raise AssertionError("nothing is swept here")


class World:
    """One gateway's batches; `worker` is another worker of it."""

    def __init__(self, folder: Path) -> None:
        for name, text in (("gateway.yaml", CONFIG), ("p.yaml", SCRIPT), ("prices.yaml", PRICES)):
            (folder / name).write_text(text)
        self.folder = folder
        self.path = folder / "ledger.db"
        self.url = f"sqlite:///{folder}/keys.db"
        self.clock = Clock()
        self.objects = Objects(self.url, clock=self.clock)
        self.open = OpenBatches(self.url, clock=self.clock)
        self.reader = Reader(self.path)
        self.charged: list[tuple[str, str, int | None, int]] = []
        (folder / "run").mkdir()
        self._metrics = Metrics(folder / "run", 0, __version__)
        snapshot = Loader(folder / "gateway.yaml", {}, folder).load()
        sweep = Sweep(asyncio.get_running_loop())
        self.view: View = open_view(snapshot, sweep, lambda name: PoolObserver(self._metrics, name), kinds())
        self._ledgers: list[Ledger] = []
        self.ledger = self.new_ledger()
        self.worker = self.new_worker(self.ledger)

    def new_ledger(self) -> Ledger:
        """That of another process."""
        made = Ledger.open(self.path, lambda: int(self.clock() * 1e6))
        self._ledgers.append(made)
        return made

    def new_worker(self, ledger: Ledger | None = None) -> Batches:
        booker = self.booker(ledger or self.new_ledger())
        return Batches(self.open, booker, lambda: self.view, self.folder / "look", clock=self.clock)

    def booker(self, ledger: Ledger) -> Booker:
        return Booker(ledger, self.reader, self.folder / "book", self._charge, self.clock)

    def _charge(self, owner: Owner, model: str, nano: int | None, tokens: int) -> None:
        self.charged.append((owner.team, model, nano, tokens))

    def says(self, answers: Mapping[str, Any], provider: str = "p") -> Said:
        """Have a provider say just that."""
        said = Said(answers)
        served = {**self.view.served, provider: replace(self.view.served[provider], upstream=said)}
        self.view = replace(self.view, served=served)
        return said

    async def made(self, id: str = "batch_1", provider: str = "p") -> None:
        """A caller has made a batch."""
        await self.objects.remember("batch", id, provider, ANN)

    async def settled(self, id: str = "batch_1", rows: int = 1) -> list[Attempt]:
        """The rows of a batch, as soon as so many have ended."""
        for _ in range(200):
            found = await asyncio.to_thread(self.reader.request, id)
            if len(found) >= rows and all(one.settlement for one in found):
                return list(found)
            await asyncio.sleep(0.02)
        raise AssertionError(f"not booked: {found}")

    async def idle(self, worker: Batches | None = None) -> None:
        """Until what was seen is dealt with."""
        for _ in range(1000):
            if "<Batches 0 " in repr(worker or self.worker):
                return
            await asyncio.sleep(0.01)
        raise AssertionError("still at work")

    async def close(self) -> None:
        await self.worker.close()
        for ledger in self._ledgers:
            await ledger.close()
        self.open.close()
        self.objects.close()
        self.reader.close()
        self._metrics.close()
