"""Times as log lines tell them: ISO 8601, UTC, milliseconds. A second's text is made once and kept."""

from __future__ import annotations

import time

_MILLISECONDS = tuple(f".{number:03d}Z" for number in range(1000))


class Stamp:
    """Turn Unix time, in seconds, into text."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = (-1, "")

    def __call__(self, now: float) -> str:
        second = int(now)
        cached, text = self._last  # read and replaced as one, so that threads can share a stamp
        if cached != second:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._last = (second, text)
        return text + _MILLISECONDS[int((now - second) * 1000)]
