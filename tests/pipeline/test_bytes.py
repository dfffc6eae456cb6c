"""Bodies pass byte for byte: requests but for the model's name, answers but for a usage chunk that nobody asked for."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import BrokenReply
from tests.pipeline.world import SSE, World

ROLE = b'data: {"id":"c-1","model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
TEXT = 'data: {"id":"c-1","model":"m-1","choices":[{"index":0,"delta":{"content":"Grüß 🙂"}}],"new":1.0}\n\n'.encode()
STOP = b'data: {"id":"c-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n'
LAST = (
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}],'
    b'"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n'
)
COMMENT = b": keep-alive\n\n"
NAMED = b"event: message\nid: 7\nretry: 10\n" + TEXT
TWO_LINES = b'data: {"choices":[{"index":0,\ndata: "delta":{"content":"x"}}]}\n\n'
DONE = b"data: [DONE]\n\n"

STREAMS = {
    "usual": ROLE + TEXT + STOP + USAGE + DONE,
    "no done": ROLE + TEXT + STOP + USAGE,
    "usage in the last chunk": ROLE + TEXT + LAST + DONE,
    "comments": COMMENT + ROLE + COMMENT + TEXT + STOP + USAGE + COMMENT + DONE,
    "names, ids and two lines of data": NAMED + TWO_LINES + STOP + USAGE + DONE,
    "unended end": ROLE + TEXT + STOP + USAGE + b"data: [DONE]",
    "filter results after the reason": ROLE + STOP + TEXT + USAGE + DONE,
    "not JSON within": ROLE + b"data: hm\n\n" + STOP + USAGE + DONE,
    "NaN within": ROLE + TEXT[:-3] + b',"logprob":NaN}\n\n' + STOP + USAGE + DONE,
}
LINE_ENDS = {"LF": b"\n", "CRLF": b"\r\n", "CR": b"\r"}


@pytest.mark.parametrize("end", LINE_ENDS)
@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("asked", [True, False])
async def test_a_stream_is_the_same_wherever_it_is_cut(world: World, name: str, end: str, asked: bool) -> None:
    stream = STREAMS[name].replace(b"\n", LINE_ENDS[end])
    hidden = USAGE.replace(b"\n", LINE_ENDS[end])
    sent: Any = {"stream": True, "stream_options": {"include_usage": True}} if asked else {"stream": True}
    for at in range(1, len(stream), 1 if end == "CRLF" and asked else 7):
        world.log.lines.clear()
        world.canned(stream[:at], stream[at:], headers=SSE)
        answer = await world.chat(sent=sent)
        assert answer.whole and answer.body == (stream if asked else stream.replace(hidden, b"")), at
        line = world.line
        assert (line["status"], line["code"]) == (200, None)
        assert (line["input_tokens"], line["output_tokens"], line["usage_source"]) == (7, 3, "provider")


async def test_a_stream_in_single_bytes_is_the_same(world: World) -> None:
    stream = STREAMS["names, ids and two lines of data"]
    world.canned(*[stream[at : at + 1] for at in range(len(stream))], headers=SSE)
    assert (await world.chat(sent={"stream": True})).body == stream.replace(USAGE, b"")
    assert world.line["output_tokens"] == 3


async def test_an_event_reaches_the_client_before_the_next_one_is_there(world: World) -> None:
    world.canned(ROLE, TEXT, None, headers=SSE)
    answer = await world.chat(sent={"stream": True}, leave_after=2)
    assert answer.pieces == [ROLE, TEXT] and not answer.whole


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","messages":[{"role":"user","content":"x"}]}',
        b' { "messages" : [ { "role":"user", "content":"\\u00e9\\ud83d\\ude42 \xc3\xa9" } ] ,\t"model"\n:\r"m" } ',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":1.0,"seed":1e2,"top_p":0.10,"x":-0}',
        b'{"future":{"a":[1,2,{"model":"other"}]},"model":"m","messages":[{"role":"user","content":"\\"model\\""}]}',
        b'{"x":123456789012345678901234567890,"mod\\u0065l":"m","messages":[{"role":"user","content":"model"}]}',
    ],
)
async def test_a_request_goes_on_byte_for_byte(world: World, body: bytes) -> None:
    spy = world.spy()
    assert (await world.post("/chat/completions", body)).status == 200
    assert spy.body == body
    assert world.line["bytes_in"] == len(body)


@pytest.mark.parametrize(
    ("body", "goes_on"),
    [
        (
            b'{ "model" : "renamed" , "messages":[{"role":"user","content":"renamed"}],"t":1.0}',
            b'{ "model" : "m-at-the-provider" , "messages":[{"role":"user","content":"renamed"}],"t":1.0}',
        ),
        (
            b'{"messages":[{"role":"user","content":"x","model":"renamed"}],"model":"renamed"}',
            b'{"messages":[{"role":"user","content":"x","model":"renamed"}],"model":"m-at-the-provider"}',
        ),
        (
            b'{"model":"renamed","messages":[{"role":"user","content":"x"}],"metadata":{"model":"renamed"}}',
            b'{"model":"m-at-the-provider","messages":[{"role":"user","content":"x"}],"metadata":{"model":"renamed"}}',
        ),
        (
            b'{"messages":[{"role":"user","content":"x"}],"mod\\u0065l":"renamed"}',
            b'{"messages":[{"role":"user","content":"x"}],"mod\\u0065l":"m-at-the-provider"}',
        ),
        (
            b'{"model":"rena\\u006ded","messages":[{"role":"user","content":"\\"model\\":\\"renamed\\""}]}',
            b'{"model":"m-at-the-provider","messages":[{"role":"user","content":"\\"model\\":\\"renamed\\""}]}',
        ),
    ],
)
async def test_a_renamed_model_is_all_that_changes(world: World, body: bytes, goes_on: bytes) -> None:
    spy = world.spy()
    assert (await world.post("/chat/completions", body)).status == 200
    assert spy.body == goes_on


async def test_a_nested_member_of_the_same_name_is_not_touched(world: World) -> None:
    spy = world.spy()
    tail = b'"messages":[{"role":"user","content":"x"}],"metadata":{"stream_options":"x"}}'
    await world.post("/chat/completions", b'{"model":"m","stream":true,"stream_options":{},' + tail)
    assert spy.body == b'{"model":"m","stream":true,"stream_options":{"include_usage":true},' + tail


async def test_a_provider_that_does_not_know_stream_options_is_not_asked(world: World) -> None:
    provider = world.canned(ROLE + STOP + USAGE + DONE, headers=SSE)
    world.put("p", provider, ask_usage=False)
    answer = await world.chat(sent={"stream": True})
    assert "stream_options" not in provider.sent and answer.body == ROLE + STOP + USAGE + DONE


async def test_an_answer_in_one_piece_is_not_changed(world: World) -> None:
    body = b' {"id":"c","future":[1.0,1e3],\n"choices":[{"message":{"content":"\\u00e9"},"finish_reason":"stop"}]} \n'
    world.canned(body[:20], body[20:])
    answer = await world.chat()
    assert answer.body == body and answer.header("content-length") == str(len(body))


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"x","choices":[{"message":{"content":{"odd":1}}}],"usage":{"prompt_tokens":7,"completion_tokens":3}}',
        b'{"choices":[{"logprobs":-Infinity}],"usage":{"prompt_tokens":7,"completion_tokens":3}}',
        b'{"choices":[{"message":{"content":"\\ud83d"}}],"usage":{"prompt_tokens":7,"completion_tokens":3}}',
        b'{"choices":"none","usage":{"prompt_tokens":7.0,"completion_tokens":3}}',
        b'{"choices":[{"message":{"content":[{"type":"thinking","thinking":[]},{"type":"text","text":"x"}]}}],'
        b'"usage":{"input_tokens":7,"output_tokens":3}}',
    ],
)
async def test_an_odd_answer_goes_on_and_is_counted(world: World, body: bytes) -> None:
    world.canned(body)
    answer = await world.chat()
    assert (answer.status, answer.body) == (200, body)
    assert (world.line["input_tokens"], world.line["output_tokens"]) == (7, 3)


async def test_an_image_that_is_streamed_keeps_its_last_event(world: World) -> None:
    stream = (
        b'event: image_generation.completed\ndata: {"type":"image_generation.completed","b64_json":"aaaa",'
        b'"usage":{"input_tokens":5,"output_tokens":9}}\n\n'
    )
    provider = world.canned(stream, headers=SSE)
    answer = await world.post("/images/generations", {"model": "m", "prompt": "x", "stream": True})
    assert answer.body == stream and "stream_options" not in provider.sent
    assert (world.line["input_tokens"], world.line["output_tokens"]) == (5, 9)


async def test_an_answer_without_a_type_is_read_as_what_it_is(world: World) -> None:
    world.canned(b'{"choices":[],', b'"usage":{"prompt_tokens":4,"completion_tokens":2}}', headers=[])
    answer = await world.chat()
    assert answer.status == 200 and world.line["output_tokens"] == 2


async def test_trace_context_goes_on_under_a_span_of_its_own(world: World) -> None:
    spy = world.spy()
    trace = "0af7651916cd43dd8448eb211c80319c"
    sent = [("traceparent", f"00-{trace}-b7ad6b7169203331-01"), ("tracestate", "a=1,b=2")]
    await world.chat(headers=sent)
    got = dict(spy.last.headers)
    assert got[b"traceparent"].startswith(f"00-{trace}-".encode()) and b"b7ad6b7169203331" not in got[b"traceparent"]
    assert got[b"tracestate"] == b"a=1,b=2" and world.line["trace_id"] == trace


async def test_nothing_of_the_client_but_its_trace_reaches_the_provider(world: World) -> None:
    spy = world.spy()
    await world.chat(headers=[("x-api-key", world.key), ("cookie", "a=b"), ("x-forwarded-for", "1.2.3.4")])
    assert {name for name, _ in spy.last.headers} == {b"content-type", b"traceparent", b"x-client-request-id"}


async def test_of_a_provider_s_headers_only_a_few_reach_the_client(world: World) -> None:
    headers = [
        *[(b"content-type", b"application/json"), (b"set-cookie", b"a=b"), (b"server", b"secret")],
        *[(b"x-request-id", b"theirs"), (b"openai-processing-ms", b"12"), (b"x-ratelimit-limit-requests", b"9")],
    ]
    world.canned(b"{}", headers=headers)
    names = {name for name, _ in (await world.chat()).headers}
    assert names == {
        *[b"content-type", b"content-length", b"x-request-id", b"openai-processing-ms"],
        *[b"x-gateway-provider", b"x-gateway-attempts", b"x-gateway-overhead-ms"],
    }


async def test_bytes_of_a_raw_answer_are_handed_on_as_they_come(world: World) -> None:
    world.canned(b"\0one", b"\xfftwo", headers=[(b"content-type", b"audio/mpeg")])
    answer = await world.post("/audio/speech", {"model": "m", "input": "x", "voice": "y"})
    assert answer.pieces == [b"\0one", b"\xfftwo"] and answer.header("content-type") == "audio/mpeg"


async def test_a_raw_answer_that_breaks_off_does_not_look_whole(world: World) -> None:
    world.canned(b"one", BrokenReply("cut"), headers=[(b"content-type", b"audio/mpeg")])
    answer = await world.post("/audio/speech", {"model": "m", "input": "x", "voice": "y"})
    assert answer.pieces == [b"one"] and not answer.whole
    assert world.line["code"] == "upstream_broken_reply"
