"""Anthropic's replies: what becomes of a stream wherever it is cut, of a message, and of events for its clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import messages, sse
from gateway.dialects.base import Head
from gateway.dialects.messages import DIALECT
from gateway.errors import BrokenReply, GatewayError, NotFound, TooLarge, Unavailable, UpstreamTimeout
from gateway.model.completion import Choice, Completion, fold, unfold
from gateway.model.conversation import Citation, Opaque, Part, Reasoning, Refusal, Text, ToolCall
from gateway.model.events import (
    Event,
    Failed,
    LogprobsDelta,
    Passed,
    ReasoningDelta,
    Start,
    Stop,
    StopReason,
    TextDelta,
    ToolDelta,
    UsageReport,
)
from gateway.model.usage import Usage

HEAD = Head("req_1", "claude", 0)

CITED = {
    "type": "char_location",
    "cited_text": "sky",
    "document_index": 0,
    "document_title": "Colours",
    "start_char_index": 4,
    "end_char_index": 7,
    "file_id": None,
}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "sky"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
BEFORE = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 300,
    "cache_read_input_tokens": 1000,
    "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
    "output_tokens": 1,
    "service_tier": "standard",
}
AFTER = {"output_tokens": 50, "output_tokens_details": {"thinking_tokens": 20}}
USED = Usage(1310, 50, 1000, 300, 20, cache_write_1h_tokens=200)


def event(name: str, **members: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps({"type": name, **members}))


def delta(index: int, kind: str, **members: Any) -> bytes:
    return event("content_block_delta", index=index, delta={"type": kind, **members})


def block(index: int, begun: dict[str, Any], *deltas: bytes) -> bytes:
    start = event("content_block_start", index=index, content_block=begun)
    return start + b"".join(deltas) + event("content_block_stop", index=index)


def message(**more: Any) -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [], **more}


def ended(reason: str, usage: dict[str, Any], **more: Any) -> bytes:
    said = {"stop_reason": reason, "stop_sequence": None, **more}
    return event("message_delta", delta=said, usage=usage) + event("message_stop")


STREAM = (
    event("message_start", message=message(usage=BEFORE))
    + event("ping")
    + block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        delta(0, "thinking_delta", thinking="Hm. "),
        delta(0, "thinking_delta", thinking="So."),
        delta(0, "signature_delta", signature="c2ln"),
    )
    + block(1, {"type": "redacted_thinking", "data": "cmVk"})
    + block(
        2, {"type": "text", "text": ""}, delta(2, "text_delta", text="Grüß"), delta(2, "text_delta", text=" dich 🙂")
    )
    + block(3, {**SEARCH, "input": {}}, delta(3, "input_json_delta", partial_json='{"query": "sky"}'))
    + block(4, FOUND)
    + block(
        5,
        {"type": "text", "text": "", "citations": []},
        delta(5, "text_delta", text="Blue."),
        delta(5, "citations_delta", citation=CITED),
    )
    + block(6, {"type": "text", "text": ""}, delta(6, "text_delta", text="Bye."))
    + block(
        7,
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
        delta(7, "input_json_delta", partial_json=""),
        delta(7, "input_json_delta", partial_json='{"a":'),
        delta(7, "input_json_delta", partial_json="1}"),
    )
    + block(8, {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}})
    + ended("tool_use", AFTER)
)

BODY = orjson.dumps(
    message(
        content=[
            {"type": "thinking", "thinking": "Hm. So.", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "cmVk"},
            {"type": "text", "text": "Grüß dich 🙂"},
            SEARCH,
            FOUND,
            {"type": "text", "text": "Blue.", "citations": [CITED]},
            {"type": "text", "text": "Bye."},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
            {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
        ],
        stop_reason="tool_use",
        stop_sequence=None,
        usage={**BEFORE, **AFTER},
    )
)

WHOLE = Completion(
    choices=(
        Choice(
            (
                Reasoning("Hm. So.", "c2ln"),
                Reasoning(redacted="cmVk"),
                Text("Grüß dich 🙂"),
                Opaque("messages", "content[3]", SEARCH),
                Opaque("messages", "content[4]", FOUND),
                Text("Blue.", citations=(Citation("char", "sky", "Colours", "", 0, 4, 7, CITED),)),
                Text("Bye."),
                ToolCall("toolu_1", "f", '{"a":1}'),
                ToolCall("toolu_2", "g", "{}"),
            ),
            "tool_calls",
        ),
    ),
    usage=USED,
    model="claude-x",
    id="msg_1",
    tier="standard",
)


def decode(*pieces: bytes) -> list[Event]:
    decoder = DIALECT.stream_decoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.close()


def decode_unary(body: bytes) -> list[Event]:
    decoder = DIALECT.unary_decoder()
    assert decoder.feed(body[:9]) == decoder.feed(body[9:]) == []
    return decoder.close()


def encode(events: Sequence[Event], sizes: Sequence[int] = (1,)) -> bytes:
    encoder = DIALECT.stream_encoder(HEAD)
    out, at, turn = b"", 0, 0
    while at < len(events):
        size = sizes[turn % len(sizes)]
        out += encoder.feed(events[at : at + size])
        at, turn = at + size, turn + 1
    return out + encoder.close()


def frames(stream: bytes) -> list[dict[str, Any]]:
    splitter = sse.Splitter()
    payloads = [sse.payload(one) for one in splitter.feed(stream)]
    assert splitter.close() == b""
    return [orjson.loads(payload) for payload in payloads if payload is not None]


# Decoding


@pytest.mark.parametrize("at", range(0, len(STREAM), 29))
def test_a_stream_cut_anywhere_says_the_same_in_the_same_bytes(at: int) -> None:
    events = decode(STREAM[:at], STREAM[at:])
    assert events == decode(STREAM)
    assert b"".join(event.raw for event in events) == STREAM
    assert fold(events) == WHOLE


@given(st.lists(st.integers(1, 60), min_size=1))
def test_a_stream_in_any_pieces_says_the_same(sizes: list[int]) -> None:
    pieces: list[bytes] = []
    at = 0
    while at < len(STREAM):
        pieces.append(STREAM[at : at + sizes[len(pieces) % len(sizes)]])
        at += len(pieces[-1])
    assert decode(*pieces) == decode(STREAM)


def test_lines_may_end_in_cr_lf_and_the_last_event_may_lack_its_empty_line() -> None:
    assert fold(decode(STREAM.replace(b"\n", b"\r\n"))) == WHOLE
    assert fold(decode(STREAM[:-1])) == WHOLE == fold(decode(STREAM[:-2]))


def test_an_answer_in_one_piece_says_what_its_stream_says() -> None:
    events = decode_unary(BODY)
    assert fold(events) == WHOLE
    assert b"".join(event.raw for event in events) == BODY


def test_the_start_tells_what_the_input_counts_for_answers_that_are_cut_short() -> None:
    assert decode(STREAM)[0] == Start(
        "claude-x",
        STREAM[: STREAM.index(b"\n\n") + 2],
        "msg_1",
        0,
        Usage(1310, 1, 1000, 300, cache_write_1h_tokens=200),
    )


@pytest.mark.parametrize("at", [0, STREAM.index(b"event: ping"), STREAM.index(b"event: message_stop"), len(STREAM) - 3])
def test_a_stream_without_message_stop_is_cut_short(at: int) -> None:
    with pytest.raises(BrokenReply) as raised:
        decode(STREAM[:at])
    assert raised.value.code == "upstream_truncated"


def test_an_error_in_a_stream_ends_it() -> None:
    failed = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    start = STREAM[: STREAM.index(b"event: content_block_start")]
    assert decode(start + failed)[-1] == Failed("Overloaded", failed)


def test_what_is_not_known_is_handed_on() -> None:
    odd = event("new_thing", value=1) + b": comment\n\n" + delta(0, "new_delta", content="x") + b"data: [DONE]\n\n"
    events = decode(odd + event("message_stop"))
    assert {type(one) for one in events} == {Passed}
    assert b"".join(one.raw for one in events) == odd + event("message_stop")


def test_an_answer_is_not_free_because_a_member_of_it_is_odd() -> None:
    half = delta(0, "text_delta", text="? x").replace(b"?", rb"\ud83d")
    odd = event("message_start", message=message(usage={**BEFORE, "service_tier": 7, "iterations": "none"}))
    events = decode(odd + half + ended("end_turn", {**AFTER, "server_tool_use": 3}))
    found = fold(events)
    assert found.usage == USED and found.choices == (Choice((Text("\ud83d x"),), "stop"),)
    body = BODY.replace(b'"standard"', b"7")
    assert fold(decode_unary(body)) == Completion(WHOLE.choices, USED, "claude-x", "msg_1")


def test_a_body_that_is_no_object_is_broken() -> None:
    for body in (b"", b"[]", b'{"type":', b"oops"):
        with pytest.raises(BrokenReply) as raised:
            decode_unary(body.ljust(9))
        assert raised.value.code == "upstream_invalid_json"


def test_a_body_that_is_an_error_fails() -> None:
    body = orjson.dumps({"type": "error", "error": {"type": "api_error", "message": "Sorry"}})
    assert decode_unary(body) == [Failed("Sorry", body)]


@pytest.mark.parametrize(
    ("reason", "more", "stop"),
    [
        ("end_turn", {}, Stop("stop")),
        ("stop_sequence", {"stop_sequence": "END"}, Stop("stop", sequence="END")),
        ("max_tokens", {}, Stop("length")),
        ("model_context_window_exceeded", {}, Stop("length")),
        ("pause_turn", {}, Stop("pause")),
        ("refusal", {}, Stop("refusal")),
        ("compaction", {}, Stop("other")),
    ],
)
def test_reasons_to_stop(reason: str, more: dict[str, Any], stop: Stop) -> None:
    streamed = fold(decode(event("message_start", message=message()) + ended(reason, AFTER, **more)))
    unary = fold(decode_unary(orjson.dumps(message(stop_reason=reason, **more))))
    for found in (streamed, unary):
        assert (found.choices[0].stop, found.choices[0].sequence) == (stop.reason, stop.sequence)


def test_why_a_model_declines_is_told() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "Not that."}
    found = fold(decode(ended("refusal", AFTER, stop_details=details)))
    assert found.choices == (Choice((Refusal("Not that."),), "refusal"),)


def test_a_compaction_is_kept_whole() -> None:
    stream = block(0, {"type": "compaction", "content": None}, delta(0, "compaction_delta", content="So far: a."))
    found = fold(decode(stream + event("message_stop"))).choices[0].parts
    assert found == (Opaque("messages", "content[0]", {"type": "compaction", "content": "So far: a."}),)


# Usage


@pytest.mark.parametrize(
    ("start", "end", "read", "tier", "searches"),
    [
        ({"input_tokens": 3, "output_tokens": 1}, {"output_tokens": 4}, Usage(3, 4), "", 0),
        ({"input_tokens": 0, "output_tokens": 0}, {"output_tokens": 0}, Usage(0, 0), "", 0),
        # the cache is beside the input there, within it here
        ({"input_tokens": 3, "cache_read_input_tokens": 5}, {"output_tokens": 4}, Usage(8, 4, 5), "", 0),
        ({"input_tokens": 3, "cache_creation_input_tokens": 5}, {"output_tokens": 4}, Usage(8, 4, 0, 5), "", 0),
        (
            {"input_tokens": 3, "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 7}},
            {"output_tokens": 4},
            Usage(15, 4, 0, 12, cache_write_1h_tokens=7),
            "",
            0,
        ),
        # the end of a stream tells of the cache only the sum
        (
            {
                "input_tokens": 3,
                "cache_creation_input_tokens": 7,
                "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 7},
            },
            {"output_tokens": 4, "cache_creation_input_tokens": 10},
            Usage(13, 4, 0, 10, cache_write_1h_tokens=10),
            "",
            0,
        ),
        (
            {
                "input_tokens": 3,
                "cache_creation_input_tokens": 7,
                "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 5},
            },
            {"output_tokens": 4, "cache_creation_input_tokens": 10},
            Usage(13, 4, 0, 10, cache_write_1h_tokens=5),
            "",
            0,
        ),
        # a tool of the server's adds input on the way: the last count is the whole
        (
            {"input_tokens": 100, "cache_read_input_tokens": 7, "output_tokens": 1},
            {"input_tokens": 900, "output_tokens": 40, "server_tool_use": {"web_search_requests": 2}},
            Usage(907, 40, 7),
            "",
            2,
        ),
        # what a compaction used is in none of the totals
        (
            {"input_tokens": 3, "output_tokens": 1},
            {
                "output_tokens": 4,
                "iterations": [
                    {"type": "compaction", "input_tokens": 50, "cache_read_input_tokens": 6, "output_tokens": 9},
                    {"type": "message", "input_tokens": 3, "output_tokens": 4},
                ],
            },
            Usage(59, 13, 6),
            "",
            0,
        ),
        (
            {"input_tokens": 3, "service_tier": "batch"},
            {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 99}},
            Usage(3, 9, reasoning_tokens=9),
            "batch",
            0,
        ),
        (
            {"input_tokens": 3, "service_tier": "standard", "speed": "fast"},
            {"output_tokens": 4},
            Usage(3, 4),
            "fast",
            0,
        ),
        ({"input_tokens": 3}, {"output_tokens": -4}, Usage(3, 0), "", 0),
    ],
)
def test_usage_of_every_kind(start: dict[str, Any], end: dict[str, Any], read: Usage, tier: str, searches: int) -> None:
    streamed = decode(event("message_start", message=message(usage=start)) + ended("end_turn", end))
    unary = decode_unary(orjson.dumps(message(usage={**start, **end}, stop_reason="end_turn")))
    for events in (streamed, unary):
        reports = [one for one in events if isinstance(one, UsageReport)]
        assert [(one.usage, one.tier, one.searches) for one in reports] == [(read, tier, searches)]


def test_no_count_is_no_report() -> None:
    events = decode(event("message_start", message=message(usage={})) + ended("end_turn", {}))
    assert not [one for one in events if isinstance(one, UsageReport)]
    assert isinstance(events[0], Start) and events[0].usage is None


@given(
    st.builds(
        lambda plain, read, five, hour, made, thought: Usage(
            plain + read + five + hour, made + thought, read, five + hour, thought, cache_write_1h_tokens=hour
        ),
        *[st.integers(0, 10**6)] * 6,
    )
)
def test_usage_written_reads_as_it_was(used: Usage) -> None:
    events: list[Event] = [Start("m"), TextDelta("a"), Stop("stop"), UsageReport(used)]
    assert fold(decode(encode(events))).usage == used
    assert fold(decode_unary(DIALECT.unary(HEAD, events))).usage == used


# Encoding


def test_a_stream_is_written_as_anthropic_writes_it() -> None:
    events: list[Event] = [
        Start("x", usage=Usage(9, 1, 4)),
        ReasoningDelta("Hm."),
        ReasoningDelta("", signature="c2ln"),
        TextDelta("a"),
        TextDelta(""),
        TextDelta("b"),
        ToolDelta(0, "", "f", "call_1"),
        ToolDelta(0, '{"a":1}'),
        ToolDelta(1, "{}", "g", "call_2"),
        LogprobsDelta(()),
        TextDelta("another", 1),
        Stop("tool_calls"),
        UsageReport(Usage(9, 7, 4, 2, 3)),
    ]
    assert frames(encode(events)) == [
        {
            "type": "message_start",
            "message": {
                "id": "msg_req_1",
                "type": "message",
                "role": "assistant",
                "model": "claude",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "stop_details": None,
                "usage": {
                    "input_tokens": 5,
                    "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 4,
                    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
                    "output_tokens": 1,
                },
            },
        },
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "thinking", "thinking": "", "signature": ""},
        },
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "a"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "b"}},
        {"type": "content_block_stop", "index": 1},
        {
            "type": "content_block_start",
            "index": 2,
            "content_block": {"type": "tool_use", "id": "call_1", "name": "f", "input": {}},
        },
        {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'}},
        {"type": "content_block_stop", "index": 2},
        {
            "type": "content_block_start",
            "index": 3,
            "content_block": {"type": "tool_use", "id": "call_2", "name": "g", "input": {}},
        },
        {"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
        {"type": "content_block_stop", "index": 3},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None, "stop_details": None},
            "usage": {
                "input_tokens": 3,
                "cache_creation_input_tokens": 2,
                "cache_read_input_tokens": 4,
                "output_tokens": 7,
                "output_tokens_details": {"thinking_tokens": 3},
            },
        },
        {"type": "message_stop"},
    ]
    assert encode(events).startswith(b'event: message_start\ndata: {"type":"message_start"')


@pytest.mark.parametrize(
    ("events", "reason", "sequence"),
    [
        ([Stop("stop")], "end_turn", None),
        ([Stop("stop", sequence="END")], "stop_sequence", "END"),
        ([Stop("length")], "max_tokens", None),
        ([Stop("content_filter")], "refusal", None),
        ([Stop("pause")], "pause_turn", None),
        ([Stop("other")], "end_turn", None),
        ([], "end_turn", None),
        # some servers call tools and say that they simply stopped
        ([ToolDelta(0, "{}", "f", "call_1"), Stop("stop")], "tool_use", None),
        ([ToolDelta(0, "{", "f", "call_1"), Stop("length")], "max_tokens", None),
    ],
)
def test_why_an_answer_stops(events: list[Event], reason: str, sequence: str | None) -> None:
    (told,) = [one for one in frames(encode(events)) if one["type"] == "message_delta"]
    whole = orjson.loads(DIALECT.unary(HEAD, events))
    for found in (told["delta"], whole):
        assert (found["stop_reason"], found["stop_sequence"]) == (reason, sequence)


def test_an_empty_answer_is_an_answer() -> None:
    assert [one["type"] for one in frames(encode([]))] == ["message_start", "message_delta", "message_stop"]


def test_a_call_that_is_named_late_begins_when_it_is_named() -> None:
    events: list[Event] = [
        ToolDelta(0, '{"a"', id="c"),
        ToolDelta(0, ":1}", "f", "c"),
        ToolDelta(1, "{}"),
        Stop("tool_calls"),
    ]
    parts = fold(decode(encode(events))).choices[0].parts
    assert parts == (ToolCall("c", "f", '{"a":1}'), ToolCall("toolu_req_1_1", "", "{}"))


def test_arguments_that_are_no_object_are_told_as_such() -> None:
    body = orjson.loads(DIALECT.unary(HEAD, [ToolDelta(0, '{"a', "f", "c"), Stop("length")]))
    assert body["content"][0]["input"] == {"INVALID_JSON": '{"a'}


def test_a_failure_is_the_last_event() -> None:
    encoder = DIALECT.stream_encoder(HEAD)
    encoder.feed([Start("m"), TextDelta("a")])
    (failed,) = frames(encoder.fail(UpstreamTimeout("idle", 20)))
    assert (failed["type"], failed["error"]["type"], failed["request_id"]) == ("error", "timeout_error", "req_1")
    assert encoder.close() == b""
    told = DIALECT.stream_encoder(HEAD).feed([Failed("Overloaded")])
    assert frames(told)[0]["error"] == {"type": "api_error", "message": "Overloaded"}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (NotFound("x"), "not_found_error"),
        (TooLarge("x"), "request_too_large"),
        (Unavailable("x"), "overloaded_error"),
        (UpstreamTimeout("total", 1), "timeout_error"),
        (BrokenReply("x"), "api_error"),
        (GatewayError("x"), "api_error"),
    ],
)
def test_errors_have_anthropics_types(error: GatewayError, kind: str) -> None:
    body = DIALECT.error_body(error, "req_1")
    assert orjson.loads(body) == {
        "type": "error",
        "error": {"type": kind, "message": error.message},
        "request_id": "req_1",
    }
    assert messages.is_error(body) and messages.words_of_error(body) == error.message
    assert not messages.is_error(b'{"error":"x"}') and not messages.is_error(b"<html>")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (405, "invalid_request_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_types_by_status(status: int, kind: str) -> None:
    error = GatewayError("x")
    error.status = status
    assert orjson.loads(DIALECT.error_body(error))["error"]["type"] == kind


def test_a_count_of_tokens_is_an_object() -> None:
    assert messages.count_body(2095) == b'{"input_tokens":2095}'


# There and back

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
ids = st.text("abcXYZ019_-", min_size=1, max_size=12)
objects = st.dictionaries(words, st.integers(-9, 9) | words | st.none(), max_size=3).map(
    lambda found: orjson.dumps(found).decode()
)
chars = st.builds(
    lambda cited, title, document, start, length: Citation("char", cited, title, "", document, start, start + length),
    words,
    words,
    *[st.integers(0, 99)] * 3,
)
parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, words, citations=st.lists(chars, max_size=2).map(tuple)),
    st.builds(lambda text, signature: Reasoning(text, signature), words, st.just("") | words),
    st.builds(lambda data: Reasoning(redacted=data), words),
    st.builds(ToolCall, ids, words, objects),
)
stops: st.SearchStrategy[StopReason] = st.sampled_from(["stop", "length", "tool_calls", "pause"])
answers = st.builds(
    lambda parts, stop: Completion((Choice(tuple(parts), stop),), Usage(3, 4), "claude", "msg_req_1"),
    st.lists(parts, max_size=6),
    stops,
)


def plain(completion: Completion) -> Completion:
    """Without what citations say once more; a call makes of `stop` a call."""
    choice = completion.choices[0]
    parts = tuple(
        Text(part.text, citations=tuple(Citation(*_said(one)) for one in part.citations))
        if type(part) is Text
        else part
        for part in choice.parts
    )
    calls = any(type(part) is ToolCall for part in parts)
    stop: StopReason | None = "tool_calls" if calls and choice.stop == "stop" else choice.stop
    return Completion((Choice(parts, stop),), completion.usage, completion.model, completion.id)


def _said(one: Citation) -> tuple[Any, ...]:
    return one.kind, one.cited, one.title, one.url, one.document, one.start, one.end


@given(answers, st.lists(st.integers(1, 4), min_size=1))
def test_an_answer_goes_there_and_back_streamed_or_not(whole: Completion, sizes: list[int]) -> None:
    events = list(unfold(whole))
    stream = encode(events, sizes)
    assert stream == encode(events)
    assert plain(fold(decode(stream))) == plain(whole)
    assert plain(fold(decode_unary(DIALECT.unary(HEAD, events)))) == plain(whole)
