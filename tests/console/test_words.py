"""Numbers and times as people read them."""

from __future__ import annotations

import pytest

from gateway.console import words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (0, "0 s"),
        (8.9, "8 s"),
        (725, "12 min 5 s"),
        (3600, "1 h"),
        (86_405, "1 d"),
        (3 * 86_400 + 4 * 3600 + 59, "3 d 4 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert words.span(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0008, "0.8 ms"), (0.012, "12 ms"), (0.34, "340 ms"), (1.24, "1.2 s"), (95.4, "95 s")],
)
def test_a_latency_has_two_or_three_digits(seconds: float, text: str) -> None:
    assert words.latency(seconds) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (9, 10, "90 %"),
        (1, 3, "33.3 %"),
        (0, 3, "0 %"),
        (1, 10_000, "<0.1 %"),
        (9_999, 10_000, ">99.9 %"),
        (0, 0, "0 %"),
    ],
)
def test_a_share_is_never_rounded_to_all_or_nothing(part: float, whole: float, text: str) -> None:
    assert words.share(part, whole) == text


def test_a_moment_has_its_zone() -> None:
    assert words.moment(1_795_409_292) == "2026-11-23 04:48:12 UTC"


def test_a_count_has_its_thousands_apart() -> None:
    assert words.count(12_345.0) == "12,345"
