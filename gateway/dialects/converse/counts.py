"""Converse's count of tokens to ours.

Its `inputTokens` are those that were neither read from the cache nor written to it, ours include both. It counts no
reasoning by itself: those tokens are in `outputTokens`.
Source: https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from gateway.model.usage import Usage

_Count = Annotated[int, msgspec.Meta(le=1_000_000_000)]
"""A number of tokens. One that no call can use is a fault of its provider's and no count."""


class CacheDetail(msgspec.Struct, rename="camel"):
    """Tokens that were written to be kept for `ttl`."""

    ttl: str | None = None
    input_tokens: _Count | None = None


class Counts(msgspec.Struct, rename="camel"):
    """`usage` as it is on the wire; `None` where it does not say."""

    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None
    cache_write_input_tokens: _Count | None = None
    cache_details: list[CacheDetail] | None = None


def usage(counts: Counts) -> Usage | None:
    """`counts` as ours; None where they hold no count: an empty object is no report, an explicit zero is one."""
    if counts.input_tokens is None and counts.output_tokens is None:
        return None
    details = counts.cache_details or ()
    an_hour = sum(_count(one.input_tokens) for one in details if one.ttl == "1h")
    read, writes = _count(counts.cache_read_input_tokens), _count(counts.cache_write_input_tokens)
    if counts.cache_write_input_tokens is None:
        writes = sum(_count(one.input_tokens) for one in details)
    return Usage(
        _count(counts.input_tokens) + read + writes,
        _count(counts.output_tokens),
        read,
        writes,
        cache_write_1h_tokens=min(an_hour, writes),
    )


def _count(found: int | None) -> int:
    return max(0, found or 0)  # counters never go down, whatever a provider says
