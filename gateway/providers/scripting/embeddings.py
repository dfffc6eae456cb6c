"""`POST /v1/embeddings`: unit vectors that follow from the text alone.

Each word adds to four places that its hash names (feature hashing), so texts that share words lie closer together: a
search over them finds something sensible. Values are rounded to float32, so that both encodings say the same number.
Source: https://platform.openai.com/docs/api-reference/embeddings, component `CreateEmbeddingResponse`.
"""

from __future__ import annotations

import base64
import math
import struct
from array import array
from hashlib import blake2b
from typing import Any

import orjson

from gateway.providers.scripting import tokens
from gateway.providers.scripting.play import Answer
from gateway.providers.scripting.refusals import wrong
from gateway.providers.scripting.scene import Scene
from gateway.providers.scripting.script import MAX_DIMENSIONS

MAX_INPUTS = 2048
_PLACES = struct.Struct("<4H4B")


def answer(scene: Scene) -> Answer:
    """The whole answer. Raises `Refused` if the request is not one."""
    question = scene.question
    inputs = _inputs(question.body.get("input"))
    dimensions = _dimensions(scene)
    coding = question.body.get("encoding_format", "float")
    if coding not in ("float", "base64", None):
        raise wrong("encoding_format", "Invalid 'encoding_format': expected 'float' or 'base64'.")
    vectors = [array("f", scene.reply.embedding or vector(_words(one), dimensions)) for one in inputs]
    usage = scene.usage(sum(map(_input_tokens, inputs)), 0)
    body = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _encoded(one, coding)}
            for index, one in enumerate(vectors)
        ],
        "model": question.model,
        **scene.told({"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens}),
        **scene.reply.extra,
    }
    return Answer((orjson.dumps(body),), model=question.model, usage=usage)


def vector(words: list[str], dimensions: int) -> list[float]:
    """A vector of length one. The same words, in any order, give the same vector."""
    values = [0.0] * dimensions
    for word in words or [""]:
        *places, a, b, c, d = _PLACES.unpack(blake2b(word.encode("utf-8", "replace"), digest_size=12).digest())
        for place, sign in zip(places, (a, b, c, d), strict=True):
            values[place % dimensions] += 1.0 if sign & 1 else -1.0
    length = math.sqrt(sum(value * value for value in values))
    if not length:  # everything cancelled out
        values[0] = length = 1.0
    return [value / length for value in values]


def _inputs(said: Any) -> list[Any]:
    given: list[Any] = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    if not given:
        raise wrong("input", "Invalid value for 'input': expected a text or a list that is not empty.")
    if isinstance(given[0], int):
        given = [given]
    if len(given) > MAX_INPUTS:
        raise wrong("input", f"Invalid 'input': expected at most {MAX_INPUTS} inputs.")
    if not all(isinstance(one, str | list) and one for one in given):
        raise wrong("input", "Invalid value for 'input': an input is a text or a list of tokens, and not empty.")
    return given


def _dimensions(scene: Scene) -> int:
    asked = scene.question.body.get("dimensions")
    if asked is None:
        return scene.script.dimensions
    if not isinstance(asked, int) or isinstance(asked, bool) or not 1 <= asked <= MAX_DIMENSIONS:
        raise wrong("dimensions", f"Invalid 'dimensions': expected an integer between 1 and {MAX_DIMENSIONS}.")
    return asked


def _words(given: Any) -> list[str]:
    return given.casefold().split() if isinstance(given, str) else [str(token) for token in given]


def _input_tokens(given: Any) -> int:
    return tokens.count(given) if isinstance(given, str) else len(given)


def _encoded(values: array[float], coding: str | None) -> list[float] | str:
    return base64.b64encode(values.tobytes()).decode() if coding == "base64" else values.tolist()
