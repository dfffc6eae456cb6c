"""The most tokens that a request can take, known before it is sent and without counting any of them.

A token is at least one byte of text for every tokenizer in use (byte-level BPE, and unigram with byte fallback), so
the bytes of the body bound its text whatever model reads it. That is some four times too much, and free; the true count
takes its place when the call is settled. Media are bounded by their number, because their bytes are no tokens.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from gateway.pricing.meters import MEDIA

DEFAULT_OUTPUT: Final = 16_384
"""Tokens of an answer whose request names no limit and whose model has no `max_output_tokens` in the configuration."""
IMAGE_TOKENS: Final = 6_240
"""Output tokens of the largest image of high quality (https://platform.openai.com/docs/guides/image-generation)."""
SPEECH_TOKENS: Final = 2
"""Output tokens of speech for each character that is read out, rounded up from some 20 a second."""
MEDIA_TOKENS: Final = 1_600
"""Tokens of one image of high detail or one short recording: what most vendors count at most for an image
(https://platform.openai.com/docs/guides/images-vision, https://docs.anthropic.com/en/docs/build-with-claude/vision)."""

_MEDIA_MARKS: Final = (
    b"image_url",
    b"input_image",
    b"input_audio",
    b"file_data",
    b"file_id",
    b'"modalities"',
    b"base64",
)
_NO_UNITS: Final[Mapping[str, int]] = MappingProxyType({})
_TEXT: Final = MEDIA | {"cache_write_1h"}
_WITH_MEDIA: Final = frozenset({"cache_write_1h"})
_DEPTH: Final = 64


class Bound(msgspec.Struct, frozen=True):
    """At most so many tokens in and out. `without` are meters that the request rules out, `units` what is not tokens.

    A msgspec struct, as one is made for every attempt.
    """

    input_tokens: int
    output_tokens: int
    without: Collection[str] = frozenset()
    units: Mapping[str, int] = _NO_UNITS

    @property
    def tokens(self) -> int:
        """Both directions together, for limits of tokens a minute."""
        return self.input_tokens + self.output_tokens


NOTHING: Final = Bound(0, 0)


def bound(
    body: bytes,
    parsed: Mapping[str, Any],
    *,
    answers: bool,
    max_output: int | None = None,
    units: Mapping[str, int] = _NO_UNITS,
) -> Bound:
    """The bound of a JSON body. `answers`: the endpoint writes text; `max_output` is what its model can at most.

    `units` are those of `units_of`.
    """
    made = _output(parsed, max_output or DEFAULT_OUTPUT) if answers else 0
    if units:
        made = units.get("images", 0) * IMAGE_TOKENS + units.get("input_characters", 0) * SPEECH_TOKENS
        return Bound(len(body), made, _WITH_MEDIA, units)
    for mark in _MEDIA_MARKS:
        if mark in body:
            return Bound(_walk(parsed, 0) + _ids(parsed), made, _WITH_MEDIA)
    return Bound(len(body), made, _TEXT)


def units_of(path: str, parsed: Mapping[str, Any]) -> Mapping[str, int]:
    """What a request to the endpoint `path` asks for that is not tokens, by the names of meters; empty as a rule."""
    match path:
        case "/v1/images/generations":
            asked = parsed.get("n")
            return {"images": asked if type(asked) is int and 0 < asked <= 128 else 1}
        case "/v1/audio/speech":
            text = parsed.get("input")
            return {"input_characters": len(text)} if isinstance(text, str) else _NO_UNITS
        case "/v1/rerank":
            return {"rerank_searches": 1}
    return _NO_UNITS


def _output(parsed: Mapping[str, Any], default: int) -> int:
    most = parsed.get("max_completion_tokens")
    if most is None:
        most = parsed.get("max_tokens")
    if most is None:
        most = parsed.get("max_output_tokens")
    made = most if type(most) is int and most > 0 else default
    for name in ("n", "best_of"):
        choices = parsed.get(name)
        if type(choices) is int and 1 < choices <= 128:
            made *= choices
    prompts = parsed.get("prompt")
    if isinstance(prompts, list) and prompts and not isinstance(prompts[0], int):
        made *= len(prompts)  # completions answer each prompt
    return made


def _walk(value: object, depth: int) -> int:
    """Bytes of all text under `value`; a long one that is data, not words, counts as one medium."""
    if isinstance(value, str):
        if value.startswith("data:") or (len(value) > 4096 and " " not in value[:1024]):
            return MEDIA_TOKENS
        return len(value.encode("utf-8", "surrogatepass"))
    if depth > _DEPTH:
        return 0
    if isinstance(value, dict):
        known = value.get("type") in ("image_url", "input_image", "input_file", "file")
        return (MEDIA_TOKENS if known else 8) + sum(len(key) + _walk(inner, depth + 1) for key, inner in value.items())
    if isinstance(value, list):
        return 2 + sum(_walk(inner, depth + 1) for inner in value)
    return 2


def _ids(parsed: Mapping[str, Any]) -> int:
    given = parsed.get("input")
    return len(given) if isinstance(given, list) else 0
