"""The one loop over an answer: bytes of the provider in, events seen, bytes for the client out.

A unary answer passes here too: it is a stream whose events all appear at its end. Each event keeps the bytes it came
in, and those go out untouched, but for the usage chunk of a client that did not ask for one. After the first byte went
out a failure can no longer be a status: it becomes a last event that clients raise as an error, never a silent end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from time import perf_counter

import msgspec

from gateway.dialects import openai, sse
from gateway.errors import GatewayError, UpstreamError
from gateway.exchange import Exchange
from gateway.meter import Meter
from gateway.model.chat import ChatRequest
from gateway.model.events import Event, Failed, UsageReport
from gateway.model.price import Cost, dollars
from gateway.model.record import Terminal
from gateway.providers.base import Decoder
from gateway.upstream.attempts import Opened

Finish = Callable[[Exchange, GatewayError | None], None]


class Relay:
    """One answer on its way. `read` until it is empty, then `aclose`, whatever happens: it books the call.

    `decoder` is None where the bytes mean nothing to us (files, speech). `hide_usage`: the client did not ask for the
    chunk that says what the stream used, we did. `show_cost`: it asked to see there what that costs. `units` are what
    was asked for that is not tokens.
    """

    def __init__(
        self,
        trip: Exchange,
        opened: Opened,
        decoder: Decoder | None,
        request: ChatRequest | None,
        finish: Finish,
        *,
        hide_usage: bool = False,
        show_cost: bool = False,
        units: Mapping[str, int] | None = None,
    ) -> None:
        self.trip = trip
        self.opened = opened
        self._decoder = decoder
        self._meter = Meter(request)
        self._finish = finish
        self._hide_usage = hide_usage
        self._show_cost = show_cost
        self._units = units
        self._cost: Cost | None = None
        self._data = opened.data
        self._ended = False
        self._shown = False  # some of the answer is out, and the status with it
        self._is_refused = False  # a stream whose first word was an error
        self.error: GatewayError | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all of the answer is here already."""
        return self.opened.whole

    @property
    def is_events(self) -> bool:
        """Whether it goes out as server-sent events."""
        return self._decoder is not None and not self.opened.whole

    def replace(self, data: bytes) -> None:
        """Let `data` go out in place of a whole answer."""
        self._data = data

    def whole(self) -> bytes:
        """The whole body of an answer that is not streamed. Raises `BrokenReply` if it is not what it should be."""
        data, self._data = self._data, b""
        self._ended = True
        if self._decoder is None:
            return data
        self._decoder.feed(data)
        self._meter.started = True  # what is cut short was paid for too
        return self._pass(self._decoder.close())

    async def read(self) -> bytes:
        """The next bytes for the client; `b""` at the end.

        A failure is one last event where the answer is events and some of it is out. Else it is raised.
        """
        while not self._ended:
            try:
                out = await self._next()
            except UpstreamError as error:
                self._ended = True
                self.fail(error)
                if not self.is_events or not self._shown:
                    raise
                return error_event(error)
            if out:
                self._shown = True
                return out
        return b""

    async def _next(self) -> bytes:
        data, self._data = self._data, b""
        if not data:
            data = await self._receive()
        if self._decoder is None:
            self._ended = not data
            return data
        if data:
            return self._pass(self._decoder.feed(data))
        self._ended = True
        return self._pass(self._decoder.close())

    async def _receive(self) -> bytes:
        waited_from = perf_counter()
        try:
            return await self.opened.reply.read()
        finally:
            self.trip.upstream_s += perf_counter() - waited_from

    def _pass(self, events: list[Event]) -> bytes:
        """See every event; what is left of their bytes goes out."""
        see = self._meter.see
        out = b""
        if self._show_cost:
            events = self._with_cost(events)
        for event in events:
            see(event)
            if type(event) is Failed:
                self._is_refused = not self._meter.started
                self.fail(UpstreamError(event.message, code="upstream_stream_error"))
            if not self._is_hidden(event):
                out = out + event.raw if out else event.raw  # one event a read, as a rule: nothing is copied
        return out

    def _with_cost(self, events: list[Event]) -> list[Event]:
        """The event whose bytes hold the usage gets the cost into them."""
        booking = self.trip.booking
        for at, event in enumerate(events):
            if type(event) is UsageReport and booking is not None:
                nano = booking.price(event.usage, event.tier).nano_usd
                holder = at if event.raw or not at else at - 1
                while holder and not events[holder].raw:
                    holder -= 1
                if nano is not None:
                    raw = openai.add_cost(events[holder].raw, dollars(nano))
                    events[holder] = msgspec.structs.replace(events[holder], raw=raw)
        return events

    def _is_hidden(self, event: Event) -> bool:
        return self._hide_usage and type(event) is UsageReport and event.extra

    def fail(self, error: GatewayError) -> None:
        """Something went wrong on the way; the record will say so."""
        if self.error is None:
            self.error = error
            self.trip.code = error.code

    def counted(self) -> Cost | None:
        """What `count` gives, where that needs no waiting; None if it does, or if it costs nothing by its outcome."""
        if self._cost is None and self._meter.reported is not None:
            booking, meter = self.trip.booking, self._meter
            if booking is not None and not (self._units or meter.seconds or meter.searches or self._costs_nothing):
                self.trip.usage = meter.reported
                self._cost = booking.price(meter.reported, meter.tier)
        return self._cost

    async def count(self) -> Cost | None:
        """What the answer used and costs; None where it costs nothing by its outcome. Ask when all of it is here."""
        trip, meter = self.trip, self._meter
        if self._cost is None and not self._costs_nothing and trip.booking is not None:
            if self.error is not None:
                meter.started = True  # the provider had the request, and may have answered all of it
            try:
                trip.usage = meter.reported or await meter.usage()
            except asyncio.CancelledError:
                trip.usage = meter.usage_now()
                self._cost = trip.booking.price(trip.usage, meter.tier, self._units)
                raise
            units = self._units
            if meter.seconds:
                units = {**(units or {}), "input_audio_seconds": meter.seconds}
            told = {"web_searches": meter.searches} if meter.searches else None
            self._cost = trip.booking.price(trip.usage, meter.tier, units, told)
        return self._cost

    async def aclose(self) -> None:
        """Let the connection go, count what was used, book it, and finish the call, once."""
        if self.trip.finished:
            return
        self.trip.finished = True
        self.opened.reply.close()
        try:
            if self.counted() is None:
                await self.count()
        finally:
            try:
                self._settle()
            finally:
                self._finish(self.trip, self.error)

    @property
    def _costs_nothing(self) -> bool:
        """Whether the provider refused: by its status, or in a stream before anything of an answer."""
        return self.opened.outcome != "ok" or (self._is_refused and not self._meter.started)

    def _settle(self) -> None:
        trip, meter = self.trip, self._meter
        booking, status = trip.booking, self.opened.reply.status
        trip.answering_model = meter.answering_model
        if booking is None:
            return
        code = self.error.code if self.error is not None else trip.code
        if self._costs_nothing:
            booking.void(status=status, code=code)
            return
        # Without a count of tokens what was cut short is no settled thing: how much of it was made, nobody knows. Nor
        # is what was still being counted.
        is_unsure = self.error is not None or self._cost is None
        state: Terminal | None = "estimated" if is_unsure and meter.reported is None else None
        booking.settle(trip.usage, status=status, code=code, model=meter.answering_model, cost=self._cost, state=state)


def error_event(error: GatewayError) -> bytes:
    """The last event of a stream that failed. OpenAI's clients raise it."""
    return sse.frame(openai.error_body(error.message, error.type, error.param, error.code), "error")
