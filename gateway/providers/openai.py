"""OpenAI, and every server that speaks as it does.

Reference: https://platform.openai.com/docs/api-reference. Where such servers differ is data: `config/presets.py`.
"""

from __future__ import annotations

from gateway.dialects import openai
from gateway.model.chat import ChatRequest
from gateway.providers.base import Decoder, Outcome


class OpenAI:
    """Implements `base.Provider`."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def write(self, request: ChatRequest, model: str, *, ask_usage: bool) -> bytes:
        """See `base.Provider`. Usage is asked for in every stream, so that metering cannot be dodged."""
        add_usage = ask_usage and request.stream and not request.asks_usage
        return openai.write_request(request, model, add_usage=add_usage)

    def stream_decoder(self, *, answers: bool) -> Decoder:
        """See `base.Provider`."""
        return openai.StreamDecoder(answers=answers)

    def unary_decoder(self) -> Decoder:
        """See `base.Provider`."""
        return openai.UnaryDecoder()

    def classify(self, status: int) -> Outcome:
        """See `base.Provider`. Source: https://platform.openai.com/docs/guides/error-codes."""
        if 200 <= status < 300:
            return "ok"
        if status < 400:
            return "failed"  # an API does not redirect, and a body must not follow to wherever it is told to go
        if status in (401, 403):
            return "credentials"
        if status == 429:
            return "rate_limited"
        return "failed" if status >= 500 or status == 408 else "caller"


PROVIDER = OpenAI("openai")
