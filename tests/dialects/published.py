"""OpenAI's published document as validators, so that what is written is judged by its own words."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

Check = Callable[[str, Any], None]


def openai_check(document: Path) -> Check:
    """Validates a value against one component of the document, by its name."""
    with gzip.open(document) as file:
        schemas = _plain(yaml.load(file, Loader=yaml.CSafeLoader)["components"]["schemas"])
    made: dict[str, jsonschema_rs.Draft202012Validator] = {}

    def check(component: str, value: Any) -> None:
        if component not in made:
            root = {"components": {"schemas": schemas}, "$ref": f"#/components/schemas/{component}"}
            made[component] = jsonschema_rs.Draft202012Validator(root)
        made[component].validate(value)

    return check


def _plain(schema: Any) -> Any:
    """The document says `nullable` in a few places, as OpenAPI 3.0 did; JSON Schema says it with a type."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _plain(value) for key, value in schema.items() if key not in ("nullable", "discriminator", "example")}
    return {"anyOf": [kept, {"type": "null"}]} if schema.get("nullable") is True else kept
