"""`GET /v1/models`: what this key may use, by the names that clients use."""

from __future__ import annotations

from typing import Any

from gateway import access
from gateway.api import replies
from gateway.api.asgi import Receive, Scope, Send
from gateway.api.calls import Edge, Request, begin_trip
from gateway.api.watch import ClientWatch
from gateway.errors import GatewayError
from gateway.exchange import Exchange
from gateway.model.caller import Caller
from gateway.model.endpoint import Endpoint
from gateway.model.route import Route
from gateway.upstreams import View

LIST = Endpoint("/v1/models", "")
ONE = Endpoint("/v1/models/{id}", "")


class Models:
    """Serves the list, and each of its entries. Patterns are served but cannot be listed: their names are open."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        edge = self._edge
        view = edge.view
        headers: dict[bytes, bytes] = dict(scope["headers"])
        wanted: str | None = scope["path_params"].get("id")
        trip = begin_trip(scope, headers, LIST if wanted is None else ONE, view)
        call = Request(headers, receive, 0, ClientWatch(receive, edge.sweep))
        try:
            edge.pipeline.authenticate(trip, call)
            found = _list(view, trip) if wanted is None else _one(view, trip, wanted)
        except GatewayError as error:
            edge.pipeline.fail(trip, error)
            await replies.send_error(trip, error, send)
            return
        try:
            await replies.send_json(trip, found, send)
        finally:
            edge.pipeline.done(trip)


def _list(view: View, trip: Exchange) -> dict[str, Any]:
    caller = _caller(trip)
    routes = view.snapshot.routes
    shown = [route for name in routes.names if access.covers(caller, name) and (route := routes.find(name))]
    return {"object": "list", "data": [_entry(route.name, route) for route in shown]}


def _one(view: View, trip: Exchange, name: str) -> dict[str, Any]:
    caller = _caller(trip)
    routes = view.snapshot.routes
    route = routes.find(name) if access.covers(caller, name) else None
    if route is None:
        shown = [known for known in routes.names if access.covers(caller, known)]
        raise routes.unknown(name, shown)
    return _entry(name, route)


def _entry(name: str, route: Route) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": route.deployments[0].provider}


def _caller(trip: Exchange) -> Caller:
    assert trip.caller is not None
    return trip.caller
