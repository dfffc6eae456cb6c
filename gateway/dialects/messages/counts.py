"""Anthropic's count of tokens to ours and back.

Its `input_tokens` excludes what was read from the cache and written to it, ours includes both. Counts in a stream are
totals so far: what `message_delta` says replaces what `message_start` said, and what it leaves out stays. A compaction
is charged beside the totals, in `iterations`.
Source: https://platform.claude.com/docs/en/build-with-claude/prompt-caching (tracking cache performance),
https://platform.claude.com/docs/en/build-with-claude/compaction (understanding usage).
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from gateway.model.usage import Usage

_Count = Annotated[int, msgspec.Meta(le=1_000_000_000)]
"""A number of tokens. One that no call can use is a fault of its provider's and no count."""


class _CacheCreation(msgspec.Struct):
    ephemeral_1h_input_tokens: _Count | None = None
    ephemeral_5m_input_tokens: _Count | None = None


class _Details(msgspec.Struct):
    thinking_tokens: _Count | None = None


class _ServerTools(msgspec.Struct):
    web_search_requests: _Count | None = None


class _Iteration(msgspec.Struct):
    type: str | None = None
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None
    cache_creation: _CacheCreation | None = None


class Counts(msgspec.Struct):
    """`usage` as it is on the wire; `None` where it does not say."""

    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens_details: _Details | None = None
    server_tool_use: _ServerTools | None = None
    iterations: list[_Iteration] | None = None
    service_tier: str | None = None
    speed: str | None = None


_NAMES = Counts.__struct_fields__


def merge(before: Counts | None, after: Counts) -> Counts:
    """What holds when `after` came: its counts, and of those that it leaves out what `before` said."""
    if before is None:
        return after
    for name in _NAMES:
        if getattr(after, name) is None:
            setattr(after, name, getattr(before, name))
    return after


def usage(counts: Counts) -> Usage | None:
    """`counts` as ours; None where they hold no count: an empty object is no report, an explicit zero is one."""
    if counts.input_tokens is None and counts.output_tokens is None:
        return None
    read, writes, writes_1h = _cache(counts)
    plain, made = _count(counts.input_tokens), _count(counts.output_tokens)
    for one in counts.iterations or ():
        if one.type == "compaction":
            more = _cache(one)
            read, writes, writes_1h = read + more[0], writes + more[1], writes_1h + more[2]
            plain += _count(one.input_tokens)
            made += _count(one.output_tokens)
    details = counts.output_tokens_details
    thought = min(_count(details.thinking_tokens), made) if details is not None else 0
    return Usage(plain + read + writes, made, read, writes, thought, cache_write_1h_tokens=writes_1h)


def _cache(counts: Counts | _Iteration) -> tuple[int, int, int]:
    """Read, written, and of the written what is kept for an hour."""
    by_ttl = counts.cache_creation
    read, writes = _count(counts.cache_read_input_tokens), _count(counts.cache_creation_input_tokens)
    if by_ttl is None:
        return read, writes, 0
    an_hour, minutes = _count(by_ttl.ephemeral_1h_input_tokens), _count(by_ttl.ephemeral_5m_input_tokens)
    if counts.cache_creation_input_tokens is None:
        writes = an_hour + minutes
    if an_hour and not minutes:
        return read, writes, writes  # the end of a stream tells the sum only: what it adds is of the same kind
    return read, writes, min(an_hour, writes)


def _count(found: int | None) -> int:
    return max(0, found or 0)  # counters never go down, whatever a provider says


def tier(counts: Counts) -> str:
    """The tier that was served, in Anthropic's word; `fast` is a speed, but a price of its own too."""
    return "fast" if counts.speed == "fast" else counts.service_tier or ""


def searches(counts: Counts) -> int:
    """Web searches that it ran."""
    return _count(counts.server_tool_use.web_search_requests) if counts.server_tool_use is not None else 0


def told(found: Usage, *, whole: bool) -> dict[str, Any]:
    """`found` in Anthropic's words; `whole`: of a whole message, which always says all, not of a `message_delta`."""
    writes, read = found.cache_write_tokens, found.cache_read_tokens
    counts: dict[str, Any] = {
        "input_tokens": max(0, found.input_tokens - writes - read),
        "cache_creation_input_tokens": writes,
        "cache_read_input_tokens": read,
        "output_tokens": found.output_tokens,
    }
    if whole or found.cache_write_1h_tokens:
        an_hour = found.cache_write_1h_tokens
        counts["cache_creation"] = {
            "ephemeral_5m_input_tokens": max(0, writes - an_hour),
            "ephemeral_1h_input_tokens": an_hour,
        }
    if found.reasoning_tokens:
        counts["output_tokens_details"] = {"thinking_tokens": found.reasoning_tokens}
    return counts
