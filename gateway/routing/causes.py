"""Why an attempt failed, in words that decide what is tried next, and the table of what follows from each.

A provider says that a prompt is too long, or that its filter objects, in a 400 like any other; which it was stands in
the error's code or, with some, only in its text. Sources, as far as copies of these pages could be read:
https://platform.openai.com/docs/guides/error-codes (`context_length_exceeded`, `content_policy_violation`,
`insufficient_quota`), https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter (`content_filter`,
`ResponsibleAIPolicyViolation`), https://docs.claude.com/en/api/errors ("prompt is too long", 529 `overloaded_error`),
https://ai.google.dev/gemini-api/docs/troubleshooting ("input token count").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from gateway.errors import Unreachable, UpstreamError, UpstreamTimeout

Cause = Literal[
    "unreachable",
    "timeout",
    "server_error",
    "broken",
    "rate_limited",
    "quota",
    "credentials",
    "context_length",
    "content_filter",
]


@dataclass(frozen=True, slots=True)
class Consequence:
    """What follows from one cause.

    `again`: the same deployment may be tried once more, after a wait. `others`: other deployments of the same name
    may do better. `counts`: it is a failure for the deployment's breaker. `cools`: where the provider asks for a rest,
    the deployment or its key gets it.
    """

    again: bool
    others: bool
    counts: bool
    cools: bool = False


CONSEQUENCES: Final[Mapping[Cause, Consequence]] = MappingProxyType(
    {
        "unreachable": Consequence(again=True, others=True, counts=True),
        # it has already cost the client its patience, and the provider its work: not twice at the same place
        "timeout": Consequence(again=False, others=True, counts=True),
        "server_error": Consequence(again=True, others=True, counts=True, cools=True),
        "broken": Consequence(again=True, others=True, counts=True),
        "rate_limited": Consequence(again=True, others=True, counts=False, cools=True),
        "quota": Consequence(again=False, others=True, counts=False, cools=True),
        "credentials": Consequence(again=False, others=True, counts=True),
        # the same model elsewhere has the same window and much the same filter: straight to what is named for it
        "context_length": Consequence(again=False, others=False, counts=False),
        "content_filter": Consequence(again=False, others=False, counts=False),
    }
)

_READ = 16 * 1024
_CODES: Final[Mapping[str, Cause]] = MappingProxyType(
    {
        "context_length_exceeded": "context_length",
        "string_above_max_length": "context_length",
        "request_too_large": "context_length",
        "content_filter": "content_filter",
        "content_policy_violation": "content_filter",
        "responsibleaipolicyviolation": "content_filter",
        "moderation_blocked": "content_filter",
        "insufficient_quota": "quota",
        "billing_hard_limit_reached": "quota",
    }
)
_TOO_LONG: Final = (
    "prompt is too long",
    "maximum context length",
    "context window",
    "input token count",
    "input is too long",
    "too many input tokens",
)
_FILTERED: Final = ("content management policy", "content filtering policy", "content policy", "safety system")


class _Said(msgspec.Struct):
    code: str | int | None = None
    type: str | None = None
    message: str | None = None
    status: str | None = None


class _Body(msgspec.Struct):
    error: _Said | str | None = None
    message: str | None = None


_decode = msgspec.json.Decoder(_Body).decode


def of_error(error: UpstreamError) -> Cause:
    """Why no answer came."""
    if isinstance(error, Unreachable):
        return "unreachable"
    if isinstance(error, UpstreamTimeout):
        # where nothing was sent, the same place may be dialled again
        return "unreachable" if error.which == "connect" else "timeout"
    return "broken"


def of_status(status: int, body: bytes = b"") -> Cause | None:
    """Why a provider answered with `status` (HTTP); None if it is the caller's own to mend, or no failure at all.

    `body` is its error; it need not be JSON, and no more than its first 16 KiB are looked at.
    """
    if status < 400:
        return None if 200 <= status < 300 else "broken"
    if status in (401, 403):
        return _said(body, ("content_filter",)) or "credentials"
    if status == 429:
        return _said(body, ("quota",)) or "rate_limited"
    if status == 402:
        return "quota"
    if status == 408:
        return "timeout"
    if status >= 500:
        return "server_error"
    return _said(body, ("context_length", "content_filter"))


def _said(body: bytes, wanted: tuple[Cause, ...]) -> Cause | None:
    """Which of `wanted` the error speaks of, by its code, else by its text."""
    if not body:
        return None
    codes, text = _words(body)
    for code in codes:
        found = _CODES.get(code)
        if found in wanted:
            return found
    if "context_length" in wanted and any(words in text for words in _TOO_LONG):
        return "context_length"
    if "content_filter" in wanted and any(words in text for words in _FILTERED):
        return "content_filter"
    return None


def _words(body: bytes) -> tuple[list[str], str]:
    """An error's codes and its text, in lower case. One that is not of the usual shape is all text."""
    try:
        found = _decode(body)
    except (msgspec.DecodeError, RecursionError):
        return [], body[:_READ].decode("latin-1").lower()
    said = found.error
    if isinstance(said, _Said):
        codes = [str(one).lower() for one in (said.code, said.type, said.status) if one is not None]
        return codes, (said.message or "")[:_READ].lower()
    return [], (said or found.message or "")[:_READ].lower()
