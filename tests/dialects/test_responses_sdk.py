"""OpenAI's own client agrees: it reads what is answered, raises what failed, and what it sends is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import openai
import orjson
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from openai.types.responses import Response

from gateway.dialects.base import Head
from gateway.dialects.responses import DIALECT
from gateway.errors import BrokenReply, Forbidden, GatewayError, InvalidRequest, NotFound, Unauthenticated
from gateway.model.completion import fold
from gateway.model.conversation import Media, Message, Opaque, Part, Reasoning, Text, ToolCall, ToolResult
from gateway.model.events import Event, RefusalDelta, Start, Stop, TextDelta, UsageReport
from gateway.model.usage import Usage
from tests.dialects.test_responses_replies import ANSWERS, EVENTS, HEAD, USAGE, encoded, told

ASK: dict[str, Any] = {"model": "m", "input": "Hi"}
STREAM = "text/event-stream"


class Server(ThreadingHTTPServer):
    """Answers each request with `says` (status, type, body) and keeps what was asked."""

    says: tuple[int, str, bytes] = (200, "application/json", b"{}")

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[Any] = []


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.server.asked.append(orjson.loads(self.rfile.read(int(self.headers["content-length"]))))
        status, kind, body = self.server.says
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="k", base_url=f"http://127.0.0.1:{server.server_port}/v1", max_retries=0) as client:
        yield client


def streamed(server: Server, client: openai.OpenAI, events: Sequence[Event]) -> Response:
    """The response as the client's helper adds it up."""
    server.says = (200, STREAM, encoded(events))
    with client.responses.stream(**ASK) as stream:
        for _ in stream:
            pass
        return stream.get_final_response()


def unary(server: Server, client: openai.OpenAI, events: Sequence[Event]) -> Response:
    server.says = (200, "application/json", DIALECT.unary(HEAD, events))
    found = client.responses.create(**ASK)
    assert isinstance(found, Response)
    return found


def said(response: Response) -> dict[str, Any]:
    """All that a response says, checked by its own type."""
    found = response.to_dict()
    Response.model_validate(found)
    for item in found["output"]:  # type: ignore[attr-defined]
        for part in item.get("content") or ():
            part.pop("parsed", None)
        item.pop("parsed_arguments", None)
    return found


def test_its_client_reads_a_stream_and_a_whole_response_alike(server: Server, client: openai.OpenAI) -> None:
    whole = unary(server, client, EVENTS)
    assert said(streamed(server, client, EVENTS)) == said(whole)
    assert whole.output_text == "Let me see.More."
    assert [item.type for item in whole.output] == [
        "reasoning",
        "reasoning",
        "message",
        "web_search_call",
        "function_call",
        "function_call",
        "image_generation_call",
    ]
    assert whole.usage is not None and whole.usage.total_tokens == 29
    assert whole.usage.output_tokens_details.reasoning_tokens == 5


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(ANSWERS)
def test_its_client_reads_any_answer_alike(server: Server, client: openai.OpenAI, parts: list[Part]) -> None:
    events = [*told(parts), Stop("stop"), UsageReport(USAGE)]
    assert said(streamed(server, client, events)) == said(unary(server, client, events))


def test_every_event_is_one_of_its_types(server: Server, client: openai.OpenAI) -> None:
    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(openai.types.responses.ResponseStreamEvent)
    server.says = (200, STREAM, encoded([*EVENTS[:-2], RefusalDelta("No."), *EVENTS[-2:]]))
    kinds = set()
    for event in client.responses.create(**ASK, stream=True):
        adapter.validate_python(event.to_dict())
        kinds.add(type(event))
    assert len(kinds) == 18


def test_its_helper_gives_text_as_it_comes(server: Server, client: openai.OpenAI) -> None:
    server.says = (200, STREAM, encoded([TextDelta("Grüß "), TextDelta("dich 🙂"), Stop("stop")]))
    with client.responses.stream(**ASK) as stream:
        found = [(event.delta, event.snapshot) for event in stream if event.type == "response.output_text.delta"]
    assert found == [("Grüß ", "Grüß "), ("dich 🙂", "Grüß dich 🙂")]


def test_its_helper_parses_structured_output(server: Server, client: openai.OpenAI) -> None:
    class City(pydantic.BaseModel):
        name: str

    server.says = (200, "application/json", DIALECT.unary(HEAD, [TextDelta('{"name":"Ulm"}'), Stop("stop")]))
    assert client.responses.parse(**ASK, text_format=City).output_parsed == City(name="Ulm")
    asked = DIALECT.read(server.asked[-1], "m", stream=False)
    assert asked.format is not None and asked.format.name == "City" and asked.format.strict is True


def test_an_answer_that_was_cut_is_incomplete(server: Server, client: openai.OpenAI) -> None:
    server.says = (200, STREAM, encoded([TextDelta("Hi"), Stop("length")]))
    last = list(client.responses.create(**ASK, stream=True))[-1]
    assert last.type == "response.incomplete" and last.response.incomplete_details is not None
    assert last.response.incomplete_details.reason == "max_output_tokens"


def test_its_client_raises_a_failure_inside_a_stream(server: Server, client: openai.OpenAI) -> None:
    encoder = DIALECT.stream_encoder(HEAD)
    out = encoder.feed([Start("x"), TextDelta("Half")]) + encoder.fail(BrokenReply("Reset.")) + encoder.close()
    server.says = (200, STREAM, out)
    kinds = []
    with pytest.raises(openai.APIError, match=r"Reset\."):
        for event in client.responses.create(**ASK, stream=True):
            kinds.append(event.type)
    assert kinds[-1] == "response.failed"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequest("No.", param="input"), openai.BadRequestError),
        (Unauthenticated("No."), openai.AuthenticationError),
        (Forbidden("No."), openai.PermissionDeniedError),
        (NotFound("No."), openai.NotFoundError),
        (BrokenReply("No."), openai.InternalServerError),
    ],
)
def test_its_client_raises_errors_by_status(
    server: Server, client: openai.OpenAI, error: GatewayError, kind: type[openai.APIStatusError]
) -> None:
    server.says = (error.status, "application/json", DIALECT.error_body(error))
    with pytest.raises(kind, match=r"No\.") as raised:
        client.responses.create(**ASK)
    assert (raised.value.code, raised.value.param, raised.value.type) == (error.code, error.param, error.type)


def test_what_its_client_gives_back_is_what_was_said(server: Server, client: openai.OpenAI) -> None:
    """The output of an answer goes back as input: proofs of thoughts, calls and pictures are what they were."""
    for answer in (unary(server, client, EVENTS), streamed(server, client, EVENTS)):
        client.responses.create(
            model="m",
            input=[
                {"role": "user", "content": "Hi"},
                *[item.to_dict() for item in answer.output],  # type: ignore[list-item]
                {"type": "function_call_output", "call_id": "toolu_1", "output": "sunny"},
            ],
        )
        read = DIALECT.read(server.asked[-1], "m", stream=False)
        parts = read.messages[1].parts
        expected = fold(EVENTS).choices[0].parts
        first, second = (part for part in parts if isinstance(part, Reasoning))
        assert (first.text, first.signature, second.redacted, second.id) == ("I think", "c2ln", "gAAAAhidden", "rs_7")
        assert [part.text for part in parts if isinstance(part, Text)] == ["Let me see.", "More."]
        calls = [part for part in parts if isinstance(part, ToolCall)]
        assert [(call.name, call.arguments, call.signature) for call in calls] == [
            ("weather", '{"city":"Ulm"}', ""),
            ("time", "{}", "proof"),
        ]
        assert [part for part in parts if isinstance(part, Media)] == [
            part for part in expected if isinstance(part, Media)
        ]
        assert [part.value["id"] for part in parts if isinstance(part, Opaque)] == ["ws_1"]
        assert read.messages[2] == Message("tool", (ToolResult("toolu_1", (Text("sunny"),)),)) and read.rest == {}


def test_what_was_asked_is_repeated(server: Server, client: openai.OpenAI) -> None:
    asked = {
        **ASK,
        "instructions": "Be kind.",
        "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True}],
        "tool_choice": {"type": "function", "name": "f"},
        "reasoning": {"effort": "low"},
        "temperature": 0.2,
    }
    head = Head("req-1", "m", 1, asked=asked)
    server.says = (200, "application/json", DIALECT.unary(head, [TextDelta("Hi"), UsageReport(Usage(1, 1))]))
    found = client.responses.create(**asked)
    assert found.instructions == "Be kind." and found.temperature == 0.2 and found.tools[0].type == "function"
    assert found.reasoning is not None and found.reasoning.effort == "low"
