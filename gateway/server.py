"""`gateway serve`: one worker in this process, or a supervisor above several.

The supervisor serves nothing. It holds the ports and the run folder, starts workers, starts another where one died
(after a pause that grows, so that a worker which cannot live does not spin), and passes on to all what it is told by
signals. Their handlers only take notes, which one loop acts on: a handler that acted could run between the start of
a worker and the moment in which the supervisor knows of it.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import structlog

from gateway import __version__
from gateway.config.loader import Loader
from gateway.config.snapshot import Snapshot
from gateway.errors import ConfigError, Fault
from gateway.runtime import Process, open_keystore
from gateway.store.bootstrap import FirstKeys, first_keys
from gateway.telemetry import logs
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.rundir import SHARED_MEMORY, RunDir
from gateway.telemetry.sink import Sink
from gateway.worker import WORKER_SIGNALS, Worker, bind, claim, tls_context

MAX_PAUSE_S = 10.0
LOOK_S = 0.05
"""Seconds between two looks at the workers and the notes."""
KILL_S = 10.0
"""Seconds beyond delay and grace after which a worker that does not end is killed: its loop is stuck."""

LOG_LOCK = "log.lock"
"""The file in the run folder by which processes that share standard error take turns."""

_log = structlog.get_logger("gateway")

Announce = Callable[[Snapshot, FirstKeys, tuple[str, int], tuple[str, int]], None]


@dataclass(frozen=True, slots=True)
class Start:
    """How to run: where the files are, and how the command line was, for workers to be started alike."""

    loader: Loader
    log_style: logs.Style
    verbs: tuple[str, ...] = ()


def serve(start: Start, announce: Announce) -> None:
    """Run until SIGTERM or SIGINT. Raises `ConfigError` before anything listens."""
    snapshot = start.loader.load()
    data_dir = start.loader.data_dir
    _make_private_folder(data_dir)
    alone = snapshot.settings.server.workers == 1
    with ExitStack() as exits:
        run_dir = RunDir(SHARED_MEMORY, data_dir)
        exits.callback(run_dir.close)
        sink = Sink(2, lock=None if alone else run_dir.path / LOG_LOCK)
        exits.callback(sink.close)
        logs.configure(sink, level=snapshot.settings.logs.level, style=start.log_style)
        for warning in snapshot.warnings:
            _log.warning("config_warning", detail=warning)
        _check_tls(snapshot)
        exits.enter_context(_claimed_ports(snapshot))
        keys = _first_keys(snapshot, data_dir)

        def ready(data: tuple[str, int], admin: tuple[str, int]) -> None:
            announce(snapshot, keys, data, admin)

        if alone:
            process = Process(0, 1, run_dir.path, data_dir)
            Worker(process, start.loader, snapshot, sink, start.log_style, ready).run()
        else:
            Supervisor(start, snapshot, run_dir.path).run(ready)


def work(process: Process, loader: Loader, log_style: logs.Style) -> None:
    """Be one of several workers: what the supervisor starts."""
    snapshot = loader.load()
    sink = Sink(2, lock=process.run_dir / LOG_LOCK)
    logs.configure(sink, level=snapshot.settings.logs.level, style=log_style)
    try:
        ready = process.run_dir / f"ready-{process.index}"
        Worker(process, loader, snapshot, sink, log_style, lambda data, admin: ready.touch()).run()
    finally:
        sink.close()


def _make_private_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError([Fault(str(folder), None, f"the data folder cannot be made: {error.strerror}")]) from None


def _first_keys(snapshot: Snapshot, data_dir: Path) -> FirstKeys:
    store = open_keystore(snapshot.settings, data_dir)
    try:
        return first_keys(store, data_dir)
    finally:
        store.close()


def _check_tls(snapshot: Snapshot) -> None:
    """Read the certificates once before anything listens. Raises `ConfigError`."""
    server = snapshot.settings.server
    for tls, name in ((server.tls, "tls"), (server.admin_tls, "admin_tls")):
        if tls is not None:
            try:
                tls_context(tls)
            except OSError as error:  # ssl.SSLError is one
                reason = getattr(error, "reason", None) or error.strerror or str(error)
                message = f"{tls.cert} and {tls.key} cannot be used: {reason}; both must be PEM and belong together"
                raise ConfigError([Fault(f"server.{name}", None, message)]) from None


@contextmanager
def _claimed_ports(snapshot: Snapshot) -> Iterator[None]:
    """Both ports are free, and stay ours until the end. Raises `ConfigError`."""
    server = snapshot.settings.server
    wanted = ((server.host, server.port, "", "PORT"), (server.admin_host, server.admin_port, "admin_", "ADMIN_PORT"))
    with ExitStack() as claims:
        for host, port, prefix, variable in wanted:
            try:
                held = claim(host, port)
            except OSError as error:
                message = f"{host}:{port} cannot be listened on: {error.strerror}; choose another {prefix}host"
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    why = "is in use" if error.errno == errno.EADDRINUSE else "may not be used by this user"
                    message = f"{host}:{port} {why}; choose another {prefix}port (`make run {variable}=...`)"
                raise ConfigError([Fault(f"server.{prefix}port", None, message)]) from None
            if held is not None:
                claims.enter_context(held)
        yield


@dataclass(slots=True)
class _Child:
    """One worker: its process, or when its successor is due (monotonic seconds)."""

    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    due_at: float = 0.0
    pause_s: float = 0.0


class Supervisor:
    """Keeps `workers` processes alive."""

    def __init__(self, start: Start, snapshot: Snapshot, run_dir: Path) -> None:
        server = snapshot.settings.server
        self._run_dir = run_dir
        # held, never listened on: so all workers get the same ports, were they chosen by the system or not
        self._sockets = [bind(server.host, server.port), bind(server.admin_host, server.admin_port)]
        ports = {"port": _port(self._sockets[0]), "admin_port": _port(self._sockets[1])}
        self._loader = replace(start.loader, server={**start.loader.server, **ports})
        self._style = start.log_style
        self._children = [_Child() for _ in range(server.workers)]
        self._patience_s = server.shutdown.delay + server.shutdown.grace + KILL_S
        self._stops = self._reloads = 0  # notes of the signal handlers
        self._metrics = Metrics(run_dir, "supervisor", __version__)

    def run(self, on_ready: Callable[[tuple[str, int], tuple[str, int]], None]) -> None:
        """Blocks until all workers have ended after SIGTERM or SIGINT."""
        self._take_notes()
        try:
            self._keep(on_ready)
            self._end()
        finally:
            for child in self._children:
                if child.process is not None:
                    child.process.kill()
            self._metrics.close()

    def _take_notes(self) -> None:
        def stop(*_: object) -> None:
            self._stops += 1

        def reload(*_: object) -> None:
            self._reloads += 1

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        signal.signal(signal.SIGHUP, reload)

    def _keep(self, on_ready: Callable[[tuple[str, int], tuple[str, int]], None]) -> None:
        """Until the first order to stop."""
        announced, reloads = False, 0
        while not self._stops:
            for index, child in enumerate(self._children):
                self._look_after(index, child)
            if not announced and all(self._is_ready(index) for index in range(len(self._children))):
                announced = True
                on_ready(self._sockets[0].getsockname()[:2], self._sockets[1].getsockname()[:2])
            if reloads != self._reloads:
                reloads = self._reloads
                self._tell(signal.SIGHUP)
            self._metrics.refresh()
            time.sleep(LOOK_S)

    def _end(self) -> None:
        """Until the last worker is gone."""
        patience_ends = time.monotonic() + self._patience_s
        told = 0
        while any(child.process is not None for child in self._children):
            if told == 0 or (told == 1 and self._stops > 1):
                self._tell(signal.SIGTERM if told == 0 else signal.SIGUSR2)
                told += 1
            if time.monotonic() > patience_ends:
                _log.error("workers_killed", after_s=self._patience_s)
                self._tell(signal.SIGKILL)
            for child in self._children:
                if child.process is not None and child.process.poll() is not None:
                    _close(child.process)
                    child.process = None
            time.sleep(LOOK_S)

    def _is_ready(self, index: int) -> bool:
        return (self._run_dir / f"ready-{index}").exists()

    def _look_after(self, index: int, child: _Child) -> None:
        now = time.monotonic()
        if child.process is not None and child.process.poll() is not None:
            self._bury(index, child, child.process, now)
        if child.process is None and now >= child.due_at:
            child.started_at = now
            child.process = self._spawn(index)

    def _bury(self, index: int, child: _Child, process: subprocess.Popen[bytes], now: float) -> None:
        lived_s = now - child.started_at
        child.pause_s = 0.0 if lived_s > MAX_PAUSE_S else min(MAX_PAUSE_S, max(0.2, 2 * child.pause_s))
        child.due_at = now + child.pause_s
        child.process = None
        _close(process)
        status, lived_s = process.returncode, round(lived_s, 1)
        _log.error("worker_died", index=index, status=status, lived_s=lived_s, pause_s=child.pause_s)
        self._metrics.worker_restarts.inc()

    def _spawn(self, index: int) -> subprocess.Popen[bytes]:
        told = {
            "index": index,
            "workers": len(self._children),
            "run_dir": str(self._run_dir),
            "data_dir": str(self._loader.data_dir),
            "config": None if self._loader.config is None else str(self._loader.config),
            "server": self._loader.server,
            "style": self._style,
            "supervisor": os.getpid(),
        }
        command = [sys.executable, "-m", "gateway", "worker", orjson.dumps(told).decode()]
        with suppress(FileNotFoundError):
            (self._run_dir / f"ready-{index}").unlink()
        # The pipe tells the worker when this process is gone, however it went.
        with _held_back():
            return subprocess.Popen(command, stdin=subprocess.PIPE, env=_plain(self._loader.environ))

    def _tell(self, number: signal.Signals) -> None:
        for child in self._children:
            if child.process is not None and child.process.poll() is None:
                child.process.send_signal(number)


@contextmanager
def _held_back() -> Iterator[None]:
    """A process that is started now does not get `WORKER_SIGNALS` before it asks for them: they would kill it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WORKER_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()


def _port(held: socket.socket) -> int:
    return int(held.getsockname()[1])


def _plain(environ: Mapping[str, str]) -> dict[str, str]:
    return {**environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
