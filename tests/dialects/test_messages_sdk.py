"""Anthropic's own package agrees: its types take what is written, its client reads what is answered."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from gateway.dialects.base import Head
from gateway.dialects.messages import DIALECT, Messages, Model, count_body
from gateway.errors import BrokenReply, Forbidden, GatewayError, InvalidRequest, NotFound, TooLarge, Unauthenticated
from gateway.model.completion import Completion, unfold
from gateway.model.conversation import Conversation, Media, Message, Text, Thinking
from gateway.model.events import (
    CitationDelta,
    Event,
    PartDelta,
    ReasoningDelta,
    Start,
    Stop,
    TextDelta,
    ToolDelta,
    UsageReport,
)
from gateway.model.usage import Usage
from tests.dialects.test_messages_reply import CITED, SEARCH, WHOLE, answers
from tests.dialects.test_messages_request import conversations

anthropic = pytest.importorskip("anthropic")
pydantic = pytest.importorskip("pydantic")

HEAD = Head("req_1", "claude-x", 0)
NEW_API = int(anthropic.__version__.split(".")[0]) >= 2
"""Since 2.0 the package speaks API version 2026-10-21, which has no sampling parameters."""


# Requests


@pytest.fixture(scope="module")
def check() -> Callable[[bytes], None]:
    """Validates a body by the package's types, strictly: members that they do not have are errors."""
    types = importlib.import_module("anthropic.types")
    params = importlib.import_module("anthropic.types.message_create_params")
    for name, module in list(sys.modules.items()):
        if name.startswith("anthropic.types."):
            for found in list(vars(module).values()):
                if hasattr(found, "__total__") and not hasattr(found, "__pydantic_config__"):
                    found.__pydantic_config__ = {"extra": "forbid"}
    adapters = {
        stream: pydantic.TypeAdapter(kind)
        for stream, kind in (
            (False, params.MessageCreateParamsNonStreaming),
            (True, params.MessageCreateParamsStreaming),
        )
    }

    # a message may also hold blocks of an answer, which allow anything
    block = pydantic.TypeAdapter(types.content_block_param.ContentBlockParam)

    def validate(body: bytes) -> None:
        said = json.loads(body)
        if NEW_API:
            for name in ("temperature", "top_p", "top_k"):
                said.pop(name, None)
        _consume(adapters[said.get("stream", False)].validate_python(said))
        for message in said["messages"]:
            if isinstance(message["content"], list):
                for one in message["content"]:
                    _consume(block.validate_python(one))

    return validate


def _consume(value: Any) -> None:
    """Iterables are validated as they are read."""
    if isinstance(value, Mapping):
        for inner in value.values():
            _consume(inner)
    elif not isinstance(value, str | int | float | bool | type(None)):
        for inner in value:
            _consume(inner)


def test_the_check_finds_faults(check: Callable[[bytes], None]) -> None:
    good = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}
    check(json.dumps(good).encode())
    for bad in (
        {**good, "n": 1},
        {**good, "max_tokens": "x"},
        {**good, "messages": [{"role": "tool", "content": "a"}]},
        {**good, "messages": [{"role": "user", "content": [{"type": "text", "texts": "a"}]}]},
        {**good, "messages": [{"role": "user", "content": [{"type": "text", "text": "a", "x": 1}]}]},
    ):
        with pytest.raises(pydantic.ValidationError):
            check(json.dumps(bad).encode())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(conversations())
def test_its_types_take_what_is_written(check: Callable[[bytes], None], asked: Conversation) -> None:
    check(DIALECT.write(asked, "claude-x", lenient=False).body)


@pytest.mark.parametrize(
    "thinking",
    [Thinking("high"), Thinking("max", show=True), Thinking(budget=2048), Thinking("none"), Thinking("low", -1)],
)
@pytest.mark.parametrize("adaptive", [True, False])
def test_its_types_take_every_way_to_think(
    check: Callable[[bytes], None], thinking: Thinking, *, adaptive: bool
) -> None:
    asked = Conversation(
        source="chat", model="m", messages=(Message("user", (Text("a"),)),), thinking=thinking, stream=True
    )
    check(Messages(Model(adaptive=adaptive)).write(asked, "claude-x", lenient=False).body)


# A server that says what it is told, and remembers what it was asked


class Server:
    """`says` the status, the type and the body of every reply."""

    def __init__(self) -> None:
        self.says = (200, "application/json", b"{}")
        self.asked: list[dict[str, Any]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                status, media_type, body = server.says
                self.send_response(status)
                self.send_header("content-type", media_type)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    thread = Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.http.shutdown()
    made.http.server_close()
    thread.join()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Any]:
    with anthropic.Anthropic(api_key="x", base_url=server.url, max_retries=0) as made:
        yield made


ASK: dict[str, Any] = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


def streamed(server: Server, client: Any, events: Sequence[Event]) -> Any:
    encoder = DIALECT.stream_encoder(HEAD)
    server.says = (200, "text/event-stream", encoder.feed(events) + encoder.close())
    with client.messages.stream(**ASK) as stream:
        return stream.get_final_message()


def unary(server: Server, client: Any, events: Sequence[Event]) -> Any:
    server.says = (200, "application/json", DIALECT.unary(HEAD, events))
    return client.messages.create(**ASK)


def said(message: Any) -> dict[str, Any]:
    """All that a message says, checked by its own type; what a stream never says of usage is left out."""
    found = message.to_dict()
    type(message).model_validate(found)
    found["content"] = [
        {name: value for name, value in block.items() if value is not None} for block in found["content"]
    ]
    assert isinstance(found, dict)
    return found


EVERYTHING: list[Event] = [
    Start("x", usage=Usage(1310, 1, 1000, 300, cache_write_1h_tokens=200)),
    ReasoningDelta("Hm. "),
    ReasoningDelta("So.", signature="c2ln"),
    ReasoningDelta("", redacted="cmVk"),
    TextDelta("Grüß"),
    TextDelta(" dich 🙂"),
    CitationDelta(WHOLE.choices[0].parts[5].citations[0]),  # type: ignore[union-attr]
    PartDelta(WHOLE.choices[0].parts[3]),
    TextDelta("Found."),
    ToolDelta(0, "", "f", "call_1"),
    ToolDelta(0, '{"a":'),
    ToolDelta(0, "1}"),
    ToolDelta(1, "{}", "g", "call_2"),
    Stop("tool_calls"),
    UsageReport(Usage(1310, 50, 1000, 300, 20, cache_write_1h_tokens=200)),
]


def test_its_client_reads_a_stream_and_a_message_alike(server: Server, client: Any) -> None:
    found = said(streamed(server, client, EVERYTHING))
    assert found == said(unary(server, client, EVERYTHING))
    assert found == {
        "id": "msg_req_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [
            {"type": "thinking", "thinking": "Hm. So.", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "cmVk"},
            {"type": "text", "text": "Grüß dich 🙂", "citations": [CITED]},
            SEARCH,
            {"type": "text", "text": "Found."},
            {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
            {"type": "tool_use", "id": "call_2", "name": "g", "input": {}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 300,
            "cache_read_input_tokens": 1000,
            "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
            "output_tokens": 50,
            "output_tokens_details": {"thinking_tokens": 20},
        },
    }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(answers)
def test_its_client_reads_any_answer_alike(server: Server, client: Any, whole: Completion) -> None:
    events = list(unfold(whole))
    assert said(streamed(server, client, events)) == said(unary(server, client, events))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequest("No."), "BadRequestError"),
        (Unauthenticated("No."), "AuthenticationError"),
        (Forbidden("No."), "PermissionDeniedError"),
        (NotFound("No."), "NotFoundError"),
        (TooLarge("No."), "APIStatusError"),
        (BrokenReply("No."), "InternalServerError"),
    ],
)
def test_its_client_raises_errors_by_status(server: Server, client: Any, error: GatewayError, kind: str) -> None:
    server.says = (error.status, "application/json", DIALECT.error_body(error, "req_1"))
    with pytest.raises(getattr(anthropic, kind), match=r"No\.") as raised:
        client.messages.create(**ASK)
    assert raised.value.body["error"]["message"] == "No." and raised.value.body["request_id"] == "req_1"


def test_its_client_raises_a_failure_inside_a_stream(server: Server, client: Any) -> None:
    encoder = DIALECT.stream_encoder(HEAD)
    out = encoder.feed([Start("x"), TextDelta("Half")]) + encoder.fail(BrokenReply("Reset.")) + encoder.close()
    server.says = (200, "text/event-stream", out)
    with pytest.raises(anthropic.APIStatusError, match=r"Reset\."), client.messages.stream(**ASK) as stream:
        for _ in stream.text_stream:
            pass


def test_its_client_reads_a_count(server: Server, client: Any) -> None:
    server.says = (200, "application/json", count_body(2095))
    found = client.messages.count_tokens(model="claude-x", system="Be kind.", messages=ASK["messages"])
    assert found.input_tokens == 2095
    asked = DIALECT.read(server.asked[-1], "claude-x", stream=False)
    assert [message.role for message in asked.messages] == ["system", "user"] and asked.max_output is None


def test_what_its_client_asks_is_read_and_written_back(server: Server, client: Any) -> None:
    server.says = (200, "application/json", DIALECT.unary(HEAD, EVERYTHING))
    answer = client.messages.create(**ASK)
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aQ=="}}
    client.messages.create(
        model="claude-x",
        max_tokens=4096,
        system=[{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "Look"}, image]},
            {"role": "assistant", "content": answer.content},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": [image]}]},
        ],
        tools=[
            {"name": "f", "input_schema": {"type": "object", "properties": {}}, "strict": True},
            {"type": "web_search_20250305", "name": "web_search"},
        ],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        thinking={"type": "enabled", "budget_tokens": 2048},
        metadata={"user_id": "u"},
        stop_sequences=["END"],
    )
    asked = server.asked[-1]
    read = DIALECT.read(asked, "claude-x", stream=False)
    assert not read.rest and Media("image", data="aQ==", media_type="image/png") in read.messages[1].parts
    assert json.loads(DIALECT.write(read, "claude-x", lenient=False).body) == asked
