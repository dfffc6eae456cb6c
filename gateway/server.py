"""`gateway serve`: one worker in this process, or a supervisor above several.

The supervisor serves nothing. It holds the ports and the run folder, starts workers, starts another where one died
(after a pause that grows, so that a worker which cannot live does not spin), and passes SIGTERM and SIGHUP on to all.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
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
from gateway.worker import Worker, bind, is_free

MAX_PAUSE_S = 10.0

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
    with ExitStack() as exits:
        sink = Sink(2)
        exits.callback(sink.close)
        logs.configure(sink, level=snapshot.settings.logs.level, style=start.log_style)
        for warning in snapshot.warnings:
            _log.warning("config_warning", detail=warning)
        _check_ports(snapshot)
        keys = _first_keys(snapshot, data_dir)
        run_dir = RunDir(SHARED_MEMORY, data_dir)
        exits.callback(run_dir.close)
        workers = snapshot.settings.server.workers
        if workers == 1:
            process = Process(0, 1, run_dir.path, data_dir)

            def ready(data: tuple[str, int], admin: tuple[str, int]) -> None:
                announce(snapshot, keys, data, admin)

            Worker(process, start.loader, snapshot, sink, start.log_style, ready).run()
        else:
            Supervisor(start, snapshot, run_dir.path).run(lambda data, admin: announce(snapshot, keys, data, admin))


def work(process: Process, loader: Loader, log_style: logs.Style) -> None:
    """Be one of several workers: what the supervisor starts."""
    snapshot = loader.load()
    sink = Sink(2, lock=process.run_dir / "log.lock")
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


def _check_ports(snapshot: Snapshot) -> None:
    server = snapshot.settings.server
    for host, port, name in ((server.host, server.port, "port"), (server.admin_host, server.admin_port, "admin_port")):
        if not is_free(host, port):
            flag = "PORT" if name == "port" else "ADMIN_PORT"
            message = f"{host}:{port} is in use; choose another {name} (`make run {flag}=...`)"
            raise ConfigError([Fault(f"server.{name}", None, message)])


class Supervisor:
    """Keeps `workers` processes alive."""

    def __init__(self, start: Start, snapshot: Snapshot, run_dir: Path) -> None:
        server = snapshot.settings.server
        self._count = server.workers
        self._run_dir = run_dir
        # held, never listened on: so all workers get the same ports, were they chosen by the system or not
        self._sockets = [bind(server.host, server.port), bind(server.admin_host, server.admin_port)]
        ports = {"port": _port(self._sockets[0]), "admin_port": _port(self._sockets[1])}
        self._loader = replace(start.loader, server={**start.loader.server, **ports})
        self._style = start.log_style
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._started_at: dict[int, float] = {}
        self._pause_s: dict[int, float] = {}
        self._stopping = False
        self._metrics = Metrics(run_dir, "supervisor", __version__)

    def run(self, on_ready: Callable[[tuple[str, int], tuple[str, int]], None]) -> None:
        """Blocks until all workers have ended after SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop())
        signal.signal(signal.SIGHUP, lambda *_: self._tell(signal.SIGHUP))
        for index in range(self._count):
            self._spawn(index)
        if self._wait_ready():
            on_ready(self._sockets[0].getsockname()[:2], self._sockets[1].getsockname()[:2])
        while self._children:
            self._reap()
            self._metrics.refresh()
            time.sleep(0.1)
        self._metrics.close()

    def _wait_ready(self) -> bool:
        while not self._stopping:
            if all((self._run_dir / f"ready-{index}").exists() for index in range(self._count)):
                return True
            self._reap()
            time.sleep(0.02)
        return False

    def _spawn(self, index: int) -> None:
        told = {
            "index": index,
            "workers": self._count,
            "run_dir": str(self._run_dir),
            "data_dir": str(self._loader.data_dir),
            "config": None if self._loader.config is None else str(self._loader.config),
            "server": self._loader.server,
            "style": self._style,
        }
        command = [sys.executable, "-m", "gateway", "worker", orjson.dumps(told).decode()]
        self._children[index] = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=_plain(self._loader.environ))
        self._started_at[index] = time.monotonic()

    def _reap(self) -> None:
        for index, child in list(self._children.items()):
            if child.poll() is None:
                continue
            del self._children[index]
            if self._stopping:
                continue
            lived_s = time.monotonic() - self._started_at[index]
            pause_s = 0.0 if lived_s > MAX_PAUSE_S else min(MAX_PAUSE_S, max(0.2, 2 * self._pause_s.get(index, 0.0)))
            self._pause_s[index] = pause_s
            _log.error("worker_died", index=index, status=child.returncode, lived_s=round(lived_s, 1), pause_s=pause_s)
            self._metrics.worker_restarts.inc()
            time.sleep(pause_s)
            self._spawn(index)

    def _stop(self) -> None:
        self._stopping = True
        self._tell(signal.SIGTERM)

    def _tell(self, number: signal.Signals) -> None:
        for child in self._children.values():
            if child.poll() is None:
                child.send_signal(number)


def _port(held: socket.socket) -> int:
    return int(held.getsockname()[1])


def _plain(environ: Mapping[str, str]) -> dict[str, str]:
    return {**environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
