"""The scripted provider in process: plays, acted without a socket behind the same door as the network pool.

Without delays nothing here waits, so a call costs what making its bytes costs. Faults come out as the errors that the
pool would raise for them, and deadlines hold as they do there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator

from gateway.errors import BrokenReply, GatewayError, UpstreamTimeout
from gateway.model.route import Timeouts
from gateway.providers.scripting import Ask, Play, Player, Send, bill
from gateway.upstream.decoding import Inflate, inflate_for
from gateway.upstream.reply import too_long
from gateway.upstream.sweep import Sweep
from gateway.upstream.wire import Headers, Request

MAX_UPLOAD = 512 << 20
"""Bytes of a request that are held: the script sees bodies whole."""
OnBill = Callable[[bytes], None]
"""Takes one line of the provider's books, as `bill.line` writes them."""


class ScriptedUpstream:
    """Implements `wire.Upstream`. `sweep` enforces deadlines; without it there are none."""

    def __init__(self, player: Player, sweep: Sweep | None = None, *, on_bill: OnBill | None = None) -> None:
        self._player = player
        self._sweep = sweep
        self._on_bill = on_bill
        self._open: set[ScriptedReply] = set()

    def __repr__(self) -> str:
        return f"<ScriptedUpstream {self._player!r}, {len(self._open)} open>"

    @property
    def idle(self) -> int:
        """Connections that wait for work: there are none, ever."""
        return 0

    @property
    def active(self) -> int:
        """Replies that are not done with."""
        return len(self._open)

    async def send(self, request: Request) -> ScriptedReply:
        """See `wire.Upstream`."""
        if request.on_send is not None:
            request.on_send()
        body = request.body
        if body is not None and not isinstance(body, bytes):
            body = await _gathered(body)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
        play = self._player.play(Ask(request.method, request.target, body or b"", headers))
        reply = ScriptedReply(play, request.timeouts, self._ended)
        self._open.add(reply)
        if self._sweep is not None:
            self._sweep.add(reply)
        try:
            await reply.head()
        except BaseException:
            reply.close()
            raise
        return reply

    async def aclose(self) -> None:
        """End every reply that is still open."""
        for reply in tuple(self._open):
            reply.fail(BrokenReply("The gateway is shutting down."))
            reply.close()

    def _ended(self, reply: ScriptedReply) -> None:
        self._open.discard(reply)
        if self._sweep is not None:
            self._sweep.discard(reply)
        if self._on_bill is not None:
            self._on_bill(reply.bill(self._player.clock()))


class ScriptedReply:
    """Implements `wire.Reply` over one `Play`."""

    def __init__(self, play: Play, timeouts: Timeouts, on_end: Callable[[ScriptedReply], None]) -> None:
        self.status = play.status
        self.headers: Headers = list(play.headers)
        if play.framing == "length":
            self.headers.append((b"content-length", b"%d" % play.declared))
        self._inflate: Inflate | None = inflate_for(self.headers)
        self._play = play
        self._steps: Iterator[Send] = iter(play.steps)
        self._last: Send | None = None
        self._sent = 0
        self._timeouts = timeouts
        self._on_end: Callable[[ScriptedReply], None] | None = on_end
        self._error: GatewayError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._complete = False
        self._begun = False
        self._started = self._idle_since = time.monotonic()

    def __repr__(self) -> str:
        state = "complete" if self._complete else "failed" if self._error else "arriving"
        return f"<ScriptedReply {self.status} {state}, {self._sent} B sent>"

    async def head(self) -> None:
        """Wait for the head. Raises what goes wrong before it."""
        play = self._play
        if play.head_delay_s:
            await self._wait(play.head_delay_s)
        if play.head == "none":
            await self._break()
        elif play.head != "good":
            raise BrokenReply("The provider's reply is not HTTP, or its head is too large.")
        self._begun = True

    async def read(self) -> bytes:
        """See `wire.Reply`."""
        inflate = self._inflate
        if inflate is None:
            return await self._next()
        while not (data := inflate.more()):
            arrived = await self._next()
            if not arrived:
                inflate.finish()
                return b""
            inflate.feed(arrived)
        return data

    async def read_all(self, limit: int) -> bytes:
        """See `wire.Reply`."""
        parts: list[bytes] = []
        size = 0
        while data := await self.read():
            size += len(data)
            if size > limit:
                error = too_long(limit)
                self.fail(error)
                raise error
            parts.append(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _next(self) -> bytes:
        """The next bytes that the provider sends."""
        if self._error is not None:
            raise self._error
        play = self._play
        for step in self._steps:
            if step.after_s:
                await self._wait(step.after_s)
            data = step.data
            if play.framing == "length":
                data = data[: play.declared - self._sent]  # what goes on after the declared length is not the body
            self._last = step
            self._sent += len(data)
            if data:
                return data
        if play.ending != "complete" or (play.framing == "length" and self._sent < play.declared):
            await self._break()
        self._complete = True
        return b""

    async def _break(self) -> None:
        """The play does not end well: wait for ever, or raise."""
        if self._play.ending == "hang":
            await self._wait(None)
        raise BrokenReply("The provider's reply was cut short or is malformed.")

    async def _wait(self, seconds: float | None) -> None:
        """Until `seconds` have passed (`None`: for ever) or somebody fails the reply."""
        if self._error is not None:
            raise self._error
        loop = asyncio.get_running_loop()
        self._waiter = waiter = loop.create_future()
        self._idle_since = time.monotonic()
        timer = None if seconds is None else loop.call_later(seconds, _wake, waiter)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()
        if self._error is not None:
            raise self._error

    def fail(self, error: GatewayError) -> None:
        """See `wire.Reply`."""
        if self._error is None and not self._complete:
            self._error = error
            if self._waiter is not None:
                _wake(self._waiter)

    def close(self) -> None:
        """See `wire.Reply`."""
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(self)

    def bill(self, at_s: float) -> bytes:
        """The provider's record of this call, which ends at `at_s` (Unix time)."""
        return bill.line(self._play, self._last, self._sent, completed=self._complete, at_s=at_s)

    def check(self, now: float) -> None:
        """Fail this reply if one of its deadlines has passed (see `sweep.Watched`)."""
        limits = self._timeouts
        now = time.monotonic()
        if now - self._started > limits.total:
            self.fail(UpstreamTimeout("total", limits.total))
        elif self._waiter is not None and not self._begun and now - self._started > limits.first_byte:
            self.fail(UpstreamTimeout("first_byte", limits.first_byte))
        elif self._waiter is not None and self._begun and now - self._idle_since > limits.idle:
            self.fail(UpstreamTimeout("idle", limits.idle))


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def _gathered(body: AsyncIterator[bytes]) -> bytes:
    gathered = bytearray()
    async for piece in body:
        gathered += piece
        if len(gathered) > MAX_UPLOAD:
            raise BrokenReply(f"The scripted provider takes no body of more than {MAX_UPLOAD} bytes.")
    return bytes(gathered)
