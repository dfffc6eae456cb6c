"""Usage as chat completions write it."""

from __future__ import annotations

from typing import Any

from gateway.model.usage import Usage

TIERS = {
    "auto": "auto",
    "default": "default",
    "flex": "flex",
    "scale": "scale",
    "priority": "priority",
    "fast": "fast",
    "standard": "default",
}
"""`service_tier` of an answer, by the word of whoever served it. Others have no word in OpenAI's API."""


def write(usage: Usage) -> dict[str, Any]:
    """Counts by kind. `cache_write_tokens` includes those kept for an hour, which have no member of their own."""
    into = {
        "cached_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "audio_tokens": usage.input_audio_tokens,
    }
    if usage.input_image_tokens:
        into["image_tokens"] = usage.input_image_tokens
    out = {
        "reasoning_tokens": usage.reasoning_tokens,
        "audio_tokens": usage.output_audio_tokens,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    }
    if usage.output_image_tokens:
        out["image_tokens"] = usage.output_image_tokens
    cached = {
        "audio_tokens": usage.cache_read_audio_tokens,
        "image_tokens": usage.cache_read_image_tokens,
    }
    details: dict[str, Any] = dict(into)
    if any(cached.values()):
        details["cached_tokens_details"] = cached
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": details,
        "completion_tokens_details": out,
    }
