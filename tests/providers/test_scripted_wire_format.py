"""What the scripted provider says is what OpenAI's own OpenAPI document allows: every reply, every streamed chunk."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest
import yaml

from gateway.providers.scripting import Ask, Play, Player, builtin, loads

Check = Callable[[str, Any], None]
FORM = {"content-type": "multipart/form-data; boundary=XX"}


def plain(schema: Any) -> Any:
    """The document says `nullable` in a few places, as OpenAPI 3.0 did; JSON Schema says it with a type."""
    if isinstance(schema, list):
        return [plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: plain(value) for key, value in schema.items() if key not in ("nullable", "discriminator", "example")}
    return {"anyOf": [kept, {"type": "null"}]} if schema.get("nullable") is True else kept


@pytest.fixture(scope="module")
def check(data_set: Callable[[str], Path]) -> Check:
    """Validates a value against one component of the document."""
    with gzip.open(data_set("specs/openai.yaml.gz")) as file:
        document = yaml.load(file, Loader=yaml.CSafeLoader)
    schemas = plain(document["components"]["schemas"])
    made: dict[str, jsonschema_rs.Draft202012Validator] = {}

    def validate(component: str, value: Any) -> None:
        if component not in made:
            root = {"components": {"schemas": schemas}, "$ref": f"#/components/schemas/{component}"}
            made[component] = jsonschema_rs.Draft202012Validator(root)
        made[component].validate(value)

    return validate


@pytest.fixture
def player() -> Player:
    return Player(builtin())


def body_of(play: Play) -> bytes:
    return b"".join(step.data for step in play.steps)


def post(player: Player, path: str, **body: Any) -> Play:
    return player.play(Ask("POST", path, orjson.dumps({"model": "demo", **body})))


def events(play: Play) -> list[Any]:
    lines = [line for line in body_of(play).split(b"\n") if line.startswith(b"data: ") and line != b"data: [DONE]"]
    return [orjson.loads(line[6:]) for line in lines]


def form(**fields: str) -> bytes:
    parts = [
        f'--XX\r\nContent-Disposition: form-data; name="{name}"{_filename(name)}\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return ("".join(parts) + "--XX--\r\n").encode()


def _filename(name: str) -> str:
    return '; filename="f"' if name == "file" else ""


TOOLS = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("alpha", "beta")]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
CHATS: dict[str, dict[str, Any]] = {
    "text": {},
    "several": {"n": 3},
    "cut": {"max_tokens": 1},
    "tools": {"tools": TOOLS, "tool_choice": "required"},
    "parallel tools": {"tools": TOOLS, "messages": [{"role": "user", "content": "alpha and beta"}]},
    "structured": {"response_format": SCHEMA},
}


@pytest.mark.parametrize("chat", CHATS)
def test_a_chat_completion(check: Check, player: Player, chat: str) -> None:
    asked = {"messages": [{"role": "user", "content": "Hello"}], **CHATS[chat]}
    check("CreateChatCompletionResponse", orjson.loads(body_of(post(player, "/v1/chat/completions", **asked))))


@pytest.mark.parametrize("include_usage", [True, False])
@pytest.mark.parametrize("chat", CHATS)
def test_every_chunk_of_a_chat_completion(check: Check, player: Player, chat: str, include_usage: bool) -> None:
    asked = {"messages": [{"role": "user", "content": "Hello"}], **CHATS[chat]}
    options = {"include_usage": include_usage}
    chunks = events(post(player, "/v1/chat/completions", **asked, stream=True, stream_options=options))
    assert len(chunks) >= 3
    for chunk in chunks:
        check("CreateChatCompletionStreamResponse", chunk)


@pytest.mark.parametrize("stream", [True, False])
def test_a_completion_and_its_chunks(check: Check, player: Player, stream: bool) -> None:
    play = post(player, "/v1/completions", prompt="Once", stream=stream)
    # Chunks have no finish reason until the last; the document describes them by the whole object, where it is a must.
    for value in events(play) if stream else [orjson.loads(body_of(play))]:
        for choice in value["choices"]:
            choice["finish_reason"] = choice["finish_reason"] or "stop"
        check("CreateCompletionResponse", value)


def test_embeddings(check: Check, player: Player) -> None:
    check("CreateEmbeddingResponse", orjson.loads(body_of(post(player, "/v1/embeddings", input=["a", "b"]))))


def test_models(check: Check, player: Player) -> None:
    check("ListModelsResponse", orjson.loads(body_of(player.play(Ask("GET", "/v1/models")))))
    check("Model", orjson.loads(body_of(player.play(Ask("GET", "/v1/models/demo")))))


def test_moderations(check: Check, player: Player) -> None:
    check("CreateModerationResponse", orjson.loads(body_of(post(player, "/v1/moderations", input="violence"))))


def test_images(check: Check, player: Player) -> None:
    check("ImagesResponse", orjson.loads(body_of(post(player, "/v1/images/generations", prompt="a", n=2))))
    *partial, last = events(post(player, "/v1/images/generations", prompt="a", stream=True, partial_images=1))
    check("ImageGenPartialImageEvent", partial[0])
    check("ImageGenCompletedEvent", last)


def test_audio(check: Check, player: Player) -> None:
    def transcribe(**fields: str) -> Play:
        body = form(model="demo", file="sound", **fields)
        return player.play(Ask("POST", "/v1/audio/transcriptions", body, FORM))

    check("CreateTranscriptionResponseJson", orjson.loads(body_of(transcribe())))
    verbose = orjson.loads(body_of(transcribe(response_format="verbose_json")))
    check("CreateTranscriptionResponseVerboseJson", verbose)
    for event in events(transcribe(stream="true")):
        check("CreateTranscriptionResponseStreamEvent", event)
    for event in events(post(player, "/v1/audio/speech", input="a", voice="x", stream_format="sse")):
        check("CreateSpeechResponseStreamEvent", event)


def test_files_and_batches(check: Check, player: Player) -> None:
    line = b'{"custom_id":"1","url":"/v1/embeddings","body":{"model":"demo","input":"a"}}'
    file = orjson.loads(body_of(player.play(Ask("POST", "/v1/files", form(purpose="batch", file=line.decode()), FORM))))
    check("OpenAIFile", file)
    check("ListFilesResponse", orjson.loads(body_of(player.play(Ask("GET", "/v1/files")))))
    asked = {"input_file_id": file["id"], "endpoint": "/v1/embeddings", "completion_window": "24h"}
    batch = orjson.loads(body_of(post(player, "/v1/batches", **asked)))
    for _ in range(3):
        check("Batch", batch)
        batch = orjson.loads(body_of(player.play(Ask("GET", f"/v1/batches/{batch['id']}"))))
    assert batch["status"] == "completed"
    check("ListBatchesResponse", orjson.loads(body_of(player.play(Ask("GET", "/v1/batches")))))
    deleted = orjson.loads(body_of(player.play(Ask("DELETE", f"/v1/files/{file['id']}"))))
    check("DeleteFileResponse", deleted)


def test_empty_lists(check: Check, player: Player) -> None:
    check("ListFilesResponse", orjson.loads(body_of(player.play(Ask("GET", "/v1/files")))))
    check("ListBatchesResponse", orjson.loads(body_of(player.play(Ask("GET", "/v1/batches")))))


@pytest.mark.parametrize(
    "ask",
    [
        Ask("GET", "/v1/nothing"),
        Ask("GET", "/v1/embeddings"),
        Ask("POST", "/v1/embeddings", b"{"),
        Ask("GET", "/v1/files/x"),
    ],
)
def test_errors(check: Check, player: Player, ask: Ask) -> None:
    check("ErrorResponse", orjson.loads(body_of(player.play(ask))))


def test_scripted_errors_and_usage(check: Check) -> None:
    script = "models: [demo]\nreplies: [{when: {turn: 2}, error: {}}, {text: a, usage: {cache_write_tokens: 3}}]"
    player = Player(loads(script))
    user = {"role": "user", "content": "x"}
    check("ErrorResponse", orjson.loads(body_of(post(player, "/v1/chat/completions", messages=[user, user]))))
    check("CreateChatCompletionResponse", orjson.loads(body_of(post(player, "/v1/chat/completions", messages=[user]))))
