"""Health, metrics and administration, on the admin port: nothing here is on the path of a call.

Health and metrics need no key. Everything else asks for one whose role may do it; `_MAY` is the whole table, and what
is not in it nobody may.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import __version__, access
from gateway.dialects.openai import error_body
from gateway.errors import Forbidden, GatewayError, InvalidRequest, NotFound, TooLarge
from gateway.model.caller import Caller, Role
from gateway.runtime import Runtime, tell_supervisor
from gateway.store.listing import describe
from gateway.store.spec import KeySpec, parse_duration, parse_expiry
from gateway.telemetry.exposition import Exposition
from gateway.telemetry.metrics import TABLE

Handler = Callable[[Request], Awaitable[Response]]

_MAY: dict[str, frozenset[str]] = {
    "keys:read": frozenset({"admin", "auditor"}),
    "keys:write": frozenset({"admin"}),
    "config:read": frozenset({"admin", "auditor", "developer", "prompt-author", "finance"}),
    "config:reload": frozenset({"admin"}),
}

MAX_BODY = 64 * 1024
_T = TypeVar("_T")


class Operations:
    """The handlers of the admin port."""

    def __init__(self, runtime: Runtime, clock: Callable[[], float]) -> None:
        self._runtime = runtime
        self._clock = clock
        self._exposition = Exposition(runtime.process.run_dir, TABLE)

    def app(self) -> Starlette:
        """The admin port's application."""
        routes = [
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
            Route("/admin/v1/keys", self._may("keys:read", self.list_keys), methods=["GET"]),
            Route("/admin/v1/keys", self._may("keys:write", self.create_key), methods=["POST"]),
            Route("/admin/v1/keys/{id}/rotate", self._may("keys:write", self.rotate_key), methods=["POST"]),
            Route("/admin/v1/keys/{id}/revoke", self._may("keys:write", self.revoke_key), methods=["POST"]),
            Route("/admin/v1/keys/{id}", self._may("keys:write", self.revoke_key), methods=["DELETE"]),
            Route("/admin/v1/providers", self._may("config:read", self.providers), methods=["GET"]),
            Route("/admin/v1/reload", self._may("config:read", self.reload_state), methods=["GET"]),
            Route("/admin/v1/reload", self._may("config:reload", self.reload), methods=["POST"]),
        ]
        handlers: Any = {GatewayError: _error, 404: _not_found, 405: _not_found}
        return Starlette(routes=routes, exception_handlers=handlers)

    def _may(self, permission: str, handler: Handler) -> Handler:
        allowed = _MAY[permission]

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

    async def list_keys(self, request: Request) -> Response:
        """All keys, or a team's; never their secrets."""
        records = await run_in_threadpool(self._runtime.keystore.list, request.query_params.get("team"))
        now = self._runtime.keystore.now()
        return _json({"data": [describe(record, now) for record in records]})

    async def create_key(self, request: Request) -> Response:
        """Make a key. Its text is in this reply and nowhere else."""
        spec = (await _body(request, _NewKey)).spec(self._runtime.keystore.now())
        record, text = await run_in_threadpool(self._runtime.keystore.create, spec)
        return _json({**describe(record, self._runtime.keystore.now()), "key": text}, 201)

    async def rotate_key(self, request: Request) -> Response:
        """A new secret; the old one goes on for `overlap`."""
        overlap_s = parse_duration((await _body(request, _Rotation)).overlap, "overlap")
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


class _NewKey(msgspec.Struct, forbid_unknown_fields=True):
    """What may be said of a new key; what is not listed here nobody may set."""

    team: str
    project: str = "default"
    name: str = ""
    role: Role = "developer"
    models: frozenset[str] | None = None
    agents: frozenset[str] | None = None
    budget: str | None = None
    rpm: int | None = None
    tpm: int | None = None
    expires: str | None = None

    def spec(self, now: int) -> KeySpec:
        expires_at = parse_expiry(self.expires, now) if self.expires is not None else None
        return KeySpec(
            self.team,
            self.project,
            self.name,
            self.role,
            self.models,
            self.agents,
            self.budget,
            self.rpm,
            self.tpm,
            expires_at,
        )


class _Rotation(msgspec.Struct, forbid_unknown_fields=True):
    overlap: str = "24h"


async def _body(request: Request, shape: type[_T]) -> _T:
    """The body as `shape`. Raises `InvalidRequest` that says which field is wrong, and how."""
    raw = await request.body()
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
    return Response(body, error.status, media_type="application/json")


def _not_found(request: Request, error: Exception) -> Response:
    return _error(request, NotFound(f"{request.method} {request.url.path} does not exist on the admin port."))
