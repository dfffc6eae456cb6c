"""OpenAI's published document as validators of the Responses API.

It says `oneOf` of items of an input and tells them apart by a discriminator, which JSON Schema does not know: a message
with a list of parts is two of them. So here one of these is enough.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

from tests.dialects.published import Check, _plain


def responses_check(document: Path) -> Check:
    """Validates a value against one component of the document, by its name."""
    with gzip.open(document) as file:
        schemas = _plain(yaml.load(file, Loader=yaml.CSafeLoader)["components"]["schemas"])
    schemas["InputItem"]["anyOf"] = schemas["InputItem"].pop("oneOf")
    made: dict[str, jsonschema_rs.Draft202012Validator] = {}

    def check(component: str, value: Any) -> None:
        if component not in made:
            root = {"components": {"schemas": schemas}, "$ref": f"#/components/schemas/{component}"}
            made[component] = jsonschema_rs.Draft202012Validator(root)
        made[component].validate(value)

    return check
