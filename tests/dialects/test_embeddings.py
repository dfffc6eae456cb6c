"""Embeddings: OpenAI's API in Gemini's words and the other way round."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import embeddings
from gateway.dialects.base import Unsupported
from gateway.dialects.embeddings import Asked, Vectors
from gateway.errors import BrokenReply, InvalidRequest
from gateway.model.usage import Usage
from tests.dialects.published import Check, openai_check


@pytest.fixture(scope="module")
def check(data_set: Callable[[str], Path]) -> Check:
    return openai_check(data_set("specs/openai.yaml.gz"))


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({"input": "a"}, Asked(source="openai", inputs=("a",))),
        ({"input": ["a", "b"]}, Asked(source="openai", inputs=("a", "b"), batch=True)),
        ({"input": [1, 2]}, Asked(source="openai", inputs=((1, 2),), batch=True)),
        ({"input": [[1], [2, 3]]}, Asked(source="openai", inputs=((1,), (2, 3)), batch=True)),
        (
            {"input": "a", "dimensions": 3, "encoding_format": "base64", "user": "u"},
            Asked(source="openai", inputs=("a",), dimensions=3, coding="base64", rest={"user": "u"}),
        ),
    ],
)
def test_an_openai_request_is_read(given: Any, asked: Asked) -> None:
    assert embeddings.read_openai({"model": "m", **given}) == asked


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({}, "input[0]"),
        ({"input": []}, "input"),
        ({"input": ["a", 1]}, "input[1]"),
        ({"input": [[]]}, "input[0]"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "dimensions": True}, "dimensions"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_what_is_wrong_with_an_openai_request_is_named(given: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        embeddings.read_openai(given)
    assert raised.value.param == param


def content(*texts: str) -> Any:
    return {"parts": [{"text": text} for text in texts]}


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({"content": content("a", "b")}, Asked(source="gemini", inputs=("a\nb",))),
        ({"content": {"parts": {"text": "a"}}}, Asked(source="gemini", inputs=("a",))),
        (
            {"content": content("a"), "outputDimensionality": 3, "taskType": "CLUSTERING"},
            Asked(source="gemini", inputs=("a",), dimensions=3, rest={"taskType": "CLUSTERING"}),
        ),
        (
            {"content": content("a"), "embedContentConfig": {"outputDimensionality": 3, "title": "t"}},
            Asked(source="gemini", inputs=("a",), dimensions=3, rest={"title": "t"}),
        ),
        (
            {"requests": [{"model": "models/m", "content": content("a")}, {"content": content("b"), "title": "t"}]},
            Asked(source="gemini", inputs=("a", "b"), batch=True, rest={"requests[1].title": "t"}),
        ),
    ],
)
def test_a_gemini_request_is_read(given: Any, asked: Asked) -> None:
    assert embeddings.read_gemini(given) == asked


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({}, "content.parts"),
        ({"content": {"parts": []}}, "content.parts"),
        ({"content": {"parts": [{"inlineData": {}}]}}, "content.parts[0]"),
        ({"requests": []}, "requests"),
        ({"requests": [5]}, "requests[0]"),
        ({"requests": [{"content": content("a")}, {"content": {}}]}, "requests[1].content.parts"),
        ({"content": content("a"), "outputDimensionality": "x"}, "outputDimensionality"),
        ({"requests": [{"content": content("a")}, {"content": content("a"), "outputDimensionality": 5}]}, "requests"),
    ],
)
def test_what_is_wrong_with_a_gemini_request_is_named(given: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        embeddings.read_gemini(given)
    assert raised.value.param == param


def test_openai_asks_gemini() -> None:
    one = Asked(source="openai", inputs=("a",), dimensions=3)
    assert embeddings.gemini_method(one) == "embedContent"
    assert orjson.loads(embeddings.write_gemini(one, "g", lenient=False).body) == {
        "model": "models/g",
        "content": content("a"),
        "outputDimensionality": 3,
    }
    two = Asked(source="openai", inputs=("a", "b"), batch=True)
    assert embeddings.gemini_method(two) == "batchEmbedContents"
    assert orjson.loads(embeddings.write_gemini(two, "models/g", lenient=False).body) == {
        "requests": [{"model": "models/g", "content": content(text)} for text in "ab"]
    }


def test_what_gemini_cannot_be_asked() -> None:
    asked = Asked(source="openai", inputs=("a",), rest={"user": "u"})
    with pytest.raises(Unsupported) as raised:
        embeddings.write_gemini(asked, "g", lenient=False)
    assert raised.value.member == "user"
    assert embeddings.write_gemini(asked, "g", lenient=True).dropped == ("user",)
    with pytest.raises(InvalidRequest):
        embeddings.write_gemini(Asked(source="openai", inputs=((1, 2),)), "g", lenient=True)


def test_gemini_asks_openai(check: Check) -> None:
    asked = Asked(source="gemini", inputs=("a", "b"), dimensions=3, batch=True, rest={"requests[0].taskType": "X"})
    with pytest.raises(Unsupported):
        embeddings.write_openai(asked, "o", lenient=False)
    written = embeddings.write_openai(asked, "o", lenient=True)
    assert written.dropped == ("requests[0].taskType",)
    body = orjson.loads(written.body)
    check("CreateEmbeddingRequest", body)
    assert body == {"model": "o", "input": ["a", "b"], "dimensions": 3}


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        ({"promptTokenCount": 5}, Usage(5)),
        ({"promptTokenCount": 0}, Usage(0)),
        ({"totalTokenCount": 5}, Usage(5)),
        (
            {
                "promptTokenCount": 9,
                "promptTokenDetails": [
                    {"modality": "TEXT", "tokenCount": 2},
                    {"modality": "IMAGE", "tokenCount": 4},
                    {"modality": "AUDIO", "tokenCount": 3},
                ],
            },
            Usage(9, input_audio_tokens=3, input_image_tokens=4),
        ),
        ({}, None),
        (None, None),
    ],
)
def test_what_gemini_counted_is_read(usage: Any, read: Usage | None) -> None:
    body = orjson.dumps({"embedding": {"values": [1]}, "usageMetadata": usage})
    assert embeddings.decode_gemini(body) == Vectors(([1.0],), read)


@pytest.mark.parametrize(
    ("usage", "read"),
    [({"prompt_tokens": 5, "total_tokens": 5}, Usage(5)), ({"total_tokens": 6}, Usage(6)), (None, None)],
)
def test_what_openai_counted_is_read(usage: Any, read: Usage | None) -> None:
    packed = base64.b64encode(struct.pack("<2f", 0.5, -2)).decode()
    data = [{"index": 1, "embedding": packed}, {"index": 0, "embedding": [1, 2.5]}]
    body = orjson.dumps({"data": data, "model": "o", "usage": usage})
    assert embeddings.decode_openai(body) == Vectors(([1.0, 2.5], [0.5, -2.0]), read, "o")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"data":5}', b'{"data":[{"embedding":"!"}]}'])
def test_what_is_no_reply_is_broken(body: bytes) -> None:
    for decode in (embeddings.decode_openai, embeddings.decode_gemini):
        with pytest.raises(BrokenReply):
            decode(body)


vectors = st.lists(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=3), min_size=1, max_size=3).map(tuple)
found = st.builds(Vectors, vectors, st.builds(Usage, st.integers(0, 99)), st.just("o"))


@given(found, st.sampled_from(["float", "base64"]))
def test_what_openais_clients_get_says_all_of_it(check: Check, found: Vectors, coding: Any) -> None:
    asked = Asked(source="openai", inputs=("a",) * len(found.vectors), coding=coding)
    body = embeddings.encode_openai(asked, found, "o")
    assert embeddings.decode_openai(body) == found
    if coding == "float":
        check("CreateEmbeddingResponse", orjson.loads(body))


@given(found)
def test_what_geminis_clients_get_says_all_of_it(found: Vectors) -> None:
    asked = Asked(source="gemini", inputs=("a",) * len(found.vectors), batch=True)
    again = embeddings.decode_gemini(embeddings.encode_gemini(asked, found))
    assert (again.vectors, again.usage) == (found.vectors, found.usage)


def test_one_vector_is_not_a_batch() -> None:
    body = embeddings.encode_gemini(Asked(source="gemini", inputs=("a",)), Vectors(([1.0],)))
    assert orjson.loads(body) == {"embedding": {"values": [1.0]}}
