"""The scripted provider as a server of its own: HTTP/1.1 on a raw socket, so that faults are exact on the wire."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import ssl
import sys
from pathlib import Path

import uvloop

from gateway.providers.scripting import Player, Script, builtin, load
from gateway.standalone.connection import Connection

__all__ = ["Standalone", "main", "run", "serve"]


class Standalone:
    """A running provider: where it listens, who is connected, and its books."""

    def __init__(self, player: Player, bill_fd: int | None) -> None:
        self.player = player
        self.connections: set[Connection] = set()
        self._bill_fd = bill_fd
        self._server: asyncio.Server | None = None

    def __repr__(self) -> str:
        return f"<Standalone {self.url}, {len(self.connections)} connections, {self.player.played} played>"

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server is not None else 0

    @property
    def url(self) -> str:
        """The base URL for clients."""
        host = self._server.sockets[0].getsockname()[0] if self._server is not None else ""
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/v1"

    def record(self, line: bytes) -> None:
        """Write one line into the books: at once and whole, so that a reader never sees half of it."""
        if self._bill_fd is not None:
            os.write(self._bill_fd, line)

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        """Begin to accept connections."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port, ssl=tls, backlog=4096)

    async def aclose(self) -> None:
        """Stop listening, drop every connection and close the books."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self.connections):
            connection.abort()
        await asyncio.sleep(0)  # lets the connections tell that they are gone, so that they are booked
        if self._bill_fd is not None:
            os.close(self._bill_fd)
            self._bill_fd = None


async def serve(
    script: Script,
    host: str,
    port: int,
    bill: Path | None = None,
    *,
    seed: int = 0,
    tls: ssl.SSLContext | None = None,
) -> Standalone:
    """Play `script` on `host` and `port` (0: any free one) until `aclose` is called.

    `bill` is a file that gets one JSON line for every request as it ends: what the provider would charge for. Raises
    `OSError` if the port is taken or the file cannot be written.
    """
    fd = os.open(bill, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) if bill is not None else None
    standalone = Standalone(Player(script, seed=seed), fd)
    try:
        await standalone.listen(host, port, tls)
    except OSError:
        await standalone.aclose()
        raise
    return standalone


def run(host: str, port: int, script: Path | None = None, bill: Path | None = None) -> None:
    """Serve until SIGINT or SIGTERM; without a script, the built-in one. Raises `ConfigError` for a broken script."""
    loaded = builtin() if script is None else load(script)
    _allow_many_connections()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_told(loaded, host, port, bill))


def main(port: int, script: Path | None = None) -> None:
    """`run` on this machine only."""
    run("127.0.0.1", port, script)


async def _until_told(script: Script, host: str, port: int, bill: Path | None) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    standalone = await serve(script, host, port, bill)
    print(f"The scripted provider serves {', '.join(script.models)} at {standalone.url}", flush=True, file=sys.stderr)
    await told.wait()
    await standalone.aclose()


def _allow_many_connections() -> None:
    """As many descriptors as this process may have: each connection takes one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
