"""`Idempotency-Key`: the same call sent again gets the first one's answer, and is not billed again.

Such a call is worked to its end even if its client leaves, so that the retry finds an answer. What is kept is an answer
that was whole; one that failed is forgotten, and a retry runs.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from gateway.api import replies
from gateway.api.asgi import Message, Send
from gateway.api.watch import ClientWatch
from gateway.errors import GatewayError
from gateway.exchange import Exchange
from gateway.pipeline import Call, Pipeline
from gateway.relay import Relay
from gateway.store.idempotency import Fresh, Headers, Idempotency, Replay, Tape, digest, parse_key, refusal
from gateway.telemetry.families import Counter

WAIT_S = 30.0
"""How long a retry waits for the first call to finish before it is told that it is in progress."""

_OF_ITS_OWN = (b"x-request-id", b"x-gateway-overhead-ms", b"x-gateway-cost-usd")


class Answering(Protocol):
    """What sends the answer of a call: `calls.answer`."""

    def __call__(self, trip: Exchange, watch: ClientWatch, send: Send, work: Awaitable[Relay]) -> Awaitable[bool]: ...


class _Read:
    """A call whose body is already here. Implements `pipeline.Call`."""

    __slots__ = ("_body", "headers")

    def __init__(self, headers: dict[bytes, bytes], body: bytes) -> None:
        self.headers = headers
        self._body = body

    async def body(self) -> bytes:
        return self._body


class _Recording:
    """Wraps `send` and keeps what goes out."""

    def __init__(self, send: Send, limit: int) -> None:
        self._send = send
        self.tape = Tape(limit)
        self.status = 0
        self.headers: Headers = ()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message["headers"]
        else:
            self.tape.feed(message.get("body", b""))
        await self._send(message)


class Retries:
    """Serves calls that carry the header."""

    def __init__(self, store: Idempotency, pipeline: Pipeline, answer: Answering, replays: Counter) -> None:
        self._store = store
        self._pipeline = pipeline
        self._answer = answer
        self._replays = replays

    async def serve(self, trip: Exchange, call: Call, watch: ClientWatch, send: Send) -> None:
        """Run the call, or answer it from memory."""
        try:
            self._pipeline.authenticate(trip, call)
            assert trip.caller is not None
            key = parse_key(call.headers[b"idempotency-key"])
            body = await call.body()
            watch.close()  # it is worked to its end, whether its client stays or not
            trip.bytes_in = len(body)
            same = digest(trip.method, trip.endpoint.path, body)
            outcome = await self._store.begin(trip.caller.key_id, key, same, wait_s=WAIT_S)
            if not isinstance(outcome, Fresh | Replay):
                raise refusal(outcome)
        except GatewayError as error:
            self._pipeline.fail(trip, error)
            await replies.send_error(trip, error, send)
            return
        if isinstance(outcome, Replay):
            await self._replay(trip, outcome, send)
        else:
            await self._run(trip, _Read(call.headers, body), watch, send, outcome)

    async def _replay(self, trip: Exchange, found: Replay, send: Send) -> None:
        self._replays.inc()
        trip.status = found.status
        kept = [(name, value) for name, value in found.headers if name not in _OF_ITS_OWN]
        headers = [*kept, (b"x-request-id", trip.id.encode()), (b"idempotent-replayed", b"true")]
        if any(name == b"x-gateway-cost-usd" for name, _ in found.headers):
            headers.append((b"x-gateway-cost-usd", b"0.00"))
        trip.bytes_out = len(found.body)
        try:
            await send({"type": "http.response.start", "status": found.status, "headers": headers})
            await send({"type": "http.response.body", "body": found.body})
        finally:
            self._pipeline.done(trip)

    async def _run(self, trip: Exchange, call: Call, watch: ClientWatch, send: Send, fresh: Fresh) -> None:
        recording = _Recording(send, self._store.reply_limit)
        whole = False
        try:
            whole = await self._answer(trip, watch, recording, self._pipeline.generate(trip, call))
        finally:
            if whole and recording.status < 400:
                await self._store.complete(fresh, recording.status, recording.headers, recording.tape.body())
            else:
                await self._store.forget(fresh)
