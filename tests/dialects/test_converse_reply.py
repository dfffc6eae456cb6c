"""Bedrock's replies: what becomes of an event stream wherever it is cut, of a whole message, of tokens counted."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import eventstream
from gateway.dialects.base import Head
from gateway.dialects.converse import DIALECT
from gateway.errors import BrokenReply, NotFound
from gateway.model.completion import Choice, Completion, fold
from gateway.model.conversation import Citation, Media, Opaque, Reasoning, Text, ToolCall
from gateway.model.events import Event, Failed, Passed, Start, Stop, TextDelta, UsageReport
from gateway.model.usage import Usage

CITED = {
    "title": "Colours",
    "sourceContent": [{"text": "s"}, {"text": "ky"}],
    "location": {"documentChar": {"documentIndex": 0, "start": 4, "end": 7}},
}
USED = {
    "inputTokens": 10,
    "outputTokens": 50,
    "totalTokens": 1360,
    "cacheReadInputTokens": 1000,
    "cacheWriteInputTokens": 300,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 200}, {"ttl": "5m", "inputTokens": 100}],
}
SEARCH = {"toolUseId": "s1", "name": "nova_grounding", "type": "server_tool_use"}
FOUND = {"toolUseId": "s1", "type": "nova_grounding_result", "status": "success"}
PICTURE = base64.b64encode(b"0123456789").decode()


def event(kind: str, **members: Any) -> bytes:
    headers: Mapping[str, eventstream.Value] = {
        ":event-type": kind,
        ":content-type": "application/json",
        ":message-type": "event",
    }
    return eventstream.encode(headers, orjson.dumps({**members, "p": "abcd"}))


def failure(kind: str, payload: bytes) -> bytes:
    return eventstream.encode({":exception-type": kind, ":message-type": "exception"}, payload)


def start(index: int, **start: Any) -> bytes:
    return event("contentBlockStart", start=start, contentBlockIndex=index)


def delta(index: int, **delta: Any) -> bytes:
    return event("contentBlockDelta", delta=delta, contentBlockIndex=index)


def stop(index: int) -> bytes:
    return event("contentBlockStop", contentBlockIndex=index)


BEGIN = event("messageStart", role="assistant")
END = event("messageStop", stopReason="end_turn")

STREAM = b"".join(
    [
        BEGIN,
        delta(0, reasoningContent={"text": "Hm. "}),
        delta(0, reasoningContent={"text": "So."}),
        delta(0, reasoningContent={"signature": "c2ln"}),
        stop(0),
        delta(1, reasoningContent={"redactedContent": "cg=="}),
        delta(1, reasoningContent={"redactedContent": "ZWQ="}),
        stop(1),
        delta(2, text="Grüß"),
        delta(2, text=" dich 🙂"),
        stop(2),
        start(3, toolUse=SEARCH),
        delta(3, toolUse={"input": '{"query":'}),
        delta(3, toolUse={"input": '"sky"}'}),
        stop(3),
        start(4, toolResult=FOUND),
        delta(4, toolResult=[{"text": "It is"}]),
        delta(4, toolResult=[{"json": {"a": 1}}]),
        stop(4),
        delta(5, text="Blue."),
        delta(5, citation=CITED),
        stop(5),
        delta(6, text="Bye."),
        stop(6),
        start(7, image={"format": "png"}),
        delta(7, image={"source": {"bytes": base64.b64encode(b"0123").decode()}}),
        delta(7, image={"source": {"bytes": base64.b64encode(b"456789").decode()}}),
        stop(7),
        start(8, toolUse={"toolUseId": "t1", "name": "f"}),
        delta(8, toolUse={"input": ""}),
        delta(8, toolUse={"input": '{"a":'}),
        delta(8, toolUse={"input": "1}"}),
        stop(8),
        start(9, toolUse={"toolUseId": "t2", "name": "g"}),
        stop(9),
        event("messageStop", stopReason="tool_use", additionalModelResponseFields=None),
        event("metadata", usage=USED, metrics={"latencyMs": 7}, serviceTier={"type": "priority"}),
    ]
)

BODY = orjson.dumps(
    {
        "output": {
            "message": {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "Hm. So.", "signature": "c2ln"}}},
                    {"reasoningContent": {"redactedContent": "cmVk"}},
                    {"text": "Grüß dich 🙂"},
                    {"toolUse": {**SEARCH, "input": {"query": "sky"}}},
                    {"toolResult": {**FOUND, "content": [{"text": "It is"}, {"json": {"a": 1}}]}},
                    {"citationsContent": {"content": [{"text": "Blue"}, {"text": "."}], "citations": [CITED]}},
                    {"text": "Bye."},
                    {"image": {"format": "png", "source": {"bytes": PICTURE}}},
                    {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": 1}}},
                    {"toolUse": {"toolUseId": "t2", "name": "g", "input": {}}},
                ],
            }
        },
        "stopReason": "tool_use",
        "usage": USED,
        "metrics": {"latencyMs": 7},
        "serviceTier": {"type": "priority"},
    }
)

WHOLE = Completion(
    choices=(
        Choice(
            (
                Reasoning("Hm. So.", "c2ln"),
                Reasoning(redacted="cmVk"),
                Text("Grüß dich 🙂"),
                Opaque("converse", "content[3]", {"toolUse": {**SEARCH, "input": {"query": "sky"}}}),
                Opaque(
                    "converse",
                    "content[4]",
                    {"toolResult": {**FOUND, "content": [{"text": "It is"}, {"json": {"a": 1}}]}},
                ),
                Text("Blue.", citations=(Citation("char", "sky", "Colours", "", 0, 4, 7, CITED),)),
                Text("Bye."),
                Media("image", PICTURE, media_type="image/png"),
                ToolCall("t1", "f", '{"a":1}'),
                ToolCall("t2", "g", "{}"),
            ),
            "tool_calls",
        ),
    ),
    usage=Usage(1310, 50, 1000, 300, cache_write_1h_tokens=200),
    tier="priority",
)


def decode(*pieces: bytes) -> list[Event]:
    decoder = DIALECT.stream_decoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.close()


def decode_unary(body: bytes) -> list[Event]:
    decoder = DIALECT.unary_decoder()
    assert decoder.feed(body[:9]) == decoder.feed(body[9:]) == []
    return decoder.close()


def test_a_stream_cut_anywhere_says_the_same_in_the_same_bytes() -> None:
    whole = decode(STREAM)
    assert fold(whole) == WHOLE
    assert b"".join(event.raw for event in whole) == STREAM
    for at in range(0, len(STREAM), 13):
        assert decode(STREAM[:at], STREAM[at:]) == whole


@given(st.lists(st.integers(1, 90), min_size=1))
def test_a_stream_in_any_pieces_says_the_same(sizes: list[int]) -> None:
    pieces: list[bytes] = []
    at = 0
    while at < len(STREAM):
        pieces.append(STREAM[at : at + sizes[len(pieces) % len(sizes)]])
        at += len(pieces[-1])
    assert decode(*pieces) == decode(STREAM)


def test_an_answer_in_one_piece_says_what_its_stream_says() -> None:
    events = decode_unary(BODY)
    assert fold(events) == WHOLE
    assert b"".join(event.raw for event in events) == BODY


def test_a_delta_of_text_is_told_at_once() -> None:
    first, second = delta(0, text="Hel"), delta(0, text="lo")
    decoder = DIALECT.stream_decoder()
    assert decoder.feed(BEGIN) == [Start("", BEGIN)]
    assert decoder.feed(first) == [TextDelta("Hel", 0, first)]
    assert decoder.feed(second) == [TextDelta("lo", 0, second)]


@pytest.mark.parametrize("at", [0, len(BEGIN), len(BEGIN) + 5, STREAM.index(END[20:40])], ids=str)
def test_a_stream_without_message_stop_is_cut_short(at: int) -> None:
    with pytest.raises(BrokenReply) as raised:
        decode(STREAM[:at])
    assert raised.value.code == "upstream_truncated"


def test_blocks_whose_end_is_not_told_end_where_the_next_begins() -> None:
    told = STREAM
    for index in range(10):
        told = told.replace(stop(index), b"")
    assert fold(decode(told)) == WHOLE


def test_a_stream_that_ends_without_metadata_has_no_usage() -> None:
    assert fold(decode(BEGIN + delta(0, text="Hi") + END)) == Completion((Choice((Text("Hi"),), "stop"),))


@pytest.mark.parametrize(
    ("failed", "words"),
    [
        (failure("throttlingException", b'{"message":"Slow down"}'), "Slow down"),
        (failure("modelStreamErrorException", b'{"originalMessage":"Oops","originalStatusCode":500}'), "Oops"),
        (failure("internalServerException", b"{}"), "The provider reported an error (internalServerException)."),
        (failure("validationException", b"oops"), "The provider reported an error (validationException)."),
        (
            eventstream.encode({":message-type": "error", ":error-code": "500", ":error-message": "Broke"}),
            "Broke",
        ),
        (eventstream.encode({":message-type": "error"}), "The provider reported an error."),
    ],
)
def test_an_exception_in_a_stream_ends_it(failed: bytes, words: str) -> None:
    events = decode(BEGIN + delta(0, text="Hi") + failed)
    assert events[-1] == Failed(words, failed)
    assert fold(events).failed == words


def test_what_is_not_known_is_handed_on() -> None:
    odd = event("newThing", value=1) + delta(0, newDelta={}) + start(1, newStart={}) + stop(4)
    odd += eventstream.encode({":event-type": "initial-response"}, b"{}")
    events = decode(odd + END)
    assert {type(one) for one in events[:-1]} == {Passed}
    assert b"".join(one.raw for one in events) == odd + END


def test_an_answer_is_not_free_because_a_member_of_it_is_odd() -> None:
    half = eventstream.encode(
        {":event-type": "contentBlockDelta"}, rb'{"delta":{"text":"\ud83d x"},"contentBlockIndex":0}'
    )
    odd = event("metadata", usage={**USED, "cacheDetails": "none"}, serviceTier=7)
    found = fold(decode(BEGIN + half + END + odd))
    assert found.choices == (Choice((Text("\ud83d x"),), "stop"),)
    assert found.usage == Usage(1310, 50, 1000, 300)
    body = BODY.replace(b'{"type":"priority"}', b"7")
    assert fold(decode_unary(body)) == Completion(WHOLE.choices, WHOLE.usage)


def test_a_damaged_stream_is_broken_after_what_was_whole() -> None:
    decoder = DIALECT.stream_decoder()
    assert len(decoder.feed(BEGIN + END[:-1] + b"\0")) == 1
    with pytest.raises(BrokenReply, match="checksum"):
        decoder.close()


def test_a_body_that_is_no_object_is_broken() -> None:
    for body in (b"", b"[]", b'{"output":', b"oops"):
        with pytest.raises(BrokenReply) as raised:
            decode_unary(body.ljust(9))
        assert raised.value.code == "upstream_invalid_json"


def test_a_body_that_is_an_error_fails() -> None:
    body = orjson.dumps({"message": "Sorry"})
    assert decode_unary(body) == [Failed("Sorry", body)]


@pytest.mark.parametrize(
    ("reason", "fields", "told"),
    [
        ("end_turn", {}, Stop("stop")),
        ("stop_sequence", {"stop_sequence": "END"}, Stop("stop", sequence="END")),
        ("stop_sequence", {"stop_sequence": 7}, Stop("stop")),
        ("max_tokens", {}, Stop("length")),
        ("model_context_window_exceeded", {}, Stop("length")),
        ("tool_use", {}, Stop("tool_calls")),
        ("guardrail_intervened", {}, Stop("content_filter")),
        ("content_filtered", {}, Stop("content_filter")),
        ("malformed_model_output", {}, Stop("other")),
        ("malformed_tool_use", {}, Stop("other")),
        ("something_new", {}, Stop("other")),
    ],
)
def test_reasons_to_stop(reason: str, fields: dict[str, Any], told: Stop) -> None:
    said = {"stopReason": reason, "additionalModelResponseFields": fields}
    streamed = fold(decode(BEGIN + event("messageStop", **said)))
    unary = fold(decode_unary(orjson.dumps({"output": {"message": {"role": "assistant", "content": []}}, **said})))
    for found in (streamed, unary):
        assert (found.choices[0].stop, found.choices[0].sequence) == (told.reason, told.sequence)


@pytest.mark.parametrize(
    ("counted", "read"),
    [
        ({"inputTokens": 3, "outputTokens": 4}, Usage(3, 4)),
        ({"inputTokens": 0, "outputTokens": 0}, Usage(0, 0)),
        # the cache is beside the input there, within it here
        ({"inputTokens": 3, "outputTokens": 4, "cacheReadInputTokens": 5}, Usage(8, 4, 5)),
        ({"inputTokens": 3, "outputTokens": 4, "cacheWriteInputTokens": 5}, Usage(8, 4, 0, 5)),
        (
            {
                "inputTokens": 3,
                "outputTokens": 4,
                "cacheWriteInputTokens": 12,
                "cacheDetails": [{"ttl": "1h", "inputTokens": 7}, {"ttl": "5m", "inputTokens": 5}],
            },
            Usage(15, 4, 0, 12, cache_write_1h_tokens=7),
        ),
        # parts never exceed their whole
        (
            {
                "inputTokens": 3,
                "outputTokens": 4,
                "cacheWriteInputTokens": 2,
                "cacheDetails": [{"ttl": "1h", "inputTokens": 7}],
            },
            Usage(5, 4, 0, 2, cache_write_1h_tokens=2),
        ),
        (
            {"inputTokens": 3, "outputTokens": 4, "cacheDetails": [{"ttl": "1h", "inputTokens": 7}]},
            Usage(10, 4, 0, 7, cache_write_1h_tokens=7),
        ),
        ({"inputTokens": -3, "outputTokens": 4}, Usage(0, 4)),
        ({}, None),
        ({"totalTokens": 9}, None),
    ],
)
def test_tokens_are_counted_by_kind(counted: dict[str, Any], read: Usage | None) -> None:
    streamed = decode(BEGIN + END + event("metadata", usage=counted))
    body = orjson.dumps({"output": {"message": {"content": []}}, "stopReason": "end_turn", "usage": counted})
    for events in (streamed, decode_unary(body)):
        assert fold(events).usage == read


@pytest.mark.parametrize(
    ("members", "tier"),
    [
        ({}, ""),
        ({"serviceTier": {"type": "flex"}}, "flex"),
        ({"serviceTier": {"type": "default"}, "performanceConfig": {"latency": "standard"}}, "default"),
        ({"serviceTier": {"type": "default"}, "performanceConfig": {"latency": "optimized"}}, "optimized"),
    ],
)
def test_the_tier_that_was_served_is_told(members: dict[str, Any], tier: str) -> None:
    events = decode(END + event("metadata", usage=USED, **members))
    assert [one.tier for one in events if isinstance(one, UsageReport)] == [tier]


@pytest.mark.parametrize(
    ("found", "read"),
    [
        (
            {"location": {"documentPage": {"documentIndex": 1, "start": 2, "end": 3}}, "sourceContent": []},
            Citation("page", document=1, start=2, end=3),
        ),
        (
            {"location": {"documentChunk": {"documentIndex": 1, "start": 0, "end": 1}}},
            Citation("block", document=1, start=0, end=1),
        ),
        (
            {"location": {"searchResultLocation": {"searchResultIndex": 2, "start": 0, "end": 1}}, "source": "kb://1"},
            Citation("search_result", url="kb://1", document=2, start=0, end=1),
        ),
        (
            {"location": {"web": {"url": "https://a.example", "domain": "a.example"}}, "title": "A"},
            Citation("url", title="A", url="https://a.example"),
        ),
        ({"title": "A"}, Citation("file", title="A")),
        ({"location": 7, "sourceContent": 7}, Citation("file")),
    ],
)
def test_citations_are_read(found: dict[str, Any], read: Citation) -> None:
    events = decode(BEGIN + delta(0, text="Blue.") + delta(0, citation=found) + END)
    (part,) = fold(events).choices[0].parts
    assert isinstance(part, Text)
    (citation,) = part.citations
    assert citation.raw == found
    assert (citation.kind, citation.title, citation.url, citation.cited) == (read.kind, read.title, read.url, "")
    assert (citation.document, citation.start, citation.end) == (read.document, read.start, read.end)


def test_no_client_speaks_it() -> None:
    head = Head("1", "m", 0)
    for call in (
        lambda: DIALECT.read({}, "m", stream=False),
        lambda: DIALECT.stream_encoder(head),
        lambda: DIALECT.unary(head, ()),
        lambda: DIALECT.error_body(NotFound("")),
    ):
        with pytest.raises(NotImplementedError, match="no client"):
            call()


# Whatever is answered


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
base64s = st.binary(min_size=1, max_size=9).map(lambda data: base64.b64encode(data).decode())
inputs = st.dictionaries(words, st.integers(0, 9) | words, max_size=2)


def pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def in_pieces(index: int, block: dict[str, Any], size: int) -> list[bytes]:
    """`block` of a whole message as its stream tells it."""
    ((kind, value),) = block.items()
    match kind:
        case "text":
            told = [delta(index, text=piece) for piece in pieces(value, size)]
        case "toolUse":
            text = orjson.dumps(value["input"]).decode() if value["input"] else ""
            begun = {name: one for name, one in value.items() if name != "input"}
            told = [start(index, toolUse=begun)]
            told += [delta(index, toolUse={"input": piece}) for piece in pieces(text, size)]
        case "citationsContent":
            told = [delta(index, text=piece) for piece in pieces(value["content"][0]["text"], size)]
            told += [delta(index, citation=one) for one in value["citations"]]
        case "reasoningContent" if "redactedContent" in value:
            data = base64.b64decode(value["redactedContent"])
            cut = [data[at : at + size] for at in range(0, len(data), size)]
            told = [delta(index, reasoningContent={"redactedContent": base64.b64encode(one).decode()}) for one in cut]
        case "reasoningContent":
            thought = value["reasoningText"]
            told = [delta(index, reasoningContent={"text": piece}) for piece in pieces(thought["text"], size)]
            told += (
                [delta(index, reasoningContent={"signature": thought["signature"]})] if "signature" in thought else []
            )
        case "image":
            data = base64.b64decode(value["source"]["bytes"])
            cut = [data[at : at + size] for at in range(0, len(data), size)]
            told = [start(index, image={"format": value["format"]})]
            told += [delta(index, image={"source": {"bytes": base64.b64encode(one).decode()}}) for one in cut]
        case _:
            raise AssertionError(kind)
    return [*told, stop(index)]


blocks = st.one_of(
    words.map(lambda text: {"text": text}),
    st.builds(
        lambda id_, name, given_: {"toolUse": {"toolUseId": id_, "name": name, "input": given_}}, words, words, inputs
    ),
    words.map(lambda text: {"citationsContent": {"content": [{"text": text}], "citations": [CITED]}}),
    words.map(lambda text: {"reasoningContent": {"reasoningText": {"text": text}}}),
    st.builds(
        lambda text, sig: {"reasoningContent": {"reasoningText": {"text": text, "signature": sig}}}, words, words
    ),
    base64s.map(lambda data: {"reasoningContent": {"redactedContent": data}}),
    base64s.map(lambda data: {"image": {"format": "webp", "source": {"bytes": data}}}),
)


@given(st.lists(blocks, max_size=6), st.integers(1, 5), st.sampled_from(["end_turn", "tool_use", "max_tokens"]))
def test_streamed_and_whole_are_the_same_answer(content: list[dict[str, Any]], size: int, reason: str) -> None:
    told = [one for index, block in enumerate(content) for one in in_pieces(index, block, size)]
    stream = b"".join([BEGIN, *told, event("messageStop", stopReason=reason), event("metadata", usage=USED)])
    body = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": reason, "usage": USED}
    assert fold(decode(stream)) == fold(decode_unary(orjson.dumps(body)))


odd = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | words,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "delta start text toolUse toolResult reasoningContent reasoningText citation citationsContent "
                "citations content image source bytes format input name toolUseId type signature redactedContent "
                "location documentChar usage inputTokens cacheDetails ttl serviceTier performanceConfig latency "
                "message output stopReason additionalModelResponseFields stop_sequence contentBlockIndex "
                "sourceContent".split()
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
KINDS = ["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata", "x"]


@given(st.lists(st.tuples(st.sampled_from(KINDS), odd), max_size=5))
def test_what_is_odd_breaks_nothing(told: list[tuple[str, Any]]) -> None:
    stream = b"".join(
        eventstream.encode({":event-type": kind, ":message-type": "event"}, json.dumps(payload).encode())
        for kind, payload in told
    )
    events = decode(stream + END)
    assert b"".join(one.raw for one in events) == stream + END
    for _, payload in told:
        try:
            decode_unary(json.dumps(payload).encode().ljust(9))
        except BrokenReply as error:
            assert error.code == "upstream_invalid_json" and not isinstance(payload, dict)
