"""`gateway webhooks`: what is typed, what is printed, and how it ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from gateway import cli_webhooks
from gateway.errors import ConfigError, Fault
from gateway.webhooks import Endpoint
from gateway.webhooks.events import calls_unpriced
from gateway.webhooks.outbox import Outbox

NOW = 1_795_428_000.0
EVENT = calls_unpriced(NOW, "local", "tiny")


class Receiver:
    def __init__(self) -> None:
        self.status = 204
        self.bodies: list[bytes] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.bodies.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = Endpoint(
            f"http://127.0.0.1:{self.server.server_port}/hook", (b"k" * 32,), ("budget.*",), allow_private=True
        )


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/webhooks.db"


def run(url: str, endpoints: tuple[Endpoint, ...], *words: str) -> Result:
    def read(config: Path | None) -> tuple[tuple[Endpoint, ...], str]:
        if config is not None:
            raise ConfigError([Fault("broken.yaml", 3, "no such setting")])
        return endpoints, url

    app = typer.Typer()
    app.add_typer(cli_webhooks.build(read))
    app.command("other")(lambda: None)
    return CliRunner().invoke(app, ["webhooks", *words])


def test_a_test_is_posted_and_its_answer_told(url: str, receiver: Receiver) -> None:
    result = run(url, (receiver.endpoint,), "test", "--url", receiver.endpoint.url)
    assert result.exit_code == 0, result.output
    assert f"{receiver.endpoint.id}  {receiver.endpoint.name}  ok (204)  0." in result.stdout
    assert [json.loads(body)["type"] for body in receiver.bodies] == ["webhook.test"]


def test_a_test_that_fails_ends_with_1_and_says_what_would_help(url: str, receiver: Receiver) -> None:
    receiver.status = 307
    result = run(url, (receiver.endpoint,), "test")
    assert result.exit_code == 1
    assert "redirect (307): redirects are not followed" in result.stdout
    assert run(url, (), "test").stderr == "No endpoint is configured.\n"
    assert run(url, (receiver.endpoint,), "test", "--url", "x").stderr == "No endpoint has this URL or id.\n"


def test_a_disabled_endpoint_is_listed_and_a_test_that_arrives_enables_it(url: str, receiver: Receiver) -> None:
    box = Outbox(url)
    box.add([EVENT], [Endpoint(receiver.endpoint.url, (b"k" * 32,))], NOW)
    box.disable(receiver.endpoint.id, NOW)
    box.close()
    listed = {
        "id": receiver.endpoint.id,
        "url": f"http://127.0.0.1:{receiver.server.server_port}/...",
        "events": "budget.*",
        "state": "disabled",
        "pending": 0,
        "failed": 1,
        "last_failure": "gone",
    }
    assert json.loads(run(url, (receiver.endpoint,), "list", "--format", "json").stdout) == [listed]
    assert run(url, (receiver.endpoint,), "test").exit_code == 0
    (now,) = json.loads(run(url, (receiver.endpoint,), "list", "--format", "json").stdout)
    assert now["state"] == "enabled"


def test_what_waits_is_listed_and_what_was_given_up_can_be_sent_again(url: str) -> None:
    one = Endpoint("https://example.com/hook", (b"k" * 32,))
    assert run(url, (one,), "pending").stdout == "Nothing waits.\n"
    box = Outbox(url)
    box.add([EVENT], [one], NOW)
    (claim,) = box.claim(NOW, {one.id: (1, 30.0)})
    box.postpone(claim, None, NOW, "server_error", 503)
    box.close()
    (given_up,) = json.loads(run(url, (one,), "pending", "--format", "json").stdout)
    assert given_up == {
        "event": EVENT.id,
        "type": "calls.unpriced",
        "endpoint": "https://example.com/...",
        "state": "failed",
        "created_at": "2026-11-23T10:00:00Z",
        "attempts": 1,
        "outcome": "server_error",
        "status": 503,
        "due_at": None,
    }
    assert run(url, (one,), "retry", EVENT.id).stdout == "1 delivery is due now.\n"
    table = run(url, (one,), "pending").stdout
    assert table.split()[:3] == ["EVENT", "TYPE", "ENDPOINT"]
    assert "pending" in table
    result = run(url, (one,), "retry", "evt_none")
    assert (result.exit_code, result.stderr) == (1, "No delivery of evt_none waits or was given up.\n")


def test_a_broken_configuration_is_told_with_its_line(url: str, tmp_path: Path) -> None:
    result = run(url, (), "list", "--config", str(tmp_path))
    assert (result.exit_code, result.stderr) == (1, "broken.yaml:3: no such setting\n")
