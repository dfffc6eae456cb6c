"""One request and its reply on a connection: ASGI's `receive` and `send`, in the place of uvicorn's own cycle.

It costs half of what uvicorn's does: the head and the first of the body go out in one write, since every write is a
system call; headers are checked for line breaks together, not one by one; and waiting for the body takes a future only
where the body is not here yet. ASGI wants the head held back too: a server should not begin to send before the first
`http.response.body`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from gateway.api.asgi import Message, Scope

_NO_BODY = frozenset((204, 304))


class Cycle:
    """The names that uvicorn's protocol uses of its own cycle keep their meaning here.

    `body` is what has come and was not received yet; `message_event.set()` wakes whoever receives.
    """

    __slots__ = (
        "_head",
        "_is_open_ended",
        "_left",
        "_signal",
        "_waiter",
        "body",
        "chunked",
        "default_headers",
        "disconnected",
        "expects_continue",
        "flow",
        "keep_alive",
        "loop",
        "more_body",
        "on_response",
        "response_complete",
        "response_started",
        "scope",
        "task",
        "transport",
    )

    def __init__(
        self,
        scope: Scope,
        transport: asyncio.Transport,
        flow: FlowControl,
        loop: asyncio.AbstractEventLoop,
        default_headers: list[tuple[bytes, bytes]],
        keep_alive: bool,
        expects_continue: bool,
        on_response: Callable[[], None],
    ) -> None:
        self.scope = scope
        self.transport = transport
        self.flow = flow
        self.loop = loop
        self.default_headers = default_headers
        self.keep_alive = keep_alive
        self.expects_continue = expects_continue
        self.on_response = on_response
        self.body = b""
        self.more_body = True
        self.disconnected = False
        self.response_started = False
        self.response_complete = False
        self.chunked = False
        self.task: asyncio.Task[None] | None = None
        self._left = 0  # bytes of the declared length that are still to come
        self._head = b""
        self._is_open_ended = False
        self._signal = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def message_event(self) -> Cycle:
        """What uvicorn's protocol sets when something happened."""
        return self

    def set(self) -> None:
        """Something happened: more of the body, its end, the client's, or ours."""
        self._signal = True
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def receive(self) -> Message:
        """See ASGI."""
        if self.expects_continue and self.scope["http_version"] == "1.1" and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.expects_continue = False
        if not (self.disconnected or self.response_complete):
            self.flow.resume_reading()
            if not self._signal:
                await self._wait()
            self._signal = False
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.body = self.body, b""
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def _wait(self) -> None:
        self._waiter = self.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def send(self, message: Message) -> None:
        """See ASGI. Waits while the client reads too slowly; says nothing to one who has left."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected or self.transport.is_closing():
            return
        if message["type"] == "http.response.start":
            if self.response_started:
                raise RuntimeError("the reply has already been started")
            self._start(message["status"], message.get("headers", ()))
        elif not self.response_started or self.response_complete:
            raise RuntimeError("a reply's body must come after its start and before its end")
        else:
            more_body = message.get("more_body", False)
            self._body(message.get("body", b""), more_body)
            if more_body and self.flow.write_paused:
                # here, not before the next: while it waits, nobody fetches what there is no room for
                await self.flow.drain()

    def _start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.response_started = True
        self.expects_continue = False
        lines = [STATUS_LINE[status]]
        has_length = False
        for name, value in (*self.default_headers, *headers):
            lines.append(b"%b: %b\r\n" % (name, value))
            if name == b"content-length":
                self._left = int(value)
                has_length = True
            elif name == b"connection" and value == b"close":
                self.keep_alive = False
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        if not has_length and self.scope["method"] != "HEAD" and status not in _NO_BODY:
            if self.scope["http_version"] == "1.1":
                self.chunked = True
                lines.append(b"transfer-encoding: chunked\r\n")
            self._is_open_ended = not self.chunked  # HTTP/1.0 ends a body by closing
        head = b"".join(lines)
        if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines) or b"\0" in head:
            raise RuntimeError("a header of the reply holds a line break")
        self._head = head + b"\r\n"

    def _body(self, body: bytes, more_body: bool) -> None:
        head, self._head = self._head, b""
        if self.scope["method"] == "HEAD":
            self._left = 0
            data = head
        elif self.chunked:
            end = b"" if more_body else b"0\r\n\r\n"
            data = b"%b%x\r\n%b\r\n%b" % (head, len(body), body, end) if body else head + end
        elif self._is_open_ended:
            data = head + body
        else:
            self._left -= len(body)
            if self._left < 0:
                raise RuntimeError("the reply is longer than its Content-Length")
            data = head + body
        if data:
            self.transport.write(data)
        if not more_body:
            self._complete()

    def _complete(self) -> None:
        if self._left:
            raise RuntimeError("the reply is shorter than its Content-Length")
        self.response_complete = True
        self.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
