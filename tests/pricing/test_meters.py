"""Which meter is a part of which, and that the catalogue's units are all known or left out on purpose."""

from __future__ import annotations

import pytest
from genai_prices.data_units import unit_data

from gateway.pricing.meters import BY_DIMENSIONS, MEDIA, METERS, TOKENS, UNITS, both, parts


@pytest.mark.parametrize(
    ("whole", "part"),
    [
        ("input", "cache_read"),
        ("input", "cache_write_1h"),
        ("cache_write", "cache_write_1h"),
        ("input_audio", "cache_read_audio"),
        ("cache_read", "cache_read_audio"),
        ("output", "reasoning"),
        ("audio_seconds", "input_audio_seconds"),
        ("pages", "annotated_pages"),
    ],
)
def test_a_meter_includes_its_more_specific_parts(whole: str, part: str) -> None:
    assert part in parts(whole, METERS)
    assert whole not in parts(part, METERS)


def test_input_and_output_have_nothing_in_common() -> None:
    assert not set(parts("input", METERS)) & set(parts("output", METERS))


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        ("cache_read", "input_audio", "cache_read_audio"),
        ("reasoning", "output_image", "reasoning_image"),
        ("cache_read", "cache_write", None),
        ("input", "cache_read", None),
        ("input", "output", None),
    ],
)
def test_what_is_two_things_at_once_has_a_meter_where_it_can_be(first: str, second: str, joined: str | None) -> None:
    found = both(METERS[first], METERS[second])
    assert (found.name if found else None) == joined


def test_no_two_meters_count_the_same() -> None:
    assert len(BY_DIMENSIONS) == len(METERS)
    assert TOKENS.isdisjoint(UNITS) and MEDIA < TOKENS


def test_every_unit_of_the_catalogue_is_known_but_those_that_no_price_uses() -> None:
    unknown = [name for name, unit in unit_data.items() if frozenset(unit["dimensions"].items()) not in BY_DIMENSIONS]
    assert all("text" in name or "tool" in name or "_5m" in name for name in unknown), unknown
