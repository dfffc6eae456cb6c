"""One worker process: both ports on one event loop, from the first socket to the last call's end.

Shutdown: unready at once, then (after `shutdown.delay`) no new connections, then every call to its end or to
`shutdown.grace`, and only then the admin port, so that probes and scrapes see it through.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import resource
import signal
import socket
import ssl
from collections.abc import Callable, Iterator

import structlog
import uvicorn
import uvloop

from gateway.api.asgi import App
from gateway.app import AdminPort, DataPort
from gateway.config.loader import Loader
from gateway.config.server import Server, Tls
from gateway.config.snapshot import Snapshot
from gateway.protocol import Bounds, Protocol
from gateway.runtime import Process, Runtime
from gateway.telemetry.sink import Sink
from gateway.upstream.sweep import Sweep

_log = structlog.get_logger("gateway")

BACKLOG = 4096


class Listener(uvicorn.Server):
    """uvicorn's server without its signal handlers: the worker decides when it ends."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See uvicorn."""
        yield


def bind(host: str, port: int) -> socket.socket:
    """A socket that several workers may bind; the kernel spreads connections over them. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    try:
        found.bind((host, port))
    except OSError:
        found.close()
        raise
    return found


def is_free(host: str, port: int) -> bool:
    """Whether nobody listens there yet: SO_REUSEPORT would let a second gateway in and split the calls between both."""
    probe = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((host, port))
        return True
    except OSError:
        return port == 0
    finally:
        probe.close()


def listener(app: App, server: Server, tls: Tls | None, sweep: Sweep, grace_s: float) -> Listener:
    """A server for one port."""
    bounds = Bounds(
        server.limits.max_header_bytes,
        server.limits.header_timeout,
        server.limits.body_min_rate,
        server.limits.write_stall,
    )
    config = uvicorn.Config(
        app,
        http=functools.partial(Protocol, bounds=bounds, sweep=sweep),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=True,
        interface="asgi3",
        backlog=BACKLOG,
        timeout_keep_alive=int(server.limits.keep_alive),
        timeout_graceful_shutdown=int(grace_s),
        ssl_certfile=str(tls.cert) if tls is not None else None,
        ssl_keyfile=str(tls.key) if tls is not None else None,
        ssl_ca_certs=str(tls.client_ca) if tls is not None and tls.client_ca is not None else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if tls is not None and tls.client_ca is not None else ssl.CERT_NONE,
    )
    return Listener(config)


class Worker:
    """Runs until it is told to stop. `on_ready` is called with the addresses of both ports once they listen."""

    def __init__(
        self,
        process: Process,
        loader: Loader,
        snapshot: Snapshot,
        sink: Sink,
        style: str,
        on_ready: Callable[[tuple[str, int], tuple[str, int]], None],
    ) -> None:
        self._process = process
        self._loader = loader
        self._snapshot = snapshot
        self._sink = sink
        self._style = style
        self._on_ready = on_ready

    def run(self) -> None:
        """Blocks."""
        allow_many_connections()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        server = self._snapshot.settings.server
        data_socket, admin_socket = bind(server.host, server.port), bind(server.admin_host, server.admin_port)
        runtime = Runtime(self._process, self._loader, self._snapshot, self._sink, self._style)
        told = asyncio.Event()
        self._listen_to_signals(told, runtime)
        grace_s = server.shutdown.grace
        data = listener(DataPort(runtime), server, server.tls, runtime.connections, grace_s)
        admin = listener(AdminPort(runtime), server, server.admin_tls, runtime.connections, 5.0)
        serving = [
            asyncio.create_task(data.serve([data_socket])),
            asyncio.create_task(admin.serve([admin_socket])),
        ]
        try:
            while not (data.started and admin.started):
                await asyncio.sleep(0.005)
                self._raise_failures(serving)
            runtime.start()
            self._on_ready(data_socket.getsockname()[:2], admin_socket.getsockname()[:2])
            await told.wait()
            await self._drain(runtime, data, admin, serving, server.shutdown.delay)
        finally:
            await runtime.close()

    def _raise_failures(self, serving: list[asyncio.Task[None]]) -> None:
        for task in serving:
            if task.done():
                task.result()

    def _listen_to_signals(self, told: asyncio.Event, runtime: Runtime) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told.set)
        reloads: set[asyncio.Task[object]] = set()

        def reload() -> None:
            task: asyncio.Task[object] = loop.create_task(runtime.reloader.reload())
            reloads.add(task)
            task.add_done_callback(reloads.discard)

        loop.add_signal_handler(signal.SIGHUP, reload)

    async def _drain(
        self, runtime: Runtime, data: Listener, admin: Listener, serving: list[asyncio.Task[None]], delay_s: float
    ) -> None:
        runtime.is_draining = True
        _log.info("draining", in_flight=runtime.metrics.in_flight.value, delay_s=delay_s)
        await asyncio.sleep(delay_s)
        data.should_exit = True
        await serving[0]
        admin.should_exit = True
        await serving[1]
        _log.info("stopped")


def allow_many_connections() -> None:
    """As many descriptors as this process may have: a stream takes two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
