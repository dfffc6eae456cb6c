"""Providers' words for models and meters, and ours."""

from __future__ import annotations

import re
from typing import Final

from gateway.pricing.meters import METERS

_DATED: Final = re.compile(r"-(20\d{2}-?\d{2}-?\d{2}|latest)$")
_SIGNS: Final = re.compile(r"[^a-z0-9]+")
_CREDIT: Final = re.compile(
    r"credit|discount|refund|promo|adjustment|\btax\b|\bvat\b|commitment|minimum|free tier", re.IGNORECASE
)

METER_WORDS: Final = {
    "input": "input",
    "input tokens": "input",
    "prompt": "input",
    "prompt tokens": "input",
    "uncached input tokens": "input",
    "uncached input": "input",
    "input no cache": "input",
    "output": "output",
    "output tokens": "output",
    "completion": "output",
    "completion tokens": "output",
    "cached input": "cache_read",
    "cached": "cache_read",
    "cache read": "cache_read",
    "cached tokens": "cache_read",
    "input cache read": "cache_read",
    "cache read input tokens": "cache_read",
    "cache write": "cache_write",
    "cache writes": "cache_write",
    "cache write 5m": "cache_write",
    "input cache write 5m": "cache_write",
    "cache creation ephemeral 5m input tokens": "cache_write",
    "cache write 1h": "cache_write_1h",
    "input cache write 1h": "cache_write_1h",
    "cache creation ephemeral 1h input tokens": "cache_write_1h",
    "reasoning": "reasoning",
    "reasoning tokens": "reasoning",
    "request": "requests",
    "requests": "requests",
    "web search": "web_searches",
    "web search tool calls": "web_searches",
    "web searches": "web_searches",
    "file search": "storage_searches",
    "file search tool calls": "storage_searches",
    "code interpreter": "code_executions",
    "code interpreter sessions": "code_executions",
    "code execution": "code_executions",
    "image": "images",
    "images": "images",
}
_MODALITIES: Final = ("audio", "image", "video")


def meter_of(text: str) -> str:
    """Our meter for a provider's word; the word itself, in small letters, where we have none."""
    plain = text.strip().lower()
    if plain in METERS:
        return plain
    spaced = _SIGNS.sub(" ", plain).strip()
    if spaced in METER_WORDS:
        return METER_WORDS[spaced]
    for modality in _MODALITIES:  # `audio input`, `input audio`
        rest = " ".join(word for word in spaced.split() if word != modality)
        if rest != spaced and (found := f"{METER_WORDS.get(rest, '')}_{modality}") in METERS:
            return found
    return spaced


def plain_model(name: str) -> str:
    """A model's name without its date and signs: `Claude Haiku 4.5`, `claude-haiku-4-5-20251001` are the same."""
    found = _SIGNS.sub("-", _DATED.sub("", name.strip().lower())).strip("-")
    return _DATED.sub("", found)


def is_credit(text: str) -> bool:
    """Whether a line speaks of what is no usage."""
    return _CREDIT.search(text) is not None
