"""ASGI's `send` over uvicorn's protocol, with the head and the first of the body in one write.

uvicorn writes the head on its own, and uvloop passes every write to the kernel at once: two system calls a reply, and
system calls are half of what a call costs here (10 us each on the reference machine, of 90). ASGI wants it this way
too: a server should not begin to send before the first `http.response.body`.

The state stays in uvicorn's `RequestResponseCycle`, which goes on to look after keep-alive, pipelining and shutdown.
"""

from __future__ import annotations

from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from gateway.api.asgi import Message

_NO_BODY = frozenset((204, 304))


class Sender:
    """Sends the reply of one request."""

    __slots__ = ("_cycle", "_head")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._head = b""

    async def __call__(self, message: Message) -> None:
        """See ASGI. Waits while the client reads too slowly; says nothing to one who has left."""
        cycle = self._cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        if message["type"] == "http.response.start":
            if cycle.response_started:
                raise RuntimeError("the reply has already been started")
            self._start(message["status"], message.get("headers", ()))
        elif not cycle.response_started or cycle.response_complete:
            raise RuntimeError("a reply's body must come after its start and before its end")
        else:
            more_body = message.get("more_body", False)
            self._body(message.get("body", b""), more_body)
            if more_body and cycle.flow.write_paused:
                # here, not before the next: while it waits, nobody fetches what there is no room for
                await cycle.flow.drain()

    def _start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        cycle = self._cycle
        cycle.response_started = True
        cycle.waiting_for_100_continue = False
        lines = [STATUS_LINE[status]]
        count = 1
        for name, value in (*cycle.default_headers, *headers):
            count += 1
            lines.append(b"%b: %b\r\n" % (name, value))
            if name == b"content-length":
                cycle.expected_content_length = int(value)
                cycle.chunked_encoding = False
            elif name == b"connection" and value == b"close":
                cycle.keep_alive = False
        if not cycle.keep_alive:
            count += 1
            lines.append(b"connection: close\r\n")
        if cycle.chunked_encoding is None and cycle.scope["method"] != "HEAD" and status not in _NO_BODY:
            count += 1
            cycle.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
        head = b"".join(lines)
        if head.count(b"\n") != count or head.count(b"\r") != count or b"\0" in head:
            raise RuntimeError("a header of the reply holds a line break")
        self._head = head + b"\r\n"

    def _body(self, body: bytes, more_body: bool) -> None:
        cycle = self._cycle
        head, self._head = self._head, b""
        if cycle.scope["method"] == "HEAD":
            cycle.expected_content_length = 0
            data = head
        elif cycle.chunked_encoding:
            end = b"" if more_body else b"0\r\n\r\n"
            data = b"%b%x\r\n%b\r\n%b" % (head, len(body), body, end) if body else head + end
        else:
            cycle.expected_content_length -= len(body)
            if cycle.expected_content_length < 0:
                raise RuntimeError("the reply is longer than its Content-Length")
            data = head + body
        if data:
            cycle.transport.write(data)
        if not more_body:
            self._complete()

    def _complete(self) -> None:
        cycle = self._cycle
        if cycle.expected_content_length != 0:
            raise RuntimeError("the reply is shorter than its Content-Length")
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()


def use_sender(cycle: RequestResponseCycle) -> None:
    """Let `cycle` send by a `Sender`."""
    cycle.send = Sender(cycle)  # type: ignore[method-assign,assignment]
