"""Meters that providers count one for the other: cached and fresh input, cache writes, thought and speech."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.pricing.meters import METERS

_MODALITIES: Final = ("", "_audio", "_image", "_video")


def _with_modalities(first: str, second: str) -> Iterator[tuple[str, str]]:
    yield from ((first + modality, second + modality) for modality in _MODALITIES)


READS: Final = tuple(_with_modalities("cache_read", "input"))
WRITES: Final = (
    *_with_modalities("cache_write_1h", "cache_write"),
    *_with_modalities("cache_write", "input"),
    *_with_modalities("cache_write_1h", "input"),
)
THOUGHTS: Final = tuple(_with_modalities("reasoning", "output"))


def kindred(meter: str) -> list[str]:
    """The meters that it may be taken for."""
    found = [
        second if first == meter else first
        for first, second in (*READS, *WRITES, *THOUGHTS)
        if meter in (first, second)
    ]
    return [other for other in dict.fromkeys(found) if other in METERS]
