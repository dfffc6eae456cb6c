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
from gateway.api.operations import Operations
from gateway.errors import GatewayError, MethodNotAllowed, NotFound, Refusal
from gateway.framing import Hosts
from gateway.model.endpoint import JSON_ENDPOINTS, OTHER, UPLOAD_ENDPOINTS
from gateway.pipeline import Pipeline
from gateway.runtime import Runtime, chance
from gateway.upstream.sweep import Sweep
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
            lambda: runtime.view, lambda: runtime.keys.ring, runtime.recorder, chance=chance, clock=time.time
        )
        self.retries = Retries(runtime.idempotency, self.pipeline, answer, runtime.metrics.idempotent_replays)

    @property
    def view(self) -> View:
        """See `calls.Edge`."""
        return self._runtime.view


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
                await self._refuse(scope, send, WrongHost("This host is not served here."))
                return
            hot = self._hot.get(scope["path"])
            if hot is None:
                await self._rest(scope, receive, send)
            elif scope["method"] == "POST":
                await hot(scope, receive, send)
            else:
                await self._refuse(scope, send, _only("POST", scope))
        except CutShort:
            _log.warning("answer_cut_short", path=scope["path"])  # the server closes the connection
        except Exception:
            _log.exception("unexpected", path=scope["path"])
            await self._refuse(scope, send, GatewayError("The gateway failed; the log of this moment says why."))

    async def _nothing(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._refuse(scope, send, _no_path(scope))

    async def _refuse(self, scope: Scope, send: Send, error: GatewayError) -> None:
        trip = begin_trip(scope, dict(scope["headers"]), OTHER, self._edge.view)
        self._edge.pipeline.fail(trip, error)
        await replies.send_error(trip, error, send)


def _routes(edge: Edge, runtime: Runtime) -> list[Route]:
    """What is not hot. Starlette calls an endpoint that is no function as a plain ASGI application."""
    models = Models(edge)
    objects = runtime.objects
    found = [Route("/v1/models", models, methods=["GET"]), Route("/v1/models/{id:path}", models, methods=["GET"])]
    table = (
        (FILE, "POST", False, ""),
        (FILE, "GET", False, ""),
        (FILE, "GET", True, ""),
        (FILE, "DELETE", True, ""),
        (FILE, "GET", True, "/content"),
        (BATCH, "POST", False, ""),
        (BATCH, "GET", False, ""),
        (BATCH, "GET", True, ""),
        (BATCH, "POST", True, "/cancel"),
    )
    for kind, method, on_id, suffix in table:
        path = f"/v1/{'files' if kind == FILE else 'batches'}{'/{id}' if on_id else ''}{suffix}"
        calls = ObjectCalls(kind, method, edge, objects, on_id=on_id, suffix=suffix)
        found.append(Route(path, calls, methods=[method]))
    return found


def _only(methods: str, scope: Scope) -> MethodNotAllowed:
    return MethodNotAllowed(f"{scope['method']} is not possible here; use {methods}.")


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
        self._app = Operations(runtime, time.time).app()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        if scope["path"] in ("/healthz", "/readyz") or self._hosts.allows(host):
            await self._app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 421, "headers": [(b"content-type", b"text/plain")]})
        message = b"This host is not served here; `server.admin_allowed_hosts` lists those that are.\n"
        await send({"type": "http.response.body", "body": message})
