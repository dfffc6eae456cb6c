"""Access tokens of Google's: a service account against a token server on a socket."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar
from urllib.parse import parse_qs

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.errors import Unreachable
from gateway.providers.google import SCOPES, Token, Tokens

pytest.importorskip("google.auth.transport.requests")


class TokenServer(BaseHTTPRequestHandler):
    """Gives a new token for every assertion; `status` other than 200 refuses."""

    assertions: ClassVar[list[dict[str, object]]] = []
    status = 200

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        claims = form["assertion"][0].split(".")[1]
        self.assertions.append(json.loads(base64.urlsafe_b64decode(claims + "==")))
        body = json.dumps(
            {"access_token": f"ya29.{len(self.assertions)}", "expires_in": 3600, "token_type": "Bearer"}
            if self.status == 200
            else {"error": "invalid_grant", "error_description": "account of secret@example is gone"}
        ).encode()
        self.send_response(self.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
def server() -> Iterator[tuple[type[TokenServer], int]]:
    class Fresh(TokenServer):
        assertions: ClassVar[list[dict[str, object]]] = []

    with ThreadingHTTPServer(("127.0.0.1", 0), Fresh) as found:
        thread = Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield Fresh, found.server_port
        found.shutdown()
        thread.join()


@pytest.fixture
def key_file(tmp_path: Path, private_key: str, server: tuple[type[TokenServer], int]) -> str:
    path = tmp_path / "key.json"
    account = {
        "type": "service_account",
        "project_id": "blue",
        "private_key_id": "1",
        "private_key": private_key,
        "client_email": "gateway@blue.iam.gserviceaccount.com",
        "token_uri": f"http://127.0.0.1:{server[1]}/token",
    }
    path.write_text(json.dumps(account))
    return str(path)


async def test_a_token_is_fetched_once_and_kept(key_file: str, server: tuple[type[TokenServer], int]) -> None:
    tokens = Tokens(key_file)
    assert await tokens.get() == Token("ya29.1", "blue")
    assert await tokens.headers() == [(b"authorization", b"Bearer ya29.1")]
    (claims,) = server[0].assertions
    assert claims["scope"] == SCOPES[0] and claims["iss"] == "gateway@blue.iam.gserviceaccount.com"


async def test_the_default_credentials_are_those_of_the_environment(
    key_file: str, server: tuple[type[TokenServer], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", key_file)
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "green")
    tokens = Tokens()
    assert await tokens.get() == Token("ya29.1", "blue", "green")
    assert await tokens.headers() == [(b"authorization", b"Bearer ya29.1"), (b"x-goog-user-project", b"green")]


async def test_a_token_is_fetched_anew_when_it_has_ended(key_file: str, server: tuple[type[TokenServer], int]) -> None:
    tokens = Tokens(key_file)
    assert (await tokens.get()).text == "ya29.1"
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=54)):
        assert (await tokens.get()).text == "ya29.1" and len(server[0].assertions) == 1
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=61)):
        assert (await tokens.get()).text == "ya29.2"


async def test_its_end_is_in_utc_wherever_the_gateway_runs(key_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        tokens = Tokens(key_file)
        assert [(await tokens.get()).text for _ in range(2)] == ["ya29.1"] * 2
    finally:
        monkeypatch.undo()
        time.tzset()


async def test_a_refusal_is_not_told_to_callers(key_file: str, server: tuple[type[TokenServer], int]) -> None:
    server[0].status = 400
    with pytest.raises(Unreachable) as raised:
        await Tokens(key_file).headers()
    assert raised.value.message == "The gateway could not get an access token of Google's for the provider."
    assert "secret@example" in str(raised.value.__cause__)


async def test_a_file_that_is_missing_is_a_failure_too(tmp_path: Path) -> None:
    with pytest.raises(Unreachable) as raised:
        await Tokens(str(tmp_path / "none.json")).get()
    assert "none.json" in str(raised.value.__cause__) and "none.json" not in raised.value.message


def test_a_token_is_not_shown() -> None:
    assert repr(Token("ya29.1", "blue")) == "Token(project='blue', quota_project='')"
