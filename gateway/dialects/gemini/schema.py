"""Schemas as Gemini writes them, a subset of OpenAPI 3.0 with types in capitals, to JSON Schema.

Source: https://ai.google.dev/api/caching#Schema. The other way is not needed: `parametersJsonSchema` and
`responseJsonSchema` take JSON Schema as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CAMEL = {
    "any_of": "anyOf",
    "max_items": "maxItems",
    "max_length": "maxLength",
    "max_properties": "maxProperties",
    "min_items": "minItems",
    "min_length": "minLength",
    "min_properties": "minProperties",
    "property_ordering": "propertyOrdering",
    "additional_properties": "additionalProperties",
}
_COUNTS = frozenset({"maxItems", "maxLength", "maxProperties", "minItems", "minLength", "minProperties"})
_DEEPEST = 64


def to_json_schema(schema: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """`schema` in JSON Schema's words. Raises `ValueError` where it is nested too deeply."""
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    found: dict[str, Any] = {}
    nullable = False
    for name, value in schema.items():
        member = _CAMEL.get(name, name)
        if member == "type":
            if isinstance(value, str) and value.upper() != "TYPE_UNSPECIFIED":
                found["type"] = value.lower()
        elif member == "nullable":
            nullable = value is True
        elif member == "example":
            found["examples"] = [value]
        elif member == "propertyOrdering":
            continue  # the order of `properties`, which is written below
        elif member in ("properties", "$defs", "defs") and isinstance(value, Mapping):
            found["$defs" if member == "defs" else member] = _properties(value, schema, depth)
        elif member in ("items", "additionalProperties") and isinstance(value, Mapping):
            found[member] = to_json_schema(value, depth + 1)
        elif member == "anyOf" and isinstance(value, list):
            found[member] = [to_json_schema(one, depth + 1) for one in value if isinstance(one, Mapping)]
        elif member in _COUNTS and isinstance(value, str) and value.isdigit():
            found[member] = int(value)  # 64-bit numbers are strings in Google's JSON
        else:
            found["$ref" if member == "ref" else member] = value
    return _with_null(found) if nullable else found


def _properties(found: Mapping[str, Any], schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
    order = schema.get("propertyOrdering") or schema.get("property_ordering")
    names = [name for name in order if isinstance(name, str) and name in found] if isinstance(order, list) else []
    names = list(dict.fromkeys([*names, *found]))
    return {
        name: to_json_schema(found[name], depth + 1) if isinstance(found[name], Mapping) else found[name]
        for name in names
    }


def _with_null(found: dict[str, Any]) -> dict[str, Any]:
    if isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    elif isinstance(found.get("anyOf"), list):
        found["anyOf"] = [*found["anyOf"], {"type": "null"}]
    if isinstance(found.get("enum"), list):
        found["enum"] = [*found["enum"], None]
    return found
