"""What a provider's refusal means for routing: by its status, its error's own words, and at last by its phrases.

A prompt that is too long fits another model, and one that a filter refused another provider: both must be told from a
request that is wrong wherever it goes. Providers write them all as 400, so the body has to be read. A phrase is looked
for only where no word says it, and only in refusals of what was asked (400, 413, 422).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from gateway.providers import base

Outcome = base.Outcome | Literal["context_too_long", "content_filter", "quota"]
"""As `base.Outcome`; besides, the prompt is too long for this model, a filter of this provider refused it, or our
account there is out of money."""

ASKED = frozenset((400, 413, 422))
"""Statuses that find fault with what was asked."""

MAX_READ = 64 * 1024
"""Bytes of an error that are read to understand it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """An error is `outcome` if it has one of `words` as its type, code, status or reason; or if its status is one of
    `statuses` and its message holds one of `phrases` (lower case)."""

    outcome: Outcome
    words: frozenset[str] = frozenset()
    phrases: tuple[str, ...] = ()
    statuses: frozenset[int] = ASKED

    def fits(self, status: int, said: Said) -> bool:
        """Whether it is."""
        if not self.words.isdisjoint(said.words):
            return True
        return status in self.statuses and any(phrase in said.message for phrase in self.phrases)


@dataclass(frozen=True, slots=True)
class Said:
    """What an error says: its types, codes, statuses and reasons as they are, its message in lower case."""

    words: frozenset[str] = frozenset()
    message: str = ""


def read(body: bytes, error_type: bytes | None = None) -> Said:
    """What the error in `body` says, in whichever provider's shape. `error_type` is the header `x-amzn-errortype`."""
    words = set()
    if error_type:
        words.add(error_type.decode("latin-1").partition(":")[0])
    try:
        parsed = orjson.loads(body[:MAX_READ]) if body else None
    except orjson.JSONDecodeError:
        parsed = None
    if isinstance(parsed, list):  # Google's streams are arrays, their errors too
        parsed = parsed[0] if parsed else None
    if not isinstance(parsed, dict):
        return Said(frozenset(words), body[:MAX_READ].decode("utf-8", "replace").lower())
    error = parsed.get("error")
    error = error if isinstance(error, dict) else parsed
    words.update(_words(error))
    texts = (
        error.get("message"),
        error.get("Message"),
        parsed.get("message"),
        parsed.get("error"),
        error.get("detail"),
    )
    message = next((text for text in texts if isinstance(text, str)), "")
    return Said(frozenset(words), message.lower())


def _words(error: dict[str, Any]) -> Iterator[str]:
    inner = error.get("innererror")
    details = error.get("details")
    for found in (error, inner, *(details if isinstance(details, list) else ())):
        if not isinstance(found, dict):
            continue
        for name in ("type", "code", "status", "reason", "__type"):
            value = found.get(name)
            if isinstance(value, str):
                yield value.rpartition("#")[2]  # AWS may name the shape's namespace


def classify(rules: Iterable[Rule], status: int, body: bytes = b"", error_type: bytes | None = None) -> Outcome:
    """What `status` and the error in `body` mean: by the first of `rules` that fits, else by the status alone."""
    if 200 <= status < 300:
        return "ok"
    if status >= 400:
        said = read(body, error_type)
        for rule in rules:
            if rule.fits(status, said):
                return rule.outcome
    return by_status(status)


def by_status(status: int) -> Outcome:
    """What a status means that no rule knows. An API does not redirect: that is a failure of it."""
    if 200 <= status < 300:
        return "ok"
    if status < 400:
        return "failed"
    if status in (401, 403):
        return "credentials"
    if status == 402:
        return "quota"
    if status == 429:
        return "rate_limited"
    return "failed" if status >= 500 or status in (408, 424, 425, 499) else "caller"


# Phrases stand in messages that people were shown; each came from the provider's own documentation or a report of it

TOO_LONG = Rule(
    "context_too_long",
    frozenset(("context_length_exceeded", "exceed_context_size_error", "string_above_max_length")),
    (
        "maximum context length",  # OpenAI, vLLM, DeepSeek, Mistral, OpenRouter
        "context window",  # OpenAI's Responses
        "context length",  # SGLang, Ollama, LM Studio
        "context size",  # llama.cpp
        "maximum prompt length",  # xAI
        "prompt is too long",  # Anthropic, wherever it is served
        "exceed context limit",  # Anthropic, prompt and max_tokens together
        "input is too long",  # Bedrock
        "exceeds the maximum number of tokens allowed",  # Gemini, Vertex AI
        "reduce the length of",  # Groq, Cerebras
        "tokens + `max_new_tokens` must be",  # Together, text-generation-inference
        "too many input tokens",  # Bedrock, of Meta's and Cohere's models
    ),
)
FILTERED = Rule(
    "content_filter",
    frozenset(
        (
            "content_filter",
            "content_policy_violation",
            "moderation_blocked",
            "ResponsibleAIPolicyViolation",
            "invalid_prompt",
        )
    ),
    (
        "content management policy",  # Azure
        "content filtering policy",  # Anthropic
        "blocked by our content filters",  # Amazon's models on Bedrock
        "flagged as potentially violating our usage policy",  # OpenAI's reasoning models
        "your input was flagged",  # OpenRouter, which writes 403
    ),
    ASKED | {403},
)
OUT_OF_FUNDS = Rule(
    "quota",
    frozenset(("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error")),
    ("credit balance is too low", "insufficient balance"),
)
"""The account has no money: waiting does not help, which is why it is no rate limit although some write 429."""

COMMON = (TOO_LONG, FILTERED, OUT_OF_FUNDS)

OPENAI = (
    Rule("credentials", frozenset(("invalid_api_key", "account_deactivated", "invalid_organization"))),
    Rule("rate_limited", frozenset(("rate_limit_exceeded", "tokens_usage_based_rate_limit"))),  # Groq writes 413
    *COMMON,
)
ANTHROPIC = (
    Rule("credentials", frozenset(("authentication_error", "permission_error"))),
    Rule("rate_limited", frozenset(("rate_limit_error",))),
    Rule("failed", frozenset(("overloaded_error", "api_error", "timeout_error"))),
    *COMMON,
)
GOOGLE = (
    Rule(
        "credentials",
        frozenset(
            ("API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED", "PERMISSION_DENIED", "UNAUTHENTICATED", "SERVICE_DISABLED")
        ),
        ("user location is not supported",),
    ),
    Rule("rate_limited", frozenset(("RESOURCE_EXHAUSTED",))),
    Rule("failed", frozenset(("UNAVAILABLE", "INTERNAL", "DEADLINE_EXCEEDED", "CANCELLED", "ABORTED"))),
    *COMMON,
)
"""A key that is not valid comes as 400 there."""

AWS = (
    Rule(
        "credentials",
        frozenset(
            (
                "AccessDeniedException",
                "AccessDenied",
                "ExpiredTokenException",
                "ExpiredToken",
                "FTUFormNotFilled",
                "IncompleteSignature",
                "IncompleteSignatureException",
                "InvalidClientTokenId",
                "InvalidSignatureException",
                "MissingAuthenticationTokenException",
                "NotAuthorized",
                "OptInRequired",
                "UnrecognizedClientException",
            )
        ),
    ),
    Rule(
        "rate_limited", frozenset(("ThrottlingException", "ServiceQuotaExceededException", "TooManyRequestsException"))
    ),
    Rule(
        "failed",
        frozenset(
            (
                "InternalServerException",
                "ModelErrorException",
                "ModelNotReadyException",
                "ModelTimeoutException",
                "RequestExpired",
                "ServiceUnavailableException",
            )
        ),
    ),
    *COMMON,
)
"""A model that is not ready comes as 429 there, though it is out of nothing."""
