"""What clients get wrong: each the right status, code and field, one record, and nothing sent to any provider."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest

from gateway.store.spec import KeySpec
from tests.pipeline.world import CONFIG, HELLO, World

CHAT = b'{"model":"m","messages":[{"role":"user","content":"x"}]'

BAD: list[tuple[str, bytes, int, str, str | None]] = [
    ("empty", b"", 400, "invalid_json", None),
    ("cut", b'{"model": "m"', 400, "invalid_json", None),
    ("trailing", CHAT + b"} x", 400, "invalid_json", None),
    ("trailing comma", CHAT + b",}", 400, "invalid_json", None),
    ("NaN", CHAT + b',"temperature":NaN}', 400, "invalid_json", None),
    ("infinity", CHAT + b',"temperature":Infinity}', 400, "invalid_json", None),
    ("not UTF-8", CHAT + b',"x":"\xff"}', 400, "invalid_json", None),
    ("UTF-16", '{"model":"m"}'.encode("utf-16"), 400, "invalid_json", None),
    ("byte order mark", b"\xef\xbb\xbf" + CHAT + b"}", 400, "invalid_json", None),
    ("deep", CHAT + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "invalid_json", None),
    ("deep and unclosed", b'{"a":' * 100_000, 400, "invalid_json", None),
    ("array", b"[]", 400, "invalid_type", None),
    ("text", b'"hello"', 400, "invalid_type", None),
    ("null", b"null", 400, "invalid_type", None),
    ("no model", b'{"messages":[]}', 400, "missing_field", "model"),
    ("model null", b'{"model":null}', 400, "missing_field", "model"),
    ("model number", b'{"model":7}', 400, "invalid_type", "model"),
    ("model list", b'{"model":["m"]}', 400, "invalid_type", "model"),
    ("model empty", b'{"model":""}', 400, "invalid_value", "model"),
    ("model with a line", b'{"model":"m\\r\\nx: y"}', 400, "invalid_value", "model"),
    ("model with NUL", b'{"model":"m\\u0000"}', 400, "invalid_value", "model"),
    ("model too long", b'{"model":"' + b"m" * 201 + b'"}', 400, "invalid_value", "model"),
    ("stream text", b'{"model":"m","stream":"true"}', 400, "invalid_type", "stream"),
    ("stream number", b'{"model":"m","stream":1}', 400, "invalid_type", "stream"),
    ("options", b'{"model":"m","stream_options":true}', 400, "invalid_type", "stream_options"),
    ("no messages", b'{"model":"m"}', 400, "missing_field", "messages"),
    ("messages text", b'{"model":"m","messages":"x"}', 400, "invalid_type", "messages"),
    ("messages empty", b'{"model":"m","messages":[]}', 400, "invalid_value", "messages"),
    ("message text", b'{"model":"m","messages":["x"]}', 400, "invalid_type", "messages[0]"),
    ("message null", b'{"model":"m","messages":[null]}', 400, "missing_field", "messages[0]"),
    ("no role", b'{"model":"m","messages":[{"role":"user"},{}]}', 400, "missing_field", "messages[1].role"),
    ("role number", b'{"model":"m","messages":[{"role":1}]}', 400, "invalid_type", "messages[0].role"),
    ("two models", CHAT + b',"model":"m"}', 400, "duplicate_field", "model"),
    ("two models, one escaped", CHAT + b',"mod\\u0065l":"renamed"}', 400, "duplicate_field", "model"),
    ("two models, all escaped", CHAT + b',"\\u006d\\u006F\\u0064\\u0065\\u006c":"x"}', 400, "duplicate_field", "model"),
    ("two streams", CHAT + b',"stream":false,"stream":true}', 400, "duplicate_field", "stream"),
    (
        "two options",
        CHAT + b',"stream_options":{},"stream_options":null}',
        *(400, "duplicate_field", "stream_options"),
    ),
    ("unknown model", CHAT.replace(b'"m"', b'"nobody"') + b"}", 404, "model_not_found", "model"),
]


@pytest.mark.parametrize(("body", "status", "code", "param"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
async def test_a_bad_body_is_refused(world: World, body: bytes, status: int, code: str, param: str | None) -> None:
    spy = world.spy()
    answer = await world.post("/chat/completions", body)
    assert (answer.status, answer.code, answer.error["param"]) == (status, code, param)
    assert set(answer.error) == {"message", "type", "param", "code"} and answer.error["message"].endswith((".", "all."))
    assert (world.line["status"], world.line["code"]) == (status, code) and not spy.requests
    assert world.runtime.metrics.refusals.labels(code=code).value == 1


async def test_a_body_that_would_take_long_to_read_through_is_refused_quickly(world: World) -> None:
    body = CHAT + b',"\\u0061":[' + b"[]," * 2_000_000 + b"0]}"
    began = time.perf_counter()
    answer = await world.post("/chat/completions", body)
    assert answer.code == "invalid_json" and time.perf_counter() - began < 5


async def test_a_large_body_passes(world: World) -> None:
    spy = world.spy()
    body = orjson.dumps({**HELLO, "model": "renamed", "x": ["word " * 1000] * 1000})
    assert (await world.post("/chat/completions", body)).status == 200
    assert len(spy.body) == len(body) + len("m-at-the-provider") - len("renamed")


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_the_limit_is_refused(tmp_path: Any, declared: bool) -> None:
    world = World(tmp_path, CONFIG + "server: {limits: {max_body_bytes: 1000, max_upload_bytes: 2000}}\n")
    try:
        headers = [("content-length", "1001")] if declared else []
        answer = await world.post("/chat/completions", b"", headers=headers, pieces=[b"x" * 600, b"x" * 401])
        assert (answer.status, answer.code) == (413, "body_too_large") and "1000" in answer.error["message"]
        assert world.line["status"] == 413
    finally:
        await world.close()


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip"])
async def test_a_compressed_body_is_refused(world: World, coding: str) -> None:
    answer = await world.chat(headers=[("content-encoding", coding)])
    assert (answer.status, answer.code) == (400, "unsupported_content_encoding")


# Keys


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", "Bearer {key}")],
        [("authorization", "bearer   {key} ")],
        [("x-api-key", "{key}")],
        [("x-goog-api-key", "{key}")],
        [("api-key", "{key}")],
        [("authorization", "Bearer {key}"), ("x-api-key", "{key}")],
        [("authorization", "Basic abc"), ("api-key", "{key}")],
    ],
)
async def test_every_way_of_sending_a_key_works(world: World, headers: list[tuple[str, str]]) -> None:
    sent = [(name, value.format(key=world.key)) for name, value in headers]
    assert (await world.chat(key=None, headers=sent)).status == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], "missing_api_key"),
        ([("authorization", "Bearer ")], "missing_api_key"),
        ([("authorization", "Basic {key}")], "missing_api_key"),
        ([("authorization", "Bearer sk-1234")], "invalid_api_key"),
        ([("authorization", "Bearer {key}x")], "invalid_api_key"),
        ([("authorization", "Bearer \xff\xfe")], "invalid_api_key"),
        ([("authorization", "Bearer ' OR 1=1 --")], "invalid_api_key"),
        ([("authorization", "Bearer {key}"), ("x-api-key", "{other}")], "ambiguous_api_key"),
    ],
)
async def test_a_bad_key_is_refused_before_anything_is_read(
    world: World, headers: list[tuple[str, str]], code: str
) -> None:
    other = world.new_key()
    sent = [(name, value.format(key=world.key, other=other)) for name, value in headers]
    answer = await world.post("/chat/completions", b"not json", key=None, headers=sent)
    assert (answer.status, answer.code, answer.header("www-authenticate")) == (401, code, "Bearer")
    assert (world.line["status"], world.line["key_id"], world.line["bytes_in"]) == (401, None, 0)


async def test_an_expired_and_a_revoked_key_say_so(world: World) -> None:
    store = world.runtime.keystore
    _, expired = store.create(KeySpec(team="red", expires_at=store.now() + 1))
    record, revoked = store.create(KeySpec(team="red"))
    store.revoke(record.caller.key_id)
    world.follow()
    world.data._edge.pipeline._clock = lambda: time.time() + 10
    assert (await world.chat(key=expired)).code == "expired_api_key"
    assert (await world.chat(key=revoked)).code == "revoked_api_key"


async def test_a_key_in_the_query_is_not_read(world: World) -> None:
    answer = await world.call("POST", f"/v1/chat/completions?key={world.key}", HELLO, key=None)
    assert answer.code == "missing_api_key" and world.key.encode() not in answer.body


@pytest.mark.parametrize(
    ("path", "method"),
    [("/v1/models", "GET"), ("/v1/files", "GET"), ("/v1/batches", "POST"), ("/v1/audio/transcriptions", "POST")],
)
async def test_no_path_is_open(world: World, path: str, method: str) -> None:
    answer = await world.call(method, path, key=None)
    assert (answer.status, answer.code) == (401, "missing_api_key")
    assert world.line["code"] == "missing_api_key"


# Hosts and proxies


@pytest.mark.parametrize(
    ("host", "status"),
    [("api.test", 200), ("API.test:8080", 200), ("x.api.test", 421), ("evil.test", 421), ("", 421), ("a b", 421)],
)
async def test_only_known_hosts_are_served(tmp_path: Any, host: str, status: int) -> None:
    world = World(tmp_path, CONFIG + "server: {allowed_hosts: [api.test]}\n")
    try:
        answer = await _with_host(world, host)
        assert answer == status and world.line["status"] == status
    finally:
        await world.close()


async def _with_host(world: World, host: str) -> int:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    headers = [(b"host", host.encode()), (b"authorization", f"Bearer {world.key}".encode())]
    scope = {"type": "http", "method": "GET", "path": "/v1/models", "query_string": b"", "headers": headers}
    await world.data(scope, receive, send)
    return int(sent[0]["status"])


async def test_a_worker_at_its_limit_says_when_to_try_again(tmp_path: Any) -> None:
    world = World(tmp_path, CONFIG + "server: {limits: {max_in_flight: 1}}\n")
    try:
        world.data._edge.pipeline.in_flight = 1
        answer = await world.chat()
        assert (answer.status, answer.code, answer.header("retry-after")) == (503, "overloaded", "1")
        assert world.data._edge.pipeline.in_flight == 1
        assert world.log.lines[0]["code"] == "overloaded"
    finally:
        await world.close()
