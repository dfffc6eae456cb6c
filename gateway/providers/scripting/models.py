"""`GET /v1/models` and `GET /v1/models/{id}`. Source: components `ListModelsResponse` and `Model`."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.providers.scripting.choose import serves
from gateway.providers.scripting.play import Answer
from gateway.providers.scripting.refusals import no_model
from gateway.providers.scripting.script import Script

CREATED = 1_735_689_600
"""Unix time, 2025-01-01: models are as old as everything here."""


def listing(script: Script) -> Answer:
    """All models that are not patterns."""
    data = [_object(script, model) for model in script.models if "*" not in model]
    return Answer((orjson.dumps({"object": "list", "data": data}),))


def one(script: Script, model: str) -> Answer:
    """One model. Raises `Refused` if it is not served."""
    if not serves(script, model):
        raise no_model(model)
    return Answer((orjson.dumps(_object(script, model)),), model=model)


def _object(script: Script, model: str) -> dict[str, Any]:
    return {"id": model, "object": "model", "created": CREATED, "owned_by": script.owner}
