"""What a dialect is: one API's requests and replies to the model and back, without IO.

Each of `chat.py`, `responses.py`, `messages.py`, `gemini.py` and `converse.py` offers one constant `DIALECT` that
implements `Translator`. It is asked only where client and provider speak different dialects; where they speak one, the
bytes go through and `decoder`s merely watch them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from gateway.errors import GatewayError, InvalidRequest
from gateway.model.conversation import Conversation, Dialect, Written
from gateway.model.events import Event


class Head(msgspec.Struct, frozen=True):
    """What a reply says of itself: our id for the call, the model's name as the client called it, Unix seconds.

    `wants_usage`: the client asked for usage at the end of its stream (OpenAI's `stream_options`). `asked` is the
    request as the client wrote it, which some answers repeat (OpenAI's Responses).
    """

    id: str
    model: str
    created: int
    wants_usage: bool = True
    asked: Mapping[str, Any] = {}


class Decoder(Protocol):
    """A provider's reply to events, full ones; may be cut anywhere. The same as `providers.base.Decoder`."""

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes. Raises `BrokenReply`."""

    def close(self) -> list[Event]:
        """The body ended cleanly: what is left. Raises `BrokenReply` if the answer was not whole."""


class Encoder(Protocol):
    """Events to a client's stream."""

    def feed(self, events: Sequence[Event]) -> bytes:
        """What `events` are in this dialect; empty if nothing is to be said yet."""

    def close(self) -> bytes:
        """The end of the stream: what is still owed (usage, terminal events, `[DONE]`)."""

    def fail(self, error: GatewayError) -> bytes:
        """The last event of a stream that failed, as this dialect's clients raise it."""


class Translator(Protocol):
    """One dialect. Pure: no clock, no randomness; ids that must be made are derived from `Head.id`."""

    name: Dialect

    fields: Mapping[str, str]
    """Members of `Conversation` by the names that they have in this dialect, for messages to people."""

    def read(self, parsed: Mapping[str, Any], model: str, *, stream: bool) -> Conversation:
        """A request. `model` and `stream` may stand in the path. Raises `InvalidRequest` with the field's path."""

    def write(self, conversation: Conversation, model: str, *, lenient: bool) -> Written:
        """The same request for a provider that calls the model `model`.

        What cannot be said raises `Unsupported`, or is dropped and named where `lenient`. In streams usage is always
        asked for.
        """

    def stream_decoder(self) -> Decoder:
        """A decoder of a streamed reply."""

    def unary_decoder(self) -> Decoder:
        """A decoder of a whole reply: all events come from `close`."""

    def stream_encoder(self, head: Head) -> Encoder:
        """An encoder of a streamed reply."""

    def unary(self, head: Head, events: Sequence[Event]) -> bytes:
        """The whole reply that `events` add up to."""

    def error_body(self, error: GatewayError) -> bytes:
        """An error in the shape that this dialect's clients raise."""


WORDS: dict[Dialect, Mapping[str, str]] = {}
"""Every dialect's `fields`, entered as its module loads: a target names what it cannot say in the source's words."""


class Unsupported(InvalidRequest):
    """The provider's API has no word for something in the request. `member` is its name in the model."""

    code = "unsupported_field"

    def __init__(self, member: str, target: Dialect, why: str = "") -> None:
        super().__init__(f"`{member}` cannot be said to this model's provider ({target}){why and f': {why}'}.")
        self.member = member
        self.target = target


class Drops:
    """Collects what a target cannot say: raises at the first where it is not lenient, else remembers the names."""

    def __init__(self, source: Mapping[str, str], target: Dialect, *, lenient: bool) -> None:
        self._source = source
        self._target = target
        self._lenient = lenient
        self.names: dict[str, None] = {}

    def add(self, member: str, why: str = "") -> None:
        """`member` (of `Conversation`, or a path such as `messages[2].parts[0]`) cannot be said."""
        name = self._source.get(member, member)
        if not self._lenient:
            raise Unsupported(name, self._target, why)
        self.names[name] = None
