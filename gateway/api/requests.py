"""`GET /v1/requests/{id}`: what became of a call and what it cost, for the key that made it and no other."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from gateway.api import replies
from gateway.api.asgi import Receive, Scope, Send
from gateway.api.calls import Edge, Request, begin_trip
from gateway.api.watch import ClientWatch
from gateway.errors import GatewayError, NotFound
from gateway.ledger import Reader
from gateway.model.caller import Caller
from gateway.model.endpoint import Endpoint
from gateway.model.price import dollars
from gateway.model.record import Attempt
from gateway.reports.lines import lines_of

ONE = Endpoint("/v1/requests/{id}", "")
LOOKS = 5
LOOK_S = 0.03
_COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


class Requests:
    """Reads the ledger, in a thread."""

    def __init__(self, edge: Edge, reader: Reader) -> None:
        self._edge = edge
        self._reader = reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        edge = self._edge
        headers: dict[bytes, bytes] = dict(scope["headers"])
        trip = begin_trip(scope, headers, ONE, edge.view)
        call = Request(headers, receive, 0, ClientWatch(receive, edge.sweep))
        try:
            edge.pipeline.authenticate(trip, call)
            assert trip.caller is not None
            own = await self._read(scope["path_params"]["id"], trip.caller)
        except GatewayError as error:
            edge.pipeline.fail(trip, error)
            await replies.send_error(trip, error, send)
            return
        try:
            await replies.send_json(trip, described(own), send)
        finally:
            edge.pipeline.done(trip)

    async def _read(self, id: str, caller: Caller) -> list[Attempt]:
        """Its attempts. One that has just ended may be on its way to the disk, and is waited for a little."""
        for _ in range(LOOKS):
            found = await asyncio.to_thread(self._reader.request, id)
            own = [attempt for attempt in found if attempt.reservation.key_id == caller.key_id]
            if own and own[-1].state not in ("reserved", "sent"):
                break
            await asyncio.sleep(LOOK_S)
        if not own:
            raise NotFound("There is no such request of this key. A call that was refused has no entry.")
        return own


def described(attempts: list[Attempt]) -> dict[str, Any]:
    """A call as its caller sees it: the last attempt's state and usage, the cost of all attempts together."""
    last = attempts[-1]
    begun = last.reservation
    shown = [_attempt(attempt) for attempt in attempts]
    costs = [attempt.settlement.cost_nano if attempt.settlement is not None else None for attempt in attempts]
    known = [cost for cost in costs if cost is not None]
    return {
        "id": begun.request_id,
        "object": "request",
        "created": attempts[0].reservation.began_at // 1_000_000,
        "endpoint": begun.endpoint,
        "model": begun.model or None,
        "stream": begun.stream,
        "state": last.state,
        "usage": shown[-1]["usage"],
        "cost_usd": dollars(sum(known)) if len(known) == len(costs) else None,
        "price": shown[-1]["price"],
        "user": begun.user or None,
        "session": begun.session or None,
        "agent": begun.agent or None,
        "tags": list(begun.tags),
        "prompt": {"id": begun.prompt_id, "version": begun.prompt_version} if begun.prompt_id else None,
        "verdicts": [],
        "risk": None,
        "attempts": shown,
    }


def _public(source: str) -> str | None:
    """Where a price is from, without the folders of this machine."""
    return (source.rpartition("/")[2] if source.startswith("/") else source) or None


def _attempt(attempt: Attempt) -> dict[str, Any]:
    begun, ended = attempt.reservation, attempt.settlement
    found: dict[str, Any] = {
        "attempt": begun.attempt,
        "kind": begun.kind,
        "state": attempt.state,
        "provider": begun.provider,
        "deployment": begun.deployment or None,
        "at_most_usd": None if begun.held_nano is None else dollars(begun.held_nano),
    }
    if ended is None:
        return found | {"status": None, "usage": None, "cost_usd": None, "price": []}
    usage: dict[str, Any] | None = None
    if ended.source is not None:
        usage = {name: getattr(ended, name) for name in _COUNTS} | {"source": ended.source}
        usage |= orjson.loads(ended.more_tokens) if ended.more_tokens else {}
    is_priced = ended.cost_nano is not None
    return found | {
        "status": ended.status or None,
        "code": ended.code or None,
        "answering_model": ended.answering_model or None,
        "usage": usage,
        "cost_usd": dollars(ended.cost_nano) if ended.cost_nano is not None else None,
        "unpriced": None if is_priced else (_public(ended.price_source) or "not known"),
        "price": [
            {
                "meter": line.meter,
                "quantity": line.quantity,
                "usd_per_million": dollars(line.rate) if line.per == 1_000_000 else None,
                "cost_usd": dollars(line.nano_usd),
            }
            for line in lines_of(ended.lines.decode())
        ],
        "price_source": _public(ended.price_source) if is_priced else None,
        "price_version": ended.price_version or None,
        "latency_s": ended.latency_us / 1e6 if ended.latency_us is not None else None,
        "time_to_first_token_s": ended.first_token_us / 1e6 if ended.first_token_us is not None else None,
    }
