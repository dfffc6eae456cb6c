"""Bedrock from end to end on sockets: a provider that checks signatures and streams, AWS's own client and ours."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

import orjson
import pytest

from gateway.dialects.converse import DIALECT
from gateway.model.completion import fold
from gateway.model.events import Event
from gateway.providers.aws import Credentials, Headers, Signer
from gateway.providers.kinds import BEDROCK
from gateway.upstream.wire import Request, header
from tests.dialects.test_converse_reply import BODY, STREAM, WHOLE
from tests.dialects.test_converse_request import CLAUDE, talk
from tests.providers.test_aws import signature
from tests.upstream.providers import Line, pooling, serving

pytest.importorskip("botocore")

MODEL = "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-opus-4-6-v1:0"
KEY = Credentials("AKID", "secret", "session")
PIECE = 61


async def bedrock(line: Line) -> None:
    """Answers what is signed rightly: one path with a stream in small pieces, the other with a whole message."""
    while request := await line.request():
        head, _, body = request.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        method, target, _ = first.decode().split(" ")
        headers: Headers = [(name.lower(), value.strip()) for name, value in (one.split(b":", 1) for one in lines)]
        url = f"http://{(header(headers, b'host') or b'').decode()}{target}"
        expected = signature(method, url, body, headers, KEY.secret_key, "eu-west-1").encode()
        if not (header(headers, b"authorization") or b"").endswith(b"Signature=" + expected):
            said = b'{"message":"The request signature we calculated does not match the signature you provided."}'
            await line.send(
                b"HTTP/1.1 403 Forbidden\r\nx-amzn-errortype: InvalidSignatureException\r\n"
                b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(said), said)
            )
        elif target.endswith("/converse-stream"):
            await line.send(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\nx-amzn-requestid: 1-2\r\n"
                b"transfer-encoding: chunked\r\n\r\n"
            )
            for at in range(0, len(STREAM), PIECE):
                piece = STREAM[at : at + PIECE]
                await line.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            await line.send(b"0\r\n\r\n")
        else:
            await line.send(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
            )


async def ask(port: int, *, stream: bool, key: Credentials = KEY) -> tuple[int, bytes, list[Event], Headers]:
    """What the gateway would do: write, sign, send, decode."""
    body = DIALECT.write(talk(), CLAUDE, lenient=False).body
    target = BEDROCK.target("converse", MODEL, stream=stream)
    given: Headers = [(b"content-type", b"application/json")]
    signer = Signer("eu-west-1", credentials=key)
    headers = await signer.headers("POST", f"http://127.0.0.1:{port}/v1{target}", body, given)
    decoder = DIALECT.stream_decoder() if stream else DIALECT.unary_decoder()
    events: list[Event] = []
    told = b""
    async with pooling(port) as (pool, _):
        reply = await pool.send(Request("POST", target, body, headers))
        while data := await reply.read():
            told += data
            if reply.status == 200:
                events += decoder.feed(data)
        if reply.status == 200:
            events += decoder.close()
        reply.close()
        return reply.status, told, events, reply.headers


@pytest.mark.parametrize("stream", [True, False])
async def test_a_signed_request_is_answered(stream: bool) -> None:
    async with serving(bedrock) as provider:
        status, _, events, headers = await ask(provider.port, stream=stream)
    assert (status, fold(events)) == (200, WHOLE)
    assert BEDROCK.request_id(headers) == ("1-2" if stream else "")


async def test_a_wrong_key_is_our_credentials_fault() -> None:
    async with serving(bedrock) as provider:
        status, body, events, headers = await ask(provider.port, stream=True, key=Credentials("AKID", "wrong"))
    assert (status, events, BEDROCK.classify(status, body, headers)) == (403, [], "credentials")


@pytest.mark.parametrize("stream", [True, False])
async def test_awss_own_client_is_answered_alike(stream: bool) -> None:
    session = importlib.import_module("botocore.session").Session()
    async with serving(bedrock) as provider:

        def call() -> dict[str, Any]:
            client = session.create_client(
                "bedrock-runtime",
                region_name="eu-west-1",
                endpoint_url=f"http://127.0.0.1:{provider.port}/v1",
                aws_access_key_id=KEY.access_key,
                aws_secret_access_key=KEY.secret_key,
                aws_session_token=KEY.token,
            )
            try:
                asked = orjson.loads(DIALECT.write(talk(), CLAUDE, lenient=False).body)
                if not stream:
                    found: dict[str, Any] = client.converse(modelId=MODEL, **asked)
                    return found
                events = list(client.converse_stream(modelId=MODEL, **asked)["stream"])
                return {"usage": next(one["metadata"]["usage"] for one in events if "metadata" in one)}
            finally:
                client.close()

        found = await asyncio.to_thread(call)
    assert found["usage"]["inputTokens"] == 10 and found["usage"]["cacheReadInputTokens"] == 1000
