"""Arguments of a call that come in pieces, each at a path, put together.

Source: https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling, of Vertex AI's
`streamFunctionCallArguments`. Pieces may come in any order of paths, so the text is written once the call is whole.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

import orjson

from gateway.dialects.gemini.wire import Call, PartialArg

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[(?:'([^']*)'|\"([^\"]*)\")\]")
_MOST = 1000
"""Places in a list; a path that names one beyond is not followed."""


class Growing:
    """One call on its way."""

    def __init__(self) -> None:
        self.name = ""
        self.id = ""
        self.signature = ""
        self._value: dict[str, Any] = {}

    def add(self, call: Call, signature: str) -> None:
        """Take one more message of it."""
        self.name = self.name or call.name or ""
        self.id = self.id or call.id or ""
        self.signature = self.signature or signature
        for piece in call.partial_args or ():
            self._put(piece)

    def arguments(self) -> str:
        """JSON text of what came."""
        return orjson.dumps(self._value).decode()

    def _put(self, piece: PartialArg) -> None:
        steps: list[str | int] = [
            int(match[2]) if match[2] else match[1] or match[3] or match[4] or ""
            for match in _STEP.finditer(piece.json_path)
        ]
        if not steps or any(isinstance(step, int) and step >= _MOST for step in steps):
            return
        place: Any = self._value
        for step, after in itertools.pairwise(steps):
            found = _at(place, step)
            if not isinstance(found, dict | list):
                found = [] if isinstance(after, int) else {}
                if not _set(place, step, found):
                    return
            place = found
        value = _value(piece)
        before = _at(place, steps[-1])
        if isinstance(value, str) and isinstance(before, str):
            value = before + value
        _set(place, steps[-1], value)


def _at(place: Any, step: str | int) -> Any:
    if isinstance(place, dict):
        return place.get(step)
    return place[step] if isinstance(step, int) and step < len(place) else None


def _set(place: Any, step: str | int, value: Any) -> bool:
    if isinstance(place, list):
        if not isinstance(step, int):
            return False
        place.extend([None] * (step + 1 - len(place)))
    place[step] = value
    return True


def _value(piece: PartialArg) -> Any:
    if piece.string_value is not None:
        return piece.string_value
    if piece.number_value is not None:
        return piece.number_value
    return piece.bool_value
