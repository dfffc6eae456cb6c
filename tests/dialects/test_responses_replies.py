"""OpenAI's Responses, replies: what a provider streams is read, what a client is streamed is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import sse
from gateway.dialects.base import Head
from gateway.dialects.responses import DIALECT, WatchStream, WatchUnary
from gateway.errors import BrokenReply, InvalidRequest, UpstreamTimeout
from gateway.model.completion import Completion, fold
from gateway.model.conversation import Citation, Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall
from gateway.model.events import (
    Break,
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
    TextDelta,
    ToolDelta,
    UsageReport,
)
from gateway.model.usage import Usage
from tests.dialects.published import Check
from tests.dialects.published_responses import responses_check

HEAD = Head("req-1", "m", 1_700_000_000)
URL = {"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 5}
FILE = {"type": "file_citation", "file_id": "file-1", "index": 5, "filename": "a.pdf"}
SEARCH = {
    "id": "ws_1",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "search", "query": "q", "sources": []},
}
OPENED = {**SEARCH, "id": "ws_2", "action": {"type": "open_page", "url": "https://a.example"}}
CUSTOM = {"id": "ctc_1", "type": "custom_tool_call", "call_id": "call_9", "name": "code", "input": "print(1)"}
TOKEN = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}
COUNTS = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 29,
}
USAGE = Usage(20, 9, 4, 2, 5)

EVENTS: list[Event] = [
    Start("claude", id="msg_1"),
    ReasoningDelta("I "),
    ReasoningDelta("think"),
    ReasoningDelta("", signature="c2ln"),
    ReasoningDelta("", redacted="rs_7:gAAAAhidden"),
    TextDelta("Let me "),
    LogprobsDelta(({"token": "Let me", "logprob": -1.0},)),
    TextDelta("see."),
    CitationDelta(Citation("url", url="https://a.example", title="A")),
    Break(),
    TextDelta("More."),
    PartDelta(Opaque("responses", "output[2]", SEARCH)),
    ToolDelta(1, "", "weather", "toolu_1"),
    ToolDelta(1, '{"city":'),
    ToolDelta(2, "{}", "time", "", signature="proof"),
    ToolDelta(1, '"Ulm"}'),
    PartDelta(Media("image", "AAAA", media_type="image/webp")),
    TextDelta("Not for you", 1),
    Stop("tool_calls"),
    UsageReport(USAGE, tier="standard"),
]


@pytest.fixture(scope="module")
def check(data_set: Callable[[str], Path]) -> Check:
    return responses_check(data_set("specs/openai.yaml.gz"))


def frames(*events: dict[str, Any]) -> bytes:
    """Events as OpenAI frames them, numbered."""
    return b"".join(
        sse.frame(orjson.dumps({**event, "sequence_number": number}), event["type"])
        for number, event in enumerate(events)
    )


def parsed(stream: bytes) -> list[dict[str, Any]]:
    """Events of a stream, whose names are their types and whose numbers count up."""
    found = []
    for number, frame in enumerate(stream.split(b"\n\n")[:-1]):
        name, _, data = frame.partition(b"\n")
        event = orjson.loads(data.removeprefix(b"data: "))
        assert name == b"event: " + event["type"].encode() and event["sequence_number"] == number
        found.append(event)
    return found


def encoded(events: Sequence[Event], head: Head = HEAD) -> bytes:
    encoder = DIALECT.stream_encoder(head)
    return b"".join(encoder.feed([event]) for event in events) + encoder.close()


def streamed(data: bytes, *, cuts: Iterable[int] = (), decoder: Any = None) -> list[Event]:
    decoder = decoder or DIALECT.stream_decoder()
    places = [0, *sorted(cuts), len(data)]
    events = [event for at, end in pairwise(places) for event in decoder.feed(data[at:end])]
    return [*events, *decoder.close()]


def whole(body: bytes) -> list[Event]:
    decoder = DIALECT.unary_decoder()
    assert decoder.feed(body[:5]) == [] and decoder.feed(body[5:]) == []
    return decoder.close()


def bare(events: Iterable[Event]) -> list[Event]:
    """Events without their bytes, and without those that only pass."""
    return [msgspec.structs.replace(event, raw=b"") for event in events if not isinstance(event, Passed)]


def response(*output: Any, status: str = "completed", **more: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "model": "gpt-5",
        "status": status,
        "error": None,
        "incomplete_details": None,
        "output": list(output),
        "usage": COUNTS,
        "service_tier": "default",
        **more,
    }


def text(*annotations: Any, said: str = "Hello", **more: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": said, "annotations": list(annotations), "logprobs": [], **more}


def message(*content: Any) -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": list(content)}


THOUGHT = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "First"}, {"type": "summary_text", "text": "then"}],
    "encrypted_content": "gAAAAx",
}
CALL = {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1", "name": "f"}
WHOLE = response(
    THOUGHT,
    SEARCH,
    OPENED,
    message(text(URL, FILE, logprobs=[TOKEN]), text(said="Second")),
    {**CALL, "arguments": '{"a":1}'},
    {**CALL, "id": "fc_2", "call_id": "call_2", "arguments": "{}"},
    CUSTOM,
    {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": "AAAA"},
)


def as_streamed(found: dict[str, Any], *, deltas: bool = True) -> bytes:
    """A response as OpenAI streams it."""
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**found, "status": "in_progress", "output": [], "usage": None}},
        {"type": "response.in_progress", "response": {**found, "status": "in_progress", "output": []}},
    ]
    for at, item in enumerate(found["output"]):
        where = {"item_id": item["id"], "output_index": at}
        begun = dict(item)
        for name, empty in (("content", []), ("summary", []), ("arguments", "")):
            if deltas and name in item:
                begun[name] = empty
        begun.pop("encrypted_content", None)
        events.append({"type": "response.output_item.added", "output_index": at, "item": begun})
        if deltas:
            events += _growing(item, where)
        events.append({"type": "response.output_item.done", "output_index": at, "item": item})
    events.append({"type": f"response.{found['status']}", "response": found})
    return frames(*events)


def _growing(item: dict[str, Any], where: dict[str, Any]) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for at, part in enumerate(item.get("summary", ())):
        place = {**where, "summary_index": at}
        events.append({"type": "response.reasoning_summary_part.added", **place, "part": {**part, "text": ""}})
        events += _deltas("response.reasoning_summary_text", place, part["text"], "text")
        events.append({"type": "response.reasoning_summary_part.done", **place, "part": part})
    for at, part in enumerate(item.get("content", ())):
        place = {**where, "content_index": at}
        events.append({"type": "response.content_part.added", **place, "part": {**part, "text": ""}})
        if part["type"] == "refusal":
            events += _deltas("response.refusal", place, part["refusal"], "refusal")
        elif part["type"] == "reasoning_text":
            events += _deltas("response.reasoning_text", place, part["text"], "text")
        else:
            events += _deltas("response.output_text", place, part["text"], "text", logprobs=part["logprobs"])
            for number, one in enumerate(part["annotations"]):
                kind = "response.output_text.annotation.added"
                events.append({"type": kind, **place, "annotation_index": number, "annotation": one})
        events.append({"type": "response.content_part.done", **place, "part": part})
    if item["type"] == "function_call":
        events += _deltas("response.function_call_arguments", where, item["arguments"], "arguments")
    return events


def _deltas(kind: str, place: dict[str, Any], said: str, name: str, **more: Any) -> list[dict[str, Any]]:
    half = len(said) // 2
    pieces = [{"type": f"{kind}.delta", **place, "delta": piece} for piece in (said[:half], said[half:]) if piece]
    if more and pieces:
        pieces[0] |= {"logprobs": []}
        pieces[-1] |= more
    return [*pieces, {"type": f"{kind}.done", **place, name: said, **more}]


# Reading


def test_a_stream_and_a_whole_response_say_the_same() -> None:
    expected = (
        Reasoning("First\n\nthen", redacted="rs_1:gAAAAx", id="rs_1"),
        Opaque("responses", "output[1]", SEARCH),
        Opaque("responses", "output[2]", OPENED),
        Text(
            "Hello",
            citations=(
                Citation("url", title="A", url="https://a.example", start=0, end=5),
                Citation("file", title="a.pdf", start=5, raw=FILE),
            ),
        ),
        Text("Second"),
        ToolCall("call_1", "f", '{"a":1}'),
        ToolCall("call_2", "f", "{}"),
        Opaque("responses", "output[6]", CUSTOM),
        Media("image", "AAAA", media_type="image/png"),
    )
    found = fold(whole(orjson.dumps(WHOLE)))
    assert found.choices[0].parts == expected
    assert found.choices[0].logprobs == (TOKEN,) and found.choices[0].stop == "tool_calls"
    assert found == Completion(found.choices, USAGE, "gpt-5", "resp_1", 1_700_000_000, "default", searches=1)
    assert fold(streamed(as_streamed(WHOLE))) == found
    assert fold(streamed(as_streamed(WHOLE, deltas=False))) == found


@given(st.data())
def test_every_cut_of_a_stream_gives_the_same_events(data: st.DataObject) -> None:
    stream = as_streamed(WHOLE)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=30))
    found = streamed(stream, cuts=cuts)
    assert found == streamed(stream) and b"".join(event.raw for event in found) == stream


@pytest.mark.parametrize("framing", [b"\n", b"\r\n"])
def test_a_watched_stream_keeps_every_byte(framing: bytes) -> None:
    stream = (b": hello\n\n" + as_streamed(WHOLE) + b"data: [DONE]\n\n").replace(b"\n", framing)
    found = streamed(stream, decoder=WatchStream())
    assert b"".join(event.raw for event in found) == stream
    assert fold(found) == fold(whole(orjson.dumps(WHOLE)))


def test_the_first_event_of_a_chunk_has_its_bytes_and_repeats_only_pass() -> None:
    stream = frames(
        {"type": "response.created", "response": response()},
        {"type": "response.output_item.added", "output_index": 0, "item": message()},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hi", "logprobs": []},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "!", "logprobs": []},
        {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "Hi!"},
        {"type": "response.new_thing", "delta": {"any": "thing"}},
        {"type": "response.output_item.done", "output_index": 0, "item": message(text(said="Hi!"))},
        {"type": "response.completed", "response": response(message(text(said="Hi!")))},
    )
    chunks = [chunk + b"\n\n" for chunk in stream.split(b"\n\n")[:-1]]
    assert streamed(stream) == [
        Start("gpt-5", chunks[0], "resp_1", 1_700_000_000),
        Passed(chunks[1]),
        TextDelta("Hi", 0, chunks[2]),
        TextDelta("!", 0, chunks[3]),
        Passed(chunks[4]),
        Passed(chunks[5]),
        Passed(chunks[6]),
        Stop("stop", 0, chunks[7]),
        UsageReport(USAGE, tier="default"),
    ]


@pytest.mark.parametrize(
    ("found", "stop"),
    [
        (response(message(text())), "stop"),
        (response(message({"type": "refusal", "refusal": "No."})), "refusal"),
        (response({**CALL, "arguments": ""}), "tool_calls"),
        (response(CUSTOM), "tool_calls"),
        (response(status="incomplete", incomplete_details={"reason": "max_output_tokens"}), "length"),
        (response(status="incomplete", incomplete_details={"reason": "content_filter"}), "content_filter"),
        (response(status="incomplete", incomplete_details={"reason": "new"}), "other"),
        (response(status="incomplete"), "other"),
    ],
)
def test_why_an_answer_ended(found: dict[str, Any], stop: str) -> None:
    assert fold(whole(orjson.dumps(found))).choices[0].stop == stop
    assert fold(streamed(as_streamed(found))) == fold(whole(orjson.dumps(found)))


def test_a_refusal_is_read() -> None:
    found = response(message({"type": "refusal", "refusal": "No way."}))
    assert fold(streamed(as_streamed(found))).choices[0].parts == (Refusal("No way."),)


def test_open_models_tell_the_thought_itself() -> None:
    thought = {"id": "rs_1", "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}
    found = response(thought, {**thought, "id": "rs_2"}, {**thought, "id": "rs_3", "content": []})
    expected = (Reasoning("Hm.", id="rs_1"), Reasoning("Hm.", id="rs_2"), Reasoning(id="rs_3"))
    assert fold(streamed(as_streamed(found))).choices[0].parts == expected
    assert fold(whole(orjson.dumps(found))).choices[0].parts == expected


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"type": "error", "code": "x", "message": "Broke.", "param": None}, "Broke."),
        ({"type": "error", "error": {"message": "Broke.", "type": "x"}}, "Broke."),
        ({"type": "error"}, "The provider reported an error."),
        ({"type": "error", "error": "x"}, "The provider reported an error."),
        ({"type": "response.failed", "response": {"error": {"code": "x", "message": "Broke."}}}, "Broke."),
        ({"type": "response.failed", "response": None}, "The provider reported an error."),
        (
            {"type": "response.cancelled", "response": response(status="cancelled")},
            "The provider cancelled the answer.",
        ),
    ],
)
def test_failures_in_a_stream(event: dict[str, Any], said: str) -> None:
    assert fold(streamed(frames(event))).failed == said


def test_a_failed_response_is_counted_all_the_same() -> None:
    found = response(status="failed", error={"code": "server_error", "message": "Broke."})
    for events in (whole(orjson.dumps(found)), streamed(as_streamed(found))):
        assert fold(events).failed == "Broke." and fold(events).usage == USAGE
    assert bare(whole(b'{"error":{"message":"No."}}')) == [Failed("No.")]


def test_a_stream_that_did_not_end_is_broken() -> None:
    stream = as_streamed(WHOLE)
    cut = stream[: stream.rindex(b"event: ")]
    with pytest.raises(BrokenReply):
        streamed(cut)
    assert fold(streamed(stream[:-1])) == fold(streamed(stream))  # a last event without its empty line is whole


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3", b"{}", b"[" * 100_000, b"\xff"])
def test_what_is_no_response_is_broken(body: bytes) -> None:
    decoder = WatchUnary()
    decoder.feed(body)
    with pytest.raises(BrokenReply):
        decoder.close()


@pytest.mark.parametrize(
    "odd",
    [
        {"created_at": "now"},
        {"model": 7},
        {"output": [7, None, {"type": 5}, {"type": "message", "content": "x"}]},
        {"output": "x"},
        {"error": {"message": 7}},
        {"incomplete_details": "none"},
        {"service_tier": []},
    ],
)
def test_an_odd_member_makes_no_answer_free(odd: dict[str, Any]) -> None:
    found = {**response(), **odd}
    assert fold(whole(orjson.dumps(found))).usage == USAGE
    assert fold(streamed(frames({"type": "response.completed", "response": found}))).usage == USAGE


def test_odd_log_probabilities_and_places_are_left_out() -> None:
    odd = {**TOKEN, "top_logprobs": [[]]}
    far = {**URL, "end_index": 1 << 60}
    found = fold(streamed(as_streamed(response(message(text(far, logprobs=[odd])))))).choices[0]
    assert found.logprobs == () and found.text == "Hello"
    assert found.parts == (Text("Hello", citations=(Citation("url", "", "A", "https://a.example", None, 0),)),)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (COUNTS, USAGE),
        ({"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}, Usage()),
        ({"input_tokens": 3, "output_tokens": 2}, Usage(3, 2)),
        ({"input_tokens": 3, "output_tokens": 2, "output_tokens_details": None}, Usage(3, 2)),
        ({}, None),
        (None, None),
        ({"input_tokens": 10**10, "output_tokens": 2}, None),
    ],
)
def test_usage(counts: Any, expected: Usage | None) -> None:
    found = response(message(text()), usage=counts)
    assert fold(whole(orjson.dumps(found))).usage == expected
    assert fold(streamed(as_streamed(found))).usage == expected


def test_half_a_character_is_no_reason_to_fail() -> None:
    stream = as_streamed(response(message(text(said="ab")))).replace(b'"delta":"a"', b'"delta":"\\ud83d"')
    said = fold(streamed(stream)).choices[0].text
    assert said.encode() and said.endswith("b")


# Writing


def test_every_event_and_the_whole_are_as_published(check: Check) -> None:
    for event in parsed(encoded(EVENTS)):
        check("ResponseStreamEvent", event)
    check("Response", orjson.loads(DIALECT.unary(HEAD, EVENTS)))


def test_the_check_finds_faults(check: Check) -> None:
    found = orjson.loads(DIALECT.unary(HEAD, EVENTS))
    for bad in ({**found, "status": "done"}, {**found, "output": [{"type": "message"}]}, {**found, "usage": {}}):
        with pytest.raises(ValueError):
            check("Response", bad)
    event = parsed(encoded(EVENTS))[0]
    for bad in ({**event, "type": "response.creation"}, {**event, "sequence_number": "1"}):
        with pytest.raises(ValueError):
            check("ResponseStreamEvent", bad)


def test_the_sequence_of_events() -> None:
    kinds = [event["type"].removeprefix("response.") for event in parsed(encoded(EVENTS))]
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.delta",
        "output_text.annotation.added",
        "output_text.done",
        "content_part.done",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "output_item.added",
        "output_item.done",
        "function_call_arguments.done",
        "output_item.done",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]


def test_the_whole_response() -> None:
    head = msgspec.structs.replace(
        HEAD,
        asked={
            "model": "m",
            "input": "Hi",
            "instructions": "Be kind.",
            "tools": [{"type": "function", "name": "f"}],
            "temperature": 0.5,
            "text": {"verbosity": "low"},
            "metadata": None,
        },
    )
    found = orjson.loads(DIALECT.unary(head, [Start("x"), TextDelta("Hi"), Stop("stop"), UsageReport(USAGE)]))
    assert found.pop("output")[0]["content"] == [text(said="Hi")]
    assert found == {
        "id": "resp_req-1",
        "object": "response",
        "created_at": 1_700_000_000,
        "completed_at": 1_700_000_000,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "m",
        "usage": COUNTS,
        "background": False,
        "instructions": "Be kind.",
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": False,
        "temperature": 0.5,
        "text": {"format": {"type": "text"}, "verbosity": "low"},
        "tool_choice": "auto",
        "tools": [{"type": "function", "name": "f", "description": None, "parameters": None, "strict": None}],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
    }


def test_the_items_of_an_answer() -> None:
    output = orjson.loads(DIALECT.unary(HEAD, EVENTS))["output"]
    assert [(item["type"], item.get("encrypted_content")) for item in output] == [
        ("reasoning", "signature:c2ln"),
        ("reasoning", "gAAAAhidden"),
        ("message", None),
        ("web_search_call", None),
        ("function_call", None),
        ("function_call", None),
        ("image_generation_call", None),
    ]
    assert output[1]["id"] == "rs_7" and len({item["id"] for item in output}) == 7
    assert output[2]["content"][0]["logprobs"][0]["bytes"] == list(b"Let me")
    assert output[2]["content"][0]["annotations"][0]["end_index"] == len("Let me see.")
    assert (output[4]["call_id"], output[4]["arguments"]) == ("toolu_1", '{"city":"Ulm"}')
    assert output[5]["call_id"].startswith("call_")


@pytest.mark.parametrize(
    ("events", "status", "why"),
    [
        ([TextDelta("Hi"), Stop("length")], "incomplete", "max_output_tokens"),
        ([TextDelta("Hi"), Stop("content_filter")], "incomplete", "content_filter"),
        ([Stop("refusal")], "incomplete", "content_filter"),
        ([RefusalDelta("No."), Stop("refusal")], "completed", None),
        ([TextDelta("Hi"), Stop("pause")], "completed", None),
        ([TextDelta("Hi")], "completed", None),
        ([], "completed", None),
    ],
)
def test_how_an_answer_ends(check: Check, events: list[Event], status: str, why: str | None) -> None:
    last = parsed(encoded(events))[-1]
    check("ResponseStreamEvent", last)
    assert last["type"] == f"response.{status}" and last["response"]["status"] == status
    assert (last["response"]["incomplete_details"] or {}).get("reason") == why
    assert all(item["status"] == status for item in last["response"]["output"])


def test_a_failure_in_a_stream(check: Check) -> None:
    encoder = DIALECT.stream_encoder(HEAD)
    out = encoder.feed([Start("x"), TextDelta("Hi")]) + encoder.fail(UpstreamTimeout("idle", 5)) + encoder.close()
    events = parsed(out)
    for event in events:
        check("ResponseStreamEvent", event)
    failed, error = events[-2:]
    assert failed["type"] == "response.failed" and failed["response"]["status"] == "failed"
    assert failed["response"]["error"]["code"] == "server_error"
    assert failed["response"]["output"][0]["status"] == "incomplete"
    assert (
        error["type"] == "error" and error["code"] == "upstream_timeout" and error["error"]["type"] == "timeout_error"
    )
    assert fold(streamed(out)).failed == error["message"]


def test_a_failure_before_anything_is_an_error_alone() -> None:
    assert [event["type"] for event in parsed(DIALECT.stream_encoder(HEAD).feed([Failed("Broke.")]))] == ["error"]
    assert orjson.loads(DIALECT.unary(HEAD, [Failed("Broke.")]))["error"]["message"] == "Broke."


def test_a_citation_that_comes_late_is_in_the_whole() -> None:
    events: list[Event] = [
        TextDelta("Hi"),
        ToolDelta(0, "{}", "f", "call_1"),
        CitationDelta(Citation("url", url="https://a.example")),
    ]
    last = parsed(encoded(events))[-1]
    assert last["response"]["output"][0]["content"][0]["annotations"][0]["url"] == "https://a.example"


def test_an_error_has_openais_shape() -> None:
    said = orjson.loads(DIALECT.error_body(InvalidRequest("No.", param="input")))
    assert said == {
        "error": {"message": "No.", "type": "invalid_request_error", "param": "input", "code": "invalid_request"}
    }


# Both


WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
IDS = st.text("abcdef0123456789", min_size=1, max_size=6)
PARTS: st.SearchStrategy[Part] = st.one_of(
    st.builds(
        Text, WORDS, citations=st.sampled_from([(), (Citation("url", "", "A", "https://a.example", None, 0, 1),)])
    ),
    st.builds(Refusal, WORDS),
    st.builds(Reasoning, WORDS, id=IDS.map("rs_{}".format)),
    st.builds(lambda text, id_: Reasoning(text, "", f"rs_{id_}:gAAAA", f"rs_{id_}"), WORDS, IDS),
    st.builds(lambda id_, name, given: ToolCall(f"call_{id_}", name, given), IDS, IDS, WORDS),
    st.just(Media("image", "AAAA", media_type="image/png")),
)


ANSWERS = st.lists(PARTS, max_size=6, unique_by=lambda part: getattr(part, "id", "") or id(part))
"""Parts in which no two calls and no two thoughts have one id."""


@given(ANSWERS, st.sampled_from(["stop", "length"]), st.sampled_from([None, USAGE]))
def test_what_is_written_is_read_as_it_was(parts: list[Part], stop: Any, usage: Usage | None) -> None:
    events: list[Event] = [Start("m", id="resp_req-1", created=HEAD.created)]
    events += told(parts)
    events += [Stop(stop)] + ([UsageReport(usage, tier="default")] if usage is not None else [])
    found = fold(streamed(encoded(events)))
    assert found == fold(whole(DIALECT.unary(HEAD, events)))
    assert found.choices[0].parts == tuple(parts)
    assert found.usage == usage and found.model == "m"


def told(parts: list[Part]) -> list[Event]:
    events: list[Event] = []
    calls = 0
    for part in parts:
        match part:
            case Text():
                events += [Break(), *(TextDelta(letter) for letter in part.text)]
                events += [CitationDelta(one) for one in part.citations]
            case Refusal():
                events += [Break(), *(RefusalDelta(letter) for letter in part.text)]
            case Reasoning():
                events += [Break(), ReasoningDelta(part.text, id=part.id)]
                if part.redacted:
                    events.append(ReasoningDelta("", redacted=part.redacted))
            case ToolCall():
                events.append(ToolDelta(calls, "", part.name, part.id))
                events += [ToolDelta(calls, letter) for letter in part.arguments]
                calls += 1
            case _:
                events.append(PartDelta(part))
    return events


@given(ANSWERS)
def test_whatever_is_written_is_as_published(check: Check, parts: list[Part]) -> None:
    for event in parsed(encoded([*told(parts), Stop("stop")])):
        check("ResponseStreamEvent", event)


ANY: st.SearchStrategy[Event] = st.one_of(
    st.builds(TextDelta, WORDS | st.just(""), st.sampled_from([0, 0, 1])),
    st.builds(
        ReasoningDelta,
        WORDS | st.just(""),
        signature=st.sampled_from(["", "", "c2ln"]),
        redacted=st.sampled_from(["", "gAAAA", "rs_1:gAAAA", "theirs"]),
        id=st.sampled_from(["", "rs_1", "rs_2", "x"]),
    ),
    st.builds(RefusalDelta, WORDS | st.just("")),
    st.builds(CitationDelta, st.sampled_from([Citation("url", url="https://a.example"), Citation("page", "x")])),
    st.just(LogprobsDelta((TOKEN,))),
    st.just(LogprobsDelta(({"token": "x", "logprob": -1.0, "bytes": None, "top_logprobs": [{"token": "y"}]},))),
    st.builds(
        ToolDelta,
        st.integers(0, 2),
        WORDS | st.just(""),
        st.sampled_from(["", "f"]),
        st.sampled_from(["", "call_1"]),
        signature=st.sampled_from(["", "s"]),
    ),
    st.builds(
        PartDelta,
        st.sampled_from(
            [
                Opaque("responses", "output[0]", CUSTOM),
                Opaque("chat", "x", {"id": "c", "type": "custom", "custom": {"name": "f", "input": "1"}}),
                Opaque("messages", "x", {"type": "server_tool_use"}),
                Media("image", "AAAA"),
                Media("image", url="https://a.example/a.png"),
                Media("audio", "AAAA"),
            ]
        ),
    ),
    st.sampled_from([Start("x"), Break(), Stop("length"), Stop("stop"), UsageReport(USAGE), Passed(b"x")]),
)


@given(st.lists(ANY, max_size=12))
def test_whatever_happens_is_told_as_published(check: Check, events: list[Event]) -> None:
    found = parsed(encoded(events))
    for event in found:
        check("ResponseStreamEvent", event)
    assert found[-1]["response"] == orjson.loads(DIALECT.unary(HEAD, events))


@given(st.lists(ANY, max_size=12))
def test_what_is_told_adds_up(events: list[Event]) -> None:
    """Items are opened in order, grow while they are open, and end once, as what they grew to."""
    told = parsed(encoded(events))
    items: dict[int, dict[str, Any]] = {}
    grown: dict[tuple[int, int, str], str] = {}
    done: dict[int, dict[str, Any]] = {}
    for event in told:
        kind = event["type"].removeprefix("response.")
        index = event.get("output_index", -1)
        if kind == "output_item.added":
            assert index == len(items)
            items[index] = event["item"]
        elif kind == "output_item.done":
            assert index not in done and event["item"].get("id") == items[index].get("id")
            done[index] = event["item"]
        elif kind.endswith(".delta"):
            assert index not in done and event["item_id"] == items[index]["id"]
            at = (index, event.get("content_index", 0), kind.removesuffix(".delta"))
            grown[at] = grown.get(at, "") + event["delta"]
        elif kind.endswith(".done") and "part" not in event:
            said = next(event[name] for name in ("text", "refusal", "arguments") if name in event)
            assert grown.get((index, event.get("content_index", 0), kind.removesuffix(".done")), "") == said
    output = told[-1]["response"]["output"]
    assert len(output) == len(items) == len(done)
    assert all(item["id"] == done[at]["id"] and item["type"] == done[at]["type"] for at, item in enumerate(output))
