"""What a kind of provider is: how its requests are written, its replies read and its failures understood.

A provider does no IO. The bytes that `write` makes go out through `upstream/`, the bytes that come back go into the
decoder, and `classify` tells what a status means for the call.
"""

from __future__ import annotations

from typing import Literal, Protocol

from gateway.model.chat import ChatRequest
from gateway.model.events import Event

Outcome = Literal["ok", "caller", "credentials", "rate_limited", "failed"]
"""What a status means: the caller's own fault, our key's, the provider's limit, or the provider's failure."""


class Decoder(Protocol):
    """Bytes of a reply to events. Holds its own buffer, does no IO, and may be cut anywhere."""

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes."""

    def close(self) -> list[Event]:
        """The body ended cleanly: what is left, or `BrokenReply` if the answer was not whole."""


class Provider(Protocol):
    """One kind of provider."""

    kind: str
    """As it stands in the configuration."""

    def write(self, request: ChatRequest, model: str, *, ask_usage: bool) -> bytes:
        """The body for the provider, where it calls the model `model`. `ask_usage`: it knows `stream_options`."""

    def stream_decoder(self, *, answers: bool) -> Decoder:
        """A decoder of a streamed reply; `answers` if it must end in a finish reason."""

    def unary_decoder(self) -> Decoder:
        """A decoder of a JSON reply."""

    def classify(self, status: int) -> Outcome:
        """What `status` means."""
