"""What is to happen on the wire: a status, headers, bytes with pauses between them, and how it ends.

A fault is always the last thing that happens, so a play is a row of sends and one ending. The same play is acted in
process and on a socket; only the actors know what a reset or a silence is there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from gateway.model.usage import Usage

Ending = Literal["complete", "hang", "reset", "close", "bad_chunk"]
Framing = Literal["length", "chunked", "close"]
Head = Literal["good", "none", "garbage", "huge"]
Headers = tuple[tuple[bytes, bytes], ...]


class Send(msgspec.Struct, frozen=True):
    """Wait `after_s` seconds, then send `data`. By then `output_tokens` have been generated in all."""

    data: bytes
    after_s: float = 0.0
    output_tokens: int = 0


class Account(msgspec.Struct, frozen=True):
    """What the provider knows of the call for its own books. `usage` is of the whole answer; `None` costs nothing.

    A stream is billed as far as it was generated; any other answer is generated, and billed, before it is sent.
    """

    request_id: str
    reply_id: str
    endpoint: str
    model: str
    usage: Usage | None
    streamed: bool = False
    client_request_id: str | None = None


class Play(msgspec.Struct, frozen=True):
    """One reply on the wire. `headers` lack the framing: `framing` and `declared` (content-length) say it."""

    status: int
    headers: Headers
    steps: Iterable[Send]
    account: Account
    ending: Ending = "complete"
    head: Head = "good"
    head_bytes: int = 0
    head_delay_s: float = 0.0
    framing: Framing = "length"
    declared: int = 0
    interim: tuple[int, ...] = ()
    trailers: Headers = ()
    keep_alive: bool = True


class Answer(msgspec.Struct, frozen=True):
    """What an endpoint says before it is timed and broken.

    `parts` are the chunks of a stream or the one body; `tokens`, if given, is how many output tokens have been
    generated in all once each part is out.
    """

    parts: tuple[bytes, ...]
    content_type: str = "application/json"
    status: int = 200
    id: str = ""
    model: str = ""
    usage: Usage | None = None
    tokens: tuple[int, ...] = ()
    headers: Headers = ()

    @property
    def is_stream(self) -> bool:
        """Whether `parts` are events of a stream."""
        return self.content_type.startswith("text/event-stream")
