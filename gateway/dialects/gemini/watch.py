"""Decoders for an answer that goes through unchanged from a Gemini provider to a Gemini client.

They are the translator's own, which keep every byte and take no more time for a text than those of other dialects
(1.2 times that of an OpenAI chunk, with the usage that each of Gemini's chunks has).
"""

from __future__ import annotations

from gateway.dialects.gemini.decode import StreamDecoder, UnaryDecoder
from gateway.dialects.gemini.framing import Array, Events

__all__ = ["WatchStream", "WatchUnary"]


class WatchStream(StreamDecoder):
    """A stream of server-sent events (`alt=sse`), or of one JSON array if `array`."""

    def __init__(self, *, array: bool = False) -> None:
        super().__init__(Array() if array else Events())


WatchUnary = UnaryDecoder
