"""Health, metrics and administration, on the admin port: nothing here is on the path of a call.

Health and metrics need no key. Everything else asks for one whose role may do it; `MAY` is the whole table, and what
is not in it nobody may. What is asked and answered stands in `openapi.py`.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec
import orjson
import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route

from gateway import __version__, access
from gateway.api.openapi import NewKey, Rotation, document
from gateway.api.reports import PERMISSIONS, Reports
from gateway.dialects.openai import error_body
from gateway.errors import Forbidden, GatewayError, InvalidRequest, MethodNotAllowed, NotFound, TooLarge
from gateway.model.caller import Caller
from gateway.runtime import Runtime, budgets_url, tell_supervisor
from gateway.store.budget_listing import describe_budget
from gateway.store.leases import list_budgets
from gateway.store.listing import describe
from gateway.store.spec import parse_duration
from gateway.telemetry.exposition import Exposition
from gateway.telemetry.metrics import TABLE

Handler = Callable[[Request], Awaitable[Response]]

_log = structlog.get_logger("gateway.admin")

MAY: dict[str, frozenset[str]] = {
    "keys:read": frozenset({"admin", "auditor"}),
    "keys:write": frozenset({"admin"}),
    "config:read": frozenset({"admin", "auditor", "developer", "prompt-author", "finance"}),
    "config:reload": frozenset({"admin"}),
    "budgets:read": frozenset({"admin", "auditor", "finance"}),
    **PERMISSIONS,
}

MAX_BODY = 64 * 1024
_T = TypeVar("_T")


class Operations:
    """The handlers of the admin port."""

    def __init__(self, runtime: Runtime, clock: Callable[[], float]) -> None:
        self._runtime = runtime
        self._clock = clock
        self._exposition = Exposition(runtime.process.run_dir, TABLE)
        self._document = orjson.dumps(document(MAY, __version__))

    def app(self, pages: Sequence[BaseRoute] = ()) -> Starlette:
        """The admin port's application; `pages` are the console's routes."""
        routes: list[BaseRoute] = [
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
            Route("/openapi.json", self._may("config:read", self.openapi), methods=["GET"]),
            Route("/admin/v1/keys", self._may("keys:read", self.list_keys), methods=["GET"]),
            Route("/admin/v1/keys", self._may("keys:write", self.create_key), methods=["POST"]),
            Route("/admin/v1/keys/{id}/rotate", self._may("keys:write", self.rotate_key), methods=["POST"]),
            Route("/admin/v1/keys/{id}/revoke", self._may("keys:write", self.revoke_key), methods=["POST"]),
            Route("/admin/v1/keys/{id}", self._may("keys:write", self.revoke_key), methods=["DELETE"]),
            Route("/admin/v1/providers", self._may("config:read", self.providers), methods=["GET"]),
            Route("/admin/v1/reload", self._may("config:read", self.reload_state), methods=["GET"]),
            Route("/admin/v1/reload", self._may("config:reload", self.reload), methods=["POST"]),
            Route("/admin/v1/budgets", self._may("budgets:read", self.budgets), methods=["GET"]),
            *self._reports(),
            *pages,
        ]
        handlers: Any = {GatewayError: _error, 404: _not_found, 405: _wrong_method, Exception: _unexpected}
        return Starlette(routes=routes, exception_handlers=handlers)

    def _reports(self) -> list[Route]:
        runtime = self._runtime
        ledger = runtime.view.snapshot.settings.storage.ledger_path
        return Reports(ledger, lambda: runtime.view.snapshot.prices, self._clock, self.caller).routes()

    def _may(self, permission: str, handler: Handler) -> Handler:
        allowed = MAY[permission]

        async def checked(request: Request) -> Response:
            caller = self.caller(request)
            if caller.role not in allowed:
                raise Forbidden(
                    f"The role `{caller.role}` may not do this; it needs one of: {', '.join(sorted(allowed))}.",
                    code="role_not_allowed",
                )
            return await handler(request)

        return checked

    def caller(self, request: Request) -> Caller:
        """Who asks. Raises `Unauthenticated`."""
        credential = access.credential(dict(request.headers.raw))
        return access.authenticate(self._runtime.keys.ring, credential, int(self._clock()))

    # Health and metrics

    async def healthz(self, request: Request) -> Response:
        """The process is alive."""
        return _json({"status": "ok", "version": __version__})

    async def readyz(self, request: Request) -> Response:
        """Whether it can take calls, and what keeps it from that."""
        faults = self._runtime.faults()
        report = {
            "status": "unready" if faults else "ready",
            "not_ready": faults,
            "warnings": self._runtime.warnings(),
            "config": self._runtime.view.snapshot.digest,
            "worker": self._runtime.process.index,
        }
        return _json(report, 503 if faults else 200)

    async def metrics(self, request: Request) -> Response:
        """Prometheus text, of all workers."""
        self._runtime.refresh()
        content_type, text = await self._exposition.scrape(request.headers.get("accept"))
        return Response(text, headers={"content-type": content_type})

    # Administration

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI document of this port."""
        return Response(self._document, media_type="application/json")

    async def list_keys(self, request: Request) -> Response:
        """All keys, or a team's; never their secrets."""
        records = await run_in_threadpool(self._runtime.keystore.list, request.query_params.get("team"))
        now = self._runtime.keystore.now()
        return _json({"data": [describe(record, now) for record in records]})

    async def create_key(self, request: Request) -> Response:
        """Make a key. Its text is in this reply and nowhere else."""
        spec = (await _body(request, NewKey)).spec(self._runtime.keystore.now())
        record, text = await run_in_threadpool(self._runtime.keystore.create, spec)
        return _json({**describe(record, self._runtime.keystore.now()), "key": text}, 201)

    async def rotate_key(self, request: Request) -> Response:
        """A new secret; the old one goes on for `overlap`."""
        overlap_s = parse_duration((await _body(request, Rotation)).overlap, "overlap")
        record, text = await run_in_threadpool(self._runtime.keystore.rotate, request.path_params["id"], overlap_s)
        return _json({**describe(record, self._runtime.keystore.now()), "key": text})

    async def revoke_key(self, request: Request) -> Response:
        """From now on it does not work, on any worker within a second."""
        record = await run_in_threadpool(self._runtime.keystore.revoke, request.path_params["id"])
        return _json(describe(record, self._runtime.keystore.now()))

    async def providers(self, request: Request) -> Response:
        """Who serves, and what the connections do."""
        view = self._runtime.view
        data = [
            {
                "name": served.name,
                "kind": served.provider.kind,
                "base_url": getattr(served.settings, "base_url", None),
                "models": [
                    name
                    for name, model in view.snapshot.settings.models.items()
                    if any(one.provider == served.name for one in model.deployments)
                ],
            }
            for served in view.served.values()
        ]
        return _json({"data": data})

    async def budgets(self, request: Request) -> Response:
        """What is spent, held and left."""
        url = budgets_url(self._runtime.view.snapshot.settings)
        found = await run_in_threadpool(list_budgets, url)
        with_ended = request.query_params.get("all") == "1"
        now = self._clock()
        return _json({"data": [describe_budget(one) for one in found if with_ended or now < one.ends]})

    async def reload_state(self, request: Request) -> Response:
        """The last reload."""
        return _json(self._reload_report())

    async def reload(self, request: Request) -> Response:
        """Read the files again, on this worker now and on its siblings at once after it."""
        state = await self._runtime.reloader.reload()
        tell_supervisor(self._runtime.process, signal.SIGHUP)
        return _json(self._reload_report(), 400 if state.outcome == "failed" else 200)

    def _reload_report(self) -> dict[str, Any]:
        state = self._runtime.reloader.state
        return {
            "outcome": state.outcome,
            "at": state.at.isoformat(),
            "config": self._runtime.view.snapshot.digest,
            "faults": [{"file": one.file, "line": one.line, "message": one.message} for one in state.faults],
        }


async def _body(request: Request, shape: type[_T]) -> _T:
    """The body as `shape`. Raises `InvalidRequest` that says which field is wrong, and how."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY:
            raise TooLarge(f"The body is larger than {MAX_BODY} bytes, the limit of this endpoint.")
    try:
        return msgspec.json.decode(raw or b"{}", type=shape)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"{error}.", code="invalid_type") from None
    except msgspec.DecodeError:
        raise InvalidRequest("The body is not valid JSON.", code="invalid_json") from None


def _json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


def _error(request: Request, error: GatewayError) -> Response:
    body = error_body(error.message, error.type, error.param, error.code)
    headers = {} if error.retry_after_s is None else {"retry-after": str(error.retry_after_s)}
    return Response(body, error.status, headers, media_type="application/json")


def _not_found(request: Request, error: Exception) -> Response:
    return _error(request, NotFound(f"{request.method} {request.url.path} does not exist on the admin port."))


def _wrong_method(request: Request, error: HTTPException) -> Response:
    # Starlette names the methods of the first route of this path only
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is Match.PARTIAL]
    allowed = ", ".join(sorted({method for route in routes for method in route.methods}))
    reply = _error(request, MethodNotAllowed(f"{request.method} is not possible here; use {allowed}."))
    reply.headers["allow"] = allowed
    return reply


def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("unexpected", path=request.url.path, exc_info=error)
    return _error(request, GatewayError("The gateway failed; the log of this moment says why."))
