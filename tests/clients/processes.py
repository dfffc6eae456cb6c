"""Servers as child processes: started with a log, waited for by a URL, and stopped with everything they started."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
STOP_S = 15.0  # seconds between a polite SIGTERM and a kill


@dataclass(frozen=True)
class Server:
    """One running server; `log` holds all that it printed."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(
    name: str, command: Sequence[str], env: Mapping[str, str], ready_url: str, folder: Path, timeout_s: float
) -> Iterator[Server]:
    """Run `command` in `folder` for as long as the context lasts, from when `ready_url` answers 200.

    Raises SystemExit with the end of its log if it ends early or is not ready after `timeout_s` seconds.
    """
    log = folder / f"{name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=dict(env), stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
        )
    server = Server(name, process, log)
    try:
        _wait(server, ready_url, timeout_s)
        yield server
    finally:
        stop(server)


def stop(server: Server) -> int:
    """Ask `server` to end, then make it; returns its exit status, negative if a signal ended it."""
    if server.process.poll() is None:
        server.process.terminate()
        try:
            server.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            print(f"{server.name} did not end within {STOP_S:.0f} s of SIGTERM and is killed")
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.process.pid, signal.SIGKILL)  # what it may have left behind, and itself if need be
    return server.process.wait()


def _wait(server: Server, url: str, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise SystemExit(f"{server.name} ended with {server.process.returncode}:\n{server.tail()}")
        with contextlib.suppress(OSError), direct.open(url, timeout=2) as reply:
            if reply.status == 200:
                return
        time.sleep(0.1)
    raise SystemExit(f"{server.name} was not ready at {url} after {timeout_s:.0f} s:\n{server.tail()}")
