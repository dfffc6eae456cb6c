"""Decoders for an answer that goes through unchanged from one side of this dialect to the other.

A stream's is the translator's own, which keeps every byte and takes no more time for a text than other dialects' do.
What stands again in the `done` events and in the last one is not told twice: of those only the count is read.
"""

from __future__ import annotations

from gateway.dialects.responses.decode import StreamDecoder, UnaryDecoder

__all__ = ["WatchStream", "WatchUnary"]

WatchStream = StreamDecoder
WatchUnary = UnaryDecoder
