"""What goes wrong at providers: a status and a code while there is time, else an error in the stream, never silence."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from gateway.dialects.openai import error_body
from gateway.errors import BrokenReply, GatewayError, Unreachable, UpstreamTimeout
from tests.pipeline.test_bytes import COMMENT, DONE, LAST, ROLE, STOP, TEXT, USAGE
from tests.pipeline.world import JSON, MULTIPART, SSE, Step, World, form

ERROR = error_body("Theirs.", "their_type", "their_param", "their_code")
FAILED = b'data: {"error":{"message":"Overloaded.","type":"server_error"}}\n\n'
OK = json.dumps({"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]}).encode()


def last_event(body: bytes) -> Any:
    """The error that a stream ends with."""
    assert body.endswith(b"\n\n")
    event = body[:-2].split(b"\n\n")[-1]
    assert event.startswith(b"event: error\ndata: "), event
    return orjson.loads(event.partition(b"data: ")[2])["error"]


@pytest.mark.parametrize("status", [400, 404, 408, 409, 413, 422, 429, 500, 502, 503, 529])
async def test_a_provider_s_own_error_reaches_the_client_as_it_came(world: World, status: int) -> None:
    world.canned(ERROR, status=status, headers=[*JSON, (b"retry-after", b"7")])
    answer = await world.chat()
    assert (answer.status, answer.body, answer.header("retry-after")) == (status, ERROR, "7")
    assert (world.line["status"], world.line["code"], world.line["usage_source"]) == (status, "provider_error", None)


@pytest.mark.parametrize("status", [401, 403])
async def test_that_a_provider_refused_our_key_is_not_the_caller_s_affair(world: World, status: int) -> None:
    world.canned(error_body("Incorrect API key: sk-secret", "x", None, "y"), status=status)
    answer = await world.chat()
    assert (answer.status, answer.code) == (502, "upstream_rejected_credentials") and b"sk-secret" not in answer.body


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b"[1]", b'{"error":"text"}', b"\xff"])
async def test_an_error_that_no_client_could_read_gets_a_shape(world: World, body: bytes) -> None:
    world.canned(body, status=503, headers=[(b"content-type", b"text/html")])
    answer = await world.chat()
    assert (answer.status, answer.code, answer.error["type"]) == (503, "provider_error", "upstream_error")
    assert set(answer.error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("status", [301, 302, 304, 307])
async def test_a_redirect_is_a_failure(world: World, status: int) -> None:
    world.canned(b"", status=status, headers=[(b"location", b"http://elsewhere/")])
    answer = await world.chat()
    assert (answer.status, answer.code, answer.header("location")) == (502, "provider_error", None)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Unreachable("No."), 502, "upstream_unreachable"),
        (BrokenReply("Reset.", code="upstream_reset"), 502, "upstream_reset"),
        (UpstreamTimeout("first_byte", 3), 504, "upstream_timeout"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_that_does_not_answer_is_a_status(
    world: World, error: GatewayError, status: int, code: str, stream: bool
) -> None:
    world.canned(error, status=0)
    answer = await world.chat(sent={"stream": stream})
    assert (answer.status, answer.code, answer.header("content-type")) == (status, code, "application/json")
    assert (world.line["status"], world.line["code"]) == (status, code)


@pytest.mark.parametrize(
    "steps",
    [
        (BrokenReply("cut"),),
        (b"data: {", BrokenReply("cut")),
        (b"",),
        (b"data: {",),
        (DONE,),
    ],
    ids=["reset", "reset in the first event", "empty", "half an event", "nothing but the end"],
)
async def test_a_stream_that_breaks_before_its_first_event_is_a_status(world: World, steps: tuple[Step, ...]) -> None:
    provider = world.canned(*steps, headers=SSE)
    answer = await world.chat(sent={"stream": True})
    assert answer.status == 502 and answer.code in ("upstream_broken_reply", "upstream_truncated")
    assert world.line["status"] == 502 and world.line["stream"] and provider.closed == 1


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ((ROLE, TEXT, BrokenReply("cut", code="upstream_reset")), "upstream_reset"),
        ((ROLE, TEXT, UpstreamTimeout("idle", 1)), "upstream_timeout"),
        ((ROLE, TEXT), "upstream_truncated"),
        ((ROLE, TEXT, b"data: {"), "upstream_truncated"),
        ((ROLE, TEXT, b"dat"), "upstream_truncated"),
        ((ROLE, TEXT, DONE), "upstream_truncated"),
        ((ROLE, TEXT, USAGE, DONE), "upstream_truncated"),
        ((ROLE + TEXT + DONE,), "upstream_truncated"),
        ((ROLE, TEXT.replace(b'"index":0', b'"index":1'), STOP, DONE), "upstream_truncated"),
        ((ROLE, TEXT, COMMENT), "upstream_truncated"),
        ((ROLE, TEXT, b"data: " + b"x" * (5 << 20)), "upstream_broken_reply"),
    ],
)
async def test_a_stream_that_breaks_later_ends_in_an_error_event(
    world: World, steps: tuple[Step, ...], code: str
) -> None:
    provider = world.canned(*steps, headers=SSE)
    answer = await world.chat(sent={"stream": True})
    assert answer.status == 200 and answer.whole and answer.body.startswith(ROLE) and b"[DONE]" not in answer.body
    assert last_event(answer.body)["code"] == code
    line = world.line
    assert (line["status"], line["code"]) == (200, code) and line["output_tokens"] and provider.closed == 1
    assert line["usage_source"] == ("provider" if USAGE in steps else "estimated")
    assert world.runtime.metrics.upstream_errors.labels(provider="p", kind=kind_of(code)).value == 1


def kind_of(code: str) -> str:
    return {"upstream_reset": "reset", "upstream_timeout": "timeout_idle"}.get(code, "protocol")


@pytest.mark.parametrize("tail", [b"", DONE])
async def test_a_provider_s_own_error_in_a_stream_is_passed_on_once(world: World, tail: bytes) -> None:
    world.canned(ROLE, TEXT, FAILED, tail, headers=SSE)
    answer = await world.chat(sent={"stream": True})
    assert answer.body == ROLE + TEXT + FAILED + tail
    assert (world.line["code"], world.line["usage_source"]) == ("upstream_stream_error", "estimated")


@pytest.mark.parametrize("cut", range(len(OK)))
async def test_an_answer_that_is_cut_anywhere_is_an_error_and_is_booked(world: World, cut: int) -> None:
    world.canned(OK[:cut])
    answer = await world.chat()
    assert (answer.status, answer.code) == (502, "upstream_invalid_json")
    assert (world.line["status"], world.line["usage_source"]) == (502, "estimated") and world.line["input_tokens"] > 0


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b"<html>", b"5", b'"x"', b"\xff{}"])
async def test_an_answer_that_is_no_json_is_an_error(world: World, body: bytes) -> None:
    world.canned(body, headers=JSON)
    answer = await world.chat()
    assert (answer.status, answer.code) == (502, "upstream_invalid_json")
    assert world.line["code"] == "upstream_invalid_json"


async def test_a_page_in_place_of_an_answer_is_an_error(world: World) -> None:
    world.canned(b"<html>Log in</html>", headers=[(b"content-type", b"text/html")])
    answer = await world.chat()
    assert (answer.status, answer.code) == (502, "upstream_invalid_json")
    assert world.line["status"] == 502


async def test_a_deeply_nested_event_passes(world: World) -> None:
    deep = b'data: {"x":' + b"[" * 5000 + b"]" * 5000 + b"}\n\n"
    world.canned(ROLE, deep, LAST, DONE, headers=SSE)
    assert (await world.chat(sent={"stream": True})).body == ROLE + deep + LAST + DONE
    assert world.line["output_tokens"] == 3


# Elsewhere


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 503, 302])
async def test_what_another_deployment_may_do_better_is_tried_there(world: World, status: int) -> None:
    first = world.canned(ERROR, status=status)
    answer = await world.chat("fallback")
    assert answer.status == 200 and first.closed == 1
    assert (answer.header("x-gateway-provider"), answer.header("x-gateway-attempts")) == ("q", "2")
    assert (world.line["provider"], world.line["model"], world.line["attempts"]) == ("q", "only-q", 2)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_break_before_the_first_byte_is_mended_elsewhere(world: World, stream: bool) -> None:
    world.canned(BrokenReply("cut"), headers=SSE if stream else JSON)
    answer = await world.chat("fallback", sent={"stream": stream})
    assert (answer.status, answer.header("x-gateway-provider")) == (200, "q")
    assert world.line["code"] is None


async def test_a_break_after_the_first_byte_is_not_tried_again(world: World) -> None:
    other = world.canned(OK, provider="q")
    world.canned(ROLE, BrokenReply("cut"), headers=SSE)
    answer = await world.chat("fallback", sent={"stream": True})
    assert last_event(answer.body)["code"] == "upstream_broken_reply" and not other.requests
    assert (world.line["attempts"], world.line["provider"]) == (1, "p")


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_what_the_caller_got_wrong_is_not_tried_again(world: World, status: int) -> None:
    other = world.canned(OK, provider="q")
    world.canned(ERROR, status=status)
    assert (await world.chat("fallback")).status == status and not other.requests


async def test_when_all_fail_the_last_failure_is_told(world: World) -> None:
    world.canned(Unreachable("No."), status=0)
    world.canned(ERROR, provider="q", status=429, headers=[*JSON, (b"retry-after", b"3")])
    answer = await world.chat("fallback")
    assert (answer.status, answer.header("retry-after"), answer.header("x-gateway-attempts")) == (429, "3", "2")
    assert world.line["status"] == 429


async def test_the_model_is_renamed_anew_for_each_attempt(world: World) -> None:
    world.canned(ERROR, status=500)
    other = world.canned(OK, provider="q")
    await world.chat("fallback")
    assert other.sent["model"] == "m"


@pytest.mark.parametrize(("chance", "provider"), [(0.0, "p"), (0.89, "p"), (0.91, "q"), (0.999, "q")])
async def test_weights_decide_who_serves(world: World, chance: float, provider: str) -> None:
    world.data._edge.pipeline._chance = lambda: chance
    assert (await world.chat("two")).header("x-gateway-provider") == provider


async def test_a_form_is_sent_once_only(world: World) -> None:
    other = world.canned(OK, provider="q")
    world.canned(ERROR, status=500)
    world.data._edge.pipeline._chance = lambda: 0.0
    answer = await world.post("/audio/transcriptions", form(("model", "two"), ("file", b"x")), headers=MULTIPART)
    assert answer.status == 500 and not other.requests
    assert world.line["attempts"] == 1


async def test_a_fault_of_the_gateway_itself_is_one_500_and_one_record(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    class Buggy(Exception):
        pass

    provider = world.canned(OK)

    async def send(request: object) -> Any:
        raise Buggy("secret detail")

    provider.send = send  # type: ignore[method-assign]
    answer = await world.chat()
    assert (answer.status, answer.code) == (500, "internal_error") and b"secret" not in answer.body
    assert (world.line["status"], world.line["code"]) == (500, "internal_error")
    assert world.line["request_id"] == answer.header("x-request-id") and "Buggy" in capsys.readouterr().out
