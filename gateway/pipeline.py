"""The spine: what happens to a call, in order. Every name on its lines is a folder.

A call is authenticated before its body is read, and routed before anything is dialled. Whatever ends it, it is booked,
once: here, if it was refused or failed, else when its relay closes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Protocol, TypeVar

from gateway import access, routing
from gateway.booking import Book, Booking
from gateway.booking import most as most_of
from gateway.dialects import openai
from gateway.errors import ClientGone, GatewayError, NotFound, Unavailable, UpstreamError
from gateway.exchange import Exchange
from gateway.meter import Meter
from gateway.model.chat import ChatRequest
from gateway.model.record import Reservation
from gateway.model.route import Candidate, Route, Timeouts
from gateway.pricing.bound import NOTHING, Bound, bound, units_of, upload_bound
from gateway.providers.base import Decoder, Outcome, Provider
from gateway.recorder import Recorder
from gateway.relay import Relay
from gateway.telemetry.ids import new_id
from gateway.upstream import attempts
from gateway.upstream.wire import Headers, Reply, Request
from gateway.upstreams import View

_JSON = (b"content-type", b"application/json")
_T = TypeVar("_T")


class Call(Protocol):
    """What the edge knows of a request: the pipeline asks for the body only when it may be read."""

    headers: dict[bytes, bytes]

    async def body(self) -> bytes:
        """All of the body. Raises `TooLarge`, `ClientGone`."""


class Form(Protocol):
    """A form with files whose model is known before its files are read."""

    model: str | None
    length: int | None
    """Bytes of the whole form, where the client says it."""

    def send_as(self, model: str) -> Request:
        """The request for the provider, which calls the model `model`; it can be made once."""


class Pipeline:
    """Handles calls. `view` gives the current one, `chance` draws from [0, 1), `clock` is Unix time in seconds."""

    def __init__(
        self,
        view: Callable[[], View],
        ring: Callable[[], access.KeyRing],
        recorder: Recorder,
        *,
        book: Book,
        chance: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._view = view
        self._ring = ring
        self._recorder = recorder
        self._book = book
        self._chance = chance
        self._clock = clock
        self._in_flight_gauge = recorder.metrics.in_flight
        self._streams_gauge = recorder.metrics.streams
        self.in_flight = 0

    # Three kinds of call. Each returns a relay, which must be closed, or raises what it has already booked.

    async def generate(self, trip: Exchange, call: Call) -> Relay:
        """A call whose JSON body names a model."""
        return await self._booked(trip, self._generate(self._view(), trip, call))

    async def upload(self, trip: Exchange, call: Call, read: Callable[[], Awaitable[Form]]) -> Relay:
        """A call whose body is a form with files. It goes on while it arrives, so it can be tried once only."""
        return await self._booked(trip, self._upload(self._view(), trip, call, read))

    async def pass_on(self, trip: Exchange, call: Call, prepare: Prepare) -> Relay:
        """A call that names no model: `prepare` says to which provider what is to be sent."""
        return await self._booked(trip, self._pass_on(self._view(), trip, call, prepare))

    async def _generate(self, view: View, trip: Exchange, call: Call) -> Relay:
        self._enter(view, trip)
        self.authenticate(trip, call)
        began = perf_counter()
        body = await call.body()
        trip.client_s = perf_counter() - began
        trip.bytes_in = len(body)
        endpoint = trip.endpoint
        request = trip.request = openai.read_request(body, endpoint.default_model)
        if endpoint.has_messages:
            openai.check_messages(request)
        trip.stream = request.stream
        trip.show_cost = call.headers.get(b"x-gateway-include-cost") == b"1"
        route = self._route(view, trip, request.model)
        self._attribute(trip, call, request.parsed)
        plan = routing.plan(view.snapshot.routes, route, request.model, self._chance())
        trip.units = units_of(endpoint.path, request.parsed)
        tier = _tier(request)

        async def send(candidate: Candidate) -> Reply:
            served = view.served[candidate.provider]
            most = bound(
                body, request.parsed, answers=endpoint.answers, max_output=candidate.max_output, units=trip.units
            )
            data = served.provider.write(request, candidate.model, ask_usage=served.ask_usage and endpoint.answers)
            booking = await self._open(view, trip, candidate, most, tier)
            made = Request("POST", endpoint.target, data, _headers(trip), candidate.timeouts, on_send=booking.sent)
            booking.request = made
            return await served.upstream.send(made)

        return self._relay(view, trip, await self._walk(view, trip, plan, send), request)

    async def _upload(self, view: View, trip: Exchange, call: Call, read: Callable[[], Awaitable[Form]]) -> Relay:
        self._enter(view, trip)
        self.authenticate(trip, call)
        form = await _on_client(trip, read())
        model = form.model if form.model is not None else trip.endpoint.default_model or ""
        openai.check_model_name(model)
        route = self._route(view, trip, model)
        self._attribute(trip, call, None)
        plan = routing.plan(view.snapshot.routes, route, model, self._chance())[:1]

        async def send(candidate: Candidate) -> Reply:
            most = upload_bound(trip.endpoint.path, form.length)
            booking = await self._open(view, trip, candidate, most)
            made = form.send_as(candidate.model)
            made.timeouts = candidate.timeouts
            made.headers += _headers(trip)[1:]
            made.on_send = booking.sent
            booking.request = made
            return await view.served[candidate.provider].upstream.send(made)

        return self._relay(view, trip, await self._walk(view, trip, plan, send), None)

    async def _pass_on(self, view: View, trip: Exchange, call: Call, prepare: Prepare) -> Relay:
        self._enter(view, trip)
        self.authenticate(trip, call)
        provider, made = await _on_client(trip, prepare(view, trip))
        if provider not in view.served:
            raise NotFound("No provider serves this path here.", code="not_served")
        self._attribute(trip, call, None)

        async def send(candidate: Candidate) -> Reply:
            booking = await self._open(view, trip, candidate)
            made.headers += _headers(trip)[1:]
            made.on_send = booking.sent
            booking.request = made
            return await view.served[candidate.provider].upstream.send(made)

        plan = [Candidate(provider, "", "", _PASS_ON_TIMEOUTS)]
        made.timeouts = _PASS_ON_TIMEOUTS
        return self._relay(view, trip, await self._walk(view, trip, plan, send), None)

    # The steps

    def _enter(self, view: View, trip: Exchange) -> None:
        limit = view.snapshot.settings.server.limits.max_in_flight
        if limit and self.in_flight >= limit:
            raise Unavailable("This gateway is at its limit of calls; try again.", code="overloaded", retry_after_s=1)
        trip.entered = True
        self.in_flight += 1
        self._in_flight_gauge.inc()

    def authenticate(self, trip: Exchange, call: Call) -> None:
        """Say who calls. Raises `Unauthenticated`."""
        trip.caller = access.authenticate(self._ring(), access.credential(call.headers), int(self._clock()))

    def _route(self, view: View, trip: Exchange, model: str) -> Route:
        """Where `model` is served. What a key may not use it does not learn of either."""
        caller = trip.caller
        assert caller is not None
        trip.model = model
        access.check_model(caller, model)
        routes = view.snapshot.routes
        route = routes.find(model)
        if route is None:
            raise routes.unknown(model, (name for name in routes.names if access.covers(caller, name)))
        return route

    def _attribute(self, trip: Exchange, call: Call, parsed: dict[str, Any] | None) -> None:
        """Say for whom, besides the key. Raises `InvalidRequest`, `Forbidden`."""
        assert trip.caller is not None
        trip.attribution = access.attribution(trip.caller, call.headers, parsed)

    async def _open(
        self, view: View, trip: Exchange, candidate: Candidate, most: Bound = NOTHING, tier: str = ""
    ) -> Booking:
        """Book the attempt that is about to be sent. Raises `RateLimited`, `Forbidden`, `Unavailable`, `ClientGone`."""
        if trip.client_left:  # while a provider failed: nobody is there for whom to pay another
            raise ClientGone("The client closed the connection.")
        snapshot = view.snapshot
        now = self._clock()
        at = datetime.fromtimestamp(now, UTC)
        held = most_of(snapshot.prices, candidate, most, at, tier)
        reservation = _reservation(trip, candidate, snapshot.digest, int(now * 1e6), held)
        assert trip.caller is not None
        booking = await self._book.open(snapshot.prices, trip.caller, candidate, reservation, most.tokens, at)
        trip.booking = booking
        trip.limit_headers = booking.limit_headers()
        trip.sent_at = trip.sent_at or perf_counter()
        return booking

    async def _walk(self, view: View, trip: Exchange, plan: list[Candidate], send: attempts.Send) -> attempts.Opened:
        def classify(candidate: Candidate, status: int) -> Outcome:
            return view.served[candidate.provider].provider.classify(status)

        try:
            opened = await attempts.walk(plan, send, classify, _Attempts(trip, self._recorder), raw=trip.endpoint.raw)
            if not (opened.whole or trip.endpoint.raw or _is_events(opened)):
                await self._complete(trip, opened)
            if trip.booking is not None:
                trip.booking.answered()
            return opened
        finally:
            if trip.sent_at:
                trip.upstream_s += perf_counter() - trip.sent_at

    async def _complete(self, trip: Exchange, opened: attempts.Opened) -> None:
        """Read the rest of what should be JSON and does not say so: an untyped answer, or some proxy's page."""
        try:
            opened.data += await opened.reply.read_all(attempts.MAX_UNARY)
        except BaseException as error:
            opened.reply.close()
            if isinstance(error, UpstreamError):
                await _Attempts(trip, self._recorder).failed(opened.candidate, error)
            raise
        opened.whole = True

    def _relay(self, view: View, trip: Exchange, opened: attempts.Opened, request: ChatRequest | None) -> Relay:
        trip.status = opened.reply.status
        served = view.served[opened.candidate.provider]
        # what names no model costs nothing by itself: the usage that a finished batch tells is no answer's
        decoder = _decoder(served.provider, opened, trip) if opened.candidate.model else None
        if trip.stream and not opened.whole:
            trip.streaming = True
            self._streams_gauge.inc()
        asked = request is not None and request.stream and not request.asks_usage and served.ask_usage
        hide = asked and trip.endpoint.answers  # the events of images and speech are not ours to take out
        return Relay(
            trip,
            opened,
            decoder,
            request if decoder is not None else None,
            self._close,
            hide_usage=hide and not trip.show_cost,
            show_cost=trip.show_cost,
            units=trip.units,
        )

    # The end

    async def _booked(self, trip: Exchange, work: Coroutine[Any, Any, Relay]) -> Relay:
        try:
            return await work
        except asyncio.CancelledError:
            await self._fail(trip, ClientGone("The client closed the connection."))
            raise
        except GatewayError as error:
            await self._fail(trip, error)
            raise
        except BaseException:
            await self._fail(trip, GatewayError("The gateway failed."))
            raise

    async def _fail(self, trip: Exchange, error: GatewayError) -> None:
        """End a call that brought no answer; its attempt, if it was sent, may cost something all the same."""
        try:
            await _lose(trip, error.code)
        finally:
            self.fail(trip, error)

    def fail(self, trip: Exchange, error: GatewayError) -> None:
        """Book a call that brought no answer."""
        if not trip.finished:
            trip.finished = True
            trip.status = error.status
            self._finish(trip, error)

    def done(self, trip: Exchange) -> None:
        """Book a call that was answered without a provider."""
        trip.finished = True
        self._finish(trip, None)

    def _close(self, trip: Exchange, error: GatewayError | None) -> None:
        """Book a call whose relay is closed; a provider that broke after its first byte is counted here."""
        if isinstance(error, UpstreamError) and trip.candidate is not None:
            self._recorder.failed(trip.candidate, error)
        self._finish(trip, error)

    def _finish(self, trip: Exchange, error: GatewayError | None) -> None:
        if trip.entered:
            self.in_flight -= 1
            self._in_flight_gauge.dec()
        if trip.streaming:
            self._streams_gauge.dec()
        self._recorder.finish(trip, error)


Prepare = Callable[[View, Exchange], Awaitable[tuple[str, Request]]]
"""(view, trip) -> the provider's name and the request for it. The trip has its caller by then."""

_PASS_ON_TIMEOUTS = Timeouts(connect=5.0, first_byte=300.0, idle=60.0, total=3600.0)
"""Uploads and downloads of files of hundreds of megabytes take their time."""


class _Attempts:
    """Notes in the call's exchange what is tried, and counts what fails."""

    __slots__ = ("_recorder", "_trip")

    def __init__(self, trip: Exchange, recorder: Recorder) -> None:
        self._trip = trip
        self._recorder = recorder

    def attempted(self, candidate: Candidate) -> None:
        trip = self._trip
        trip.candidate = candidate
        trip.attempts += 1
        if trip.attempts == 1:
            trip.route = candidate.route

    async def failed(self, candidate: Candidate, error: UpstreamError | int) -> None:
        self._recorder.failed(candidate, error)
        booking = self._trip.booking
        if booking is None:
            return
        if isinstance(error, int):
            booking.void(status=error, code="provider_error")
        elif booking.is_sent:
            await _lose(self._trip, error.code)
        else:
            booking.void(code=error.code)


async def _lose(trip: Exchange, code: str) -> None:
    """End the booking of an attempt whose answer will not be seen: what was sent is paid for as far as one can tell."""
    booking = trip.booking
    if booking is None or booking.is_ended:
        return
    if not booking.is_sent:
        booking.void(code=code)
        return
    meter = Meter(trip.request)
    meter.started = True
    usage = None
    try:
        usage = await meter.usage()
    except asyncio.CancelledError:
        usage = meter.usage_now()
        raise
    finally:
        cost = booking.price(usage, units=trip.units)
        # A stream that its client has left ends at the provider too, which bills it as far as it went.
        is_lost = not (trip.stream and code == ClientGone.code)
        booking.settle(usage, status=0, code=code, cost=cost, state="estimated", is_lost=is_lost)


async def _on_client(trip: Exchange, waiting: Awaitable[_T]) -> _T:
    """Wait for the client, on the client's account."""
    began = perf_counter()
    try:
        return await waiting
    finally:
        trip.client_s += perf_counter() - began


def _headers(trip: Exchange) -> Headers:
    headers = [
        _JSON,
        (b"traceparent", trip.trace.child_traceparent(new_id)),
        (b"x-client-request-id", b"%b-%d" % (trip.id.encode(), trip.attempts)),
    ]
    if trip.trace.state:
        headers.append((b"tracestate", trip.trace.state))
    return headers


def _reservation(
    trip: Exchange, candidate: Candidate, digest: str, began_at: int, held_nano: int | None
) -> Reservation:
    caller, who = trip.caller, trip.attribution
    assert caller is not None
    return Reservation(
        request_id=trip.id,
        attempt=trip.attempts,
        kind="first" if trip.attempts == 1 else "fallback" if candidate.route != trip.route else "retry",
        began_at=began_at,
        endpoint=trip.endpoint.path,
        stream=trip.stream,
        key_id=caller.key_id,
        team=caller.team,
        project=caller.project,
        user=who.user,
        session=who.session,
        agent=who.agent,
        tags=who.tags,
        provider=candidate.provider,
        deployment=candidate.model,
        model=trip.model,
        digest=digest,
        held_nano=held_nano,
    )


def _tier(request: ChatRequest) -> str:
    tier = request.parsed.get("service_tier")
    return tier if isinstance(tier, str) else ""


def _is_events(opened: attempts.Opened) -> bool:
    return opened.media_type.lower().startswith(b"text/event-stream")


def _decoder(provider: Provider, opened: attempts.Opened, trip: Exchange) -> Decoder | None:
    """How to read the answer; None for errors, which are small, and for bytes that mean nothing to us."""
    if opened.outcome != "ok":
        return None
    if _is_events(opened):
        return provider.stream_decoder(answers=trip.endpoint.answers)
    return provider.unary_decoder() if opened.whole else None
