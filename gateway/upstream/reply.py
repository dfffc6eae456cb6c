"""One reply as it arrives over a connection: bytes in from the parser, bytes out to one reader.

One future a wait, no queue. Whoever reads slower than the provider sends stops the provider: past `HIGH_WATER` the
socket is no longer read. A deadline is data that the sweep looks at; a byte that arrives sets a flag, not a timer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.errors import BrokenReply, GatewayError, UpstreamTimeout
from gateway.model.route import Timeouts
from gateway.upstream.decoding import Inflate, inflate_for
from gateway.upstream.sweep import Sweep
from gateway.upstream.wire import Headers, header

if TYPE_CHECKING:
    from gateway.upstream.connection import Connection

HIGH_WATER = 2 * 1024
"""Bytes held before the socket is paused: small, because every slow stream may hold as much, and one read more."""

BULK_HIGH_WATER = 64 * 1024
"""The same for replies that are no event streams: files, speech, images. They are few, and want throughput."""

MANY = 128
"""Pieces held before the socket is paused: a piece costs some 50 bytes beside its own, so tiny chunks weigh more."""


class ConnectionReply:
    """Implements `wire.Reply` over one `Connection`."""

    __slots__ = (
        "_chunks",
        "_connection",
        "_error",
        "_idle_since",
        "_inflate",
        "_limit",
        "_loop",
        "_moved",
        "_started",
        "_sweep",
        "_timeouts",
        "_waiter",
        "bulk",
        "complete",
        "headers",
        "held",
        "started",
        "status",
        "touched",
        "whole",
    )

    def __init__(
        self, connection: Connection, loop: asyncio.AbstractEventLoop, timeouts: Timeouts, sweep: Sweep
    ) -> None:
        self.status = 0
        self.headers: Headers = []
        self.complete = False
        self.started = False  # the head is here
        self.touched = False  # any byte of the reply is here: from now on nobody may send the request again
        self.whole = False  # wanted in one piece, so nobody is woken before its end
        self.bulk = False  # read much at a time
        self.held = 0
        self._chunks: list[bytes] = []
        self._connection: Connection | None = connection
        self._loop = loop
        self._timeouts = timeouts
        self._sweep = sweep
        self._started = self._idle_since = loop.time()
        self._moved = False
        self._waiter: asyncio.Future[None] | None = None
        self._error: GatewayError | None = None
        self._limit = 0
        self._inflate: Inflate | None = None
        sweep.add(self)

    def __repr__(self) -> str:
        state = "complete" if self.complete else "failed" if self._error else "arriving" if self.started else "awaited"
        return f"<Reply {self.status or '-'} {state}, {self.held} B held>"

    # What the connection tells

    def on_head(self, status: int, headers: Headers) -> None:
        """The head is whole."""
        self.status = status
        self.headers = headers
        self._inflate = inflate_for(headers)
        media_type = header(headers, b"content-type")
        self.bulk = media_type is not None and not media_type.startswith(b"text/event-stream")
        self.started = self._moved = True
        self._wake()

    def on_body(self, data: bytes) -> None:
        """More of the body."""
        self._moved = True
        self._chunks.append(data)
        self.held += len(data)
        if self.whole:
            if self.held > self._limit:
                self.fail(too_long(self._limit))
        else:
            most = BULK_HIGH_WATER if self.bulk else HIGH_WATER
            if (self.held > most or len(self._chunks) > MANY) and self._connection is not None:
                self._connection.pause()
            self._wake()

    def on_complete(self) -> None:
        """The body ended as its framing said it would."""
        if self._error is None:  # else it was too long, and its last bytes came with those that made it so
            self.complete = True
            self._wake()

    def fail(self, error: GatewayError) -> None:
        """Wake the reader with `error`, and drop the connection: its state is no longer known.

        A reply that is already here whole stays good.
        """
        if self._error is None and not self.complete:
            self._error = error
            self._wake()
            self._drop()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._sweep.discard(self)
        if connection is not None:
            connection.drop()

    # What the reader does

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        except BaseException:  # cancelled, or thrown away: nobody will read this
            self._drop()
            raise
        finally:
            self._waiter = None

    async def head(self) -> None:
        """Wait for the head. Raises what went wrong before it was whole."""
        while not self.started:
            if self._error is not None:
                raise self._error
            await self._wait()

    async def read(self) -> bytes:
        """See `wire.Reply`."""
        while True:
            if self._inflate is not None and (data := self._inflate.more()):
                return data
            if self._chunks:
                data = self._take()
                if self._inflate is None:
                    return data
                self._inflate.feed(data)
            elif self._error is not None:
                raise self._error
            elif self.complete:
                if self._inflate is not None:
                    self._inflate.finish()
                return b""
            else:
                await self._wait()

    def _take(self) -> bytes:
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self.held = 0
        if self._connection is not None:
            self._connection.resume()
        return data

    async def read_all(self, limit: int) -> bytes:
        """See `wire.Reply`. Wakes once, when all is here."""
        if self._inflate is not None:
            return await self._read_all_inflated(limit)
        self.whole, self.bulk, self._limit = True, True, limit
        if self.held > limit:
            raise self._refuse(limit)
        if self._connection is not None:
            self._connection.resume()
        while not self.complete:
            if self._error is not None:
                raise self._error
            await self._wait()
        return self._take() if self._chunks else b""

    async def _read_all_inflated(self, limit: int) -> bytes:
        whole = bytearray()
        while data := await self.read():
            whole += data
            if len(whole) > limit:
                raise self._refuse(limit)
        return bytes(whole)

    def _refuse(self, limit: int) -> GatewayError:
        self._error = error = too_long(limit)
        self._drop()
        return error

    @property
    def age_s(self) -> float:
        """Seconds since the request was begun."""
        return self._loop.time() - self._started

    def close(self) -> None:
        """See `wire.Reply`. Only a connection whose reply is complete may serve another."""
        connection, self._connection = self._connection, None
        self._sweep.discard(self)
        if connection is not None:
            connection.release(reusable=self.complete and self._error is None)

    # What the sweep asks

    def check(self, now: float) -> None:
        """Fail this reply if one of its deadlines has passed. `now` is the loop's clock."""
        if self.complete or self._error is not None:
            return
        limits = self._timeouts
        if now - self._started > limits.total:
            self.fail(UpstreamTimeout("total", limits.total))
        elif self._moved:
            self._moved = False
            self._idle_since = now
        elif not self.started:
            if self._connection is not None and self._connection.is_fed:
                self._idle_since = now  # the request is not out yet: it is the client that is slow
            elif now - self._idle_since > limits.first_byte:
                self.fail(UpstreamTimeout("first_byte", limits.first_byte))
        elif self._waiter is None:
            self._idle_since = now  # nobody waits for the provider: it is the client that is slow
        elif now - self._idle_since > limits.idle:
            self.fail(UpstreamTimeout("idle", limits.idle))


def too_long(limit: int) -> BrokenReply:
    """The error for a body that is longer than anybody wants to hold."""
    return BrokenReply(f"The provider's reply is longer than {limit} bytes.", code="upstream_reply_too_large")
