"""Relays and errors to HTTP: the one place where streaming and not streaming part.

The status goes out with the first bytes of the answer; until then a failure is a status of its own.
"""

from __future__ import annotations

from time import perf_counter

import orjson

from gateway.api.asgi import Send
from gateway.api.keepalive import KeepAlive
from gateway.dialects import openai
from gateway.errors import GatewayError
from gateway.exchange import Exchange
from gateway.model.price import dollars
from gateway.relay import Relay
from gateway.upstream.attempts import Opened
from gateway.upstream.sweep import Sweep
from gateway.upstream.wire import Headers, header

JSON = b"application/json"
_PASSED = (b"content-disposition", b"retry-after", b"retry-after-ms", b"openai-processing-ms", b"openai-version")
"""Headers of a provider that reach the client; its rate limits, cookies and addresses do not."""


async def send_relay(relay: Relay, send: Send, sweep: Sweep) -> None:
    """Send an answer, whichever it is."""
    opened = relay.opened
    if opened.outcome != "ok":
        await _send_provider_error(relay, send)
    elif relay.is_whole:
        body = relay.whole()
        cost = relay.counted() or await relay.count()
        extra = _passed(opened)
        if cost is not None and cost.nano_usd is not None:
            extra.append((b"x-gateway-cost-usd", dollars(cost.nano_usd).encode()))
        await _send_whole(relay.trip, send, body, opened.media_type or JSON, extra)
    else:
        await _send_stream(relay, send, sweep)


def _passed(opened: Opened) -> Headers:
    return [pair for pair in opened.reply.headers if pair[0] in _PASSED]


def reply_headers(trip: Exchange, media_type: bytes, extra: Headers) -> Headers:
    """What every reply carries."""
    headers = [(b"content-type", media_type), (b"x-request-id", trip.id.encode()), *extra]
    if trip.candidate is not None:
        headers.append((b"x-gateway-provider", trip.candidate.provider.encode()))
        headers.append((b"x-gateway-attempts", b"%d" % trip.attempts))
    headers += trip.limit_headers
    return headers


async def _send_whole(trip: Exchange, send: Send, body: bytes, media_type: bytes, extra: Headers) -> None:
    overhead_s = perf_counter() - trip.began - trip.upstream_s - trip.client_s
    headers = reply_headers(trip, media_type, extra)
    headers.append((b"x-gateway-overhead-ms", b"%.2f" % (overhead_s * 1e3)))
    headers.append((b"content-length", b"%d" % len(body)))
    trip.is_answered = True
    await send({"type": "http.response.start", "status": trip.status, "headers": headers})
    trip.bytes_out = len(body)
    began = perf_counter()
    await send({"type": "http.response.body", "body": body})
    trip.client_s += perf_counter() - began


async def _send_stream(relay: Relay, send: Send, sweep: Sweep) -> None:
    trip, opened = relay.trip, relay.opened
    data = await relay.read()
    trip.first_byte_at = perf_counter()
    extra = _passed(opened)
    if relay.is_events:
        extra += [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
    elif (length := header(opened.reply.headers, b"content-length")) is not None:
        extra.append((b"content-length", length))
    headers = reply_headers(trip, opened.media_type or b"application/octet-stream", extra)
    trip.is_answered = True
    await send({"type": "http.response.start", "status": trip.status, "headers": headers})
    keep_alive = KeepAlive(trip, send, sweep) if relay.is_events else None
    waited = 0.0
    try:
        while data:
            trip.bytes_out += len(data)
            began = perf_counter()
            await send({"type": "http.response.body", "body": data, "more_body": True})
            waited += perf_counter() - began
            data = await relay.read()
    finally:
        trip.client_s += waited
        if keep_alive is not None:
            keep_alive.close()
    await send({"type": "http.response.body", "body": b""})


async def _send_provider_error(relay: Relay, send: Send) -> None:
    """A provider's own error reaches the client as it came, if its client can read it, and else in OpenAI's shape.

    That our key was refused is not the caller's affair: its own key is good, and the provider's message quotes ours.
    """
    trip, opened = relay.trip, relay.opened
    status, body = opened.reply.status, relay.whole()
    trip.code = "provider_error"
    if opened.outcome == "credentials":
        trip.status, trip.code = 502, "upstream_rejected_credentials"
        message = "The provider refused the gateway's own credentials; whoever runs the gateway has to mend that."
        body = openai.error_body(message, "upstream_error", None, trip.code)
    elif not 400 <= status < 600:
        trip.status = 502
        message = f"The provider answered with status {status}, which no API should."
        body = openai.error_body(message, "upstream_error", None, "provider_error")
    elif not openai.is_error(body):
        message = openai.words_of_error(body) or f"The provider answered with status {status}."
        body = openai.error_body(message, "upstream_error", None, "provider_error")
    await _send_whole(trip, send, body, JSON, _passed(opened))


async def send_error(trip: Exchange, error: GatewayError, send: Send, extra: Headers | None = None) -> None:
    """An error of the gateway, in OpenAI's shape."""
    body = openai.error_body(error.message, error.type, error.param, error.code)
    extra = list(extra or ())
    if error.retry_after_s is not None:
        extra.append((b"retry-after", b"%d" % error.retry_after_s))
    if error.status == 401:
        extra.append((b"www-authenticate", b"Bearer"))
    trip.status = error.status
    await _send_whole(trip, send, body, JSON, extra)


async def send_json(trip: Exchange, value: object, send: Send, status: int = 200, extra: Headers | None = None) -> None:
    """`value` as JSON."""
    trip.status = status
    await _send_whole(trip, send, orjson.dumps(value), JSON, extra or [])
