"""AWS's own package agrees: its model takes what is written and writes the same, its parsers read what is decoded."""

from __future__ import annotations

import base64
import importlib
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import eventstream
from gateway.dialects.base import Unsupported
from gateway.dialects.converse import DIALECT
from gateway.errors import BrokenReply
from gateway.model.completion import fold
from gateway.model.conversation import Conversation
from gateway.model.events import Failed
from gateway.providers.kinds import BEDROCK
from tests.dialects.test_converse_reply import BEGIN, BODY, STREAM, WHOLE, decode, decode_unary, failure
from tests.dialects.test_converse_request import CLAUDE, whole
from tests.dialects.test_messages_request import conversations

pytest.importorskip("botocore")
loaders = importlib.import_module("botocore.loaders")
models = importlib.import_module("botocore.model")
parsers = importlib.import_module("botocore.parsers")
serialize = importlib.import_module("botocore.serialize")
streams = importlib.import_module("botocore.eventstream")
exceptions = importlib.import_module("botocore.exceptions")
validate = importlib.import_module("botocore.validate")

SERVICE = models.ServiceModel(loaders.Loader().load_service_model("bedrock-runtime", "service-2"))
CONVERSE = SERVICE.operation_model("Converse")
STREAMED = SERVICE.operation_model("ConverseStream")


def params(said: Any, shape: Any) -> Any:
    """What a caller of the package would pass for `said`: blobs as bytes. Members that the shape lacks are errors."""
    match shape.type_name:
        case "structure" if getattr(shape, "is_document_type", False):
            return said
        case "structure":
            assert said.keys() <= shape.members.keys(), (shape.name, said.keys() - shape.members.keys())
            return {name: params(value, shape.members[name]) for name, value in said.items()}
        case "list":
            return [params(one, shape.member) for one in said]
        case "map":
            return {name: params(value, shape.value) for name, value in said.items()}
        case "blob":
            return base64.b64decode(said, validate=True)
        case "string":
            assert not getattr(shape, "enum", ()) or said in shape.enum, (shape.name, said)
    return said


def check(body: bytes, model: str = CLAUDE) -> None:
    """The package takes `body`, and writes the same of it."""
    given_ = params(orjson.loads(body), CONVERSE.input_shape) | {"modelId": model}
    report = validate.ParamValidator().validate(given_, CONVERSE.input_shape)
    assert not report.has_errors(), report.generate_report()
    written = serialize.create_serializer("rest-json").serialize_to_request(given_, CONVERSE)
    assert orjson.loads(written["body"]) == orjson.loads(body)


def test_a_whole_request_is_what_the_package_would_write() -> None:
    check(DIALECT.write(whole(), CLAUDE, lenient=False).body)


@given(conversations(), st.sampled_from([CLAUDE, "us.amazon.nova-2-lite-v1:0", "meta.llama3-3-70b-instruct-v1:0"]))
def test_any_request_is_one_that_the_package_would_write(asked: Conversation, model: str) -> None:
    try:
        body = DIALECT.write(asked, model, lenient=True).body
    except Unsupported:
        return
    said = orjson.loads(body)
    if any(not is_base64(one) for one in blobs(said)):
        return  # what is no base64 cannot be passed to the package at all
    check(body, model)


def blobs(said: Any) -> Iterator[str]:
    if isinstance(said, dict):
        for name, value in said.items():
            if name in ("bytes", "redactedContent") and isinstance(value, str):
                yield value
            else:
                yield from blobs(value)
    elif isinstance(said, list):
        for one in said:
            yield from blobs(one)


def is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return True


# Replies


class Raw:
    """A response's body as the package's event stream reads it, in pieces of `size` bytes."""

    def __init__(self, data: bytes, size: int) -> None:
        self.pieces = [data[at : at + size] for at in range(0, len(data), size)]

    def stream(self) -> Iterator[bytes]:
        yield from self.pieces


def events_of(data: bytes, size: int = 100) -> list[dict[str, Any]]:
    shape = STREAMED.output_shape.members["stream"]
    stream = streams.EventStream(Raw(data, size), shape, parsers.EventStreamJSONParser(), "ConverseStream")
    return list(stream)


def test_a_whole_reply_says_to_the_package_what_it_says_here() -> None:
    response = {"status_code": 200, "headers": {}, "body": BODY}
    found = parsers.create_parser("rest-json").parse(response, CONVERSE.output_shape)
    content = found["output"]["message"]["content"]
    assert fold(decode_unary(BODY)) == WHOLE
    assert "".join(one.get("text", "") for one in content) == "Grüß dich 🙂Bye."
    assert [one["toolUse"]["input"] for one in content if "toolUse" in one] == [{"query": "sky"}, {"a": 1}, {}]
    assert next(one["image"]["source"]["bytes"] for one in content if "image" in one) == b"0123456789"
    assert found["usage"]["cacheDetails"][0] == {"ttl": "1h", "inputTokens": 200}
    assert found["serviceTier"] == {"type": "priority"}


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
def test_a_stream_says_to_the_package_what_it_says_here(size: int) -> None:
    found = events_of(STREAM, size)
    deltas = [one["contentBlockDelta"]["delta"] for one in found if "contentBlockDelta" in one]
    (choice,) = fold(decode(STREAM)).choices
    assert "".join(one.get("text", "") for one in deltas) == choice.text
    assert "".join(one["reasoningContent"].get("text", "") for one in deltas if "reasoningContent" in one) == "Hm. So."
    assert [one["reasoningContent"]["redactedContent"] for one in deltas if "redactedContent" in str(one)] == [
        b"r",
        b"ed",
    ]
    assert "".join(one["toolUse"]["input"] for one in deltas if "toolUse" in one) == '{"query":"sky"}{"a":1}'
    assert [one["metadata"]["usage"]["inputTokens"] for one in found if "metadata" in one] == [10]
    assert len(found) == len(eventstream.Splitter().feed(STREAM))


@pytest.mark.parametrize("kind", ["throttlingException", "modelStreamErrorException", "validationException"])
def test_an_exception_is_one_to_the_package_too(kind: str) -> None:
    data = BEGIN + failure(kind, b'{"message":"Sorry"}')
    with pytest.raises(exceptions.EventStreamError, match="Sorry"):
        events_of(data)
    assert isinstance(decode(data)[-1], Failed)


@given(st.lists(st.binary(max_size=40), max_size=4), st.integers(1, 60), st.integers(0, 400))
def test_streams_are_cut_into_the_same_messages_and_damage_is_noticed_alike(
    payloads: list[bytes], size: int, at: int
) -> None:
    data = bytearray(b"".join(eventstream.encode({"n": len(one), "é": one}, one) for one in payloads))
    if at < len(data):
        data[at] ^= 0x40
    buffer, splitter = streams.EventStreamBuffer(), eventstream.Splitter()
    theirs: list[tuple[dict[str, Any], bytes]] = []
    ours: list[tuple[dict[str, Any], bytes]] = []
    broken = [False, False]
    for start in range(0, len(data), size):
        piece = bytes(data[start : start + size])
        if not broken[0]:
            try:
                buffer.add_data(piece)
                theirs += [(one.headers, one.payload) for one in buffer]
            except (streams.ParserError, RuntimeError):
                broken[0] = True
        if not broken[1]:
            try:
                ours += [(dict(one.headers), one.payload) for one in splitter.feed(piece)]
            except BrokenReply:
                broken[1] = True
    try:
        splitter.close()
    except BrokenReply:
        broken[1] = True
    if at < len(data):
        assert broken[1] and ours[: len(theirs)] == theirs
    else:
        assert broken == [False, False] and ours == theirs == [({"n": len(one), "é": one}, one) for one in payloads]


@pytest.mark.parametrize(
    "model",
    [CLAUDE, "anthropic.claude-3-haiku-20240307-v1:0", "arn:aws:bedrock:us-east-1:1:inference-profile/a.b-v1:0"],
)
def test_paths_are_those_that_the_package_would_ask(model: str) -> None:
    for stream, operation in ((False, CONVERSE), (True, STREAMED)):
        written = serialize.create_serializer("rest-json").serialize_to_request({"modelId": model}, operation)
        assert BEDROCK.target("converse", model, stream=stream) == written["url_path"]
