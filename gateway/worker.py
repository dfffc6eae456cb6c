"""One worker process: both ports on one event loop, from the first socket to the last call's end.

Shutdown: unready at once, then (after `shutdown.delay`) no new connections, then every call to its end or to
`shutdown.grace`, and only then the admin port, so that probes and scrapes see it through. A second signal ends the
waiting; calls that are still at work then get an error as their last event.

A worker of several takes SIGTERM for the first and SIGUSR2 for the second, because whoever stops a service may send
SIGTERM to all of its processes, and a terminal sends SIGINT to all. Its standard input is a pipe that the supervisor
holds: when it closes the supervisor is gone, and the worker must not outlive it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import resource
import signal
import socket
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Iterator

import structlog
import uvicorn
import uvloop

from gateway.api.asgi import App
from gateway.app import AdminPort, DataPort
from gateway.config.loader import Loader
from gateway.config.server import Server, Shutdown, Tls
from gateway.config.snapshot import Snapshot
from gateway.protocol import Bounds, Protocol
from gateway.runtime import Process, Runtime, is_alone
from gateway.telemetry.sink import Sink
from gateway.upstream.sweep import Sweep

_log = structlog.get_logger("gateway")

BACKLOG = 4096
WORKER_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGUSR2)
"""Held back by the supervisor until a worker has its handlers."""
CUT_S = 1.0
"""Seconds that calls have for their last words, and then for their books."""


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


def claim(host: str, port: int) -> socket.socket | None:
    """Keep other gateways off a port for as long as the claim is open; None where there is nothing to claim.

    SO_REUSEPORT would let a second gateway in and split the calls between both. Who listens already is found by
    binding without it; who starts at the same moment, by a name that only one process can have (on Linux).
    Raises `OSError`.
    """
    if port == 0:
        return None
    held: socket.socket | None = None
    if sys.platform == "linux":
        held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            held.bind(f"\0llm-gateway/{host}/{port}")
        except OSError:
            held.close()
            raise
    probe = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((host, port))
    except OSError:
        if held is not None:
            held.close()
        raise
    finally:
        probe.close()
    return held


def tls_context(tls: Tls) -> ssl.SSLContext:
    """What a listener shows and asks for. Raises `OSError`, of which `ssl.SSLError` is one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls.cert, tls.key, password="")  # never asks a terminal for a passphrase
    if tls.client_ca is not None:
        context.load_verify_locations(tls.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def listener(app: App, server: Server, tls: Tls | None, sweep: Sweep, count: Callable[[str], None]) -> Listener:
    """A server for one port."""
    bounds = Bounds(
        server.limits.max_header_bytes,
        server.limits.header_timeout,
        server.limits.body_min_rate,
        server.limits.write_stall,
        count,
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
        timeout_keep_alive=server.limits.keep_alive,  # type: ignore[arg-type]  # call_later takes fractions
    )
    config.load()
    config.ssl = tls_context(tls) if tls is not None else None
    return Listener(config)


class Orders:
    """What the process is told from outside: first to stop when it can, then to stop now."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        self.is_orphan = False

    def told(self) -> None:
        """Somebody wants an end; the second time, at once."""
        (self.hurry if self.stop.is_set() else self.stop).set()

    def orphaned(self) -> None:
        """The supervisor is gone, so that nobody counts on this process any more."""
        self.is_orphan = True
        self.stop.set()


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
        orders = Orders()
        self._listen_to_orders(orders, runtime)
        serving: list[asyncio.Task[None]] = []
        try:
            # What is refused before it is a request is counted: a line for each would let anybody fill the log.
            logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
            refusals = runtime.metrics.refusals

            def count(code: str) -> None:
                refusals.labels(code=code).inc()

            data = listener(DataPort(runtime), server, server.tls, runtime.connections, count)
            admin = listener(AdminPort(runtime), server, server.admin_tls, runtime.connections, count)
            serving += [
                asyncio.create_task(data.serve([data_socket])),
                asyncio.create_task(admin.serve([admin_socket])),
            ]
            while not (data.started and admin.started):
                await asyncio.sleep(0.005)
                _raise_failures(serving)
            runtime.start()
            _spare_the_collector()
            self._on_ready(data_socket.getsockname()[:2], admin_socket.getsockname()[:2])
            stop = asyncio.create_task(orders.stop.wait())
            await asyncio.wait([stop, *serving], return_when=asyncio.FIRST_COMPLETED)
            _raise_failures(serving)
            await _Drain(runtime, orders, data, admin, serving).run(server.shutdown)
        except BaseException:
            await _give_up(runtime, serving)
            raise
        finally:
            await runtime.close()

    def _listen_to_orders(self, orders: Orders, runtime: Runtime) -> None:
        loop = asyncio.get_running_loop()
        reloads: set[asyncio.Task[object]] = set()

        def reload() -> None:
            task: asyncio.Task[object] = loop.create_task(runtime.reloader.reload())
            reloads.add(task)
            task.add_done_callback(reloads.discard)

        loop.add_signal_handler(signal.SIGHUP, reload)
        if is_alone(self._process):
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, orders.told)
            return
        loop.add_signal_handler(signal.SIGTERM, orders.stop.set)
        loop.add_signal_handler(signal.SIGUSR2, orders.hurry.set)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WORKER_SIGNALS)

        def ended() -> None:
            loop.remove_reader(0)
            orders.orphaned()

        loop.add_reader(0, ended)  # nothing is ever written there, so it becomes readable only by its end


def _spare_the_collector() -> None:
    """What was made at the start stays: it need not be looked through again and again.

    Nearly all garbage of a call goes by reference counts. With 90,000 lasting objects (the price catalogue's are most)
    a full collection held the loop for some 20 ms, and collections together took a third of a call's CPU time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


async def _give_up(runtime: Runtime, serving: list[asyncio.Task[None]]) -> None:
    """This worker ends by a fault. Calls may be at work: they end before what they are booked in is closed."""
    for task in serving:
        task.cancel()
    runtime.cut()
    until = time.monotonic() + CUT_S
    while runtime.metrics.in_flight.value and time.monotonic() < until:  # noqa: ASYNC110 - nobody tells of it
        await asyncio.sleep(0.02)


def _raise_failures(serving: list[asyncio.Task[None]]) -> None:
    for task in serving:
        if task.done():
            task.result()


class _Drain:
    """The end of a worker, in order."""

    def __init__(
        self, runtime: Runtime, orders: Orders, data: Listener, admin: Listener, serving: list[asyncio.Task[None]]
    ) -> None:
        self._runtime = runtime
        self._orders = orders
        self._data = data
        self._admin = admin
        self._serving = serving

    async def run(self, limits: Shutdown) -> None:
        runtime, orders = self._runtime, self._orders
        runtime.is_draining = True
        _log.info("draining", in_flight=runtime.metrics.in_flight.value, delay_s=limits.delay, orphan=orders.is_orphan)
        if orders.is_orphan:
            self._admin.should_exit = True  # a successor may want the port
        else:
            await self._hurried_or(asyncio.sleep(limits.delay))
        self._data.should_exit = True
        if not await self._hurried_or(asyncio.shield(self._serving[0]), limits.grace):
            await self._cut()
        await self._serving[0]
        self._admin.should_exit = self._admin.force_exit = True
        await self._serving[1]
        _log.info("stopped")

    async def _hurried_or(self, work: Awaitable[object], limit_s: float | None = None) -> bool:
        """Wait for `work`, but no longer than `limit_s` and the order to hurry. Whether it was done."""
        done = asyncio.ensure_future(work)
        hurry = asyncio.create_task(self._orders.hurry.wait())
        try:
            await asyncio.wait([done, hurry], timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            return done.done()
        finally:
            hurry.cancel()
            if not done.done():
                done.cancel()

    async def _cut(self) -> None:
        """End what is still at work: with an error that its client can read, and if nobody takes that, without."""
        tasks = self._data.server_state.tasks
        _log.warning("cutting", calls=len(tasks), hurried=self._orders.hurry.is_set())
        self._runtime.cut()
        if tasks:
            await asyncio.wait(tuple(tasks), timeout=CUT_S)
        left = tuple(tasks)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=CUT_S)
        for connection in tuple(self._data.server_state.connections):
            connection.transport.abort()
        self._data.force_exit = True


def allow_many_connections() -> None:
    """As many descriptors as this process may have: a stream takes two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
