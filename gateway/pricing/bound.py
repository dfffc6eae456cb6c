"""The most tokens that a request can take, known before it is sent and without counting any of them.

A token is at least one byte of text for every tokenizer in use (byte-level BPE, and unigram with byte fallback), so
the bytes of the body bound its text whatever model reads it. That is some four times too much, and free; the true count
takes its place when the call is settled. Media are bounded by their number, because their bytes are no tokens.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from gateway.pricing.meters import MEDIA

MOST: Final = 1_000_000_000
"""Tokens of a bound at most: far above any answer, and its price still fits the columns of the ledger."""
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
PROMPT_TOKENS: Final = 300
"""Tokens of the words that may go with a recording, and of an answer to silence."""
LONGEST_UPLOAD: Final = 25 * 1024 * 1024
"""Bytes of a recording at most (https://platform.openai.com/docs/guides/speech-to-text)."""

_NO_UNITS: Final[Mapping[str, int]] = MappingProxyType({})
_TEXT: Final = MEDIA | {"cache_write_1h"}
_WITH_MEDIA: Final = frozenset({"cache_write_1h"})
_MEDIA_TYPES: Final = ("image_url", "input_image", "input_file", "file")
_LIMITS: Final = ("max_completion_tokens", "max_tokens")
_DECIDING: Final = frozenset({*_LIMITS, "n", "best_of", "prompt"})
_CHOICES: Final = 16_384
"""Choices or images counted at most: what vLLM takes at most (`VLLM_MAX_N_SEQUENCES`), and others far fewer."""
_MEDIA_KEYS: Final = ("url", "image_url", "data", "file_data")


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
    if _is_text(parsed) or not any(mark in body for mark in _MEDIA_MARKS):
        return Bound(len(body), made, _TEXT)
    return Bound(_given(parsed), made, _WITH_MEDIA)


def upload_bound(path: str, length: int | None) -> Bound:
    """The bound of a form of `length` bytes, which nobody has read yet; None: the client does not say how many.

    A second of speech is at least a kilobyte in any coding in use (8 kbit/s), and ten tokens each way at most.
    Of images there may be sixteen in and ten out (https://platform.openai.com/docs/api-reference/images/createEdit).
    """
    if path.startswith("/v1/images/"):
        return Bound(16 * IMAGE_TOKENS, 10 * IMAGE_TOKENS, _WITH_MEDIA, {"images": 10})
    seconds = max(1, (LONGEST_UPLOAD if length is None else length) // 1_000)
    return Bound(
        10 * seconds + PROMPT_TOKENS, 10 * seconds + PROMPT_TOKENS, _WITH_MEDIA, {"input_audio_seconds": seconds}
    )


def _is_text(parsed: Mapping[str, Any]) -> bool:
    """Whether a chat is words only, as most are: told by its messages, without a look through all of its bytes."""
    messages = parsed.get("messages")
    if type(messages) is not list or "modalities" in parsed or "audio" in parsed:
        return False
    for message in messages:
        if type(message) is not dict or type(message.get("content", "")) is not str:
            return False
    return True


def units_of(path: str, parsed: Mapping[str, Any]) -> Mapping[str, int]:
    """What a request to the endpoint `path` asks for that is not tokens, by the names of meters; empty as a rule."""
    match path:
        case "/v1/images/generations":
            return {"images": min(_whole(parsed.get("n")) or 1, _CHOICES)}
        case "/v1/audio/speech":
            text = parsed.get("input")
            return {"input_characters": len(text)} if isinstance(text, str) else _NO_UNITS
        case "/v1/rerank":
            return {"rerank_searches": 1}
    return _NO_UNITS


def _output(parsed: Mapping[str, Any], default: int) -> int:
    if _DECIDING.isdisjoint(parsed):
        return min(default, MOST)
    # Of two limits the higher one counts: which of them a server knows is not ours to say.
    named = [most for name in _LIMITS if (most := _whole(parsed.get(name)))]
    made = max(named) if named else default
    for name in ("n", "best_of"):
        made *= min(max(_whole(parsed.get(name)), 1), _CHOICES)
    prompts = parsed.get("prompt")
    if isinstance(prompts, list) and prompts and not isinstance(prompts[0], int):
        made *= len(prompts)  # completions answer each prompt
    return min(made, MOST)


def _whole(value: object) -> int:
    """A count, also as lenient servers read it: `"64"`, `64.0`. 0 for what is none."""
    if type(value) is int:
        return max(value, 0)
    if type(value) is float and 0 < value < MOST:
        return math.ceil(value)
    if isinstance(value, str) and len(value) <= 20:
        try:
            return _whole(float(value))
        except ValueError:
            return 0
    return 0


def _given(parsed: Mapping[str, Any]) -> int:
    """Bytes of all text and of all that encloses it; data under a key of media counts as one medium."""
    given = 0
    left: list[object] = [parsed]
    while left:  # not by recursion: a body may be nested deeper than Python's stack
        value = left.pop()
        if isinstance(value, dict):
            given += MEDIA_TOKENS if value.get("type") in _MEDIA_TYPES else 8
            for key, inner in value.items():
                given += _bytes(key)
                if key in _MEDIA_KEYS and isinstance(inner, str) and _is_data(inner):
                    given += MEDIA_TOKENS
                else:
                    left.append(inner)
        elif isinstance(value, list):
            given += 2 + len(value)
            left += value
        elif isinstance(value, str):
            given += 2 + _bytes(value)
        else:
            given += len(str(value))
    return given


def _is_data(text: str) -> bool:
    """Whether it is media in letters, and no words: elsewhere it is read as the text that it is."""
    return text.startswith("data:") or (len(text) > 4096 and text.isascii() and " " not in text[:1024])


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
