"""OpenAI's chat completions to and from the model.

Source: https://platform.openai.com/docs/api-reference/chat. Requests are read by `read` and written by `write`;
replies are read by `decode` and written by `encode` and `whole`. Where client and provider both speak this dialect,
none of it is asked: `dialects.openai` watches the bytes go by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.dialects.base import WORDS, Decoder, Drops, Encoder, Head, Translator
from gateway.dialects.chat import decode, encode, read, whole, write
from gateway.dialects.chat.write_messages import Server
from gateway.errors import GatewayError
from gateway.model.conversation import Conversation, Dialect, Written
from gateway.model.events import Event

__all__ = ["DIALECT", "Chat", "Server"]

FIELDS: Mapping[str, str] = {
    "messages": "messages",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "parallel_tools": "parallel_tool_calls",
    "max_output": "max_completion_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "choices": "n",
    "stop": "stop",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "logprobs": "logprobs",
    "format": "response_format",
    "thinking": "reasoning_effort",
    "verbosity": "verbosity",
    "user": "user",
    "metadata": "metadata",
    "service_tier": "service_tier",
    "stream": "stream",
    "wants_usage": "stream_options.include_usage",
}


WORDS["chat"] = FIELDS


class Chat:
    """The dialect; requests are written as `server` takes them."""

    name: Dialect = "chat"
    fields = FIELDS

    def __init__(self, server: Server | None = None) -> None:
        self.server = server or Server()

    def read(self, parsed: Mapping[str, Any], model: str, *, stream: bool) -> Conversation:
        """A request to the model. Raises `InvalidRequest` that names the member."""
        return read.read(parsed, model, stream=stream)

    def write(self, conversation: Conversation, model: str, *, lenient: bool) -> Written:
        """A request for a provider that calls the model `model`. Raises `Unsupported` unless `lenient`."""
        drops = Drops(WORDS.get(conversation.source, {}), "chat", lenient=lenient)
        body = write.write(conversation, model, drops, self.server)
        return Written(body, tuple(drops.names))

    def stream_decoder(self) -> Decoder:
        """A decoder of chunks."""
        return decode.StreamDecoder()

    def unary_decoder(self) -> Decoder:
        """A decoder of a whole completion: all events come from `close`."""
        return decode.UnaryDecoder()

    def stream_encoder(self, head: Head) -> Encoder:
        """An encoder of chunks."""
        return encode.StreamEncoder(head)

    def unary(self, head: Head, events: Sequence[Event]) -> bytes:
        """The whole completion that `events` add up to."""
        return whole.unary(head, events)

    def error_body(self, error: GatewayError) -> bytes:
        """An error in OpenAI's shape."""
        return encode.error_body(error)


DIALECT: Translator = Chat()
