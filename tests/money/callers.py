"""Clients of the gateway on raw sockets, hundreds at once, that may leave at a moment of their choice."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Manner = Literal["closes", "resets"]
MANNERS: tuple[Manner, ...] = ("closes", "resets")

CHAT = "/v1/chat/completions"
_RESET = struct.pack("ii", 1, 0)
_PATIENCE_S = 30.0


@dataclass
class Answer:
    """What came: `status` 0 if nothing did. `data` is the body, out of its chunks; `ended`: all of it is there."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    data: bytes = b""
    ended: bool = False

    @property
    def id(self) -> str:
        """The request id."""
        return self.headers["x-request-id"]

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.data)

    def code(self) -> str:
        """The code of an error."""
        return str(self.json()["error"]["code"])

    def events(self) -> list[Any]:
        """The events of a stream, without `[DONE]`."""
        found = [event.partition(b"data: ")[2] for event in self.data.split(b"\n\n")]
        return [json.loads(event) for event in found if event and event != b"[DONE]"]


@dataclass(frozen=True)
class Leave:
    """When to leave: after so many events, so many bytes of the body, or so many seconds; and how."""

    chunks: int | None = None
    bytes: int | None = None
    seconds: float | None = None
    manner: Manner = "closes"


def chat(content: str = "x", model: str = "tiny", **more: Any) -> dict[str, Any]:
    """The body of a chat."""
    return {"model": model, "messages": [{"role": "user", "content": content}], **more}


class Caller:
    """Calls one gateway with one key, each call on a connection of its own."""

    def __init__(self, port: int, key: str) -> None:
        self.port = port
        self.key = key

    async def post(
        self,
        body: Mapping[str, Any],
        path: str = CHAT,
        *,
        headers: Mapping[str, str] | None = None,
        leave: Leave | None = None,
    ) -> Answer:
        """One call, to its end or until it is left."""
        return await self._call("POST", path, json.dumps(body).encode(), headers or {}, leave)

    async def get(self, path: str) -> Answer:
        """One question."""
        return await self._call("GET", path, b"", {}, None)

    async def _call(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], leave: Leave | None
    ) -> Answer:
        lines = [
            f"{method} {path} HTTP/1.1",
            "Host: gateway",
            "Connection: close",
            f"Authorization: Bearer {self.key}",
            f"Content-Length: {len(body)}",
            *[f"{name}: {value}" for name, value in headers.items()],
        ]
        loop = asyncio.get_running_loop()
        with socket.socket() as connection:
            connection.setblocking(False)
            await loop.sock_connect(connection, ("127.0.0.1", self.port))
            await loop.sock_sendall(connection, "\r\n".join([*lines, "", ""]).encode() + body)
            answer = await _read(connection, leave)
            if leave is not None and leave.manner == "resets":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        return answer


async def _read(connection: socket.socket, leave: Leave | None) -> Answer:
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + (_PATIENCE_S if leave is None or leave.seconds is None else leave.seconds)
    received = b""
    answer = Answer()
    while not _is_over(answer, leave):
        try:
            async with asyncio.timeout_at(ends_at):
                data = await loop.sock_recv(connection, 4096 if leave is not None else 65536)
        except TimeoutError:
            assert leave is not None and leave.seconds is not None, f"silent for {_PATIENCE_S} s: {received[-300:]!r}"
            break
        except ConnectionResetError:
            break
        if not data:
            break
        received += data
        answer = _parsed(received)
    return answer


def _is_over(answer: Answer, leave: Leave | None) -> bool:
    if leave is None:
        return False
    if leave.chunks is not None:
        return answer.data.count(b"data: ") >= leave.chunks
    return leave.bytes is not None and len(answer.data) >= leave.bytes


def _parsed(received: bytes) -> Answer:
    head, blank, body = received.partition(b"\r\n\r\n")
    if not blank:
        return Answer()
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") != "chunked":
        return Answer(int(status.split()[1]), headers, body, len(body) == int(headers.get("content-length", -1)))
    data, ended = _unchunked(body)
    return Answer(int(status.split()[1]), headers, data, ended)


def _unchunked(body: bytes) -> tuple[bytes, bool]:
    pieces: list[bytes] = []
    at = 0
    while (end := body.find(b"\r\n", at)) >= 0:
        size = int(body[at:end], 16)
        if size == 0:
            return b"".join(pieces), True
        pieces.append(body[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
    return b"".join(pieces), False
