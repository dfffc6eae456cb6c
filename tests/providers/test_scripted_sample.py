"""Documents made from JSON Schemas: whatever the schema allows, and nothing else."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from gateway.providers.scripting.sample import sample

FORMATS = ("date", "date-time", "email", "uri", "uuid", "ipv4")
SCHEMAS: dict[str, Any] = {
    "empty": {},
    "object": {"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]},
    "closed": {
        "type": "object",
        "properties": {"a": {"type": "null"}},
        "required": ["a"],
        "additionalProperties": False,
    },
    "enum": {"enum": ["x", 1]},
    "const": {"const": {"a": 1}},
    "default": {"type": "string", "default": "d"},
    "integer bounds": {"type": "integer", "minimum": 3, "maximum": 9, "multipleOf": 4},
    "exclusive": {"type": "number", "exclusiveMinimum": 1.0, "exclusiveMaximum": 2.0},
    "negative": {"type": "integer", "maximum": -5},
    "negative steps": {"type": "integer", "maximum": -5, "multipleOf": 3},
    "integer above": {"type": "integer", "exclusiveMinimum": 0},
    "array": {"type": "array", "items": {"type": "integer"}, "minItems": 3},
    "unique": {"type": "array", "items": {"type": "string"}, "minItems": 3, "uniqueItems": True},
    "tuple": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2},
    "nullable": {"type": ["null", "integer"], "minimum": 2},
    "any of": {
        "anyOf": [{"type": "null"}, {"type": "object", "properties": {"k": {"type": "boolean"}}, "required": ["k"]}]
    },
    "one of": {"oneOf": [{"type": "string", "minLength": 2}, {"type": "integer"}]},
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"properties": {"b": {"type": "boolean"}}, "required": ["b"]},
        ]
    },
    "reference": {
        "$defs": {
            "p": {"type": "object", "properties": {"x": {"$ref": "#/$defs/n"}}, "required": ["x"]},
            "n": {"type": "number"},
        },
        "$ref": "#/$defs/p",
    },
    "list that ends": {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "value": {"type": "string"},
                    "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                },
                "required": ["value", "next"],
            }
        },
        "$ref": "#/$defs/node",
    },
    "lengths": {"type": "string", "minLength": 12, "maxLength": 14},
    "short": {"type": "string", "maxLength": 2},
    "pattern": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]+$"},
    "phone": {"type": "string", "pattern": r"^\+\d{7,15}$"},
    **{f"format {name}": {"type": "string", "format": name} for name in FORMATS},
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_sample_is_valid(name: str) -> None:
    made = sample(SCHEMAS[name])
    jsonschema_rs.Draft202012Validator(SCHEMAS[name], validate_formats=True).validate(made)


def test_a_schema_that_can_never_end_is_left_off() -> None:
    endless = {
        "$defs": {"a": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"]}},
        "$ref": "#/$defs/a",
    }
    assert sample(endless)["a"]["a"]


@pytest.mark.parametrize("schema", [None, True, [], "x", {"$ref": "#/nowhere"}, {"$ref": "#"}, {"type": "nonsense"}])
def test_nonsense_gives_some_value(schema: Any) -> None:
    sample(schema)


def test_an_unhinted_text_is_its_own_name() -> None:
    assert sample({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}) == {
        "city": "city"
    }
