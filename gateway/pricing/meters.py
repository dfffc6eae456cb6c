"""The meters: what is counted and priced, and which meter is a part of which.

A meter is a set of dimensions, and one with more of them is a part of one with fewer: cached audio is cached input, is
audio input, is input. The idea, the dimensions and the rule of charging (each unit once, at the most specific meter
that has a price) are those of genai-prices (https://github.com/pydantic/genai-prices, `prices/units.yml`), so that its
data can be read as it stands; names are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

MILLION = 1_000_000
HOUR = 3600

Dimensions = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Meter:
    """One thing that is counted. `unit` is the singular in which quantities are given, `per` how many of them the
    rate is for: a million, of seconds a million hours."""

    name: str
    unit: str
    dimensions: Dimensions
    per: int = MILLION

    def includes(self, other: Meter) -> bool:
        return self.dimensions <= other.dimensions


_MODALITIES = ("audio", "image", "video")

_KINDS: Mapping[str, Mapping[str, str]] = {
    "input": {"direction": "input"},
    "cache_read": {"direction": "input", "token_type": "cache_read"},
    "cache_write": {"direction": "input", "token_type": "cache_write"},
    "cache_write_1h": {"direction": "input", "token_type": "cache_write", "cache_ttl": "1h"},
    "output": {"direction": "output"},
    "reasoning": {"direction": "output", "token_type": "reasoning"},
    "citation": {"direction": "output", "token_type": "citation"},
}

_OTHERS: Mapping[str, tuple[str, int, Mapping[str, str]]] = {
    "requests": ("request", MILLION, {"family": "requests"}),
    "images": ("image", MILLION, {"family": "images"}),
    "input_characters": ("character", MILLION, {"family": "characters", "direction": "input"}),
    "input_messages": ("message", MILLION, {"family": "messages", "direction": "input", "modality": "text"}),
    "audio_seconds": ("second", MILLION * HOUR, {"family": "durations", "modality": "audio"}),
    "input_audio_seconds": (
        "second",
        MILLION * HOUR,
        {"family": "durations", "modality": "audio", "direction": "input"},
    ),
    "output_audio_seconds": (
        "second",
        MILLION * HOUR,
        {"family": "durations", "modality": "audio", "direction": "output"},
    ),
    "input_pixels": ("pixel", MILLION, {"family": "pixels", "direction": "input"}),
    "pages": ("page", MILLION, {"family": "document_pages", "direction": "input"}),
    "annotated_pages": (
        "page",
        MILLION,
        {"family": "document_pages", "direction": "input", "page_type": "annotated"},
    ),
    "rerank_searches": ("search", MILLION, {"family": "rerank"}),
    "web_searches": ("search", MILLION, {"family": "tool_calls", "tool_type": "web_search"}),
    "social_searches": ("search", MILLION, {"family": "tool_calls", "tool_type": "social_search"}),
    "storage_searches": ("search", MILLION, {"family": "tool_calls", "tool_type": "storage_search"}),
    "code_executions": ("execution", MILLION, {"family": "tool_calls", "tool_type": "code_execution"}),
}


def _tokens() -> Iterator[Meter]:
    for name, kind in _KINDS.items():
        dimensions = frozenset({("family", "tokens"), *kind.items()})
        yield Meter(name, "token", dimensions)
        for modality in _MODALITIES:
            yield Meter(f"{name}_{modality}", "token", dimensions | {("modality", modality)})


METERS: Mapping[str, Meter] = MappingProxyType(
    {meter.name: meter for meter in _tokens()}
    | {name: Meter(name, unit, frozenset(dimensions.items()), per) for name, (unit, per, dimensions) in _OTHERS.items()}
)
"""Every meter by its name."""

TOKENS = frozenset(name for name, meter in METERS.items() if meter.unit == "token")
"""Meters that count tokens and are priced per million of them."""

UNITS = frozenset(METERS) - TOKENS - {"requests"}
"""Meters that count something else, and are priced for one of it."""

MEDIA = frozenset(name for name in TOKENS if name.endswith(_MODALITIES))
"""Tokens that are not text."""

BY_DIMENSIONS: Mapping[Dimensions, Meter] = MappingProxyType({meter.dimensions: meter for meter in METERS.values()})


def parts(name: str, among: Mapping[str, object]) -> tuple[str, ...]:
    """The meters of `among` that are a part of the meter `name`, itself left out, in order of their names."""
    whole = METERS[name]
    return tuple(sorted(other for other in among if other != name and whole.includes(METERS[other])))


def both(first: Meter, second: Meter) -> Meter | None:
    """The meter of what is `first` and `second` at once; `None` where that cannot be, or one is a part of the other."""
    if first.includes(second) or second.includes(first):
        return None
    return BY_DIMENSIONS.get(first.dimensions | second.dimensions)
