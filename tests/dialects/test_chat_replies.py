"""Chat completions, replies: what is read from a provider, and what is written for a client."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import openai
from gateway.dialects.base import Head
from gateway.dialects.chat import DIALECT
from gateway.errors import BrokenReply, UpstreamError
from gateway.model.completion import Choice, Completion, fold, unfold
from gateway.model.conversation import Citation, Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall
from gateway.model.events import (
    CitationDelta,
    Event,
    Failed,
    LogprobsDelta,
    PartDelta,
    Passed,
    ReasoningDelta,
    RefusalDelta,
    Start,
    Stop,
    StopReason,
    TextDelta,
    ToolDelta,
    UsageReport,
)
from gateway.model.usage import Usage
from tests.dialects.published import Check, openai_check

DONE = b"data: [DONE]\n\n"
HEAD = Head("req-1", "m", 1_700_000_000)


@pytest.fixture(scope="module")
def check(data_set: Callable[[str], Path]) -> Check:
    return openai_check(data_set("specs/openai.yaml.gz"))


def chunk(*choices: Any, **more: Any) -> bytes:
    body = {"id": "c1", "created": 5, "model": "x", "choices": list(choices), **more}
    return b"data: " + orjson.dumps(body) + b"\n\n"


def say(delta: Any = None, finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta or {}, "finish_reason": finish, **more}


def call(arguments: str, index: int | None = 0, **more: Any) -> dict[str, Any]:
    numbered = {} if index is None else {"index": index}
    name = {"name": more.pop("name")} if "name" in more else {}
    return {"tool_calls": [{**numbered, **more, "function": {**name, "arguments": arguments}}]}


def decode(*pieces: bytes) -> list[Event]:
    decoder = DIALECT.stream_decoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.close()


def decode_whole(body: Any) -> list[Event]:
    decoder = DIALECT.unary_decoder()
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    assert decoder.feed(data[:9]) == decoder.feed(data[9:]) == []
    return decoder.close()


def parts(*deltas: Any, finish: str = "stop") -> tuple[Part, ...]:
    stream = b"".join(chunk(say(delta)) for delta in deltas) + chunk(say(finish=finish)) + DONE
    return fold(decode(stream)).choices[0].parts


TOKEN = {"token": "G", "logprob": -0.5, "bytes": [71], "top_logprobs": []}
PAGE = {
    "type": "url_citation",
    "url_citation": {"url": "https://a.example", "title": "A", "start_index": 0, "end_index": 4},
}
CITED = Citation("url", title="A", url="https://a.example", start=0, end=4)
PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
STREAM = (
    chunk(say({"role": "assistant", "content": ""}))
    + chunk(say({"reasoning_content": "hm"}))
    + chunk(say({"content": "Grüß"}, logprobs={"content": [TOKEN], "refusal": None}), say({"content": "b"}, index=1))
    + b": comment\r\n\r\n"
    + chunk(say({"content": " dich 🙂"}))
    + chunk(say({"annotations": [PAGE]}))
    + chunk(say(call("", id="1", name="f")))
    + chunk(say(call("", 1, id="2", name="g")))
    + chunk(say(call('{"a":')), say({"refusal": "no"}, index=1))
    + chunk(say(call("1}")))
    + chunk(say(finish="tool_calls"), say(finish="stop", index=1))
    + chunk(usage={"prompt_tokens": 3, "completion_tokens": 4}, service_tier="flex")
    + DONE
)
WHOLE = Completion(
    (
        Choice(
            (
                Reasoning("hm"),
                Text("Grüß dich 🙂", citations=(CITED,)),
                ToolCall("1", "f", '{"a":1}'),
                ToolCall("2", "g", ""),
            ),
            "tool_calls",
            logprobs=(TOKEN,),
        ),
        Choice((Text("b"), Refusal("no")), "refusal"),
    ),
    Usage(3, 4),
    "x",
    "c1",
    5,
    "flex",
)


def test_a_stream_cut_at_any_byte_says_the_same_in_the_same_bytes() -> None:
    whole = decode(STREAM)
    assert fold(whole) == WHOLE
    assert b"".join(event.raw for event in whole) == STREAM
    for at in range(len(STREAM)):
        assert decode(STREAM[:at], STREAM[at:]) == whole


def test_the_beginning_is_told_once() -> None:
    assert [event for event in decode(STREAM) if isinstance(event, Start)] == [
        Start("x", chunk(say({"role": "assistant", "content": ""})), "c1", 5)
    ]


def test_a_whole_reply_says_what_its_stream_says() -> None:
    message = {
        "role": "assistant",
        "reasoning_content": "hm",
        "content": "Grüß dich 🙂",
        "annotations": [PAGE],
        "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
            {"id": "2", "type": "function", "function": {"name": "g", "arguments": ""}},
        ],
    }
    first = {"index": 0, "message": message, "finish_reason": "tool_calls", "logprobs": {"content": [TOKEN]}}
    second = {"index": 1, "message": {"content": "b", "refusal": "no"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    body = orjson.dumps(
        {"id": "c1", "created": 5, "model": "x", "choices": [first, second], "usage": usage, "service_tier": "flex"}
    )
    events = decode_whole(body)
    assert fold(events) == WHOLE and b"".join(event.raw for event in events) == body


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        ([{"reasoning": "h"}, {"reasoning": "m"}, {"content": "a"}], [Reasoning("hm"), Text("a")]),
        ([{"reasoning_content": "hm", "content": "a"}], [Reasoning("hm"), Text("a")]),
        (
            [
                {"reasoning_content": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
                {"reasoning_details": [{"type": "reasoning.text", "signature": "s"}]},
                {"reasoning_details": [{"type": "reasoning.encrypted", "data": "r"}]},
            ],
            [Reasoning("hm", "s"), Reasoning(redacted="r")],
        ),
        (
            [
                {
                    "content": [
                        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                        {"type": "text", "text": "a"},
                    ]
                }
            ],
            [Reasoning("hm"), Text("a")],
        ),
        ([{"refusal": "n"}, {"refusal": "o"}], [Refusal("no")]),
        ([{"function_call": {"name": "f"}}, {"function_call": {"arguments": "{}"}}], [ToolCall("", "f", "{}")]),
        (
            [call("{}", None, id="1", name="f"), call("{}", None, id="2", name="f")],
            [ToolCall(i, "f", "{}") for i in "12"],
        ),
        ([call("{", None, id="1", name="f"), call("}", None)], [ToolCall("1", "f", "{}")]),
        ([call("{}", None, name="f"), call("{}", None, name="g")], [ToolCall("", "f", "{}"), ToolCall("", "g", "{}")]),
        (
            [call("{}", id="1", name="f", extra_content={"google": {"thought_signature": "s"}})],
            [ToolCall("1", "f", "{}", "s")],
        ),
        (
            [
                {"tool_calls": [{"index": 0, "id": "1", "type": "custom", "custom": {"name": "c", "input": ""}}]},
                {"tool_calls": [{"index": 0, "custom": {"input": "x"}}]},
                {"tool_calls": [{"index": 0, "custom": {"input": "y"}}]},
            ],
            [Opaque("chat", "tool_calls", {"id": "1", "type": "custom", "custom": {"name": "c", "input": "xy"}})],
        ),
        (
            [{"audio": {"id": "a", "transcript": "Hi"}}, {"audio": {"data": "YQ=="}}, {"audio": {"data": "YmM="}}],
            [Text("Hi"), Media("audio", "YWJj")],
        ),
        ([{"content": "a"}, {"images": [PNG]}], [Text("a"), Media("image", "AAAA", media_type="image/png")]),
    ],
)
def test_what_deltas_say(deltas: list[Any], expected: list[Part]) -> None:
    assert parts(*deltas) == tuple(expected)


@pytest.mark.parametrize(
    ("deltas", "finish", "reason"),
    [
        ([{"content": "a"}], "stop", "stop"),
        ([{"content": "a"}], "length", "length"),
        ([{"content": "a"}], "content_filter", "content_filter"),
        ([{"content": "a"}], "eos", "other"),
        ([call("{}", name="f")], "stop", "tool_calls"),
        ([call("{}", name="f")], "tool_calls", "tool_calls"),
        ([call("{", name="f")], "length", "length"),
        ([{"function_call": {"name": "f"}}], "function_call", "tool_calls"),
        ([{"refusal": "no"}], "stop", "refusal"),
    ],
)
def test_why_it_ended(deltas: list[Any], finish: str, reason: StopReason) -> None:
    stream = b"".join(chunk(say(delta)) for delta in deltas) + chunk(say(finish=finish))
    assert fold(decode(stream)).choices[0].stop == reason


def test_an_end_that_is_told_twice_is_one() -> None:
    end = chunk(say({"content": ""}, "stop"))
    assert [type(event) for event in decode(chunk(say({"content": "a"})) + end + end)] == [
        Start,
        TextDelta,
        Stop,
        Passed,
    ]


def test_the_stop_sequence_that_was_met() -> None:
    assert fold(decode(chunk(say({"content": "a"}, "stop", stop_reason="END")))).choices[0].sequence == "END"
    assert fold(decode(chunk(say({"content": "a"}, "stop", stop_reason=128001)))).choices[0].sequence == ""


ALL_KINDS = {
    "prompt_tokens": 20,
    "completion_tokens": 9,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2, "audio_tokens": 3, "image_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 5, "audio_tokens": 2},
}
KINDS = Usage(20, 9, 4, 2, 5, input_audio_tokens=3, output_audio_tokens=2, input_image_tokens=1)


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (ALL_KINDS, KINDS),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(0, 0)),
        ({"prompt_tokens": 3, "total_tokens": 3}, Usage(3, 0)),
        (None, None),
        ({}, None),
    ],
)
def test_usage_is_read_as_the_light_decoder_reads_it(usage: Any, read: Usage | None) -> None:
    stream = chunk(say({"content": "a"}, "stop")) + chunk(usage=usage) + DONE
    light = openai.StreamDecoder()
    assert fold(decode(stream)).usage == fold([*light.feed(stream), *light.close()]).usage == read
    whole = {"model": "x", "choices": [{"message": {"content": "a"}, "finish_reason": "stop"}], "usage": usage}
    assert fold(decode_whole(whole)).usage == read


def test_usage_beside_the_last_choice_is_read() -> None:
    events = decode(chunk(say({"content": "a"}, "stop"), usage=ALL_KINDS))
    assert events[-1] == UsageReport(KINDS, False, b"")


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        DONE,
        chunk(say({"content": "a"})),
        chunk(say({"content": "a"})) + DONE,
        chunk(say(finish="stop")) + b"data: {",
    ],
)
def test_a_stream_that_ends_early_is_broken(stream: bytes) -> None:
    with pytest.raises(BrokenReply):
        decode(stream)


@pytest.mark.parametrize("body", [b"", b"{", b"5", {}, {"choices": []}, {"object": "list", "data": []}])
def test_what_is_no_completion_is_broken(body: Any) -> None:
    with pytest.raises(BrokenReply):
        decode_whole(body)


def test_an_error_within_is_a_failure() -> None:
    event = b'data: {"error":{"message":"gone"}}\n\n'
    assert decode(event) == [Failed("gone", event)]
    assert decode_whole({"error": {"message": "gone"}})[0].message == "gone"  # type: ignore[union-attr]


def test_odd_replies_are_read_as_far_as_they_can_be() -> None:
    stream = chunk(say({"content": "a", "annotations": 5}), usage={"prompt_tokens": 1, "completion_tokens": 2})
    assert fold(decode(stream + chunk(say(finish="stop")))).choices == (Choice((Text("a"),), "stop"),)
    assert fold(decode(stream + chunk(say(finish="stop")))).usage == Usage(1, 2)
    assert type(decode(b"data: 5\n\n" + chunk(say(finish="stop")))[0]) is Passed


def test_half_a_character_is_made_whole() -> None:
    stream = chunk(say({"content": "a?"}, "stop")).replace(b"?", b"\\ud83d")
    assert fold(decode(stream)).choices[0].text == "a\ufffd"
    encode(decode(stream))


# Writing


def encode(events: list[Event], head: Head = HEAD) -> bytes:
    encoder = DIALECT.stream_encoder(head)
    return encoder.feed(events) + encoder.close()


def values(stream: bytes) -> list[Any]:
    assert stream.endswith(DONE)
    return [orjson.loads(line[6:]) for line in stream.removesuffix(DONE).split(b"\n\n") if line]


EVENTS: list[Event] = [
    Start("claude", id="msg_1"),
    ReasoningDelta("h"),
    ReasoningDelta("m"),
    ReasoningDelta("", signature="s"),
    TextDelta("Grüß", 0),
    LogprobsDelta(({"token": "ü", "logprob": -1.0, "top_logprobs": [{"token": "u", "logprob": -2}]},)),
    CitationDelta(Citation("url", url="https://a.example")),
    CitationDelta(Citation("char", "somewhere", document=0)),
    ToolDelta(3, "", "f", "toolu_1"),
    ToolDelta(3, "{}"),
    ToolDelta(5, "{}", "g", signature="t"),
    PartDelta(Media("image", "AAAA", media_type="image/png")),
    PartDelta(Opaque("gemini", "x", 1)),
    Stop("tool_calls"),
    RefusalDelta("No.", 1),
    Stop("refusal", 1),
    UsageReport(KINDS, tier="standard"),
]


def test_events_as_chunks(check: Check) -> None:
    chunks = values(encode(EVENTS))
    for value in chunks:
        check("CreateChatCompletionStreamResponse", value)
        assert (value["id"], value["model"], value["created"]) == ("req-1", "m", 1_700_000_000)
    deltas = [value["choices"][0]["delta"] for value in chunks[:-1]]
    spelled = {"token": "ü", "logprob": -1.0, "bytes": [195, 188]}
    other = {"token": "u", "logprob": -2, "bytes": [117]}
    made = deltas[8]["tool_calls"][0]["id"]
    assert made.startswith("call_") and len(made) <= 40
    page = {"url": "https://a.example", "title": ""}
    g, proof = {"name": "g", "arguments": "{}"}, {"google": {"thought_signature": "t"}}
    assert deltas == [
        {"role": "assistant", "content": "", "refusal": None},
        {"reasoning_content": "h"},
        {"reasoning_content": "m"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "s", "index": 0}]},
        {"content": "Grüß"},
        {"annotations": [{"type": "url_citation", "url_citation": {**page, "start_index": 0, "end_index": 4}}]},
        {"tool_calls": [{"index": 0, "id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
        {"tool_calls": [{"index": 1, "id": made, "type": "function", "function": g, "extra_content": proof}]},
        {"images": [{"type": "image_url", "index": 0, "image_url": {"url": "data:image/png;base64,AAAA"}}]},
        {},
        {"role": "assistant", "content": "", "refusal": None},
        {"refusal": "No."},
        {},
    ]  # fmt: skip
    tokens = [{**spelled, "top_logprobs": [other]}]
    assert chunks[4]["choices"][0]["logprobs"] == {"content": tokens, "refusal": None}
    assert [value["choices"][0]["finish_reason"] for value in (chunks[10], chunks[13])] == ["tool_calls", "stop"]
    assert chunks[-1]["choices"] == [] and chunks[-1]["service_tier"] == "default"
    assert {name: chunks[-1]["usage"][name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")} == {
        "prompt_tokens": 20,
        "completion_tokens": 9,
        "total_tokens": 29,
    }


def test_usage_is_told_only_to_those_who_asked() -> None:
    chunks = values(encode(EVENTS, Head("req-1", "m", 1, wants_usage=False)))
    assert not any("usage" in value for value in chunks) and chunks[-1]["choices"]


def test_events_as_one_reply(check: Check) -> None:
    body = orjson.loads(DIALECT.unary(HEAD, EVENTS))
    check("CreateChatCompletionResponse", body)
    first, second = body["choices"]
    assert first["finish_reason"] == "tool_calls" and second["finish_reason"] == "stop"
    assert first["message"]["content"] == "Grüß" and first["message"]["reasoning_content"] == "hm"
    assert second["message"] == {"role": "assistant", "content": None, "refusal": "No."}
    assert body["service_tier"] == "default"


@pytest.mark.parametrize(
    ("events", "finish"),
    [
        ([TextDelta("a"), Stop("stop")], "stop"),
        ([TextDelta("a"), Stop("length")], "length"),
        ([Stop("refusal")], "content_filter"),
        ([RefusalDelta("no"), Stop("refusal")], "stop"),
        ([TextDelta("a"), Stop("pause")], "stop"),
        ([TextDelta("a"), Stop("other")], "stop"),
        ([ToolDelta(0, "{}", "f"), Stop("stop")], "tool_calls"),
        ([ToolDelta(0, "{", "f"), Stop("length")], "length"),
    ],
)
def test_why_it_ended_in_openais_words(events: list[Event], finish: str) -> None:
    assert values(encode(events))[-1]["choices"][0]["finish_reason"] == finish
    assert orjson.loads(DIALECT.unary(HEAD, events))["choices"][0]["finish_reason"] == finish


def test_sound_is_written(check: Check) -> None:
    events: list[Event] = [PartDelta(Media("audio", "YQ==")), PartDelta(Media("audio", "YmM=")), Stop("stop")]
    body = orjson.loads(DIALECT.unary(HEAD, events))
    check("CreateChatCompletionResponse", body)
    assert body["choices"][0]["message"]["audio"]["data"] == "YWJj"
    assert [value["choices"][0]["delta"].get("audio", {}).get("data") for value in values(encode(events))] == [
        None,
        "YQ==",
        "YmM=",
        None,
    ]


def test_an_error_in_openais_shape(check: Check) -> None:
    error = UpstreamError("gone")
    body = orjson.loads(DIALECT.error_body(error))
    check("ErrorResponse", body)
    assert DIALECT.stream_encoder(HEAD).fail(error) == b"data: " + orjson.dumps(body) + b"\n\n"


# There and back


words = st.text(min_size=1, max_size=6)
citations = st.builds(Citation, st.just("url"), title=words, url=words, start=st.integers(0, 9), end=st.integers(0, 9))
kinds: st.SearchStrategy[tuple[Part, ...]] = st.tuples(
    st.lists(
        st.one_of(
            st.builds(Reasoning, words, words, st.just(""), st.sampled_from(["", "id"])),
            st.builds(Reasoning, words, st.just(""), words, words),
            st.builds(Reasoning, st.just(""), st.just(""), words),
        ),
        max_size=2,
        unique_by=lambda thought: thought.id or thought.text or thought.redacted,
    ),
    st.lists(st.builds(Text, words, citations=st.lists(citations, max_size=2).map(tuple)), max_size=1),
    st.lists(st.builds(ToolCall, words, words, words, st.sampled_from(["", "s"])), max_size=3),
    st.lists(st.builds(Refusal, words), max_size=1),
    st.lists(st.just(Media("image", "AAAA", media_type="image/png")), max_size=2),
).map(lambda lists: tuple(part for one in lists for part in one))


@st.composite
def answers(draw: st.DrawFn) -> Choice:
    found = draw(kinds)
    if any(isinstance(part, ToolCall) for part in found):
        stop: StopReason = "tool_calls"
    elif any(isinstance(part, Refusal) for part in found):
        stop = "refusal"
    else:
        stop = draw(st.sampled_from(["stop", "length", "content_filter"]))
    return Choice(found, stop, logprobs=draw(st.sampled_from([(), (TOKEN,)])))


usages = st.builds(
    Usage,
    st.integers(10, 99),
    st.integers(10, 99),
    st.integers(0, 4),
    st.integers(0, 4),
    st.integers(0, 4),
    input_audio_tokens=st.integers(0, 3),
    output_audio_tokens=st.integers(0, 3),
    input_image_tokens=st.integers(0, 3),
    output_image_tokens=st.integers(0, 3),
)
completions = st.builds(
    Completion,
    st.lists(answers(), min_size=1, max_size=2).map(tuple),
    usages,
    st.just("m"),
    st.just("req-1"),
    st.just(1_700_000_000),
    st.sampled_from(["", "flex"]),
)


def halves(completion: Completion) -> list[Event]:
    """Its events, each text and its like in two pieces, what proves a thought after it."""
    found: list[Event] = []
    for event in unfold(completion):
        if isinstance(event, TextDelta | RefusalDelta):
            at = len(event.text) // 2
            found += [type(event)(event.text[:at], event.index), type(event)(event.text[at:], event.index)]
        elif isinstance(event, ReasoningDelta):
            at = len(event.text) // 2
            found += [ReasoningDelta(event.text[:at], event.index), ReasoningDelta(event.text[at:], event.index)]
            found.append(ReasoningDelta("", event.index, b"", event.signature, event.redacted, event.id))
        elif isinstance(event, ToolDelta):
            found += [
                msgspec.structs.replace(event, arguments=""),
                ToolDelta(event.call, event.arguments, "", "", event.index),
            ]
        else:
            found.append(event)
    return found


@given(completions)
def test_a_stream_reads_as_it_was_written(completion: Completion) -> None:
    assert fold(decode(encode(list(unfold(completion))))) == completion


@given(completions)
def test_a_stream_in_small_pieces_reads_as_it_was_written(completion: Completion) -> None:
    encoder = DIALECT.stream_encoder(HEAD)
    stream = b"".join(encoder.feed([event]) for event in halves(completion)) + encoder.close()
    assert fold(decode(stream)) == completion == fold(decode_whole(DIALECT.unary(HEAD, halves(completion))))


@given(completions)
def test_a_whole_reply_reads_as_it_was_written(completion: Completion) -> None:
    assert fold(decode_whole(DIALECT.unary(HEAD, list(unfold(completion))))) == completion


@given(completions)
def test_what_is_written_is_what_openai_publishes(check: Check, completion: Completion) -> None:
    events = list(unfold(completion))
    check("CreateChatCompletionResponse", orjson.loads(DIALECT.unary(HEAD, events)))
    for value in values(encode(events)):
        check("CreateChatCompletionStreamResponse", value)


@given(completions, st.lists(st.integers(1, 50), min_size=1))
def test_what_is_written_reads_the_same_in_any_pieces(completion: Completion, sizes: list[int]) -> None:
    stream = encode(list(unfold(completion)))
    decoder = DIALECT.stream_decoder()
    events: list[Event] = []
    at = turn = 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        events += decoder.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert fold(events + decoder.close()) == completion


@given(st.binary(max_size=40))
def test_whatever_comes_is_read_or_broken(data: bytes) -> None:
    for decoder in (DIALECT.stream_decoder(), DIALECT.unary_decoder()):
        try:
            decoder.feed(b"data: " + data + b"\n\n")
            decoder.close()
        except BrokenReply:
            pass


junk = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(0, 0.5), st.sampled_from(["", "x"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["type", "text", "index", "function"]), inner)
    ),
    max_leaves=4,
)
MEMBERS = ["content", "tool_calls", "reasoning", "reasoning_details", "annotations", "audio", "images", "function_call"]


@given(st.dictionaries(st.sampled_from(MEMBERS), junk), st.sampled_from(["logprobs", "stop_reason", "index"]), junk)
def test_an_odd_chunk_ends_no_stream(delta: Any, name: str, value: Any) -> None:
    events = decode(chunk({**say(delta), name: value}), *(chunk(say({}, "stop", index)) for index in range(-5, 6)))
    assert encode(events)
