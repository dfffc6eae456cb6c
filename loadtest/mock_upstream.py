"""A provider that costs next to nothing: OpenAI's chat endpoint, answered from bytes built before the first request.

What is measured is the proxy in front of it, so it must never be the slower of the two: a bare `asyncio.Protocol` on
uvloop, no HTTP library, no JSON on the unary path. It is steered by fields of the body, because a proxy may keep
headers to itself:

    "stream": true              server-sent events instead of one JSON object
    "max_tokens": N             so many content chunks
    "user": "interval_ms=10"    the time between two chunks; their due times are fixed at the start and never drift
    "user": "flood"             4 KiB chunks as fast as they are taken, stopping only when nobody reads

A stream ends like OpenAI's: finish reason, usage where `stream_options.include_usage` asks for it, `[DONE]`.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
from typing import Any, cast

import orjson
import uvloop

_HEAD_END = b"\r\n\r\n"
_MODEL = "bench-model"
_COMPLETION_TOKENS = 180
_USAGE = {"prompt_tokens": 412, "completion_tokens": _COMPLETION_TOKENS, "total_tokens": 412 + _COMPLETION_TOKENS}
# A flood must meet a full socket after little data, or the kernel's buffers and not the proxy's would be measured.
_FLOOD_SEND_BUFFER = 64 * 1024
# Words, not one letter over and over: that would be the worst case of every tokenizer.
_FLOOD_TEXT = ("Whoever does not read holds up the one who writes. " * 81)[:4096]


def _reply(status: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % (status, len(body)) + body


def _completion() -> bytes:
    text = "The quick brown fox jumps over the lazy dog, again and again. " * 11
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    head = {"id": "chatcmpl-bench", "object": "chat.completion", "created": 1767225600, "model": _MODEL}
    return orjson.dumps({**head, "choices": [choice], "usage": _USAGE, "system_fingerprint": "fp_bench"})


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return _sse({"choices": [choice]})


def _sse(fields: dict[str, Any]) -> bytes:
    head = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1767225600, "model": _MODEL}
    return _framed(b"data: " + orjson.dumps({**head, **fields}) + b"\n\n")


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


UNARY_BODY = _completion()
_UNARY = _reply(b"200 OK", UNARY_BODY)
_MODELS = _reply(b"200 OK", orjson.dumps({"object": "list", "data": [{"id": _MODEL, "object": "model"}]}))
_LENGTH_WANTED = _reply(b"411 Length Required", b'{"error":{"message":"send Content-Length"}}')
_BAD = _reply(b"400 Bad Request", b'{"error":{"message":"the body is not a JSON object"}}')
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_FIRST = _event({"role": "assistant", "content": ""})
_CHUNK = _event({"content": " word"})
_FLOOD_CHUNK = _event({"content": _FLOOD_TEXT})
_FINISH = _event({}, finish="stop")
_USAGE_CHUNK = _sse({"choices": [], "usage": _USAGE})
_END = _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class MockUpstream(asyncio.Protocol):
    """One connection: requests in, prebuilt replies out, one after the other."""

    def __init__(self) -> None:
        self._buffer = b""
        self._stream: Drip | Flood | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's inherits from nothing

    def connection_lost(self, exc: Exception | None) -> None:
        if self._stream is not None:
            self._stream.stop()

    def pause_writing(self) -> None:
        if self._stream is not None:
            self._stream.pause()

    def resume_writing(self) -> None:
        if self._stream is not None:
            self._stream.resume()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        self._serve()

    def _serve(self) -> None:
        """Answer every whole request in the buffer, as long as no stream is being sent."""
        while self._stream is None and (end := self._buffer.find(_HEAD_END)) >= 0:
            length = _content_length(self._buffer, end)
            if length is None:
                self._refuse(_LENGTH_WANTED)
                return
            body_end = end + len(_HEAD_END) + length
            if len(self._buffer) < body_end:
                return
            body = self._buffer[end + len(_HEAD_END) : body_end]
            self._buffer = self._buffer[body_end:]
            self._answer(body)

    def _refuse(self, reply: bytes) -> None:
        self._buffer = b""
        self._transport.write(reply)
        self._transport.close()

    def _answer(self, body: bytes) -> None:
        if b'"stream"' not in body:
            self._transport.write(_UNARY if body else _MODELS)
            return
        try:
            wanted = orjson.loads(body)
            stream = self._stream_for(wanted) if wanted.get("stream") else None
        except (ValueError, AttributeError, TypeError):
            self._refuse(_BAD)
            return
        if stream is None:
            self._transport.write(_UNARY)
            return
        self._stream = stream
        stream.start()

    def _stream_for(self, wanted: dict[str, Any]) -> Drip | Flood:
        chunks = int(wanted.get("max_tokens", 16))
        include_usage = bool((wanted.get("stream_options") or {}).get("include_usage"))
        ending = _FINISH + (_USAGE_CHUNK if include_usage else b"") + _END
        steering = str(wanted.get("user", ""))
        if steering == "flood":
            return Flood(self, self._transport, chunks, ending)
        interval_ms = float(steering.removeprefix("interval_ms=") or 0)
        return Drip(self, self._transport, chunks, interval_ms / 1000, ending)

    def stream_ended(self) -> None:
        """The stream has written its last byte; the next request may be answered."""
        self._stream = None
        self._serve()


class Drip:
    """Chunks at fixed times: the n-th is due `n * interval_s` seconds after the first byte, however late n-1 was."""

    def __init__(
        self, owner: MockUpstream, transport: asyncio.Transport, chunks: int, interval_s: float, ending: bytes
    ) -> None:
        self._owner = owner
        self._transport = transport
        self._left = chunks
        self._interval_s = interval_s
        self._ending = ending
        self._loop = asyncio.get_running_loop()
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._transport.write(_STREAM_HEAD + _FIRST)
        self._due = self._loop.time()
        self._schedule()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def pause(self) -> None:
        """Drips are few and small: they go on, into the transport's buffer."""

    def resume(self) -> None:
        """Nothing was stopped."""

    def _schedule(self) -> None:
        self._due += self._interval_s
        self._timer = self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        if self._left == 0:
            self._transport.write(self._ending)
            self._owner.stream_ended()
            return
        self._left -= 1
        self._transport.write(_CHUNK)
        self._schedule()


class Flood:
    """Chunks as fast as the other side takes them; it holds at most what one full socket holds."""

    def __init__(self, owner: MockUpstream, transport: asyncio.Transport, chunks: int, ending: bytes) -> None:
        self._owner = owner
        self._transport = transport
        self._left = chunks
        self._ending = ending
        self._open = True

    def start(self) -> None:
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _FLOOD_SEND_BUFFER)
        self._transport.write(_STREAM_HEAD + _FIRST)
        self._pour()

    def stop(self) -> None:
        self._open = False

    def pause(self) -> None:
        self._open = False

    def resume(self) -> None:
        self._open = True
        self._pour()

    def _pour(self) -> None:
        # `write` calls `pause` from inside when the socket is full, which ends the loop.
        while self._open and self._left:
            self._left -= 1
            self._transport.write(_FLOOD_CHUNK)
        if self._open:
            self._transport.write(self._ending)
            self._owner.stream_ended()


def _content_length(data: bytes, head_end: int) -> int | None:
    """Bytes of the body; 0 where the head names no length, None where the body is framed in a way not understood."""
    head = data[:head_end].lower()
    start = head.find(b"\r\ncontent-length:")
    if start < 0:
        return None if b"\r\ntransfer-encoding:" in head else 0
    start += len(b"\r\ncontent-length:")
    stop = head.find(b"\r\n", start)
    value = head[start : stop if stop >= 0 else head_end].strip()
    return int(value) if value.isdigit() else None


async def serve(host: str, port: int) -> asyncio.Server:
    """Listen; `port` 0 picks a free one. The caller closes the server."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(MockUpstream, host, port, backlog=4096)


async def _forever(port: int) -> None:
    server = await serve("127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="A cheap mock of an OpenAI-compatible provider, for load tests.")
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(_forever(parser.parse_args().port))


if __name__ == "__main__":
    main()
