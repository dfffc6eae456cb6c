"""A script from a file: every fault in it is found at once, with its line and the nearest right name."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from gateway.errors import ConfigError, Fault
from gateway.providers.scripting import script as fields
from gateway.providers.scripting.document import BadDocument, Lines, parse
from gateway.providers.scripting.script import Script

BUILTIN = Path(__file__).parent.parent / "demo.yaml"


def load(path: Path) -> Script:
    """The script in the file at `path`. Raises `ConfigError` with every fault, also if it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError([Fault(str(path), None, f"cannot be read: {reason}")]) from None
    return loads(text, str(path))


def loads(text: str, file: str = "script") -> Script:
    """The script in `text`; `file` is the name that faults carry. Raises `ConfigError` with every fault."""
    try:
        data, lines = parse(text)
    except BadDocument as error:
        raise ConfigError([Fault(file, error.line, error.message)]) from None
    try:
        return Script.model_validate(data)
    except ValidationError as error:
        raise ConfigError([_fault(file, lines, dict(detail)) for detail in error.errors(include_url=False)]) from None


@cache
def builtin() -> Script:
    """The script that comes with the gateway: the model `demo`."""
    return load(BUILTIN)


def _fault(file: str, lines: Lines, detail: dict[str, Any]) -> Fault:
    place = _place(detail["loc"], lines)
    return Fault(file, lines.get(place), _message(detail, place))


def _place(loc: tuple[str | int, ...], lines: Lines) -> tuple[str | int, ...]:
    # Pydantic names union members in the path too; those are in no file and are stepped over.
    place: tuple[str | int, ...] = ()
    for step in loc:
        if (*place, step) in lines:
            place = (*place, step)
    return place


def _message(detail: dict[str, Any], place: tuple[str | int, ...]) -> str:
    where = ".".join(str(step) for step in place) or "the script"
    if detail["type"] == "extra_forbidden":
        near = get_close_matches(str(place[-1]), _names(), n=1)
        return f"{where}: unknown key" + (f"; did you mean `{near[0]}`?" if near else "")
    if detail["type"] == "missing":
        return f"{where}: the key `{detail['loc'][-1]}` is missing"
    return f"{where}: {str(detail['msg']).removeprefix('Value error, ')}"


@cache
def _names() -> tuple[str, ...]:
    """Every key that a script knows, wherever it belongs."""
    models = [kind for kind in vars(fields).values() if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return tuple(sorted({field.alias or name for model in models for name, field in model.model_fields.items()}))
