"""Starting what is measured: each in a process group of its own, on its own cores, ended whole."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtest.machine import BenchError

_STOP_PATIENCE_S = 8.0
_POLL_S = 0.05
# Everything is on this machine; a proxy named by the environment is for elsewhere.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where. One core for the proxy makes "one worker" mean the same for all; the rest drive it."""

    proxy: frozenset[int]
    drivers: frozenset[int]


def share_cores() -> Cores:
    """The last core for the proxy, the others for the upstream and the generators; with one core, all share it."""
    cores = sorted(os.sched_getaffinity(0))
    return Cores(proxy=frozenset(cores[-1:]), drivers=frozenset(cores[:-1] or cores))


class Child:
    """A process with its descendants, `pid` being the first; its output goes to `log`."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self.name = name
        self.pid = process.pid
        self.log = log

    def __repr__(self) -> str:
        return f"<Child {self.name} pid={self.pid} {'running' if self.alive else 'ended'}>"

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def last_words(self) -> str:
        """The end of what it has written, to explain a failed start."""
        return self.log.read_text(errors="replace")[-1500:]

    def stop(self) -> None:
        """End the whole group: politely first, then for certain. Ending it twice does no harm."""
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            pass
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass


def start(name: str, command: Sequence[str], cores: frozenset[int], scratch: Path, env: Mapping[str, str]) -> Child:
    """Start `command` on `cores`, with `env` added to this environment; its output goes to a file in `scratch`."""
    log = scratch / f"{name}.log"
    with log.open("wb") as output, on_cores(cores):
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**_environment_without_proxies(), **env},
            start_new_session=True,
        )
    return Child(name, process, log)


def _environment_without_proxies() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


@contextmanager
def on_cores(cores: frozenset[int]) -> Iterator[None]:
    """Run the block on `cores`; processes started in it stay there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody holds now; whoever needs it takes it soon."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(child: Child, url: str, *, patience_s: float) -> None:
    """Return once a GET of `url` is answered with 200.

    Raises `BenchError`, with the child's last words, where it ends or `patience_s` seconds go by.
    """
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if not child.alive:
            raise BenchError(f"{child.name} ended while starting:\n{child.last_words()}")
        if _answers(url):
            return
        time.sleep(_POLL_S)
    raise BenchError(f"{child.name} was not ready at {url} after {patience_s:g} s:\n{child.last_words()}")


def _answers(url: str) -> bool:
    try:
        with _opener.open(url, timeout=2) as reply:
            ready: bool = reply.status == 200
            return ready
    except (urllib.error.URLError, OSError):
        return False
