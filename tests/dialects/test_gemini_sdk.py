"""Gemini's dialect against Google's own client: its types judge what we write, and it talks to what we encode."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest

from gateway.dialects.base import Head
from gateway.dialects.gemini import DIALECT
from gateway.errors import InvalidRequest, Unavailable
from gateway.model.completion import Choice, Completion, unfold
from gateway.model.conversation import (
    Citation,
    Conversation,
    Format,
    Media,
    Message,
    Part,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from gateway.model.events import (
    CitationDelta,
    Event,
    LogprobsDelta,
    PartDelta,
    ReasoningDelta,
    Start,
    Stop,
    TextDelta,
    ToolDelta,
    UsageReport,
)
from gateway.model.usage import Usage

genai = pytest.importorskip("google.genai")
types = pytest.importorskip("google.genai.types")
errors = pytest.importorskip("google.genai.errors")

HEAD = Head("resp-1", "gemini-x", 1_700_000_000)
SCHEMA = {"type": "object", "properties": {"city": {"type": ["string", "null"]}}, "required": ["city"]}

CONVERSATION = Conversation(
    source="chat",
    model="m",
    messages=(
        Message("system", (Text("Be brief."),)),
        Message(
            "user",
            (
                Text("What is it?"),
                Media("image", "iVBORw0KGgo=", media_type="image/png", detail="high"),
                Media("file", url="https://x.org/a.pdf", media_type="application/pdf", name="a.pdf"),
                Media("audio", "AAAA", media_type="audio/wav"),
            ),
        ),
        Message("assistant", (Reasoning("Hm.", "c2ln"), Text("Wait."), ToolCall("1", "f", '{"city":"Oslo"}', "c2ln"))),
        Message(
            "tool", (ToolResult("1", (Text("5 C"), Media("image", "AAAA", media_type="image/png")), is_error=True),)
        ),
        Message("user", (Text("And?"),)),
    ),
    tools=(Tool("f", "weather", SCHEMA, strict=True), Tool("g")),
    tool_choice=ToolChoice("auto"),
    max_output=100,
    temperature=0.5,
    top_p=0.9,
    top_k=40,
    choices=2,
    stop=("x",),
    seed=7,
    presence_penalty=0.1,
    frequency_penalty=0.2,
    logprobs=3,
    format=Format("schema", "answer", SCHEMA, True, "what to say"),
    thinking=Thinking("low", show=True),
    metadata={"team": "a"},
    service_tier="flex",
)

EVENTS: list[Event] = [
    Start("m"),
    ReasoningDelta("Hm"),
    ReasoningDelta("m.", signature="c2ln"),
    TextDelta("Grüß "),
    TextDelta("dich"),
    LogprobsDelta(({"token": "a", "logprob": -0.5, "top_logprobs": [{"token": "a", "logprob": -0.5}]},)),
    CitationDelta(Citation("url", "dich", "X", "https://x.org")),
    PartDelta(Media("image", "AAAA", media_type="image/png")),
    ToolDelta(0, '{"ci', "f", "c1"),
    ToolDelta(0, 'ty":"Oslo"}'),
    ToolDelta(1, "", "g", "c2", signature="c2ln"),
    Stop("tool_calls"),
    UsageReport(Usage(10, 7, 4, reasoning_tokens=3, input_audio_tokens=2), tier="flex"),
]


def _listed(kind: Any) -> Any:
    return list[kind]


def check_request(body: dict[str, Any]) -> None:
    """Every member of a request is one that the client knows, of the type that it has; others it forbids."""
    kinds = {
        "contents": _listed(types.Content),
        "systemInstruction": types.Content,
        "tools": _listed(types.Tool),
        "toolConfig": types.ToolConfig,
        "generationConfig": types.GenerationConfig,
        "safetySettings": _listed(types.SafetySetting),
        "labels": dict[str, str],
        "serviceTier": types.ServiceTier,
        "cachedContent": str,
    }
    pydantic = pytest.importorskip("pydantic")
    for name, value in body.items():
        pydantic.TypeAdapter(kinds[name]).validate_python(value)


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-pro-preview"])
def test_what_is_written_are_the_clients_own_types(model: str) -> None:
    written = DIALECT.write(CONVERSATION, model, lenient=True)
    check_request(orjson.loads(written.body))
    assert written.dropped == (() if "3" in model else ("messages[1].parts[1].detail",))


def test_the_types_forbid_what_they_do_not_know() -> None:
    with pytest.raises(ValueError, match="extra"):
        check_request({"generationConfig": {"maxTokens": 1}})


class Answers:
    """A server that gives the answers of a script, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.script: list[tuple[int, bytes]] = []
        answers = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                answers.asked.append((self.path, orjson.loads(body)))
                status, data = answers.script.pop(0)
                self.send_response(status)
                kind = "text/event-stream" if "alt=sse" in self.path else "application/json"
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def answers() -> Iterator[Answers]:
    found = Answers()
    thread = threading.Thread(target=found.server.serve_forever, args=(0.01,))
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


@pytest.fixture
def client(answers: Answers) -> Iterator[Any]:
    found = genai.Client(api_key="x", http_options={"base_url": answers.url})
    yield found
    found.close()


def streamed(events: list[Event]) -> bytes:
    encoder = DIALECT.stream_encoder(HEAD)
    return b"".join(encoder.feed([event]) for event in events) + encoder.close()


def test_the_client_reads_a_whole_answer(answers: Answers, client: Any) -> None:
    answers.script = [(200, DIALECT.unary(HEAD, EVENTS))]
    found = client.models.generate_content(model="gemini-x", contents="hi")
    assert [(call.id, call.name, call.args) for call in found.function_calls] == [
        ("c1", "f", {"city": "Oslo"}),
        ("c2", "g", {}),
    ]
    one = found.candidates[0]
    assert one.finish_reason is types.FinishReason.STOP
    assert one.content.parts[0].thought and one.content.parts[0].text == "Hmm."
    assert one.content.parts[0].thought_signature == b"sig"
    assert one.content.parts[1].text == "Grüß dich"
    assert one.content.parts[2].inline_data.mime_type == "image/png"
    assert one.logprobs_result.chosen_candidates[0].token == "a"
    assert one.grounding_metadata.grounding_chunks[0].web.uri == "https://x.org"
    counts = found.usage_metadata
    assert (counts.prompt_token_count, counts.cached_content_token_count) == (10, 4)
    assert (counts.candidates_token_count, counts.thoughts_token_count, counts.total_token_count) == (4, 3, 17)
    assert {one.modality.value: one.token_count for one in counts.prompt_tokens_details} == {"TEXT": 8, "AUDIO": 2}
    assert (found.model_version, found.response_id) == ("gemini-x", "resp-1")


def test_the_client_reads_a_stream(answers: Answers, client: Any) -> None:
    answers.script = [(200, streamed(EVENTS))]
    chunks = list(client.models.generate_content_stream(model="gemini-x", contents="hi"))
    path, body = answers.asked[0]
    assert "streamGenerateContent?alt=sse" in path
    assert DIALECT.read(body, "gemini-x", stream=True).messages == (Message("user", (Text("hi"),)),)
    parts = [
        part for chunk in chunks for one in chunk.candidates or () for part in (one.content and one.content.parts) or ()
    ]
    assert "".join(part.text for part in parts if part.text and not part.thought) == "Grüß dich"
    assert "".join(part.text for part in parts if part.text and part.thought) == "Hmm."
    assert [part.function_call.name for part in parts if part.function_call] == ["f", "g"]
    assert chunks[-1].candidates[0].finish_reason is types.FinishReason.STOP
    assert chunks[-1].usage_metadata.total_token_count == 17


def test_an_array_has_the_same_chunks(answers: Answers) -> None:
    encoder = DIALECT.array_encoder(HEAD)
    array = b"".join(encoder.feed([event]) for event in EVENTS) + encoder.close()
    for chunk in orjson.loads(array):
        types.GenerateContentResponse.model_validate(chunk)
    assert [types.GenerateContentResponse.model_validate(chunk).text for chunk in orjson.loads(array)].count(
        "dich"
    ) == 1


def test_the_client_raises_our_errors(answers: Answers, client: Any) -> None:
    answers.script = [(400, DIALECT.error_body(InvalidRequest("No such thing.", param="contents")))]
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model="gemini-x", contents="hi")
    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")
    assert caught.value.message == "No such thing."


def test_the_client_raises_an_error_within_a_stream(answers: Answers, client: Any) -> None:
    encoder = DIALECT.stream_encoder(HEAD)
    answers.script = [(200, encoder.feed([TextDelta("x")]) + encoder.fail(Unavailable("Later.")))]
    found: list[Any] = []
    with pytest.raises(errors.ServerError) as caught:
        found += client.models.generate_content_stream(model="gemini-x", contents="hi")
    assert (caught.value.code, caught.value.status, caught.value.message) == (503, "UNAVAILABLE", "Later.")


def test_tokens_are_counted(answers: Answers, client: Any) -> None:
    answers.script = [(200, DIALECT.count_reply(31))]
    assert client.models.count_tokens(model="gemini-x", contents="hi").total_tokens == 31
    assert DIALECT.read_count(answers.asked[0][1], "m").messages == (Message("user", (Text("hi"),)),)


def test_what_the_client_asks_is_read(answers: Answers, client: Any) -> None:
    def weather(city: str) -> str:
        """The weather in a city."""
        return city

    answers.script = [(200, DIALECT.unary(HEAD, [TextDelta("x"), Stop("stop")]))]
    config = types.GenerateContentConfig(
        system_instruction="Be brief.",
        temperature=0.5,
        max_output_tokens=10,
        stop_sequences=["x"],
        tools=[weather],
        automatic_function_calling={"disable": True},
        tool_config={"function_calling_config": {"mode": "ANY"}},
        response_mime_type="application/json",
        response_schema={"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
        thinking_config={"thinking_budget": 0},
        safety_settings=[{"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_NONE"}],
    )
    picture = types.Part.from_bytes(data=b"\xfb\xff", mime_type="image/png")
    client.models.generate_content(model="gemini-x", contents=["hi", picture], config=config)
    found = DIALECT.read(answers.asked[0][1], "gemini-x", stream=False)
    assert found.messages == (
        Message("system", (Text("Be brief."),)),
        Message("user", (Text("hi"), Media("image", "+/8=", media_type="image/png"))),
    )
    assert (found.temperature, found.max_output, found.stop) == (0.5, 10, ("x",))
    tool = found.tools[0]
    assert isinstance(tool, Tool) and tool.name == "weather" and tool.schema is not None
    assert tool.schema["properties"] == {"city": {"type": "string"}}
    assert found.tool_choice == ToolChoice("required")
    assert found.format is not None and found.format.schema == {
        "type": "object",
        "properties": {"a": {"type": "string"}},
    }
    assert found.thinking == Thinking(budget=0)
    assert found.rest.keys() == {"safetySettings"}


def test_a_chat_of_the_client_brings_back_what_it_was_told(answers: Answers, client: Any) -> None:
    """Thoughts of another provider come back with what proves them, though the client sees only Gemini's parts."""
    told: tuple[Part, ...] = (
        Reasoning("Let me think.", "c2lnbmVk"),
        Reasoning(redacted="enc!"),
        Text("Hello"),
        ToolCall("c1", "f", '{"a":1}', "c2ln"),
    )
    events = list(unfold(Completion((Choice(told, "tool_calls"),), Usage(1, 1))))
    answers.script = [(200, streamed(events)), (200, streamed([TextDelta("ok"), Stop("stop")]))]
    chat = client.chats.create(model="gemini-x")
    list(chat.send_message_stream("hi"))
    list(chat.send_message_stream(types.Part.from_function_response(name="f", response={"output": "5"})))
    found = DIALECT.read(answers.asked[1][1], "gemini-x", stream=True)
    assert found.messages == (
        Message("user", (Text("hi"),)),
        Message("assistant", told),
        Message("tool", (ToolResult("c1", (Text("5"),), "f"),)),
    )
