"""Each endpoint of the data port, answered by a scripted provider."""

from __future__ import annotations

import base64
import struct
from typing import Any

import orjson
import pytest

from tests.pipeline.world import HELLO, MULTIPART, World, form

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def events(body: bytes) -> list[Any]:
    """The data of a stream, its `[DONE]` left out."""
    found = [part.removeprefix(b"data: ") for part in body.split(b"\n\n") if part]
    assert found.pop() == b"[DONE]"
    return [orjson.loads(one) for one in found]


async def test_a_chat_is_answered_and_booked(world: World) -> None:
    answer = await world.chat()
    assert answer.status == 200 and answer.whole
    assert answer.json["choices"][0]["message"]["content"] == "You said: hello there"
    assert answer.header("content-type") == "application/json"
    assert answer.header("x-gateway-provider") == "p" and answer.header("x-gateway-attempts") == "1"
    assert float(answer.header("x-gateway-overhead-ms") or "") >= 0
    line = world.line
    assert line["request_id"] == answer.header("x-request-id")
    assert (line["status"], line["model"], line["provider"], line["team"]) == (200, "m", "p", "red")
    assert line["usage_source"] == "provider" and line["output_tokens"] == 4 and line["bytes_out"] == len(answer.body)
    assert line["stream"] is False and line["attempts"] == 1 and line["code"] is None


async def test_a_chat_is_streamed_event_by_event(world: World) -> None:
    answer = await world.chat(sent={"stream": True})
    assert answer.status == 200 and answer.whole and len(answer.pieces) > 3
    assert (answer.header("content-type") or "").startswith("text/event-stream")
    assert answer.header("cache-control") == "no-cache"
    assert answer.header("content-length") is None
    found = events(answer.body)
    assert "".join(one["choices"][0]["delta"].get("content") or "" for one in found) == "You said: hello there"
    assert world.line["stream"] is True and world.line["usage_source"] == "provider"
    assert world.line["time_to_first_token_s"] > 0


async def test_one_answer_uses_the_same_streamed_or_not(world: World) -> None:
    await world.chat(sent={"n": 2})
    await world.chat(sent={"n": 2, "stream": True})
    unary, streamed = [(line["input_tokens"], line["output_tokens"]) for line in world.log.lines]
    assert unary == streamed


async def test_usage_that_the_client_asked_for_reaches_it(world: World) -> None:
    answer = await world.chat(sent={"stream": True, "stream_options": {"include_usage": True}})
    last = events(answer.body)[-1]
    assert last["choices"] == [] and last["usage"]["completion_tokens"] == world.line["output_tokens"]


@pytest.mark.parametrize("options", [None, {"include_usage": False}, {}, {"include_obfuscation": False}])
async def test_usage_that_the_client_did_not_ask_for_is_counted_and_taken_out(world: World, options: Any) -> None:
    spy = world.spy()
    answer = await world.chat(sent={"stream": True, "stream_options": options})
    assert all(one["choices"] for one in events(answer.body))
    assert orjson.loads(spy.body)["stream_options"] == {**(options or {}), "include_usage": True}
    assert world.line["usage_source"] == "provider"


async def test_tools_are_called(world: World) -> None:
    answer = await world.chat(sent={"tools": [WEATHER], "tool_choice": "required"})
    choice = answer.json["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"][0]["function"]["name"] == "get_weather"


async def test_tools_are_called_in_a_stream(world: World) -> None:
    answer = await world.chat(sent={"tools": [WEATHER], "tool_choice": "required", "stream": True})
    calls = [call for one in events(answer.body) for call in one["choices"][0]["delta"].get("tool_calls") or ()]
    assert orjson.loads("".join(call["function"].get("arguments", "") for call in calls))["city"]
    assert events(answer.body)[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_structured_output_has_its_shape(world: World) -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    answer = await world.chat(sent={"response_format": wanted})
    assert isinstance(orjson.loads(answer.json["choices"][0]["message"]["content"])["age"], int)


@pytest.mark.parametrize("stream", [False, True])
async def test_several_choices_are_answered(world: World, stream: bool) -> None:
    answer = await world.chat(sent={"n": 3, "stream": stream})
    found = events(answer.body) if stream else [answer.json]
    assert {choice["index"] for one in found for choice in one["choices"]} == {0, 1, 2}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_completion_is_answered(world: World, stream: bool) -> None:
    answer = await world.post("/completions", {"model": "m", "prompt": "one two", "stream": stream})
    found = events(answer.body) if stream else [answer.json]
    assert "".join(one["choices"][0]["text"] for one in found)
    assert world.line["path"] == "/v1/completions" and world.line["usage_source"] == "provider"


async def test_embeddings_come_as_numbers_or_in_base64(world: World) -> None:
    asked = {"model": "m", "input": ["a", "b c"], "dimensions": 3}
    numbers = (await world.post("/embeddings", asked)).json["data"]
    packed = (await world.post("/embeddings", {**asked, "encoding_format": "base64"})).json["data"]
    for one, other in zip(numbers, packed, strict=True):
        assert list(struct.unpack("<3f", base64.b64decode(other["embedding"]))) == pytest.approx(one["embedding"])
    assert [line["output_tokens"] for line in world.log.lines] == [0, 0]
    assert all(line["input_tokens"] == 3 for line in world.log.lines)


async def test_a_moderation_has_a_default_model_which_is_spelled_out_for_the_provider(world: World) -> None:
    spy = world.spy()
    answer = await world.post("/moderations", b'{ "input":"hello" }')
    assert answer.status == 200
    assert spy.body == b'{"model":"m", "input":"hello" }'
    assert world.line["model"] == "omni-moderation-latest"


async def test_images_are_made_and_their_default_model_is_spelled_out(world: World) -> None:
    spy = world.spy()
    answer = await world.post("/images/generations", {"prompt": "a cat"})
    assert answer.json["data"]
    assert orjson.loads(spy.body) == {"model": "gpt-image-1", "prompt": "a cat"}


async def test_speech_is_bytes_handed_on_in_pieces(world: World) -> None:
    asked = {"model": "m", "input": "hello", "voice": "alloy", "response_format": "wav"}
    answer = await world.post("/audio/speech", asked)
    assert answer.body.startswith(b"RIFF") and answer.header("content-type") == "audio/wav"
    assert answer.header("content-length") == str(len(answer.body))
    assert world.line["bytes_out"] == len(answer.body)


async def test_documents_are_ranked(world: World) -> None:
    answer = await world.post("/rerank", {"model": "m", "query": "cat", "documents": ["a dog", "a cat"]})
    assert answer.json["results"][0]["index"] == 1


@pytest.mark.parametrize("path", ["/audio/transcriptions", "/audio/translations", "/images/edits"])
@pytest.mark.parametrize("order", ["model first", "file first"])
async def test_a_form_goes_through_as_it_came(world: World, path: str, order: str) -> None:
    spy = world.spy()
    file = "image" if "images" in path else "file"
    parts: list[tuple[str, str | bytes]] = [("model", "m"), ("prompt", "x"), (file, b"\0\xff\r\n--X" * 50)]
    body = form(*(parts if order == "model first" else parts[::-1]), file=file)
    answer = await world.post(path, body, headers=MULTIPART)
    assert answer.status == 200
    assert spy.body == body and dict(spy.last.headers)[b"content-type"] == b"multipart/form-data; boundary=XX"
    assert world.line["model"] == "m"


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
async def test_a_renamed_model_is_renamed_in_a_form_and_nothing_else(world: World, size: int) -> None:
    spy = world.spy()
    parts: list[tuple[str, str | bytes]] = [("file", b"model renamed"), ("model", "renamed"), ("language", "renamed")]
    body = form(*parts)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    answer = await world.post(
        "/audio/transcriptions", b"", headers=[*MULTIPART, ("content-length", str(len(body)))], pieces=pieces
    )
    assert answer.status == 200
    assert spy.body == form(parts[0], ("model", "m-at-the-provider"), parts[2])
    assert spy.last.length == len(spy.body)


async def test_a_default_model_is_added_to_a_form_that_names_none(world: World) -> None:
    spy = world.spy()
    body = form(("prompt", "x"), ("image", b"png"), file="image")
    answer = await world.post("/images/edits", b"pre\r\n" + body, headers=MULTIPART)
    assert answer.status == 200
    assert spy.body == b"pre\r\n" + form(("model", "gpt-image-1")).removesuffix(b"--XX--\r\n") + body


async def test_a_form_is_the_same_to_the_provider_wherever_it_is_cut(world: World) -> None:
    spy = world.spy()
    body = form(("file", b"--XX\r\n"), ("model", "renamed"), ("language", "de"))
    for at in range(len(body)):
        answer = await world.post("/audio/transcriptions", b"", headers=MULTIPART, pieces=[body[:at], body[at:]])
        assert answer.status == 200, at
    assert len({request.body for request in spy.requests}) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (form(("file", b"x")), "missing_field"),
        (form(("model", "m"), ("model", "renamed"), ("file", b"x")), "invalid_form"),
        (form(("model", "m"), ("file", b"x"), ("model", "renamed")), "invalid_form"),
        (form(("model", ""), ("file", b"x")), "invalid_value"),
        (form(("model", "a\nb"), ("file", b"x")), "invalid_value"),
        (form(("model", b"\xff"), ("file", b"x")), "invalid_form"),
        (form(("model", "m" * 2000), ("file", b"x")), "invalid_value"),
        (form(("model", "nobody"), ("file", b"x")), "model_not_found"),
        (form(("model", "m"), file="model"), "invalid_form"),
        (form(("model", "m"))[:-10], "invalid_form"),
        (b"", "invalid_form"),
        (b"--XX\r\nContent-Disposition: form-data\r\n\r\nm\r\n--XX--", "invalid_form"),
        (b'--XX\r\nContent-Disposition: form-data;\r\n name="model"\r\n\r\nm\r\n--XX--', "invalid_form"),
        (b"--XX\r\nContent-Disposition: form-data; name*=utf-8''model\r\n\r\nm\r\n--XX--", "invalid_form"),
        (b'--XX  \r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--XX--', "invalid_form"),
    ],
)
async def test_a_form_that_can_be_read_in_two_ways_is_refused(world: World, body: bytes, code: str) -> None:
    answer = await world.post("/audio/transcriptions", body, headers=MULTIPART)
    assert answer.status in (400, 404) and answer.code == code
    assert world.line["code"] == code


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "multipart/form-data",
        "multipart/form-data; xboundary=XX",
        "multipart/form-data; boundary=XX; boundary=YY",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=XX",
    ],
)
async def test_a_form_needs_its_content_type(world: World, content_type: str) -> None:
    body = form(("model", "m"), ("file", b"x"))
    answer = await world.post("/audio/transcriptions", body, headers=[("content-type", content_type)])
    assert (answer.status, answer.code) == (400, "invalid_content_type")


async def test_models_are_listed_and_found(world: World) -> None:
    listed = (await world.call("GET", "/v1/models")).json["data"]
    assert [one["id"] for one in listed][:2] == ["m", "renamed"] and not any("*" in one["id"] for one in listed)
    assert (await world.call("GET", "/v1/models/m")).json["owned_by"] == "p"
    assert (await world.call("GET", "/v1/models/open/x/y")).json["id"] == "open/x/y"
    assert (await world.call("GET", "/v1/models/nobody")).code == "model_not_found"


async def test_a_key_sees_and_uses_its_own_models_only(world: World) -> None:
    key = world.new_key(models=frozenset({"m", "open/a*"}))
    assert [one["id"] for one in (await world.call("GET", "/v1/models", key=key)).json["data"]] == ["m"]
    assert (await world.call("GET", "/v1/models/two", key=key)).status == 404
    assert (await world.call("GET", "/v1/models/open/ab", key=key)).status == 200
    assert (await world.chat("m", key=key)).status == 200
    assert (await world.chat("open/ab", key=key)).status == 200
    refused = await world.chat("two", key=key)
    assert (refused.status, refused.code, refused.error["param"]) == (403, "model_not_allowed", "model")


async def test_an_unknown_model_is_answered_with_the_nearest_names(world: World) -> None:
    answer = await world.chat("renamd")
    assert (answer.status, answer.code, answer.error["param"]) == (404, "model_not_found", "model")
    assert "`renamed`" in answer.error["message"]
    assert world.line["model"] is None


async def test_a_pattern_serves_every_name_that_fits(world: World) -> None:
    spy = world.spy()
    assert (await world.chat("open/some-model")).status == 200
    assert orjson.loads(spy.body)["model"] == "some-model"
    assert world.line["model"] == "open/*"


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "allow"),
    [
        ("GET", "/v1/chat/completions", 405, "method_not_allowed", "POST"),
        ("POST", "/v1/models", 405, "method_not_allowed", "GET"),
        ("PUT", "/v1/files", 405, "method_not_allowed", "POST, GET"),
        ("POST", "/v1/files/f-1", 405, "method_not_allowed", "GET, DELETE"),
        ("GET", "/v1/nothing", 404, "path_not_found", None),
        ("GET", "/", 404, "path_not_found", None),
        ("GET", "/metrics", 404, "path_not_found", None),
        ("GET", "/admin/v1/keys", 404, "path_not_found", None),
        ("POST", "/v1/chat/completions/", 404, "path_not_found", None),
    ],
)
async def test_what_is_not_there_says_so(
    world: World, method: str, path: str, status: int, code: str, allow: str | None
) -> None:
    answer = await world.call(method, path, HELLO)
    assert (answer.status, answer.code, answer.header("allow")) == (status, code, allow)
    assert world.line["path"] == "other" and answer.header("x-request-id") == world.line["request_id"]
