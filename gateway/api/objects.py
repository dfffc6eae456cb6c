"""Files and batches: objects that a provider keeps under our key, for many of our callers.

To the provider they all belong to one account. Whose they are is remembered here: an object is seen by the team whose
key made it and by nobody else, and one that is not known is answered as one that does not exist.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson

from gateway.api.asgi import Receive, Scope, Send, check_length, refuse_idempotency, stream_body
from gateway.api.calls import Edge, Request, answer, begin_trip
from gateway.api.watch import ClientWatch
from gateway.batches import Batches
from gateway.dialects import jsonedit
from gateway.errors import Forbidden, InvalidRequest, NotFound
from gateway.exchange import Exchange
from gateway.model.caller import Caller
from gateway.model.endpoint import Endpoint
from gateway.relay import Relay
from gateway.store.objects import Objects
from gateway.upstream import wire
from gateway.upstreams import View

FILE, BATCH = "file", "batch"
_NAMES = {FILE: "files", BATCH: "batches"}


class ObjectCalls:
    """Serves one path of files or batches. `suffix` follows the id in the path; `on_id` tells whether there is one.

    `batches` is shown the batches that go by, so that those that have ended are booked; `dollars_of` says whose budget
    of dollars a caller falls under.
    """

    def __init__(
        self,
        kind: str,
        method: str,
        edge: Edge,
        objects: Objects,
        batches: Batches | None = None,
        dollars_of: Callable[[Caller], str | None] = lambda caller: None,
        *,
        on_id: bool = False,
        suffix: str = "",
    ) -> None:
        base = f"/{_NAMES[kind]}"
        path = f"/v1{base}" + ("/{id}" if on_id else "") + suffix
        self._kind = kind
        self._method = method
        self._edge = edge
        self._objects = objects
        self._batches = batches
        self._dollars_of = dollars_of
        self._on_id = on_id
        self._suffix = suffix
        self._base = base
        self._endpoint = Endpoint(path, base, raw=suffix == "/content")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        edge = self._edge
        view = edge.view
        headers: dict[bytes, bytes] = dict(scope["headers"])
        trip = begin_trip(scope, headers, self._endpoint, view)
        watch = ClientWatch(receive, edge.sweep)
        limits = view.snapshot.settings.server.limits
        request = Request(headers, receive, limits.max_body_bytes, watch)

        async def prepare(view: View, trip: Exchange) -> tuple[str, wire.Request]:
            provider = _provider(view, self._kind)
            target = await self._target(scope, provider, trip)
            if self._kind == FILE and self._method == "POST":
                pieces = stream_body(receive, limits.max_upload_bytes)
                return provider, self._upload(target, headers, pieces, trip, watch)
            return provider, await self._request(target, await request.body(), headers, trip, provider)

        async def after(relay: Relay) -> None:
            if relay.is_whole and relay.opened.outcome == "ok":
                relay.replace(await self._after(relay, trip))

        await answer(trip, watch, send, edge.pipeline.pass_on(trip, request, prepare), after)

    async def _target(self, scope: Scope, provider: str, trip: Exchange) -> str:
        query = scope["query_string"].decode("latin-1")
        target = self._base
        if self._on_id:
            object_id = scope["path_params"]["id"]
            await self._objects.check(self._kind, object_id, _caller(trip), provider)
            target += f"/{object_id}{self._suffix}"
        return f"{target}?{query}" if query else target

    def _upload(
        self, target: str, headers: dict[bytes, bytes], pieces: AsyncIterator[bytes], trip: Exchange, watch: ClientWatch
    ) -> wire.Request:
        """A file goes on while it arrives."""

        async def watched() -> AsyncIterator[bytes]:
            async for piece in pieces:
                trip.bytes_in += len(piece)
                yield piece
            watch.begin()

        length = check_length(headers, self._edge.view.snapshot.settings.server.limits.max_upload_bytes)
        return wire.Request("POST", target, watched(), _typed(headers), length=length)

    async def _request(
        self, target: str, body: bytes, headers: dict[bytes, bytes], trip: Exchange, provider: str
    ) -> wire.Request:
        trip.bytes_in = len(body)
        if self._method != "POST":
            return wire.Request(self._method, target)
        refuse_idempotency(headers)
        if not self._on_id:
            await self._check_batch(body, _caller(trip), provider)
        return wire.Request("POST", target, body, _typed(headers))

    async def _check_batch(self, body: bytes, caller: Caller, provider: str) -> None:
        """A batch reads a file, which must be the caller's, and may name any model, so its key must cover all."""
        if caller.models is not None:
            raise Forbidden(
                "This API key is limited to some models, and what a batch asks for cannot be checked; use a key for "
                "all models.",
                code="batch_not_allowed",
            )
        whose = self._dollars_of(caller)
        if whose is not None:
            raise Forbidden(
                f"What a batch costs is known only when it has ended, and {whose} has a budget in dollars, which it "
                "could pass. Use a key without one.",
                code="batch_not_allowed",
            )
        try:
            parsed = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise InvalidRequest("The body is not valid JSON.", code="invalid_json") from None
        if isinstance(parsed, dict):
            jsonedit.check_unique(body, ("input_file_id",))
        file_id = parsed.get("input_file_id") if isinstance(parsed, dict) else None
        if not isinstance(file_id, str):
            raise InvalidRequest("`input_file_id` must be a string.", code="invalid_type", param="input_file_id")
        await self._objects.check(FILE, file_id, caller, provider)

    async def _after(self, relay: Relay, trip: Exchange) -> bytes:
        """Remember what was made, forget what was deleted, and leave only the caller's own in a list."""
        body, provider, caller = relay.opened.data, relay.opened.candidate.provider, _caller(trip)
        try:
            parsed = orjson.loads(body)
        except orjson.JSONDecodeError:
            return body
        if not isinstance(parsed, dict):
            return body
        if self._method == "GET" and not self._on_id:
            return await self._only_own(parsed, provider, caller)
        if self._method == "DELETE":
            if parsed.get("deleted") is not False:
                await self._objects.forget(self._kind, str(parsed.get("id")), provider)
        else:
            await self._remember(parsed, provider, caller)
            self._show([parsed], provider)
        return body

    async def _only_own(self, parsed: dict[str, Any], provider: str, caller: Caller) -> bytes:
        own = await self._objects.ids(self._kind, caller.team, provider)
        listed = parsed.get("data")
        data = [one for one in listed if _id(one) in own] if isinstance(listed, list) else []
        self._show(data, provider)
        ends = {"first_id": _id(data[0]) if data else None, "last_id": _id(data[-1]) if data else None}
        return orjson.dumps({**parsed, "data": data, **{name: end for name, end in ends.items() if name in parsed}})

    def _show(self, found: list[dict[str, Any]], provider: str) -> None:
        if self._batches is not None and self._kind == BATCH:
            for one in found:
                self._batches.see(one, provider)

    async def _remember(self, parsed: dict[str, Any], provider: str, caller: Caller) -> None:
        if (made := _id(parsed)) is not None:
            await self._objects.remember(self._kind, made, provider, caller)
        for name in ("output_file_id", "error_file_id"):
            if isinstance(file_id := parsed.get(name), str):
                await self._objects.remember(FILE, file_id, provider, caller)


def _typed(headers: dict[bytes, bytes]) -> wire.Headers:
    return [(b"content-type", headers.get(b"content-type", b"application/json"))]


def _id(value: object) -> str | None:
    found = value.get("id") if isinstance(value, dict) else None
    return found if isinstance(found, str) else None


def _caller(trip: Exchange) -> Caller:
    assert trip.caller is not None
    return trip.caller


def _provider(view: View, kind: str) -> str:
    settings = view.snapshot.settings.passthrough
    chosen = (settings.files if kind == FILE else settings.batches) or settings.default
    if chosen is None:
        raise NotFound(
            f"No provider serves /v1/{_NAMES[kind]} here; `passthrough` in the configuration names one.",
            code="not_served",
        )
    return chosen
