"""Anthropic's Messages API: requests and replies to the model and back, and counting tokens.

Source: https://platform.claude.com/docs/en/api/messages. `DIALECT` is for a model of today; for one that takes less,
or more, make another `Messages` with its `Model`. `StreamDecoder` and `UnaryDecoder` also serve clients of the same
dialect: they keep every byte, and a text delta costs them no more than OpenAI's costs `openai.StreamDecoder`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gateway.dialects.base import WORDS, Decoder, Drops, Encoder, Head
from gateway.dialects.messages import answers, failures, reading, writing
from gateway.dialects.messages.failures import is_error, words_of_error
from gateway.dialects.messages.model import DEFAULT, MAX_TOKENS, Model
from gateway.dialects.messages.replies import StreamDecoder, UnaryDecoder
from gateway.errors import GatewayError
from gateway.model.conversation import Conversation, Dialect, Written
from gateway.model.events import Event

__all__ = [
    "DIALECT",
    "MAX_TOKENS",
    "Messages",
    "Model",
    "StreamDecoder",
    "UnaryDecoder",
    "count_body",
    "is_error",
    "words_of_error",
]

FIELDS: Mapping[str, str] = {
    "max_output": "max_tokens",
    "stop": "stop_sequences",
    "format": "output_config.format",
    "user": "metadata.user_id",
    "parallel_tools": "tool_choice.disable_parallel_tool_use",
}
WORDS["messages"] = FIELDS


class Messages:
    """The dialect, as `model` takes it."""

    name: Dialect = "messages"
    fields: Mapping[str, str] = FIELDS

    def __init__(self, model: Model = DEFAULT) -> None:
        self.model = model

    def read(self, parsed: Mapping[str, Any], model: str, *, stream: bool) -> Conversation:
        """See `base.Translator`. The body of `count_tokens` is read by it too."""
        return reading.read(parsed, model, stream=stream)

    def write(self, conversation: Conversation, model: str, *, lenient: bool) -> Written:
        """See `base.Translator`."""
        drops = Drops(WORDS.get(conversation.source, {}), self.name, lenient=lenient)
        return Written(writing.write(conversation, model, drops, self.model), tuple(drops.names))

    def stream_decoder(self) -> Decoder:
        """See `base.Translator`."""
        return StreamDecoder()

    def unary_decoder(self) -> Decoder:
        """See `base.Translator`."""
        return UnaryDecoder()

    def stream_encoder(self, head: Head) -> Encoder:
        """See `base.Translator`."""
        return answers.StreamEncoder(head)

    def unary(self, head: Head, events: Sequence[Event]) -> bytes:
        """See `base.Translator`."""
        return answers.unary(head, events)

    def error_body(self, error: GatewayError, request_id: str = "") -> bytes:
        """See `base.Translator`. `request_id` is ours for the call."""
        return failures.error_body(error, request_id)


def count_body(input_tokens: int) -> bytes:
    """The answer of `count_tokens`."""
    return orjson.dumps({"input_tokens": input_tokens})


DIALECT = Messages()
