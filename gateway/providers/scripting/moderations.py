"""`POST /v1/moderations`: a category is flagged if its own name stands in the text.

That is no judgement, only something that a test can steer. Source: component `CreateModerationResponse`.
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway.providers.scripting import tokens
from gateway.providers.scripting.play import Answer
from gateway.providers.scripting.refusals import wrong
from gateway.providers.scripting.request import text_of
from gateway.providers.scripting.scene import Scene

CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip
DEFAULT_MODEL = "omni-moderation-latest"


def answer(scene: Scene) -> Answer:
    """The whole answer. Raises `Refused` if the request is not one."""
    given = scene.question.body.get("input")
    if not given or not isinstance(given, str | list):
        raise wrong("input", "Invalid value for 'input': expected a text or a list that is not empty.")
    texts = given if isinstance(given, list) and all(isinstance(one, str) for one in given) else [text_of(given)]
    model = scene.question.model or DEFAULT_MODEL
    body = {
        "id": scene.id("modr-"),
        "model": model,
        "results": [_result(text.casefold()) for text in texts],
        **scene.reply.extra,
    }
    usage = scene.usage(sum(map(tokens.count, texts)), 0)
    return Answer((orjson.dumps(body),), id=scene.id("modr-"), model=model, usage=usage)


def _result(text: str) -> dict[str, Any]:
    flags = {name: name in text for name in CATEGORIES}
    return {
        "flagged": any(flags.values()),
        "categories": flags,
        "category_scores": {name: 0.98 if flag else 0.00001 for name, flag in flags.items()},
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }
