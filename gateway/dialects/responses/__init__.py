"""OpenAI's Responses API to and from the model.

Source: https://platform.openai.com/docs/api-reference/responses. Requests are read by `read` and written by `write`;
replies are read by `decode` and written by `encode`. Where client and provider both speak this dialect, `watch` has
the decoders. `state` merges what was said before into a request that goes on from a kept response.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.dialects.base import WORDS, Decoder, Drops, Encoder, Head, Translator
from gateway.dialects.responses import decode, encode, read, write
from gateway.dialects.responses.watch import WatchStream, WatchUnary
from gateway.errors import GatewayError
from gateway.model.conversation import Conversation, Dialect, Written
from gateway.model.events import Event

__all__ = ["DIALECT", "Responses", "WatchStream", "WatchUnary"]

FIELDS: Mapping[str, str] = {
    "messages": "input",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "parallel_tools": "parallel_tool_calls",
    "max_output": "max_output_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "logprobs": "top_logprobs",
    "format": "text.format",
    "thinking": "reasoning",
    "verbosity": "text.verbosity",
    "user": "user",
    "metadata": "metadata",
    "service_tier": "service_tier",
    "stream": "stream",
}
WORDS["responses"] = FIELDS


class Responses:
    """The dialect."""

    name: Dialect = "responses"
    fields = FIELDS

    def read(self, parsed: Mapping[str, Any], model: str, *, stream: bool) -> Conversation:
        """A request to the model. Raises `InvalidRequest` that names the member."""
        return read.read(parsed, model, stream=stream)

    def write(self, conversation: Conversation, model: str, *, lenient: bool) -> Written:
        """A request for a provider that calls the model `model`. Raises `Unsupported` unless `lenient`."""
        drops = Drops(WORDS.get(conversation.source, {}), "responses", lenient=lenient)
        body = write.write(conversation, model, drops)
        return Written(body, tuple(drops.names))

    def stream_decoder(self) -> Decoder:
        """A decoder of a streamed response."""
        return decode.StreamDecoder()

    def unary_decoder(self) -> Decoder:
        """A decoder of a whole response: all events come from `close`."""
        return decode.UnaryDecoder()

    def stream_encoder(self, head: Head) -> Encoder:
        """An encoder of a streamed response. `head.asked` is what the answer repeats of the request."""
        return encode.StreamEncoder(head)

    def unary(self, head: Head, events: Sequence[Event]) -> bytes:
        """The whole response that `events` add up to."""
        return encode.unary(head, events)

    def error_body(self, error: GatewayError) -> bytes:
        """An error in OpenAI's shape."""
        return encode.error_body(error)


DIALECT: Translator = Responses()
