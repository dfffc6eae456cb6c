"""What lives as long as the process, opened in order and closed in reverse: stores, keys, pools, metrics, logs.

One worker has one runtime. What several workers share lies in files: keys and idempotency under the data folder,
metrics in the run folder.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from gateway import __version__
from gateway.alarms import Alarms
from gateway.batches import Batches
from gateway.batches.booker import Booker
from gateway.booking import Book, micros
from gateway.config.loader import Loader
from gateway.config.reload import Outcome, Reloader
from gateway.config.settings import Settings
from gateway.config.snapshot import Snapshot
from gateway.errors import GatewayError, Unavailable, UpstreamError
from gateway.ledger import Ledger, Reader
from gateway.ledger.writer import Work
from gateway.limits import KeyTerms, Limits
from gateway.pricing.tokens import encoding_for
from gateway.recorder import Recorder
from gateway.store.batches import OpenBatches
from gateway.store.idempotency import Idempotency
from gateway.store.keystore import KeyStore
from gateway.store.leases import Leases
from gateway.store.objects import Objects
from gateway.store.private import load_pepper
from gateway.store.watch import KeyWatch
from gateway.telemetry.logs import AccessLog
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.sink import Sink
from gateway.upstream.sweep import Sweep
from gateway.upstreams import PoolObserver, View, close_view, kinds, open_view

REFRESH_S = 1.0
RETIRE_S = 0.2
"""Seconds between looks at whether a provider that a reload took out still has calls."""

_log = structlog.get_logger("gateway")


@dataclass(frozen=True, slots=True)
class Process:
    """What a worker is told at its start: its index, and where the files lie that it shares with the others.

    `supervisor` is the process that started it; None for one that is alone.
    """

    index: int
    workers: int
    run_dir: Path
    data_dir: Path
    supervisor: int | None = None


class Deadlines(Sweep):
    """The sweep of all that waits for a provider, which can be told to wait no longer."""

    def cut(self) -> None:
        """Fail every reply that is awaited or being read: this process ends."""
        for watched in tuple(self._watched):
            fail = getattr(watched, "fail", None)
            if fail is not None:
                fail(_going_down(begun=bool(getattr(watched, "status", 0))))


class _CutOff(UpstreamError):
    """The provider was answering, and this process ends."""

    status = 503
    code = "unavailable"


def _going_down(*, begun: bool) -> GatewayError:
    """What a call is told. Of what has not begun to be answered no other provider is to be asked any more."""
    message = "The gateway is shutting down; send the request again."
    return _CutOff(message) if begun else Unavailable(message, retry_after_s=1)


def keys_url(settings: Settings) -> str:
    """The database of keys: a file beside the ledger's."""
    return f"sqlite:///{settings.storage.ledger_path.with_name('keys.db')}"


def budgets_url(settings: Settings) -> str:
    """The database of budgets: a file beside the ledger's."""
    return f"sqlite:///{settings.storage.ledger_path.with_name('budgets.db')}"


def open_keystore(settings: Settings, data_dir: Path) -> KeyStore:
    """The keys that `settings` name, with the pepper of the data folder. Raises `ConfigError`."""
    settings.storage.ledger_path.parent.mkdir(parents=True, exist_ok=True)
    return KeyStore(keys_url(settings), load_pepper(data_dir / "pepper"))


class Runtime:
    """One worker's. Use `Runtime.open`; `close` when nothing is in flight any more."""

    def __init__(self, process: Process, loader: Loader, snapshot: Snapshot, sink: Sink, style: str) -> None:
        self.process = process
        self.is_draining = False
        self.started_at = time.time()
        self._exits = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._retiring: set[asyncio.Task[None]] = set()
        self._vocabulary: asyncio.Task[None] | None = None
        settings = snapshot.settings

        self.metrics = Metrics(process.run_dir, process.index, __version__)
        self._exits.callback(self.metrics.close)
        access = AccessLog(sink, "text" if style == "text" else "json") if settings.logs.access else None
        self.recorder = Recorder(self.metrics, access)

        self.sweep = Deadlines(asyncio.get_running_loop())
        self.connections = Sweep(asyncio.get_running_loop(), period_s=0.5)
        for sweep in (self.sweep, self.connections):
            sweep.start()
            self._exits.callback(sweep.stop)

        self._plugins = kinds()
        self.view = open_view(snapshot, self.sweep, self._observe, self._plugins)
        self._exits.push_async_callback(self._close_view)

        self.keystore = open_keystore(settings, process.data_dir)
        self._exits.callback(self.keystore.close)
        self.keys = KeyWatch(self.keystore)
        idempotency = settings.idempotency
        self.idempotency = Idempotency(
            keys_url(settings).replace("keys.db", "idempotency.db"),
            ttl_s=int(idempotency.retention),
            reply_limit=idempotency.max_bytes,
        )
        self._exits.callback(self.idempotency.close)
        self.objects = Objects(keys_url(settings))
        self._exits.callback(self.objects.close)

        self.ledger = Ledger.open(settings.storage.ledger_path, micros)
        self._exits.push_async_callback(self._close_ledger)
        self.reader = Reader(settings.storage.ledger_path)
        self._exits.callback(self.reader.close)
        bank = Leases(budgets_url(settings), workers=process.workers)
        self.limits = Limits(bank, snapshot.rules, self._own_limits, workers=process.workers)
        self._exits.push_async_callback(self.limits.close)
        self.book = Book(self.ledger, self.limits, self.metrics)
        path = settings.storage.ledger_path
        open_batches = OpenBatches(keys_url(settings))
        self._exits.callback(open_batches.close)
        booker = Booker(self.ledger, self.reader, path.with_name(f"{path.name}-batches"), self.book.charge)
        looks = path.with_name(f"{path.name}-batch-looks")
        self.batches = Batches(open_batches, booker, lambda: self.view, looks)
        self._exits.push_async_callback(self.batches.close)
        self.alarms = Alarms(
            keys_url(settings).replace("keys.db", "webhooks.db"),
            lambda: self.view,
            self.ledger,
            self.limits,
            self.metrics,
            time.time,
            self.book.take_unpriced,
        )
        self._exits.push_async_callback(self.alarms.close)
        self._written = Work()
        self._key_seq = -1

        self.reloader = Reloader(snapshot, loader.load, self._apply, loader.watched, self._reloaded)
        self._count_load()

    def __repr__(self) -> str:
        return f"<Runtime of worker {self.process.index}, {len(self.view.served)} providers>"

    def start(self) -> None:
        """Begin the background work."""
        loop = asyncio.get_running_loop()
        stores = (self.keys.run(), self.idempotency.run(), self.limits.run())
        for work in (*stores, self.batches.run(), self.alarms.run(), self.reloader.watch(), self._refresh()):
            task = loop.create_task(work)
            task.add_done_callback(_tell_of_end)
            self._tasks.append(task)
        self._vocabulary = loop.create_task(self._load_vocabulary())

    async def _load_vocabulary(self) -> None:
        """Before it is wanted: the first estimate would wait for it, and at the end there is no time to wait."""
        await asyncio.to_thread(encoding_for, "gpt-5")

    def cut(self) -> None:
        """End the calls that wait for a provider: there is no time left."""
        self.sweep.cut()

    async def close(self) -> None:
        """Stop the background work and close everything, the last opened first."""
        work = [*self._tasks, *self._retiring, *([self._vocabulary] if self._vocabulary is not None else [])]
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await self._exits.aclose()

    def faults(self) -> dict[str, str]:
        """What keeps this worker from taking calls, by part; empty if nothing does."""
        found = {}
        if self.is_draining:
            found["process"] = "shutting down"
        keys = self.keys.state()
        if not keys.is_open:
            found["keys"] = keys.error or "not readable"
        refusing = self.ledger.state().error
        if refusing:
            found["ledger"] = refusing
        return found

    def warnings(self) -> dict[str, str]:
        """What does not, but somebody should look at."""
        found = {}
        state = self.reloader.state
        if state.faults:
            found["config"] = "; ".join(str(fault) for fault in state.faults)
        return found | self.alarms.warnings()

    def _observe(self, provider: str) -> PoolObserver:
        return PoolObserver(self.metrics, provider)

    async def _apply(self, snapshot: Snapshot) -> None:
        """Swap the view in. Calls in flight keep the old one; its upstreams end with their last call."""
        before = self.view
        self.view = open_view(snapshot, self.sweep, self._observe, self._plugins, before)
        self.limits.use(snapshot.rules)
        self.alarms.use(self.view)
        if snapshot.settings.server != before.snapshot.settings.server:
            _log.warning("restart_needed", detail="changes under `server` are taken up at the next start")
        retiring = asyncio.get_running_loop().create_task(self._retire(before, self.view))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)

    async def _retire(self, before: View, successor: View) -> None:
        """Close what the new view does not go on with, once no call uses it any more."""
        gone = [served for name, served in before.served.items() if successor.served.get(name) is not served]
        while any(getattr(served.upstream, "active", 0) for served in gone):  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(RETIRE_S)
        await close_view(before, successor)
        for served in gone:
            if served.name not in self.view.served:
                for state in ("idle", "active"):
                    self.metrics.upstream_connections.labels(provider=served.name, state=state).set(0.0)

    def _own_limits(self, key_id: str) -> KeyTerms | None:
        return self.keys.ring.record(key_id)

    async def _close_ledger(self) -> None:
        if not await self.ledger.close():
            _log.error("ledger_not_written", detail="what it did not write is settled at the next start")

    async def _close_view(self) -> None:
        await close_view(self.view)

    def _reloaded(self, outcome: Outcome) -> None:
        self.metrics.config_reloads.labels(outcome=outcome).inc()
        self._count_load(failed=outcome == "failed")

    def _count_load(self, *, failed: bool = False) -> None:
        self.metrics.config_reload_failing.set(float(failed))
        if not failed:
            self.metrics.config_loaded.set(time.time())

    async def _refresh(self) -> None:
        """Bring the gauges up to date that nobody counts along the way."""
        while True:
            self.refresh()
            await asyncio.sleep(REFRESH_S)

    def refresh(self) -> None:
        """Now; a scrape asks for it too."""
        self.metrics.refresh()
        keys = self.keys.state()
        self.metrics.keys.set(float(keys.keys))
        if keys.seq != self._key_seq:
            self._key_seq = keys.seq
            self.limits.forget()  # a key's own limits may have changed
        self._refresh_money()
        for name, served in self.view.served.items():
            for state in ("idle", "active"):
                gauge = self.metrics.upstream_connections.labels(provider=name, state=state)
                gauge.set(float(getattr(served.upstream, state)))

    def _refresh_money(self) -> None:
        metrics, state, work, before = self.metrics, self.ledger.state(), replace(self.ledger.work), self._written
        metrics.ledger_queued.set(float(state.queued))
        metrics.ledger_open.set(float(state.in_flight))
        metrics.ledger_oldest.set(state.oldest_s)
        metrics.ledger_refusing.set(float(bool(state.error)))
        metrics.ledger_rows.inc(work.rows - before.rows)
        metrics.ledger_commits.inc(work.commits - before.commits)
        metrics.ledger_commit_s.inc(work.commit_s - before.commit_s)
        self._written = work
        age = self.view.snapshot.prices.age(datetime.now(UTC).date())
        if age is not None:
            metrics.prices_age.set(age.total_seconds())


def _tell_of_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        _log.critical("background_work_ended", error=repr(task.exception()))


def chance() -> float:
    """A draw from [0, 1) for routing; not for secrets."""
    return random.random()


def is_alone(process: Process) -> bool:
    """Whether there is no supervisor above this worker."""
    return process.supervisor is None


def tell_supervisor(process: Process, signal_number: int) -> None:
    """Pass a signal on to the process that started this one, which tells the siblings.

    If it has died, this process has another parent by now, which must not be sent anything.
    """
    if process.supervisor is not None and process.supervisor == os.getppid():
        os.kill(process.supervisor, signal_number)
