"""Small plots as SVG, drawn here: bars with their names and numbers, and a line over time. No script, no dependency."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from html import escape
from typing import Final, Literal

from gateway.reports.formats.points import Points
from gateway.reports.formats.words import plain, printable

WIDTH: Final = 760
_NAMES: Final = 230
_NUMBERS: Final = 110
_BAR: Final = 18
_STEP: Final = 24
_HEIGHT: Final = 220
_LEFT: Final = 80
_CAPTION: Final = 20
_INK: Final = "#2f5d8a"
_PALE: Final = "#c9d9e8"


def draw(found: Points, shape: Literal["bar", "line"], title: str) -> str:
    """The plot as an `svg` element, with a title for those who cannot see it."""
    # One point is no line.
    body, height = _line(found) if shape == "line" and len(found.values) > 1 else _bars(found)
    return (
        f'<svg role="img" viewBox="0 -{_CAPTION} {WIDTH} {height + _CAPTION}" width="{WIDTH}"'
        f' height="{height + _CAPTION}" xmlns="http://www.w3.org/2000/svg"><title>{escape(printable(title))}</title>'
        f'<text x="0" y="-6">{escape(found.caption)}</text>{body}</svg>'
    )


def _bars(found: Points) -> tuple[str, int]:
    most = max((abs(value) for value in found.values), default=Decimal()) or Decimal(1)
    room = WIDTH - _NAMES - _NUMBERS
    parts = []
    for at, (label, value) in enumerate(zip(found.labels, found.values, strict=True)):
        top = 4 + at * _STEP
        long = _px(abs(value) / most * room)
        ink = _INK if value >= 0 else "#b1502f"
        parts.append(
            f'<text x="{_NAMES - 8}" y="{top + 13}" text-anchor="end">{escape(_short(label))}</text>'
            f'<rect x="{_NAMES}" y="{top}" width="{long}" height="{_BAR}" fill="{ink}"/>'
            f'<text x="{_px(_NAMES + abs(value) / most * room + 6)}" y="{top + 13}">{_number(value, found)}</text>'
        )
    return "".join(parts), 8 + len(found.values) * _STEP


def _line(found: Points) -> tuple[str, int]:
    ends = [*found.values, *(end for band in found.band for end in band)]
    low, high = min(Decimal(), *ends), max(ends)
    span = (high - low) or Decimal(1)
    inner, bottom = WIDTH - _LEFT - 20, _HEIGHT - 30

    def path(values: Iterable[tuple[int, Decimal]]) -> str:
        step = Decimal(inner) / (len(found.values) - 1)
        return " ".join(
            f"{_px(_LEFT + step * at)},{_px(bottom - (value - low) / span * (bottom - 12))}" for at, value in values
        )

    band = [(at, pair[0]) for at, pair in enumerate(found.band)]
    band += [(at, pair[1]) for at, pair in reversed(list(enumerate(found.band)))]
    parts = [
        *([f'<polygon points="{path(band)}" fill="{_PALE}"/>'] if band else []),
        f'<line x1="{_LEFT}" y1="{bottom}" x2="{WIDTH - 20}" y2="{bottom}" stroke="#999"/>',
        f'<text x="{_LEFT - 8}" y="{bottom}" text-anchor="end">{_number(low, found)}</text>',
        f'<text x="{_LEFT - 8}" y="16" text-anchor="end">{_number(high, found)}</text>',
        f'<text x="{_LEFT}" y="{_HEIGHT - 10}">{escape(_short(found.labels[0]))}</text>',
        f'<text x="{WIDTH - 20}" y="{_HEIGHT - 10}" text-anchor="end">{escape(_short(found.labels[-1]))}</text>',
        f'<polyline points="{path(enumerate(found.values))}" fill="none" stroke="{_INK}" stroke-width="2"/>',
    ]
    return "".join(parts), _HEIGHT


def _px(number: Decimal | int) -> str:
    return f"{number:.1f}"


def _number(value: Decimal, found: Points) -> str:
    if found.column.kind == "ratio":
        return f"{value * 100:,.1f} %"
    return f"{value:,.2f}" if abs(value) >= 1 or not value else plain(Decimal(f"{value:.2g}"))


def _short(label: str) -> str:
    label = printable(label)
    return label if len(label) <= 32 else f"{label[:31]}…"
