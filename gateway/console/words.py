"""Numbers and times as people read them: one unit each, times with their zone. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400

NOTHING = "\N{EN DASH}"
"""Where there is no value."""


def moment(at: float) -> str:
    """Epoch seconds as `2026-11-23 04:48:12 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def day(at: float | None) -> str:
    """Epoch seconds as `2026-11-23`, in UTC; a dash for `None`."""
    return NOTHING if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def span(seconds: float) -> str:
    """A duration in its two largest units: `3 d 4 h`, `12 min 5 s`, `8 s`."""
    left = max(0, int(seconds))
    parts = []
    for unit, name in ((DAY_S, "d"), (HOUR_S, "h"), (MINUTE_S, "min"), (1, "s")):
        number, left = divmod(left, unit)
        if number:
            parts.append(f"{number} {name}")
        elif parts:
            break  # `1 d 5 s` says more than anybody knows
    return " ".join(parts[:2]) or "0 s"


def latency(seconds: float) -> str:
    """A latency to two or three digits: `0.8 ms`, `12 ms`, `340 ms`, `1.2 s`, `95 s`."""
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def count(number: float) -> str:
    """A count with its thousands apart: `12,345`."""
    return f"{number:,.0f}"


def share(part: float, whole: float) -> str:
    """A part of a whole in per cent, never rounded to 0 % or 100 % unless it is: `99.9 %`, `<0.1 %`."""
    if part <= 0 or whole <= 0:
        return "0 %"
    ratio = 100 * part / whole
    if ratio < 0.1:
        return "<0.1 %"
    if 99.9 < ratio < 100:
        return ">99.9 %"
    return f"{ratio:.1f} %".replace(".0 %", " %")
