"""Requests signed for AWS: by its published examples, by a check of our own, with credentials from everywhere."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import quote, urlsplit

import pytest
import time_machine

from gateway.errors import Unreachable
from gateway.providers.aws import LARGE_BODY, Credentials, Headers, Signer

pytest.importorskip("botocore")

EXAMPLE = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
URL = "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse"
JSON = [(b"content-type", b"application/json")]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials of this machine's."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def signature(method: str, url: str, body: bytes, headers: Headers, secret: str, region: str) -> str:
    """Signature Version 4, written from its description for this test alone."""
    parts = urlsplit(url)
    said = {name.decode(): value.decode().strip() for name, value in headers} | {"host": parts.netloc}
    scope, names = (
        said["authorization"].partition(f"{key}=")[2].partition(",")[0] for key in ("Credential", "SignedHeaders")
    )
    scope = scope.partition("/")[2]
    canonical = "\n".join(
        [
            method,
            quote(parts.path, safe="/~"),
            parts.query,
            *[f"{name}:{said[name]}" for name in names.split(";")],
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    text = "\n".join(["AWS4-HMAC-SHA256", said["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for step in (said["x-amz-date"][:8], region, "bedrock", "aws4_request"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("GET", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ],
)
def test_the_published_examples(method: str, expected: str) -> None:
    """`get-vanilla` and `post-vanilla` of AWS's test suite for Signature Version 4."""
    signer = Signer("us-east-1", credentials=EXAMPLE, service="service")
    with time_machine.travel(datetime(2015, 8, 30, 12, 36, tzinfo=UTC), tick=False):
        headers = dict(signer.sign(EXAMPLE, method, "https://example.amazonaws.com/", b"", []))
    assert headers == {
        b"x-amz-date": b"20150830T123600Z",
        b"authorization": b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        b"SignedHeaders=host;x-amz-date, Signature=" + expected.encode(),
    }


@pytest.mark.parametrize("token", [None, "session"])
@pytest.mark.parametrize("body", [b"{}", bytes(LARGE_BODY)], ids=["small", "large"])
async def test_a_request_is_signed_as_described(body: bytes, token: str | None) -> None:
    signer = Signer("eu-west-1", credentials=Credentials("AKID", "secret", token))
    headers = await signer.headers("POST", URL, body, [*JSON, (b"x-amzn-note", b"a b")])
    said = dict(headers)
    assert said[b"content-type"] == b"application/json" and said.get(b"x-amz-security-token") == (token and b"session")
    expected = signature("POST", URL, body, headers, "secret", "eu-west-1")
    assert said[b"authorization"].endswith(b"Signature=" + expected.encode())
    assert b"host;" in said[b"authorization"] and b"content-type" in said[b"authorization"]


async def test_credentials_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    said = dict(await Signer("us-east-1").headers("POST", URL, b"{}", JSON))
    assert b"Credential=AKENV/" in said[b"authorization"]


async def test_credentials_come_from_a_profile(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = AKDEFAULT\naws_secret_access_key = s\n"
        "[blue]\naws_access_key_id = AKBLUE\naws_secret_access_key = s\n"
    )
    for profile, key in ((None, b"AKDEFAULT"), ("blue", b"AKBLUE")):
        said = dict(await Signer("us-east-1", profile=profile).headers("POST", URL, b"{}", JSON))
        assert b"Credential=" + key + b"/" in said[b"authorization"]


async def test_without_credentials_nothing_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    for profile, cause in ((None, "found no AWS credentials"), ("missing", "missing")):
        with pytest.raises(Unreachable) as raised:
            await Signer("us-east-1", profile=profile).headers("POST", URL, b"{}", JSON)
        assert raised.value.code == "upstream_credentials" and cause in str(raised.value.__cause__)
        assert "missing" not in raised.value.message


class Role(BaseHTTPRequestHandler):
    """A container's credentials, which end in an hour; each answer has a key of its own."""

    answers = 0

    def do_GET(self) -> None:
        type(self).answers += 1
        end = datetime.now(UTC) + timedelta(hours=1)
        found = {"AccessKeyId": f"AKROLE{self.answers}", "SecretAccessKey": "s", "Token": f"token{self.answers}"}
        body = json.dumps({**found, "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ")}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def role(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Role]]:
    class Fresh(Role):
        answers = 0

    with ThreadingHTTPServer(("127.0.0.1", 0), Fresh) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{server.server_port}/")
        yield Fresh
        server.shutdown()
        thread.join()


async def test_a_roles_credentials_are_asked_for_once_and_renewed_before_they_end(role: type[Role]) -> None:
    signer = Signer("us-east-1")

    async def key() -> bytes:
        said = dict(await signer.headers("POST", URL, b"{}", JSON))
        return said[b"authorization"].partition(b"Credential=")[2].partition(b"/")[0] + said[b"x-amz-security-token"]

    assert [await key() for _ in range(3)] == [b"AKROLE1token1"] * 3
    assert role.answers == 1
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=51)):
        assert await key() == b"AKROLE2token2"
    assert role.answers == 2


async def test_botocore_is_asked_now_and_then_whether_it_has_new_ones(role: type[Role]) -> None:
    signer = Signer("us-east-1")

    async def token() -> bytes:
        return dict(await signer.headers("POST", URL, b"{}", JSON))[b"x-amz-security-token"]

    begun = datetime.now(UTC)
    with time_machine.travel(begun):
        assert await token() == b"token1"
    with time_machine.travel(begun + timedelta(minutes=44)):
        assert await token() == b"token1"
    with time_machine.travel(begun + timedelta(minutes=46)):  # a quarter of an hour before they end
        found = set()
        for _ in range(200):
            found.add(await token())
            await asyncio.sleep(0.005 if len(found) == 1 else 0)
    assert found == {b"token1", b"token2"} and role.answers == 2


def test_secrets_are_not_shown() -> None:
    assert repr(Credentials("AKID", "secret", "session")) == "Credentials(access_key='AKID')"
