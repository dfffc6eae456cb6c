"""The vendors' own packages agree: they ask the paths, and send the key in the headers, that the kinds say."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest

from gateway.model.conversation import Dialect
from gateway.providers.kinds import KINDS

SETTINGS = {"project": "p", "location": "us-east5", "api_version": "2024-10-21"}
MESSAGES: Any = [{"role": "user", "content": "Hello"}]


class Recorder(BaseHTTPRequestHandler):
    """Refuses everything, and remembers what was asked."""

    asked: ClassVar[list[tuple[str, dict[str, str], dict[str, Any]]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        said = b'{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}'
        self.send_response(400)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as found:
        thread = Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()
        thread.join()


def openai(base: str, model: str, stream: bool) -> None:
    with importlib.import_module("openai").OpenAI(base_url=base, api_key="k", max_retries=0) as client:
        client.chat.completions.create(model=model, messages=MESSAGES, stream=stream)


def openai_responses(base: str, model: str, stream: bool) -> None:
    with importlib.import_module("openai").OpenAI(base_url=base, api_key="k", max_retries=0) as client:
        client.responses.create(model=model, input="Hello", stream=stream)


def azure(base: str) -> Any:
    make = importlib.import_module("openai").AzureOpenAI
    return make(azure_endpoint=base, api_key="k", api_version=SETTINGS["api_version"], max_retries=0)


def azure_chat(base: str, model: str, stream: bool) -> None:
    with azure(base) as client:
        client.chat.completions.create(model=model, messages=MESSAGES, stream=stream)


def azure_responses(base: str, model: str, stream: bool) -> None:
    with azure(base) as client:
        client.responses.create(model=model, input="Hello", stream=stream)


def anthropic(base: str, model: str, stream: bool) -> None:
    with pytest.importorskip("anthropic").Anthropic(base_url=base, api_key="k", max_retries=0) as client:
        client.messages.create(model=model, messages=MESSAGES, max_tokens=9, stream=stream)


def foundry(base: str, model: str, stream: bool) -> None:
    make = pytest.importorskip("anthropic").AnthropicFoundry
    with make(base_url=f"{base}/anthropic/", api_key="k", max_retries=0) as client:
        client.messages.create(model=model, messages=MESSAGES, max_tokens=9, stream=stream)


def anthropic_vertex(base: str, model: str, stream: bool) -> None:
    make = pytest.importorskip("anthropic").AnthropicVertex
    with make(base_url=f"{base}/v1", region="us-east5", project_id="p", access_token="k", max_retries=0) as client:
        client.messages.create(model=model, messages=MESSAGES, max_tokens=9, stream=stream)


def generate(client: Any, model: str, stream: bool) -> None:
    with closing(client):
        if stream:
            list(client.models.generate_content_stream(model=model, contents="Hello"))
        else:
            client.models.generate_content(model=model, contents="Hello")


def gemini(base: str, model: str, stream: bool) -> None:
    make = pytest.importorskip("google.genai").Client
    generate(make(api_key="k", http_options={"base_url": base, "api_version": "v1beta"}), model, stream)


def gemini_vertex(base: str, model: str, stream: bool) -> None:
    make = pytest.importorskip("google.genai").Client
    client = make(
        vertexai=True,
        project="p",
        location="us-east5",
        credentials=pytest.importorskip("google.oauth2.credentials").Credentials("k"),
        http_options={"base_url": base, "api_version": "v1"},
    )
    generate(client, model, stream)


@pytest.mark.filterwarnings("ignore")  # those packages' own
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("kind", "dialect", "model", "call"),
    [
        ("openai", "chat", "gpt-5", openai),
        ("openai", "responses", "gpt-5", openai_responses),
        ("azure-deployments", "chat", "blue", azure_chat),
        ("azure-deployments", "responses", "blue", azure_responses),
        ("azure", "messages", "claude-blue", foundry),
        ("anthropic", "messages", "claude-x", anthropic),
        ("gemini", "gemini", "gemini-3-pro", gemini),
        ("vertex", "gemini", "gemini-3-pro", gemini_vertex),
        ("vertex", "messages", "claude-x@20250514", anthropic_vertex),
    ],
)
def test_a_package_asks_what_the_kind_says(
    server: str, kind: str, dialect: Dialect, model: str, call: Callable[[str, str, bool], None], stream: bool
) -> None:
    Recorder.asked.clear()
    with suppress(Exception):  # it was refused
        call(server, model, stream)
    ((path, headers, body),) = Recorder.asked
    found = KINDS[kind]
    assert path == found.target(dialect, model, stream=stream, **SETTINGS)
    spoken = found.speaks[dialect]
    if call is not anthropic:  # newer ones send its key as a token
        ((name, value),) = spoken.key.headers("k")
        assert headers[name.decode()] == value.decode()
    # of versions a package has its own idea
    assert {name for name, _ in spoken.headers} <= headers.keys()
    assert spoken.body.keys() <= body.keys() and not body.keys() & set(spoken.without)
