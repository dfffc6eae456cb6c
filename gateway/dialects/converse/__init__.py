"""Amazon Bedrock's Converse and ConverseStream: requests from the model, replies to it.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html. Only a provider speaks it:
no client of the gateway does, so nothing is read or answered in it. `DIALECT` tells a model's family by its name; where
a name does not tell (an ARN of one's own), make another `Converse` with its `Family`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from gateway.dialects.base import WORDS, Decoder, Drops, Encoder, Head
from gateway.dialects.converse import write
from gateway.dialects.converse.families import ANTHROPIC, FAMILIES, NOVA, OTHER, Family, family_of
from gateway.dialects.converse.replies import StreamDecoder, UnaryDecoder
from gateway.errors import GatewayError
from gateway.model.conversation import Conversation, Dialect, Written
from gateway.model.events import Event

__all__ = [
    "ANTHROPIC",
    "DIALECT",
    "FAMILIES",
    "NOVA",
    "OTHER",
    "Converse",
    "Family",
    "StreamDecoder",
    "UnaryDecoder",
    "family_of",
]

FIELDS: Mapping[str, str] = {
    "max_output": "inferenceConfig.maxTokens",
    "temperature": "inferenceConfig.temperature",
    "top_p": "inferenceConfig.topP",
    "stop": "inferenceConfig.stopSequences",
    "tools": "toolConfig.tools",
    "tool_choice": "toolConfig.toolChoice",
    "format": "outputConfig.textFormat",
    "metadata": "requestMetadata",
    "service_tier": "serviceTier",
}
WORDS["converse"] = FIELDS


class Converse:
    """The dialect, as models of `family` take it; None tells it by the model's name."""

    name: Dialect = "converse"
    fields: Mapping[str, str] = FIELDS

    def __init__(self, family: Family | None = None) -> None:
        self.family = family

    def write(self, conversation: Conversation, model: str, *, lenient: bool) -> Written:
        """See `base.Translator`. `model` and whether to stream stand in the path."""
        drops = Drops(WORDS.get(conversation.source, {}), self.name, lenient=lenient)
        family = self.family if self.family is not None else family_of(model)
        return Written(write.write(conversation, drops, family), tuple(drops.names))

    def stream_decoder(self) -> Decoder:
        """See `base.Translator`."""
        return StreamDecoder()

    def unary_decoder(self) -> Decoder:
        """See `base.Translator`."""
        return UnaryDecoder()

    def read(self, parsed: Mapping[str, Any], model: str, *, stream: bool) -> Conversation:
        """No client speaks it: raises `NotImplementedError`."""
        _only_providers()

    def stream_encoder(self, head: Head) -> Encoder:
        """No client speaks it: raises `NotImplementedError`."""
        _only_providers()

    def unary(self, head: Head, events: Sequence[Event]) -> bytes:
        """No client speaks it: raises `NotImplementedError`."""
        _only_providers()

    def error_body(self, error: GatewayError) -> bytes:
        """No client speaks it: raises `NotImplementedError`."""
        _only_providers()


def _only_providers() -> NoReturn:
    raise NotImplementedError("Converse is spoken to providers only; no client speaks it to the gateway")


DIALECT = Converse()
