"""Google's `generateContent` to and from the model: the Gemini API and Vertex AI, which take and send the same bodies.

Source: https://ai.google.dev/api/generate-content and https://ai.google.dev/api/tokens (`countTokens`). Requests are
read by `read`, written by `write`; replies are read by `decode`, written by `encode`. A stream is server-sent events
where the path has `alt=sse`, else one JSON array: a provider is always asked for the former, a client may want either.
Its decoders are light enough to watch an answer that goes through unchanged, and keep its bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gateway.dialects.base import WORDS, Decoder, Drops, Encoder, Head
from gateway.dialects.gemini import decode, encode, errors, read, write
from gateway.dialects.gemini.framing import Array, Events
from gateway.dialects.gemini.spelling import camel
from gateway.errors import BrokenReply, GatewayError
from gateway.model.conversation import Conversation, Dialect, Written
from gateway.model.events import Event

__all__ = ["DIALECT", "Gemini"]

FIELDS: Mapping[str, str] = {
    "messages": "contents",
    "tools": "tools",
    "tool_choice": "toolConfig.functionCallingConfig",
    "max_output": "generationConfig.maxOutputTokens",
    "temperature": "generationConfig.temperature",
    "top_p": "generationConfig.topP",
    "top_k": "generationConfig.topK",
    "choices": "generationConfig.candidateCount",
    "stop": "generationConfig.stopSequences",
    "seed": "generationConfig.seed",
    "presence_penalty": "generationConfig.presencePenalty",
    "frequency_penalty": "generationConfig.frequencyPenalty",
    "logprobs": "generationConfig.responseLogprobs",
    "format": "generationConfig.responseSchema",
    "thinking": "generationConfig.thinkingConfig",
    "metadata": "labels",
    "service_tier": "serviceTier",
}

WORDS["gemini"] = FIELDS


class Gemini:
    """Implements `base.Translator`, and what only this API has: streams as an array, counts of tokens.

    `ids`: the server takes ids of calls.
    """

    name: Dialect = "gemini"
    fields: Mapping[str, str] = FIELDS

    def __init__(self, *, ids: bool = True) -> None:
        self._ids = ids

    def read(self, parsed: Mapping[str, Any], model: str, *, stream: bool) -> Conversation:
        """See `base.Translator`."""
        return read.read(parsed, model, stream=stream)

    def write(self, conversation: Conversation, model: str, *, lenient: bool) -> Written:
        """See `base.Translator`."""
        body, dropped = self._body(conversation, model, lenient)
        return Written(orjson.dumps(body), dropped)

    def _body(self, conversation: Conversation, model: str, lenient: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
        drops = Drops(WORDS.get(conversation.source, {}), "gemini", lenient=lenient)
        body = write.write(conversation, model, drops, ids=self._ids)
        return body, tuple(drops.names)

    def stream_decoder(self) -> Decoder:
        """See `base.Translator`: of server-sent events."""
        return decode.StreamDecoder(Events())

    def array_decoder(self) -> Decoder:
        """A decoder of a stream that is one JSON array."""
        return decode.StreamDecoder(Array())

    def unary_decoder(self) -> Decoder:
        """See `base.Translator`."""
        return decode.UnaryDecoder()

    def stream_encoder(self, head: Head) -> Encoder:
        """See `base.Translator`: to server-sent events."""
        return encode.StreamEncoder(head, encode.as_event, b"")

    def array_encoder(self, head: Head) -> Encoder:
        """An encoder to one JSON array."""
        return encode.StreamEncoder(head, encode.as_element, encode.ARRAY_END)

    def unary(self, head: Head, events: Sequence[Event]) -> bytes:
        """See `base.Translator`."""
        return encode.unary(head, events)

    def error_body(self, error: GatewayError) -> bytes:
        """See `base.Translator`."""
        return errors.error_body(error)

    def failure(self, error: GatewayError, *, array: bool) -> bytes:
        """The last bytes of a stream that went through unchanged and broke off after a whole chunk."""
        body = errors.error_body(error)
        return encode.as_element(body, False) + encode.ARRAY_END if array else encode.as_event(body, False)

    # countTokens

    def read_count(self, parsed: Mapping[str, Any], model: str) -> Conversation:
        """A request of `countTokens`: contents alone, or all of a `generateContentRequest`."""
        inner = camel(parsed).get("generateContentRequest")
        return self.read(inner if isinstance(inner, dict) else parsed, model, stream=False)

    def write_count(self, conversation: Conversation, model: str, *, lenient: bool) -> Written:
        """A request of the Gemini API's `countTokens`. Vertex AI takes what `write` gives."""
        body, dropped = self._body(conversation, model, lenient)
        whole = {"model": f"models/{model.removeprefix('models/')}", **body}
        return Written(orjson.dumps({"generateContentRequest": whole}), dropped)

    def counted(self, body: bytes) -> int:
        """The tokens that a reply of `countTokens` tells of. Raises `BrokenReply`."""
        try:
            return int(orjson.loads(body)["totalTokens"])
        except (ValueError, KeyError, TypeError):
            raise BrokenReply("The provider's reply tells no count of tokens.") from None

    def count_reply(self, tokens: int) -> bytes:
        """The reply of `countTokens`."""
        details = [{"modality": "TEXT", "tokenCount": tokens}]
        return orjson.dumps({"totalTokens": tokens, "promptTokensDetails": details})


DIALECT = Gemini()
