"""Validation errors in the words of the file: which setting, on which line, and what would be right.

Values are repeated only as they stand in the file, never as variables or secret files filled them in, and never where
a secret may stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from gateway.config.words import did_you_mean
from gateway.config.yamlfile import Loc

_SECRET = frozenset({"api_key", "headers", "base_url", "ledger", "shared"})

_VERBS = frozenset({"has", "holds", "is", "may", "should"})

# pydantic's error type -> what would be right; {..} are the error's own bounds.
_RIGHT = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a mapping of names to values",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "a number greater than {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_type": "a whole number",
    "less_than": "a number less than {lt}",
    "less_than_equal": "a number of at most {le}",
    "list_type": "a list",
    "mapping_type": "a mapping of names to values",
    "model_attributes_type": "a mapping of settings",
    "model_type": "a mapping of settings",
    "path_type": "a path",
    "string_type": "text; put it in quotes",
    "too_short": "a list with something in it",
    "tuple_type": "a list",
}


def first_causes(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """`errors` without those that only follow from another.

    A default that builds on a sibling fails with it, and a list counts as too short when what is in it is wrong.
    """
    blamed = {error["loc"][:end] for error in errors for end in range(len(error["loc"]))}
    own = [error for error in errors if error["type"] != "default_factory_not_called"]
    return [error for error in own if error["type"] != "too_short" or error["loc"] not in blamed]


def explain(error: ErrorDetails, root: type[BaseModel], data: Any) -> tuple[Loc, str]:
    """One validation error as its place in the file and a message. `data` is the file's own, variables unfilled."""
    tagged = tuple(error["loc"])
    loc = _in_file(tagged, data)
    name, parent = str(loc[-1]) if loc else "the file", dotted(loc[:-1])
    kind = error["type"]
    if kind == "extra_forbidden":
        return (
            loc,
            f"unknown key `{name}`{f' in `{parent}`' if parent else ''}{did_you_mean(name, _keys(root, tagged))}",
        )
    if kind == "missing":
        return loc, f"`{parent}` needs `{name}`" if parent else f"`{name}` is missing"
    setting = f"`{dotted(loc)}`" if loc else "the file"
    if kind == "wrong":
        message = error["msg"]
        return loc, f"{setting}{' ' if message.split()[0] in _VERBS else ': '}{message}"
    return loc, f"{setting} should be {_right(error, data, loc)}"


def dotted(loc: Loc) -> str:
    """`("models", "a", "deployments", 0)` as `models.a.deployments[0]`."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _right(error: ErrorDetails, data: Any, loc: Loc) -> str:
    kind, bounds = error["type"], error.get("ctx", {})
    if kind in ("literal_error", "union_tag_invalid"):
        return _one_of(str(bounds.get("expected") or bounds.get("expected_tags")), _value(data, loc, bounds))
    right = _RIGHT.get(kind)
    if right is None:
        return error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    value = _value(data, loc, {})
    return right.format(**bounds) + (f", not `{value}`" if value is not None else "")


def _one_of(expected: str, value: str | None) -> str:
    names = expected.replace(" or ", ", ").replace("'", "").split(", ")
    right = names[0] if len(names) == 1 else f"one of {', '.join(names)}"
    return right if value is None else f"{right}, not `{value}`{did_you_mean(value, names)}"


def _value(data: Any, loc: Loc, bounds: Mapping[str, Any]) -> str | None:
    """What the file has at `loc`, if it is short, a scalar, and cannot be a secret."""
    if "tag" in bounds:
        loc = (*loc, "kind")
    if any(part in _SECRET for part in loc):
        return None
    for part in loc:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return str(data) if isinstance(data, str | int | float) and len(str(data)) <= 60 else None


def _in_file(loc: Loc, data: Any) -> Loc:
    """`loc` without what pydantic adds: the tags of unions, and `[key]` where the key itself is wrong."""
    kept: list[int | str] = []
    for index, part in enumerate(loc):
        if part == "[key]":
            continue
        here = isinstance(data, dict) and part in data
        here = here or (isinstance(data, list) and isinstance(part, int) and part < len(data))
        if here:
            kept.append(part)
            data = data[part]
        elif index == len(loc) - 1:
            kept.append(part)
    return tuple(kept)


def _keys(root: type[BaseModel], loc: Loc) -> list[str]:
    """The keys that are right where the last part of `loc` stands."""
    kinds: list[Any] = [root]
    for part in loc[:-1]:
        kinds = [inner for kind in kinds for inner in _step(kind, part)]
    return [name for kind in kinds for name in getattr(kind, "model_fields", {})]


def _step(kind: Any, part: int | str) -> Iterator[Any]:
    """What may stand at `part` of a value of type `kind`: the alternatives of a union, one by one."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(part))
        if field is not None:
            yield from alternatives(field.annotation)
        elif (tag := kind.model_fields.get("kind")) is not None and tag.default == part:
            yield kind  # the union's tag, which is no step in the file
    elif issubclass(get_origin(kind) or object, Mapping):
        yield from alternatives(get_args(kind)[1])
    elif get_origin(kind) is tuple:
        yield from alternatives(get_args(kind)[0])


def alternatives(kind: Any) -> Iterator[Any]:
    if hasattr(kind, "__metadata__"):
        yield from alternatives(kind.__origin__)
    elif get_origin(kind) in (Union, UnionType):
        for inner in get_args(kind):
            yield from alternatives(inner)
    else:
        yield kind
