"""Composition: the routes of both ports. Hot paths are found in a dict, before Starlette; the rest are Starlette's.

The layers around them are plain ASGI: which hosts are served, and the last catch for what nobody expected.
"""

from __future__ import annotations

import time

import structlog
from starlette.routing import Route, Router

from gateway.api import replies
from gateway.api.asgi import App, Receive, Scope, Send
from gateway.api.calls import CutShort, JsonCalls, answer, begin_trip
from gateway.api.forms import Uploads
from gateway.api.idempotent import Retries
from gateway.api.models import Models
from gateway.api.objects import BATCH, FILE, ObjectCalls
from gateway.api.operations import MAY, Operations
from gateway.api.requests import Requests
from gateway.console import Console
from gateway.errors import GatewayError, MethodNotAllowed, NotFound, Refusal
from gateway.framing import Hosts
from gateway.model.endpoint import JSON_ENDPOINTS, OTHER, UPLOAD_ENDPOINTS
from gateway.pipeline import Pipeline
from gateway.runtime import Runtime, chance
from gateway.store.private import load_pepper
from gateway.upstream.sweep import Sweep
from gateway.upstream.wire import Headers
from gateway.upstreams import View

_log = structlog.get_logger("gateway")


class WrongHost(Refusal):
    """The Host header names a host that this port does not serve."""

    status = 421
    code = "wrong_host"


class Edge:
    """Implements `calls.Edge` over a runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.sweep: Sweep = runtime.sweep
        self.pipeline = Pipeline(
            lambda: runtime.view,
            lambda: runtime.keys.ring,
            runtime.recorder,
            book=runtime.book,
            chance=chance,
            clock=time.time,
        )
        self.retries = Retries(runtime.idempotency, self.pipeline, answer, runtime.metrics.idempotent_replays)

    @property
    def view(self) -> View:
        """See `calls.Edge`."""
        return self._runtime.view

    async def refuse(self, scope: Scope, send: Send, error: GatewayError, extra: Headers | None = None) -> None:
        """Answer what is no call of any endpoint, and book it."""
        trip = begin_trip(scope, dict(scope["headers"]), OTHER, self.view)
        self.pipeline.fail(trip, error)
        await replies.send_error(trip, error, send, extra)

    async def refuse_method(self, methods: tuple[str, ...], scope: Scope, send: Send) -> None:
        """Say which methods a path has."""
        possible = ", ".join(methods)
        error = MethodNotAllowed(f"{scope['method']} is not possible here; use {possible}.")
        await self.refuse(scope, send, error, [(b"allow", possible.encode())])


class DataPort:
    """The application of the data port."""

    def __init__(self, runtime: Runtime) -> None:
        self._edge = edge = Edge(runtime)
        self._hosts = Hosts(runtime.view.snapshot.settings.server.allowed_hosts)
        self._hot: dict[str, App] = {endpoint.path: JsonCalls(endpoint, edge) for endpoint in JSON_ENDPOINTS}
        self._hot |= {endpoint.path: Uploads(endpoint, edge) for endpoint in UPLOAD_ENDPOINTS}
        self._rest = Router(_routes(edge, runtime), redirect_slashes=False, default=self._nothing)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        try:
            if not self._hosts.allows(next((value for name, value in scope["headers"] if name == b"host"), b"")):
                await self._edge.refuse(scope, send, WrongHost("This host is not served here."))
                return
            hot = self._hot.get(scope["path"])
            if hot is None:
                await self._rest(scope, receive, send)
            elif scope["method"] == "POST":
                await hot(scope, receive, send)
            else:
                await self._edge.refuse_method(("POST",), scope, send)
        except CutShort:
            _log.warning("answer_cut_short", path=scope["path"])  # the server closes the connection
        except Exception:
            _log.exception("unexpected", path=scope["path"])
            await self._edge.refuse(scope, send, GatewayError("The gateway failed; the log of this moment says why."))

    async def _nothing(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._edge.refuse(scope, send, _no_path(scope))


def _routes(edge: Edge, runtime: Runtime) -> list[Route]:
    """What is not hot. Starlette calls an endpoint that is no function as a plain ASGI application."""
    models = Models(edge)
    table: dict[str, dict[str, App]] = {"/v1/models": {"GET": models}, "/v1/models/{id:path}": {"GET": models}}
    table["/v1/requests/{id}"] = {"GET": Requests(edge, runtime.reader)}
    for kind, method, on_id, suffix in (
        (FILE, "POST", False, ""),
        (FILE, "GET", False, ""),
        (FILE, "GET", True, ""),
        (FILE, "DELETE", True, ""),
        (FILE, "GET", True, "/content"),
        (BATCH, "POST", False, ""),
        (BATCH, "GET", False, ""),
        (BATCH, "GET", True, ""),
        (BATCH, "POST", True, "/cancel"),
    ):
        path = f"/v1/{'files' if kind == FILE else 'batches'}{'/{id}' if on_id else ''}{suffix}"
        calls = ObjectCalls(
            kind,
            method,
            edge,
            runtime.objects,
            runtime.batches,
            runtime.limits.dollars_of,
            on_id=on_id,
            suffix=suffix,
        )
        table.setdefault(path, {})[method] = calls
    return [Route(path, ByMethod(apps, edge)) for path, apps in table.items()]


class ByMethod:
    """The applications of one path."""

    def __init__(self, apps: dict[str, App], edge: Edge) -> None:
        self._apps = apps
        self._edge = edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        method = scope["method"]
        app = self._apps.get("GET" if method == "HEAD" else method)
        if app is not None:
            await app(scope, receive, send)
        else:
            await self._edge.refuse_method(tuple(self._apps), scope, send)


def _no_path(scope: Scope) -> NotFound:
    return NotFound(
        "This path does not exist. The base URL ends in /v1, and the endpoints are those of OpenAI's API, such as "
        "POST /v1/chat/completions.",
        code="path_not_found",
    )


class AdminPort:
    """The application of the admin port: Starlette behind a check of the Host header, health excepted."""

    def __init__(self, runtime: Runtime) -> None:
        self._hosts = Hosts(runtime.view.snapshot.settings.server.admin_allowed_hosts)
        console = Console(runtime, load_pepper(runtime.process.data_dir / "pepper"), MAY, time.time)
        self._app = Operations(runtime, time.time).app(console.routes())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        if scope["path"] in ("/healthz", "/readyz") or self._hosts.allows(host):
            await self._app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 421, "headers": [(b"content-type", b"text/plain")]})
        message = b"This host is not served here; `server.admin_allowed_hosts` lists those that are.\n"
        await send({"type": "http.response.body", "body": message})
