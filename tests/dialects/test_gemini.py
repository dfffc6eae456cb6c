"""Gemini's replies: what becomes of them, wherever they are cut, and how events are written as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import sse
from gateway.dialects.base import Decoder, Encoder, Head
from gateway.dialects.gemini import DIALECT, watch
from gateway.dialects.gemini.wire import STOPS
from gateway.errors import BrokenReply, GatewayError, InvalidRequest, Unavailable
from gateway.model.completion import Choice, Completion, fold, unfold
from gateway.model.conversation import Citation, Media, Opaque, Reasoning, Refusal, Text, ToolCall
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

HEAD = Head("r1", "gemini-x", 1_700_000_000)
COUNTS = {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7}


def candidate(*parts: dict[str, Any], finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    found = {"content": {"parts": list(parts), "role": "model"}, "index": index, **more}
    return {**found, "finishReason": finish} if finish else found


def chunk(*candidates: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"candidates": list(candidates), "modelVersion": "gemini-9", "responseId": "abc", **more}


def as_events(chunks: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(b"data: %b\r\n\r\n" % orjson.dumps(one) for one in chunks)


def as_array(chunks: Iterable[dict[str, Any]]) -> bytes:
    """As Google writes it: pretty, the comma on a line of its own."""
    return b"[" + b",\r\n".join(orjson.dumps(one, option=orjson.OPT_INDENT_2) for one in chunks) + b"\n]\n"


def decode(decoder: Decoder, *pieces: bytes) -> list[Event]:
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.close()


def said(events: Sequence[Event]) -> list[Event]:
    """`events` without their bytes, and without those that mean nothing."""
    return [msgspec.structs.replace(event, raw=b"") for event in events if not isinstance(event, Passed)]


CHUNKS = [
    chunk(candidate({"text": "Let me see", "thought": True}), usageMetadata={"promptTokenCount": 3}),
    chunk(candidate({"text": 'Grüß {"} ['})),
    chunk(candidate({"text": "dich 🙂 \\"}), candidate({"text": "b"}, index=1)),
    chunk(candidate({"functionCall": {"name": "f", "args": {"a": [1, "}"]}, "id": "x"}, "thoughtSignature": "c2ln"})),
    chunk(candidate({"functionCall": {"name": "g"}})),
    chunk(candidate(finish="STOP"), candidate(finish="MAX_TOKENS", index=1), usageMetadata=COUNTS),
]
SAID: list[Event] = [
    Start("gemini-9", id="abc"),
    ReasoningDelta("Let me see"),
    TextDelta('Grüß {"} ['),
    TextDelta("dich 🙂 \\"),
    TextDelta("b", 1),
    ToolDelta(0, '{"a":[1,"}"]}', "f", "x", signature="c2ln"),
    ToolDelta(1, "{}", "g"),
    Stop("tool_calls"),
    Stop("length", 1),
    UsageReport(Usage(3, 4)),
]
STREAMS = {"events": as_events(CHUNKS), "array": as_array(CHUNKS)}


def decoder_of(form: str) -> Decoder:
    return DIALECT.stream_decoder() if form == "events" else DIALECT.array_decoder()


def encoder_of(form: str) -> Encoder:
    return DIALECT.stream_encoder(HEAD) if form == "events" else DIALECT.array_encoder(HEAD)


def squeezed(events: list[Event]) -> list[Event]:
    """Arguments without the space that an indented array has in them."""
    return [
        msgspec.structs.replace(event, arguments=orjson.dumps(orjson.loads(event.arguments)).decode())
        if isinstance(event, ToolDelta)
        else event
        for event in events
    ]


@pytest.mark.parametrize("form", ["events", "array"])
def test_a_stream_cut_at_any_byte_says_the_same_in_the_same_bytes(form: str) -> None:
    stream = STREAMS[form]
    for at in range(len(stream)):
        events = decode(decoder_of(form), stream[:at], stream[at:])
        assert b"".join(event.raw for event in events) == stream
        assert squeezed(said(events)) == SAID


@pytest.mark.parametrize("form", ["events", "array"])
@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=20))
def test_a_stream_in_any_pieces_says_the_same(form: str, sizes: list[int]) -> None:
    stream = STREAMS[form]
    pieces: list[bytes] = []
    at = 0
    while at < len(stream):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(stream[at : at + size])
        at += size
    events = decode(decoder_of(form), *pieces)
    assert b"".join(event.raw for event in events) == stream
    assert squeezed(said(events)) == SAID


@pytest.mark.parametrize("form", ["events", "array"])
def test_a_stream_that_ends_too_early_is_broken(form: str) -> None:
    stream = STREAMS[form]
    end = stream.index(b"finishReason")
    for at in range(end):
        with pytest.raises(BrokenReply):
            decode(decoder_of(form), stream[:at])


def test_an_array_may_come_compact_or_one_element_at_a_time() -> None:
    compact = orjson.dumps(CHUNKS)
    assert said(decode(DIALECT.array_decoder(), compact)) == SAID
    pieces = [b"[" if not at else b"," for at in range(len(CHUNKS))]
    stream = [begin + orjson.dumps(one) for begin, one in zip(pieces, CHUNKS, strict=True)]
    events = decode(DIALECT.array_decoder(), *stream, b"]")
    assert said(events) == SAID
    assert b"".join(event.raw for event in events) == b"".join(stream) + b"]"


def test_an_element_without_end_is_given_up() -> None:
    decoder = DIALECT.array_decoder()
    with pytest.raises(BrokenReply):
        for _ in range(6):
            decoder.feed(b'[{"a": "' + b"x" * (1 << 20))


def test_a_whole_reply_says_what_its_stream_says() -> None:
    parts = [*(part for one in CHUNKS[:5] for part in one["candidates"][0]["content"]["parts"])]
    whole = chunk(
        candidate(*parts, finish="STOP"), candidate({"text": "b"}, finish="MAX_TOKENS", index=1), usageMetadata=COUNTS
    )
    body = orjson.dumps(whole)
    events = decode(DIALECT.unary_decoder(), body[:9], body[9:])
    assert events[0].raw == body
    assert fold(events) == fold(SAID)


def test_a_whole_reply_that_is_no_json_is_broken() -> None:
    with pytest.raises(BrokenReply):
        decode(DIALECT.unary_decoder(), b'{"candidates": [')


@pytest.mark.parametrize("array", [False, True])
def test_who_only_watches_sees_the_same(array: bool) -> None:
    stream = STREAMS["array" if array else "events"]
    events = decode(watch.WatchStream(array=array), stream)
    assert b"".join(event.raw for event in events) == stream
    assert squeezed(said(events)) == SAID
    body = orjson.dumps(CHUNKS[0])
    assert b"".join(event.raw for event in decode(watch.WatchUnary(), body)) == body


@given(data=st.lists(st.binary(max_size=30) | st.sampled_from([b"data: {", b"}\r\n\r\n", b'[{"candidates":', b"]}]"])))
def test_bytes_of_any_kind_are_passed_or_broken(data: list[bytes]) -> None:
    for decoder in (DIALECT.stream_decoder(), DIALECT.array_decoder(), DIALECT.unary_decoder()):
        try:
            assert b"".join(event.raw for event in decode(decoder, *data)) == b"".join(data)
        except BrokenReply:
            pass


ODD_VALUES: list[Any] = [None, True, -1, 1.5, 10**12, "x", [], [None], [{}], {}, {"a": [1]}]


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Ways to every value within `value`."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(place for name, one in inner for place in places(one, (*way, name)))]


@pytest.mark.parametrize("odd", ODD_VALUES, ids=repr)
def test_a_reply_of_an_odd_shape_is_read_as_far_as_can_be(odd: Any) -> None:
    call = {"functionCall": {"name": "f", "args": {"a": 1}, "partialArgs": [{"jsonPath": "$.a", "numberValue": 1}]}}
    logs = {"chosenCandidates": [{"token": "x", "logProbability": 1}], "topCandidates": [{"candidates": []}]}
    parts: list[dict[str, Any]] = [
        {"text": "hi", "thoughtSignature": "AA"},
        call,
        {"inlineData": {"mimeType": "a/b", "data": "A"}},
    ]
    whole = chunk(
        candidate(*parts, finish="STOP", logprobsResult=logs, groundingMetadata=GROUNDED),
        usageMetadata={**COUNTS, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 3}]},
    )
    for way in places(whole)[1:]:
        body = orjson.loads(orjson.dumps(whole))
        place = body
        for step in way[:-1]:
            place = place[step]
        place[way[-1]] = odd
        events = decode(DIALECT.unary_decoder(), orjson.dumps(body))
        if way[0] != "usageMetadata" or (len(way) > 1 and way[1] == "promptTokensDetails"):
            assert fold(events).usage == Usage(3, 4)
        DIALECT.unary(HEAD, events)


# How it ends


@pytest.mark.parametrize(("word", "reason"), sorted(STOPS.items()))
def test_every_finish_reason_has_a_meaning(word: str, reason: StopReason) -> None:
    events = decode(DIALECT.stream_decoder(), as_events([chunk(candidate({"text": "x"}, finish=word))]))
    assert said(events)[-1] == Stop(reason)


def test_a_finish_reason_of_tomorrow_is_other() -> None:
    assert said(decode(DIALECT.stream_decoder(), as_events([chunk(candidate(finish="NEW"))])))[-1] == Stop("other")


def test_a_prompt_that_was_blocked_ends_the_answer() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5}}
    for decoder, stream in ((DIALECT.stream_decoder(), as_events([blocked])), (DIALECT.unary_decoder(), None)):
        events = decode(decoder, stream or orjson.dumps(blocked))
        assert said(events) == [Start(""), Stop("content_filter"), UsageReport(Usage(5))]


def test_an_unspecified_reason_is_none_and_a_second_one_counts_for_nothing() -> None:
    chunks = [
        chunk(candidate({"text": "a"}, finish="FINISH_REASON_UNSPECIFIED")),
        chunk(candidate({"text": "b"}, finish="STOP")),
        chunk(candidate({"text": "c"}, finish="STOP")),
    ]
    events = said(decode(DIALECT.stream_decoder(), as_events(chunks)))
    assert [event for event in events if isinstance(event, Stop)] == [Stop("stop")]


@pytest.mark.parametrize(
    "last",
    [
        b'data: {"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}\r\n\r\n',
        b'{"error":{"code":503,\n"message":"overloaded"}}\n',
        b'[{"error":{"code":503,\n"message":"overloaded"}}]',
    ],
)
def test_an_error_in_a_stream_is_a_failure_whether_it_is_an_event_or_bare(last: bytes) -> None:
    events = decode(DIALECT.stream_decoder(), as_events(CHUNKS[:2]), last)
    assert said(events)[-1] == Failed("overloaded")


def test_an_error_in_an_array_is_a_failure() -> None:
    stream = b"[" + orjson.dumps(CHUNKS[1]) + b',{"error":{"message":"no"}}]'
    assert said(decode(DIALECT.array_decoder(), stream))[-1] == Failed("no")


# What it used


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        pytest.param(COUNTS, Usage(3, 4), id="text"),
        pytest.param({**COUNTS, "cachedContentTokenCount": 2}, Usage(3, 4, 2), id="cached, part of the prompt"),
        pytest.param(
            {**COUNTS, "thoughtsTokenCount": 9, "totalTokenCount": 16},
            Usage(3, 13, reasoning_tokens=9),
            id="thoughts, which are not part of the candidates",
        ),
        pytest.param(
            {"promptTokenCount": 3, "candidatesTokenCount": 9, "thoughtsTokenCount": 5, "totalTokenCount": 12},
            Usage(3, 9, reasoning_tokens=5),
            id="thoughts that were counted among the candidates, as the total shows",
        ),
        pytest.param(
            {"promptTokenCount": 3, "thoughtsTokenCount": 5, "totalTokenCount": 8},
            Usage(3, 5, reasoning_tokens=5),
            id="thoughts only",
        ),
        pytest.param(
            {**COUNTS, "toolUsePromptTokenCount": 10, "totalTokenCount": 17}, Usage(13, 4), id="what tools gave"
        ),
        pytest.param(
            {
                "promptTokenCount": 74,
                "candidatesTokenCount": 103,
                "thoughtsTokenCount": 293,
                "toolUsePromptTokenCount": 155,
                "totalTokenCount": 625,
            },
            Usage(229, 396, reasoning_tokens=293),
            id="tools and thoughts, which add up to the total",
        ),
        pytest.param(
            {
                "promptTokenCount": 100,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 10},
                    {"modality": "AUDIO", "tokenCount": 60},
                    {"modality": "IMAGE", "tokenCount": 30},
                ],
                "cachedContentTokenCount": 50,
                "cacheTokensDetails": [
                    {"modality": "AUDIO", "tokenCount": 40},
                    {"modality": "IMAGE", "tokenCount": 10},
                ],
                "candidatesTokenCount": 20,
                "candidatesTokensDetails": [
                    {"modality": "IMAGE", "tokenCount": 12},
                    {"modality": "AUDIO", "tokenCount": 8},
                ],
                "toolUsePromptTokenCount": 5,
                "toolUsePromptTokensDetails": [{"modality": "IMAGE", "tokenCount": 5}],
            },
            Usage(
                105,
                20,
                50,
                input_audio_tokens=60,
                output_audio_tokens=8,
                cache_read_audio_tokens=40,
                input_image_tokens=35,
                output_image_tokens=12,
                cache_read_image_tokens=10,
            ),
            id="every modality",
        ),
        pytest.param({"promptTokenCount": 0, "candidatesTokenCount": 0}, Usage(), id="an explicit zero"),
        pytest.param({"promptTokenCount": -3, "candidatesTokenCount": 4}, Usage(0, 4), id="less than nothing"),
        pytest.param({"totalTokenCount": 4}, None, id="no count"),
        pytest.param({"promptTokenCount": 10**12}, None, id="more than a call can use"),
    ],
)
def test_what_an_answer_used_is_counted_by_kind(counts: dict[str, Any], usage: Usage | None) -> None:
    body = orjson.dumps(chunk(candidate({"text": "x"}, finish="STOP"), usageMetadata=counts))
    for decoder, data in ((DIALECT.unary_decoder(), body), (DIALECT.stream_decoder(), b"data: %b\n\n" % body)):
        assert fold(decode(decoder, data)).usage == usage


def test_counts_without_the_answer_wait_until_it_ends() -> None:
    early = [chunk(candidate({"text": "x"}), usageMetadata={"promptTokenCount": 3}), chunk(candidate(finish="STOP"))]
    events = said(decode(DIALECT.stream_decoder(), as_events(early)))
    assert [type(event) for event in events] == [Start, TextDelta, Stop, UsageReport]


@pytest.mark.parametrize(
    ("more", "tier"),
    [
        ({"trafficType": "ON_DEMAND"}, "standard"),
        ({"trafficType": "ON_DEMAND_FLEX"}, "flex"),
        ({"trafficType": "PROVISIONED_THROUGHPUT"}, "provisioned_throughput"),
        ({"serviceTier": "priority"}, "priority"),
        ({}, ""),
    ],
)
def test_the_tier_of_service_is_told(more: dict[str, Any], tier: str) -> None:
    body = orjson.dumps(chunk(candidate(finish="STOP"), usageMetadata={**COUNTS, **more}))
    assert fold(decode(DIALECT.unary_decoder(), body)).tier == tier


def test_usage_of_a_reply_of_an_odd_shape_is_read() -> None:
    odd = chunk(
        {"content": {"parts": [{"text": "hi", "thought": "yes?"}]}, "finishReason": "STOP"}, usageMetadata=COUNTS
    )
    found = fold(decode(DIALECT.unary_decoder(), orjson.dumps(odd)))
    assert (found.choices[0].text, found.choices[0].stop, found.usage) == ("hi", "stop", Usage(3, 4))


# What else an answer has


GROUNDED = {
    "webSearchQueries": ["a", "b", "a"],
    "groundingChunks": [{"web": {"uri": "https://x.org", "title": "X"}}, {"retrievedContext": {"title": "D"}}],
    "groundingSupports": [
        {"segment": {"startIndex": 0, "endIndex": 2, "text": "hi"}, "groundingChunkIndices": [0, 7]},
    ],
}


def test_sources_are_citations_each_told_once() -> None:
    chunks = [
        chunk(candidate({"text": "hi"}, groundingMetadata=GROUNDED)),
        chunk(
            candidate(
                finish="STOP",
                groundingMetadata=GROUNDED,
                citationMetadata={"citationSources": [{"uri": "https://y.org", "startIndex": 1, "endIndex": 2}]},
            ),
            usageMetadata=COUNTS,
        ),
    ]
    found = fold(events := decode(DIALECT.stream_decoder(), as_events(chunks)))
    text = found.choices[0].parts[0]
    assert isinstance(text, Text)
    named = [(one.kind, one.url, one.title, one.cited) for one in text.citations]
    assert named == [
        ("url", "https://x.org", "X", "hi"),
        ("file", "", "D", ""),
        ("url", "https://y.org", "", ""),
    ]
    assert [event.searches for event in events if isinstance(event, UsageReport)] == [2]


def test_logprobs_are_written_as_openai_does() -> None:
    result = {
        "chosenCandidates": [{"token": "é", "logProbability": -0.5, "tokenId": 7}],
        "topCandidates": [{"candidates": [{"token": "é", "logProbability": -0.5}, {"token": "e"}]}],
    }
    one = chunk(candidate({"text": "é"}, finish="STOP", logprobsResult=result))
    events = said(decode(DIALECT.stream_decoder(), as_events([one])))
    chosen = {"token": "é", "logprob": -0.5, "bytes": [195, 169]}
    tops = [chosen, {"token": "e", "logprob": 0.0, "bytes": [101]}]
    assert LogprobsDelta(({**chosen, "top_logprobs": tops},)) in events


def test_a_signature_beside_words_is_a_thought_without_words() -> None:
    one = chunk(candidate({"text": "hi", "thoughtSignature": "c2ln"}, finish="STOP"))
    assert said(decode(DIALECT.stream_decoder(), as_events([one])))[1:3] == [
        TextDelta("hi"),
        ReasoningDelta("", signature="c2ln"),
    ]


def test_media_and_code_that_was_run_come_as_parts() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1"}}
    image = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    found = fold(decode(DIALECT.unary_decoder(), orjson.dumps(chunk(candidate(code, image, finish="STOP")))))
    field = "candidates[0].content.parts.executableCode"
    assert found.choices[0].parts == (
        Opaque("gemini", field, code),
        Media("image", "AAAA", media_type="image/png"),
    )


def test_streamed_arguments_are_put_together() -> None:
    def call(**more: Any) -> dict[str, Any]:
        return chunk(candidate({"functionCall": more}))

    chunks = [
        call(name="f", id="i", willContinue=True),
        call(partialArgs=[{"jsonPath": "$.city", "stringValue": "New ", "willContinue": True}], willContinue=True),
        call(partialArgs=[{"jsonPath": "$.city", "stringValue": "York"}], willContinue=True),
        call(partialArgs=[{"jsonPath": "$.days[1].n", "numberValue": 2}], willContinue=True),
        call(partialArgs=[{"jsonPath": "$['now']", "boolValue": True}], willContinue=True),
        call(),
        chunk(candidate(finish="STOP")),
    ]
    events = said(decode(DIALECT.stream_decoder(), as_events(chunks)))
    arguments = '{"city":"New York","days":[null,{"n":2}],"now":true}'
    assert events[1:] == [ToolDelta(0, arguments, "f", "i"), Stop("tool_calls")]


# Answers written


def encoded(encoder: Encoder, events: Iterable[Event]) -> bytes:
    return b"".join(encoder.feed([event]) for event in events) + encoder.close()


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
signatures = st.sampled_from(["", "c2ln", "AA=="])
parts = st.one_of(
    st.builds(Text, texts),
    st.builds(Reasoning, texts, signatures),
    st.builds(Reasoning, texts, signatures, st.sampled_from(["", "gAAA=!"]), st.sampled_from(["", "rs_1"])),
    st.builds(
        ToolCall, st.sampled_from(["", "c1"]), texts, st.sampled_from(["{}", '{"a": [1, 2.50, "é"]}']), signatures
    ),
    st.builds(Media, st.just("image"), st.just("AAAA"), media_type=st.just("image/png")),
)


def plain(listed: list[Any]) -> tuple[Any, ...]:
    """Without neighbours that Gemini cannot tell apart."""
    kept: list[Any] = []
    for part in listed:
        is_same = kept and type(part) is type(kept[-1]) and not isinstance(part, ToolCall | Media)
        if not is_same:
            kept.append(part)
    return tuple(kept)


choices = st.lists(parts, min_size=1, max_size=5).map(plain)
usages = st.builds(
    lambda given, cached, made, thought, audio: Usage(
        given + cached + audio, made + thought, cached, 0, thought, input_audio_tokens=audio
    ),
    *[st.integers(0, 1000)] * 5,
)


@given(listed=st.lists(choices, min_size=1, max_size=3), usage=usages)
def test_what_is_written_is_read_back_in_every_form(listed: list[tuple[Any, ...]], usage: Usage) -> None:
    reasons: list[StopReason] = ["stop", "length", "content_filter"]
    whole = Completion(
        tuple(
            Choice(one, "tool_calls" if reason == "stop" and _calls(one) else reason)
            for one, reason in zip(listed, reasons, strict=False)
        ),
        usage,
        HEAD.model,
        HEAD.id,
    )
    events = list(unfold(whole))
    assert fold(decode(DIALECT.unary_decoder(), DIALECT.unary(HEAD, events))) == whole
    for form in ("events", "array"):
        stream = encoded(encoder_of(form), events)
        assert fold(decode(decoder_of(form), stream)) == whole


def _calls(one: tuple[Any, ...]) -> bool:
    return any(isinstance(part, ToolCall) for part in one)


def test_a_stream_is_written_as_google_writes_it() -> None:
    stream = encoded(
        DIALECT.stream_encoder(HEAD), [Start("m"), TextDelta("hi"), Stop("stop"), UsageReport(Usage(1, 2))]
    )
    bodies = [sse.payload(event) for event in sse.Splitter().feed(stream)]
    assert [orjson.loads(body or b"") for body in bodies] == [
        {
            "candidates": [{"content": {"parts": [{"text": "hi"}], "role": "model"}, "index": 0}],
            "modelVersion": "gemini-x",
            "responseId": "r1",
        },
        {
            "candidates": [{"finishReason": "STOP", "content": {"parts": [{"text": ""}], "role": "model"}, "index": 0}],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3},
            "modelVersion": "gemini-x",
            "responseId": "r1",
        },
    ]
    assert stream.count(b"\r\n\r\n") == 2


def test_calls_that_come_in_turns_are_written_whole() -> None:
    events: list[Event] = [
        ToolDelta(0, '{"a"', "f", "1"),
        ToolDelta(1, "{", "g", "2"),
        ToolDelta(0, ":\n1}"),
        ToolDelta(1, "}"),
        Stop("tool_calls"),
    ]
    for form in ("events", "array"):
        found = fold(decode(decoder_of(form), encoded(encoder_of(form), events)))
        assert found.choices[0].parts == (ToolCall("1", "f", '{"a": 1}'), ToolCall("2", "g", "{}"))


def test_a_call_that_is_no_json_is_malformed_and_one_cut_short_says_why() -> None:
    def ended(reason: StopReason) -> dict[str, Any]:
        whole = orjson.loads(DIALECT.unary(HEAD, [ToolDelta(0, '{"a": ', "f"), Stop(reason)]))
        found: dict[str, Any] = whole["candidates"][0]
        return found

    assert ended("tool_calls")["finishReason"] == "MALFORMED_FUNCTION_CALL"
    assert ended("length")["finishReason"] == "MAX_TOKENS"
    assert ended("length")["finishMessage"] == 'Malformed function call: f({"a": )'


def test_citations_are_written_as_grounding() -> None:
    cited = (Citation("url", "hi", "X", "https://x.org"), Citation("char", "words", "Doc", document=0, start=1, end=2))
    whole = Completion((Choice((Text("hi", citations=cited),), "stop"),))
    written = orjson.loads(DIALECT.unary(HEAD, list(unfold(whole))))
    assert written["candidates"][0]["groundingMetadata"] == {
        "groundingChunks": [
            {"web": {"uri": "https://x.org", "title": "X"}},
            {"retrievedContext": {"title": "Doc", "text": "words"}},
        ],
        "groundingSupports": [{"segment": {"text": "hi"}, "groundingChunkIndices": [0]}],
    }


def test_a_refusal_is_words_and_a_reason() -> None:
    whole = Completion((Choice((Refusal("No."),), "refusal"),))
    found = fold(decode(DIALECT.unary_decoder(), DIALECT.unary(HEAD, list(unfold(whole)))))
    assert found.choices[0] == Choice((Text("No."),), "content_filter")


@pytest.mark.parametrize("form", ["events", "array"])
def test_a_stream_that_fails_says_so_in_its_last_chunk(form: str) -> None:
    encoder = encoder_of(form)
    stream = encoder.feed([TextDelta("x")]) + encoder.fail(Unavailable("Later.", retry_after_s=3))
    events = said(decode(decoder_of(form), stream))
    assert events[-1] == Failed("Later.")
    if form == "array":
        assert orjson.loads(stream)[1]["error"]["code"] == 503


def test_a_stream_that_went_through_ends_in_an_error_too() -> None:
    for array, begun in ((False, as_events(CHUNKS[:2])), (True, b"[" + orjson.dumps(CHUNKS[0]))):
        end = DIALECT.failure(BrokenReply("Cut."), array=array)
        assert said(decode(watch.WatchStream(array=array), begun, end))[-1] == Failed("Cut.")
        if array:
            assert len(orjson.loads(begun + end)) == 2


def test_an_empty_answer_is_an_array_all_the_same() -> None:
    assert orjson.loads(DIALECT.array_encoder(HEAD).close()) == [{"modelVersion": "gemini-x", "responseId": "r1"}]


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (InvalidRequest("no", param="contents"), 400, "INVALID_ARGUMENT"),
        (Unavailable("later", retry_after_s=7), 503, "UNAVAILABLE"),
        (BrokenReply("bad"), 502, "UNAVAILABLE"),
        (GatewayError("oh"), 500, "INTERNAL"),
    ],
)
def test_an_error_has_googles_shape(error: GatewayError, code: int, status: str) -> None:
    found = orjson.loads(DIALECT.error_body(error))["error"]
    assert (found["code"], found["message"], found["status"]) == (code, error.message, status)
    kinds = {detail["@type"].rpartition(".")[2]: detail for detail in found["details"]}
    assert kinds["ErrorInfo"]["reason"] == error.code.upper()
    if error.param:
        assert kinds["BadRequest"]["fieldViolations"][0]["field"] == error.param
    if error.retry_after_s:
        assert kinds["RetryInfo"]["retryDelay"] == "7s"
