"""Token counts of one answer, by kind.

Kinds overlap the way OpenAI's do: `input_tokens` includes cache reads and writes, `output_tokens` includes reasoning.
A dialect whose counts exclude them adds them up at its border. `cache_write_tokens` includes writes that are kept for
an hour; audio and images are parts of input or output, and cached audio is both cached and audio. `citation_tokens` are
a part of the output that some providers charge at a price of its own.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Source = Literal["provider", "estimated"]


class Usage(msgspec.Struct, frozen=True):
    """Tokens by kind. An explicit zero of a provider stays zero; `source` says who counted."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    source: Source = "provider"
    cache_write_1h_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    cache_read_audio_tokens: int = 0
    input_image_tokens: int = 0
    output_image_tokens: int = 0
    cache_read_image_tokens: int = 0
    citation_tokens: int = 0
