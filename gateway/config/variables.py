"""`${NAME}` in the text of a configuration, replaced from the environment.

One pass: what a variable holds is text and is not looked at again, so no value can name another. `$${` stands for
`${` itself. A variable that is not set leaves its text as it is and is reported by place, because only the place
decides what follows: a provider is left out, anything else cannot start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.config.yamlfile import Loc

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}|(?P<broken>\$\{[^}]{0,40}\}?)")


@dataclass(frozen=True, slots=True)
class Filled:
    """`data` with its variables replaced; `unset` names the missing ones and `broken` the unreadable ones, by place."""

    data: Any
    unset: dict[Loc, tuple[str, ...]] = field(default_factory=dict)
    broken: dict[Loc, str] = field(default_factory=dict)


def fill(data: Any, environ: Mapping[str, str]) -> Filled:
    """Replace the variables in every string of `data` (dicts, lists, scalars); keys are left alone."""
    filled = Filled(None)
    return Filled(_walk(data, (), environ, filled), filled.unset, filled.broken)


def _walk(data: Any, loc: Loc, environ: Mapping[str, str], found: Filled) -> Any:
    if isinstance(data, dict):
        return {key: _walk(value, (*loc, key), environ, found) for key, value in data.items()}
    if isinstance(data, list):
        return [_walk(item, (*loc, index), environ, found) for index, item in enumerate(data)]
    if isinstance(data, str) and "${" in data:
        return _text(data, loc, environ, found)
    return data


def _text(text: str, loc: Loc, environ: Mapping[str, str], found: Filled) -> str:
    unset: list[str] = []

    def replace(match: re.Match[str]) -> str:
        name = match["name"]
        if name in environ:
            return environ[name]
        if name is not None:
            unset.append(name)
        elif match["broken"]:
            found.broken[loc] = match["broken"]
        else:
            return "${"
        return match[0]

    result = _REFERENCE.sub(replace, text)
    if unset:
        found.unset[loc] = tuple(dict.fromkeys(unset))
    return result
