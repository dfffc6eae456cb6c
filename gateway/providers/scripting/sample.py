"""The smallest document that a JSON Schema allows: arguments of tools, and answers that were promised a shape.

It covers what the vendors' structured output allows, and says nothing that it was not told: `default`, `const`, the
first of `enum` or `examples`, else the least value. A text without any hint is the property's own name. Patterns are
tried against a few common forms; one that fits none of these gets a text that does not match it.
"""

from __future__ import annotations

import math
import re
from typing import Any

_FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_FORMS = (
    "", "a", "A", "0", "1", "ab", "AB", "abc", "ABC", "00", "000", "0000", "00000", "1.0", "A1", "AB-1", "ABC-123",
    "a-b", "a_b", "@a", "#000000", "+10000000000", "1-1", "12:00", "a b", "A b",
    *_FORMATS.values(),
)  # fmt: skip
_MAX_DEPTH = 24
Schema = dict[str, Any]


def sample(schema: Any, name: str = "value") -> Any:
    """A value that `schema` (JSON Schema, 2020-12 or before) allows; `name` is what an unhinted text will say."""
    root = schema if isinstance(schema, dict) else {}
    return _value(root, root, name, 0)


def _value(schema: Any, root: Schema, name: str, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return None
    schema = _resolved(schema, root)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("enum", "examples"):
        if isinstance(schema.get(key), list) and schema[key]:
            return schema[key][0]
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), list) and schema[key]:
            return _value({**_without(schema, key), **_simplest(schema[key], root)}, root, name, depth + 1)
    return _typed(schema, root, name, depth)


def _without(schema: Schema, *keys: str) -> Schema:
    return {key: value for key, value in schema.items() if key not in keys}


def _resolved(schema: Schema, root: Schema) -> Schema:
    """`schema` with its reference followed and its `allOf` merged in."""
    for _ in range(_MAX_DEPTH):
        if isinstance(schema.get("$ref"), str):
            schema = {**_pointed(root, schema["$ref"]), **_without(schema, "$ref")}
        elif isinstance(schema.get("allOf"), list):
            schema = _merged(schema, root)
        else:
            break
    return schema


def _merged(schema: Schema, root: Schema) -> Schema:
    merged = _without(schema, "allOf")
    for part in schema["allOf"]:
        part = _resolved(part, root) if isinstance(part, dict) else {}
        properties = {**merged.get("properties", {}), **part.get("properties", {})}
        required = [*merged.get("required", ()), *part.get("required", ())]
        merged = {**merged, **part}
        if properties:
            merged["properties"] = properties
        if required:
            merged["required"] = required
    return merged


def _pointed(root: Schema, pointer: str) -> Schema:
    place: Any = root
    for step in pointer.lstrip("#").strip("/").split("/"):
        step = step.replace("~1", "/").replace("~0", "~")
        if step:
            place = place.get(step) if isinstance(place, dict) else None
    return place if isinstance(place, dict) else {}


def _simplest(options: list[Any], root: Schema) -> Schema:
    # A recursive schema ends where a choice does: the option that refers to nothing is taken first.
    objects = [option for option in options if isinstance(option, dict)]
    plain = [option for option in objects if "$ref" not in option]
    known = [option for option in plain if option.get("type") != "null"]
    best = known or plain or objects
    return _resolved(best[0], root) if best else {}


def _typed(schema: Schema, root: Schema, name: str, depth: int) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if kind is None:
        kind = _guessed(schema)
    if kind == "object":
        return _object(schema, root, depth)
    if kind == "array":
        return _array(schema, root, name, depth)
    if kind in ("integer", "number"):
        return _number(schema, kind == "integer")
    if kind == "boolean":
        return True
    return None if kind == "null" else _text(schema, name)


def _guessed(schema: Schema) -> str:
    if "properties" in schema or "required" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    return "number" if "minimum" in schema or "maximum" in schema else "string"


def _object(schema: Schema, root: Schema, depth: int) -> Schema:
    properties = schema.get("properties", {})
    return {name: _value(properties.get(name, {}), root, name, depth + 1) for name in schema.get("required", ())}


def _array(schema: Schema, root: Schema, name: str, depth: int) -> list[Any]:
    items = [_value(item, root, name, depth + 1) for item in schema.get("prefixItems", ())]
    least = schema.get("minItems", 0)
    for index in range(len(items), least):
        item = _value(schema.get("items", {}), root, name, depth + 1)
        distinct = schema.get("uniqueItems") and item in items
        items.append(_varied(item, index) if distinct else item)
    return items


def _varied(item: Any, index: int) -> Any:
    if isinstance(item, str):
        return f"{item}{index}"
    return item + index if isinstance(item, int | float) and not isinstance(item, bool) else item


def _number(schema: Schema, whole: bool) -> float:
    step = schema.get("multipleOf") or (1 if whole else 0)
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    nudge = step or 0.5
    if isinstance(above, int | float) and not isinstance(above, bool):
        low = above + nudge if low is None else max(low, above + nudge)
    if isinstance(below, int | float) and not isinstance(below, bool):
        high = below - nudge if high is None else min(high, below - nudge)
    value = low if low is not None else min(high, 0) if high is not None else 0
    if step:
        value = math.ceil(value / step) * step if low is not None or value >= 0 else math.floor(value / step) * step
    return int(value) if whole else value


def _text(schema: Schema, name: str) -> str:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if isinstance(pattern := schema.get("pattern"), str):
        return _matching(pattern, name, least, most)
    text = name if len(name) >= least else name + "." * (least - len(name))
    return text[:most]


def _matching(pattern: str, name: str, least: int, most: int | None) -> str:
    try:
        expression = re.compile(pattern)
    except re.error:
        return name
    for form in (name, *_FORMS):
        if least <= len(form) <= (most if most is not None else len(form)) and expression.search(form):
            return form
    return name
