"""Kinds of providers: where each dialect is spoken, with which headers, and whose id a request has."""

from __future__ import annotations

import pytest

from gateway.model.conversation import Dialect
from gateway.providers.kinds import ANTHROPIC, BEDROCK, KINDS, VERTEX, Headers, Kind

SETTINGS = {"project": "p", "location": "us-east5", "region": "eu-west-1", "api_version": "2024-10-21"}
VERTEX_AT = "/v1/projects/p/locations/us-east5"


@pytest.mark.parametrize(
    ("kind", "dialect", "model", "unary", "stream"),
    [
        ("openai", "chat", "gpt-5", "/chat/completions", None),
        ("openai", "responses", "gpt-5", "/responses", None),
        ("openai-compatible", "chat", "any", "/chat/completions", None),
        ("azure", "chat", "blue", "/openai/v1/chat/completions", None),
        ("azure", "responses", "blue", "/openai/v1/responses", None),
        ("azure", "messages", "claude-blue", "/anthropic/v1/messages", None),
        (
            "azure-deployments",
            "chat",
            "my blue/1",
            "/openai/deployments/my%20blue%2F1/chat/completions?api-version=2024-10-21",
            None,
        ),
        ("azure-deployments", "responses", "blue", "/openai/responses?api-version=2024-10-21", None),
        ("anthropic", "messages", "claude-x", "/v1/messages", None),
        (
            "gemini",
            "gemini",
            "gemini-x",
            "/v1beta/models/gemini-x:generateContent",
            "/v1beta/models/gemini-x:streamGenerateContent?alt=sse",
        ),
        (
            "vertex",
            "gemini",
            "gemini-x",
            VERTEX_AT + "/publishers/google/models/gemini-x:generateContent",
            VERTEX_AT + "/publishers/google/models/gemini-x:streamGenerateContent?alt=sse",
        ),
        (
            "vertex",
            "messages",
            "claude-x@20250514",
            VERTEX_AT + "/publishers/anthropic/models/claude-x@20250514:rawPredict",
            VERTEX_AT + "/publishers/anthropic/models/claude-x@20250514:streamRawPredict",
        ),
        ("vertex", "chat", "meta/llama", VERTEX_AT + "/endpoints/openapi/chat/completions", None),
        (
            "bedrock",
            "converse",
            "anthropic.claude-3-haiku-20240307-v1:0",
            "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse",
            "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse-stream",
        ),
        (
            "bedrock",
            "converse",
            "arn:aws:bedrock:eu-west-1:1:inference-profile/x",
            "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Fx/converse",
            "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Fx/converse-stream",
        ),
    ],
)
def test_where_a_dialect_is_spoken(kind: str, dialect: Dialect, model: str, unary: str, stream: str | None) -> None:
    found = KINDS[kind]
    assert found.target(dialect, model, stream=False, **SETTINGS) == unary
    assert found.target(dialect, model, stream=True, **SETTINGS) == (stream or unary)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_kind_is_whole(kind: Kind) -> None:
    assert KINDS[kind.name] is kind and kind.source.startswith("https://")
    assert kind.models[-1][0] == ""
    for _, dialects in kind.models:
        assert dialects and set(dialects) <= kind.speaks.keys()
    for dialect in kind.speaks:
        for stream in (False, True):
            assert kind.target(dialect, "m", stream=stream, **SETTINGS).startswith("/")
        assert dialect in {one for _, dialects in kind.models for one in dialects}
    for name in kind.others:
        assert kind.other(name, model="m", endpoint="/embeddings", **SETTINGS).startswith("/")
    base = kind.base(**SETTINGS)
    assert not base or (base.startswith("https://") and not base.endswith("/") and "{" not in base)


def test_what_is_no_model_cannot_leave_its_place() -> None:
    assert VERTEX.target("gemini", "../../x?y#z", stream=False, **SETTINGS) == (
        VERTEX_AT + "/publishers/google/models/..%2F..%2Fx%3Fy%23z:generateContent"
    )


def test_a_setting_that_is_missing_is_named() -> None:
    with pytest.raises(KeyError, match="project"):
        VERTEX.target("gemini", "m", stream=False, location="global")
    with pytest.raises(KeyError, match="region"):
        BEDROCK.base()
    with pytest.raises(KeyError, match="chat"):
        ANTHROPIC.target("chat", "m", stream=False)


@pytest.mark.parametrize(
    ("kind", "place", "base"),
    [
        ("vertex", "us-east5", "https://us-east5-aiplatform.googleapis.com"),
        ("vertex", "global", "https://aiplatform.googleapis.com"),
        ("vertex", "us", "https://aiplatform.us.rep.googleapis.com"),
        ("vertex", "eu", "https://aiplatform.eu.rep.googleapis.com"),
        ("bedrock", "us-gov-west-1", "https://bedrock-runtime.us-gov-west-1.amazonaws.com"),
        ("bedrock", "cn-north-1", "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"),
        ("azure", "", ""),
    ],
)
def test_where_the_api_is(kind: str, place: str, base: str) -> None:
    name = "region" if kind == "bedrock" else "location"
    assert KINDS[kind].base(**{name: place}) == base


@pytest.mark.parametrize(
    ("kind", "model", "dialects"),
    [
        ("openai", "gpt-5", ("responses", "chat")),
        ("openai-compatible", "any", ("chat",)),
        ("azure", "claude-opus", ("messages",)),
        ("azure", "gpt-5", ("responses", "chat")),
        ("vertex", "claude-opus@1", ("messages",)),
        ("vertex", "gemini-3-pro", ("gemini",)),
        ("vertex", "meta/llama-4", ("chat",)),
        ("bedrock", "anthropic.claude-x", ("converse",)),
    ],
)
def test_in_which_dialects_a_model_can_be_asked(kind: str, model: str, dialects: tuple[Dialect, ...]) -> None:
    assert KINDS[kind].dialects(model) == dialects


@pytest.mark.parametrize(
    ("kind", "dialect", "headers"),
    [
        ("openai", "chat", [(b"authorization", b"Bearer k")]),
        ("azure", "chat", [(b"api-key", b"k")]),
        ("azure", "messages", [(b"anthropic-version", b"2023-06-01"), (b"x-api-key", b"k")]),
        ("anthropic", "messages", [(b"anthropic-version", b"2023-06-01"), (b"x-api-key", b"k")]),
        ("gemini", "gemini", [(b"x-goog-api-key", b"k")]),
        ("vertex", "messages", [(b"authorization", b"Bearer k")]),
        ("bedrock", "converse", [(b"authorization", b"Bearer k")]),
    ],
)
def test_how_a_key_is_sent(kind: str, dialect: Dialect, headers: Headers) -> None:
    assert KINDS[kind].headers(dialect, "k") == headers
    assert KINDS[kind].headers(dialect) == headers[:-1]


def test_claude_on_vertex_is_asked_without_a_model_in_the_body() -> None:
    spoken = VERTEX.speaks["messages"]
    assert spoken.without == ("model",) and spoken.body == {"anthropic_version": "vertex-2023-10-16"}


@pytest.mark.parametrize(
    ("kind", "headers", "id_"),
    [
        ("openai", [(b"x-request-id", b"req_1")], "req_1"),
        ("azure", [(b"x-request-id", b"b"), (b"apim-request-id", b"a")], "a"),
        ("anthropic", [(b"request-id", b"req_1"), (b"request-id", b"req_2")], "req_1"),
        ("bedrock", [(b"x-amzn-requestid", b"1-2")], "1-2"),
        ("gemini", [(b"x-request-id", b"1")], ""),
        ("openai", [], ""),
    ],
)
def test_whose_id_a_request_has(kind: str, headers: Headers, id_: str) -> None:
    assert KINDS[kind].request_id(headers) == id_
