"""The bound of a request: never less than its tokens, whatever it says, and no more for media than media take."""

from __future__ import annotations

import base64
import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.pricing.bound import (
    DEFAULT_OUTPUT,
    IMAGE_TOKENS,
    MEDIA_TOKENS,
    MOST,
    NOTHING,
    SPEECH_TOKENS,
    Bound,
    bound,
    units_of,
)
from gateway.pricing.meters import MEDIA
from gateway.pricing.tokens import count_request, count_text

ENCODINGS = ("gpt-4", "gpt-4o")
"""A model of cl100k_base and one of o200k_base."""
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ODD = st.sampled_from(
    ["\x00", "\u200d", "🏳️‍🌈", "ﷺ", "‮", "𒐫", "<|endoftext|>", "\n\n\n", "data:", "            ", "ᚠ" * 50]
)
WORDS = TEXT | ODD | st.builds(lambda text, times: text * times, TEXT, st.integers(1, 40))
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
TOOLS = st.recursive(
    WORDS | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


def of(parsed: dict[str, Any], *, answers: bool = True, **more: Any) -> Bound:
    return bound(orjson.dumps(parsed), parsed, answers=answers, **more)


def chat(*contents: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": content} for content in contents], **more}


# --- text


@pytest.mark.parametrize("model", ENCODINGS)
@pytest.mark.parametrize("is_ascii", [True, False])
@given(texts=st.lists(WORDS, min_size=1, max_size=6), tools=TOOLS, with_media=st.booleans())
@settings(max_examples=60, deadline=None)
def test_it_is_never_less_than_the_tokens_of_a_chat(
    model: str, is_ascii: bool, texts: list[str], tools: Any, with_media: bool
) -> None:
    parsed = chat(*texts, *[[IMAGE, {"type": "text", "text": text}] for text in texts if with_media], tools=[tools])
    body = json.dumps(parsed, ensure_ascii=is_ascii, separators=(",", ":")).encode()
    found = bound(body, parsed, answers=True)
    assert found.input_tokens >= count_request(model, parsed)
    # what is not joined, and the schemas that a provider writes out for the model, names and numbers included
    apart = sum(count_text(model, text) + 4 for text in texts) + 3 + count_text(model, _written(tools))
    assert found.input_tokens >= apart


def _written(tools: Any) -> str:
    """As dense as a schema can be written: keys and values, without quotes."""
    if isinstance(tools, dict):
        return " ".join(f"{key} {_written(value)}" for key, value in tools.items())
    if isinstance(tools, list):
        return " ".join(map(_written, tools))
    return tools if isinstance(tools, str) else json.dumps(tools)


@pytest.mark.parametrize("model", ENCODINGS)
@given(prompt=st.lists(WORDS, min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_it_is_never_less_than_the_tokens_of_any_other_text(model: str, prompt: list[str]) -> None:
    for name in ("prompt", "input", "documents"):
        parsed = {"model": "m", name: prompt}
        assert of(parsed).input_tokens >= count_request(model, parsed)
        assert of(parsed).input_tokens >= sum(count_text(model, text) for text in prompt)


@pytest.mark.parametrize("with_mark", [False, True])
@given(ids=st.lists(st.lists(st.integers(0, 9), max_size=9), min_size=1, max_size=9))
@settings(max_examples=40, deadline=None)
def test_token_ids_count_one_each(with_mark: bool, ids: list[list[int]]) -> None:
    more = {"user": "base64"} if with_mark else {}
    assert of({"model": "m", "input": ids, **more}).input_tokens >= sum(map(len, ids))
    assert of({"model": "m", "input": ids[0], **more}).input_tokens >= len(ids[0])
    assert of({"model": "m", "prompt": ids, **more}).input_tokens >= sum(map(len, ids))


LONG = {
    "no space in it": "x1" * 50_000,
    "another script": "言語" * 5_000,
    "as if it were data": "data: " + "a few words " * 5_000,
    "base64 in words": base64.b64encode(bytes(range(256)) * 100).decode(),
}


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("place", ["beside an image", "a part", "a key", "arguments", "deep"])
def test_text_beside_media_counts_in_full(name: str, place: str) -> None:
    text = LONG[name]
    deep: Any = text
    for _ in range(100):
        deep = {"properties": deep}
    parsed = {
        "beside an image": chat([IMAGE], text),
        "a part": chat([IMAGE, {"type": "text", "text": text}]),
        "a key": chat([IMAGE], tools=[{"parameters": {"properties": {text: {"type": "string"}}}}]),
        "arguments": chat([IMAGE], tools=[{"function": {"arguments": text}}]),
        "deep": chat([IMAGE], tools=[deep]),
    }[place]
    assert of(parsed).input_tokens >= max(count_text(model, text) for model in ENCODINGS)


def test_without_media_meters_of_media_are_ruled_out() -> None:
    plain, seen = of(chat("hello")), of(chat([IMAGE]))
    assert set(plain.without) == MEDIA | {"cache_write_1h"} and set(seen.without) == {"cache_write_1h"}
    assert plain.input_tokens == len(orjson.dumps(chat("hello")))


# --- media

DATA = base64.b64encode(bytes(3_000_000)).decode()


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
        {"type": "input_image", "image_url": f"data:image/png;base64,{DATA}"},
        {"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{DATA}"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}},
    ],
    ids=lambda part: part["type"],
)
def test_media_count_by_their_number_and_not_by_their_bytes(part: dict[str, Any]) -> None:
    once, twice = of(chat([part])).input_tokens, of(chat([part, part])).input_tokens
    assert MEDIA_TOKENS <= once < 3 * MEDIA_TOKENS and MEDIA_TOKENS <= twice - once < 3 * MEDIA_TOKENS


def test_an_image_that_is_elsewhere_counts_too() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    assert of(chat([part, part])).input_tokens > 2 * MEDIA_TOKENS


# --- answers


@pytest.mark.parametrize(
    ("sent", "output"),
    [
        ({}, DEFAULT_OUTPUT),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 7}, 7),
        ({"max_completion_tokens": 7, "max_tokens": 9}, 9),
        ({"max_completion_tokens": None, "max_tokens": 9}, 9),
        ({"max_output_tokens": 1}, DEFAULT_OUTPUT),
        ({"max_tokens": 7, "n": 3}, 21),
        ({"max_tokens": 7, "n": 3, "best_of": 2}, 42),
        ({"max_tokens": 7, "n": 1000}, 7000),
        ({"max_tokens": 7, "prompt": ["a", "b"]}, 14),
        ({"max_tokens": 7, "prompt": [[1, 2], [3]], "n": 2}, 28),
        ({"max_tokens": 7, "prompt": [1, 2, 3]}, 7),
        ({"max_tokens": 7, "prompt": []}, 7),
        ({"max_tokens": 7, "prompt": "abc"}, 7),
        ({"max_tokens": 10**18}, MOST),
        ({"max_tokens": 2**64 - 1, "n": 2**64 - 1, "best_of": 2**64 - 1}, MOST),
    ],
)
def test_an_answer_is_bounded_by_all_that_was_asked_for(sent: dict[str, Any], output: int) -> None:
    assert of(sent).output_tokens == output
    assert of(sent).tokens == output + of(sent).input_tokens


def test_the_model_s_own_most_is_meant_where_none_is_named() -> None:
    assert of({}, max_output=500).output_tokens == 500
    assert of({"max_tokens": 700}, max_output=500).output_tokens == 700


def test_what_writes_nothing_has_no_output() -> None:
    assert of({"input": "x", "max_tokens": 9}, answers=False).output_tokens == 0
    assert NOTHING.tokens == 0


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "max_tokens",
                "max_completion_tokens",
                "n",
                "best_of",
                "prompt",
                "input",
                "messages",
                "tools",
                "type",
                "url",
            ]
        ),
        ANYTHING,
    ),
    st.sampled_from(["", "input_audio", "base64"]),
)
@settings(deadline=None)
def test_it_takes_whatever_is_sent(parsed: dict[str, Any], mark: str) -> None:
    found = of({**parsed, "user": mark})
    assert found.input_tokens > 0 and 0 < found.output_tokens <= MOST
    for path in ("/v1/images/generations", "/v1/audio/speech", "/v1/rerank", "/v1/chat/completions"):
        units = units_of(path, parsed)
        assert all(type(count) is int and count >= 0 for count in units.values())
        assert of(parsed, units=units).output_tokens >= 0


def test_nesting_is_no_way_to_hide_or_to_break_it() -> None:
    body = b'{"input_audio":' + b'{"a":' * 900 + b'"' + b"x " * 5000 + b'"' + b"}" * 901
    found = bound(body, orjson.loads(body), answers=True)
    assert found.input_tokens >= 10_000


# --- what is not tokens


@pytest.mark.parametrize(
    ("path", "sent", "units"),
    [
        ("/v1/images/generations", {}, {"images": 1}),
        ("/v1/images/generations", {"n": 4}, {"images": 4}),
        ("/v1/images/generations", {"n": 0}, {"images": 1}),
        ("/v1/images/generations", {"n": True}, {"images": 1}),
        ("/v1/images/generations", {"n": "4"}, {"images": 4}),
        ("/v1/images/generations", {"n": 1000}, {"images": 1000}),
        ("/v1/audio/speech", {"input": "Grüße"}, {"input_characters": 5}),
        ("/v1/audio/speech", {"input": ["a"]}, {}),
        ("/v1/audio/speech", {}, {}),
        ("/v1/rerank", {}, {"rerank_searches": 1}),
        ("/v1/chat/completions", {"n": 4}, {}),
        ("/v1/embeddings", {"input": "x"}, {}),
    ],
)
def test_units_are_those_that_were_asked_for(path: str, sent: dict[str, Any], units: dict[str, int]) -> None:
    assert dict(units_of(path, sent)) == units


def test_images_and_speech_are_bounded_in_tokens_too() -> None:
    images = of({"prompt": "x"}, answers=False, units={"images": 2})
    assert (images.output_tokens, dict(images.units)) == (2 * IMAGE_TOKENS, {"images": 2})
    assert of({"input": "x"}, answers=False, units={"input_characters": 9}).output_tokens == 9 * SPEECH_TOKENS
