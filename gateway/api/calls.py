"""The endpoints that providers serve: one handler for all whose body is JSON and names a model.

It is plain ASGI and holds the order of things: a call, its relay, the reply, and the end, which comes exactly once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from gateway.api import replies
from gateway.api.asgi import Receive, Scope, Send, read_body
from gateway.api.idempotent import Retries
from gateway.api.peer import client_address
from gateway.api.watch import ClientWatch
from gateway.errors import ClientGone, GatewayError
from gateway.exchange import Exchange
from gateway.model.endpoint import Endpoint
from gateway.pipeline import Pipeline
from gateway.relay import Relay
from gateway.telemetry import trace
from gateway.telemetry.ids import new_id, request_id
from gateway.upstream.sweep import Sweep
from gateway.upstreams import View

_log = structlog.get_logger("gateway")

After = Callable[[Relay], Awaitable[None]]
"""What is to be done between a provider's answer and its first byte to the client."""


class Edge(Protocol):
    """What handlers need of the runtime."""

    pipeline: Pipeline
    sweep: Sweep
    retries: Retries

    @property
    def view(self) -> View:
        """The current view."""


class Request:
    """One request at the edge. Implements `pipeline.Call`."""

    __slots__ = ("_limit", "_receive", "_watch", "headers")

    def __init__(self, headers: dict[bytes, bytes], receive: Receive, limit: int, watch: ClientWatch) -> None:
        self.headers = headers
        self._receive = receive
        self._limit = limit
        self._watch = watch

    async def body(self) -> bytes:
        """See `pipeline.Call`. From then on the client is watched."""
        body = await read_body(self._receive, self.headers, self._limit)
        self._watch.begin()
        return body


def begin_trip(scope: Scope, headers: dict[bytes, bytes], endpoint: Endpoint, view: View) -> Exchange:
    """The exchange of a request that has just arrived."""
    client = client_address(scope, view.snapshot.settings.server.trusted_proxies)
    span = trace.begin(headers.get(b"traceparent"), headers.get(b"tracestate"), new_id)
    return Exchange(request_id(), endpoint, scope["method"], client, span)


async def answer(
    trip: Exchange, watch: ClientWatch, send: Send, work: Awaitable[Relay], after: After | None = None
) -> bool:
    """Do `work`, send what comes of it, and end the call whatever happens. Whether the answer was whole.

    Raises `CutShort`.
    """
    relay: Relay | None = None
    try:
        relay = await work
        if after is not None:
            await after(relay)
        await replies.send_relay(relay, send, watch.sweep)
        if watch.gone and relay.error is None:
            await _end(relay, ClientGone("The client closed the connection."))
        return relay.error is None
    except GatewayError as error:
        await _give_up(trip, relay, error, send)
        return False
    except asyncio.CancelledError:
        await _end(relay, ClientGone("The client closed the connection."))
        if not watch.gone:
            raise  # the process is shutting down
        return False
    except Exception:
        _log.exception("unexpected", path=trip.endpoint.path, request_id=trip.id)
        await _give_up(trip, relay, GatewayError("The gateway failed; its log says why under this id."), send)
        return False
    finally:
        watch.close()
        if relay is not None:
            await relay.aclose()


class CutShort(Exception):
    """An answer in bytes broke off after its status went out: the connection must break too, or it would look whole."""


async def _give_up(trip: Exchange, relay: Relay | None, error: GatewayError, send: Send) -> None:
    await _end(relay, error)
    if trip.is_answered:
        raise CutShort from error
    if error.status != ClientGone.status:
        await replies.send_error(trip, error, send)


async def _end(relay: Relay | None, error: GatewayError) -> None:
    """Book `error`. A client that left is booked as such though its status was another; nobody has seen that one."""
    if relay is not None:
        relay.fail(error)
        if not relay.trip.is_answered or error.status == ClientGone.status:
            relay.trip.status = error.status
        await relay.aclose()


class JsonCalls:
    """Serves one of `JSON_ENDPOINTS`."""

    def __init__(self, endpoint: Endpoint, edge: Edge) -> None:
        self._endpoint = endpoint
        self._edge = edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        edge = self._edge
        view = edge.view
        headers: dict[bytes, bytes] = dict(scope["headers"])
        trip = begin_trip(scope, headers, self._endpoint, view)
        watch = ClientWatch(receive, edge.sweep, trip)
        request = Request(headers, receive, view.snapshot.settings.server.limits.max_body_bytes, watch)
        if b"idempotency-key" in headers:
            await edge.retries.serve(trip, request, watch, send)
        else:
            await answer(trip, watch, send, edge.pipeline.generate(trip, request))
