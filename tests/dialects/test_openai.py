"""OpenAI's wire format: what becomes of a reply, wherever it is cut, streamed or not."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import openai
from gateway.errors import BrokenReply
from gateway.model.events import Event, Failed, Passed, Start, Stop, TextDelta, ToolDelta, UsageReport
from gateway.model.usage import Usage

DONE = b"data: [DONE]\n\n"


def chunk(**more: Any) -> bytes:
    return b"data: " + orjson.dumps({"model": "x", **more}) + b"\n\n"


def choice(delta: Any = None, finish: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"index": index, "delta": delta or {}, "finish_reason": finish}


def tool(arguments: str, **more: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "function": {"arguments": arguments, **more}}]}


def decode(*pieces: bytes, answers: bool = True) -> list[Event]:
    decoder = openai.StreamDecoder(answers=answers)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.close()


STREAM = (
    chunk(choices=[choice({"role": "assistant"})])
    + chunk(choices=[choice({"content": "Grüß"}), choice({"content": "b"}, index=1)])
    + b": comment\r\n\r\n"
    + chunk(choices=[choice({"content": " dich 🙂"})])
    + chunk(choices=[choice(tool("", name="f"))])
    + chunk(choices=[choice(tool('{"a":'))])
    + chunk(choices=[choice(tool("1}"))])
    + chunk(choices=[choice(finish="tool_calls"), choice(finish="length", index=1)])
    + chunk(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 4})
    + DONE
)


def folded(events: list[Event]) -> tuple[str, str, set[tuple[int, str]], Usage | None]:
    """Text of the first choice, arguments, how each choice ended, and what it used."""
    text = "".join(event.text for event in events if isinstance(event, TextDelta) and not event.index)
    arguments = "".join(event.arguments for event in events if isinstance(event, ToolDelta))
    stops: set[tuple[int, str]] = {(event.index, event.reason) for event in events if isinstance(event, Stop)}
    usages = [event.usage for event in events if isinstance(event, UsageReport)]
    return text, arguments, stops, usages[-1] if usages else None


WHOLE = ("Grüß dich 🙂", '{"a":1}', {(0, "tool_calls"), (1, "length")}, Usage(3, 4))


@pytest.mark.parametrize("at", range(0, len(STREAM)))
def test_a_stream_cut_at_any_byte_says_the_same_in_the_same_bytes(at: int) -> None:
    events = decode(STREAM[:at], STREAM[at:])
    assert b"".join(event.raw for event in events) == STREAM
    assert folded(events) == WHOLE


@given(st.lists(st.integers(1, 40), min_size=1))
def test_a_stream_in_any_pieces_says_the_same(sizes: list[int]) -> None:
    pieces: list[bytes] = []
    at = 0
    while at < len(STREAM):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(STREAM[at : at + size])
        at += size
    events = decode(*pieces)
    assert b"".join(event.raw for event in events) == STREAM and folded(events) == WHOLE


def test_an_answer_in_one_piece_is_a_stream_whose_events_come_at_its_end() -> None:
    message = {"content": "Grüß dich 🙂", "tool_calls": [{"function": {"name": "f", "arguments": '{"a":1}'}}]}
    body = orjson.dumps(
        {
            "model": "x",
            "choices": [
                {"index": 0, "message": message, "finish_reason": "tool_calls"},
                {"index": 1, "message": {"content": "b"}, "finish_reason": "length"},
            ],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4},
        }
    )
    decoder = openai.UnaryDecoder()
    assert decoder.feed(body[:9]) == decoder.feed(body[9:]) == []
    events = decoder.close()
    assert b"".join(event.raw for event in events) == body and folded(events) == WHOLE
    assert events[0] == Start("x", body)


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        # xAI and Gemini leave reasoning out of completion_tokens, and in the total
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 22,
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
            Usage(10, 12, reasoning_tokens=7),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 8}, Usage(10, 5, 8)),
        (
            {
                "input_tokens": 10,
                "output_tokens": 5,
                "input_tokens_details": {
                    "audio_tokens": 4,
                    "cached_tokens": 3,
                    "cached_tokens_details": {"audio_tokens": 2},
                },
                "output_tokens_details": {"audio_tokens": 5},
            },
            Usage(10, 5, 3, input_audio_tokens=4, output_audio_tokens=5, cache_read_audio_tokens=2),
        ),
        ({"prompt_tokens": 3, "completion_tokens": 4}, Usage(3, 4)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(0, 0)),
        ({"prompt_tokens": 3, "total_tokens": 3}, Usage(3, 0)),
        ({"total_tokens": 5}, Usage(5, 0)),
        ({"input_tokens": 3, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 2}}, Usage(3, 4, 2)),
        (
            {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1}},
            Usage(9, 0, 4, 1),
        ),
        ({"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 7}}, Usage(0, 9, 0, 0, 7)),
        ({"prompt_tokens": -1, "completion_tokens": 2}, Usage(0, 2)),
        ({"prompt_tokens": 3.0, "completion_tokens": 4}, Usage(3, 4)),
        ({}, None),
        (None, None),
    ],
)
def test_usage_is_read(usage: Any, read: Usage | None) -> None:
    assert folded(decode(chunk(choices=[choice(finish="stop")], usage=usage)))[3] == read


@pytest.mark.parametrize(
    ("delta", "text"),
    [
        ({"content": "a"}, "a"),
        ({"refusal": "no"}, "no"),
        ({"reasoning_content": "hm", "content": None}, "hm"),
        ({"reasoning_content": "hm", "content": "a"}, "hma"),
        ({"content": [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": []}]}, "a"),
        ({"content": ""}, ""),
    ],
)
def test_all_that_was_written_is_text(delta: Any, text: str) -> None:
    assert folded(decode(chunk(choices=[choice(delta)]), chunk(choices=[choice(finish="stop")])))[0] == text


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "function_call", "content_filter", "eos"])
def test_every_finish_reason_ends_an_answer(reason: str) -> None:
    assert len(folded(decode(chunk(choices=[choice(finish=reason)])))[2]) == 1


STOP = chunk(choices=[choice(finish="stop")])


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        DONE,
        chunk(choices=[choice({"content": "a"})]),
        chunk(choices=[choice({"content": "a"})]) + DONE,
        chunk(choices=[choice({"content": "a"}), choice({"content": "a"}, index=1)]) + STOP + DONE,
        STOP + b"data: {",
        STOP + b"data",
        STOP + b"event: x",
        STOP + b"data: 5",
    ],
)
def test_a_stream_that_ends_early_is_broken(stream: bytes) -> None:
    with pytest.raises(BrokenReply):
        decode(stream)


@pytest.mark.parametrize(
    "stream",
    [
        STOP,
        STOP + DONE,
        STOP + b"data: [DONE]",
        STOP + b"data: [DONE]\n",
        STOP.rstrip(),
        STOP + b": ping",
        STOP + b"\n",
        STOP + chunk(choices=[choice({"content": "late"})]) + DONE,
        b'data: {"error":{"message":"x"}}\n\n',
        b'data: {"error":"x"}\n\n' + DONE,
    ],
)
def test_a_stream_that_is_whole_is_passed_whole(stream: bytes) -> None:
    assert b"".join(event.raw for event in decode(stream)) == stream


def test_a_stream_that_is_no_answer_ends_as_it_likes() -> None:
    assert [type(event) for event in decode(b'data: {"type":"x"}\n\n', answers=False)] == [Passed]


@pytest.mark.parametrize(("error", "message"), [({"message": "x"}, "x"), ("y", "y"), ({}, None), ({"code": 1}, None)])
def test_an_error_within_a_stream_is_a_failure(error: Any, message: str | None) -> None:
    event = decode(chunk(error=error))[0] if error else None
    if error:
        assert isinstance(event, Failed) and event.message == (message or "The provider reported an error.")


@pytest.mark.parametrize(
    ("body", "is_one"),
    [(b'{"error":{"message":"x"}}', True), (b'{"error":"x"}', False), (b"[]", False), (b"{", False), (b"\xff", False)],
)
def test_an_error_is_told_from_other_json(body: bytes, is_one: bool) -> None:
    assert openai.is_error(body) is is_one
    assert openai.is_error(openai.error_body("m", "t", None, "c"))


# --- what it cost


def unary(body: bytes) -> UsageReport | None:
    decoder = openai.UnaryDecoder()
    decoder.feed(body)
    return next((event for event in decoder.close() if isinstance(event, UsageReport)), None)


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (b'data: {"usage":{"a":1}}\n\n', b'data: {"usage":{"a":1,"cost_usd":"0.5"}}\n\n'),
        (
            b'event: image.completed\nid: 7\n: note\ndata: {"usage":{}}\n\n',
            b'event: image.completed\nid: 7\n: note\ndata: {"usage":{"cost_usd":"0.5"}}\n\n',
        ),
        (
            b'data: {"usage":\r\ndata: {}}\r\nretry: 9\r\n\r\n',
            b'retry: 9\ndata: {"usage":{"cost_usd":"0.5"}}\n\n',
        ),
        (b'data: {"usage":{"cost_usd":7}}\n\n', b'data: {"usage":{"cost_usd":"0.5"}}\n\n'),
    ],
)
def test_the_cost_goes_into_the_usage_and_the_rest_of_the_event_stays(event: bytes, shown: bytes) -> None:
    assert openai.add_cost(event, "0.5") == shown


@pytest.mark.parametrize(
    "event",
    [
        b"",
        b": comment\n\n",
        b"data: [DONE]\n\n",
        b'data: {"usage":null}\n\n',
        b'data: {"choices":[]}\n\n',
        b"data: [1]\n\n",
        b'data: {"usage":{"x":NaN}}\n\n',
        b'data: {"usage":{},"deep":' + b"[" * 500 + b"]" * 500 + b"}\n\n",
        b'{"usage":{}}',
    ],
    ids=["nothing", "comment", "end", "null", "no usage", "array", "NaN", "deep", "not an event"],
)
def test_what_has_no_usage_or_cannot_be_written_again_stays_as_it_is(event: bytes) -> None:
    assert openai.add_cost(event, "0.5") == event


@pytest.mark.parametrize("count", [1_000_000_001, 2**63, 2**64, 10**30])
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens", "input_tokens", "total_tokens"])
def test_a_count_that_no_call_can_reach_is_none(name: str, count: int) -> None:
    usage = b'"usage":{"prompt_tokens":1,"%b":%d}' % (name.encode(), count)
    assert unary(b'{"choices":[{"message":{"content":"x"}}],%b}' % usage) is None
    events = decode(chunk(choices=[choice({"content": "x"}, "stop")]) + b"data: {%b}\n\n" % usage)
    assert not any(isinstance(event, UsageReport) for event in events)


def test_so_is_a_part_that_no_call_can_reach() -> None:
    assert unary(b'{"usage":{"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":10000000000}}}') is None


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (b'{"usage":{"type":"duration","seconds":6}}', 6),
        (b'{"usage":{"type":"duration","seconds":6.01}}', 7),
        (b'{"duration":8.47}', 9),
        (b'{"duration":8.47,"usage":{"seconds":9}}', 9),
        (b'{"duration":8.47,"segments":[{"avg_logprob":NaN}]}', 9),
        (b'{"duration":0.001}', 1),
        (b'{"duration":"8.47"}', 0),
        (b'{"duration":-1}', 0),
        (b'{"duration":1e300}', 0),
        (b'{"duration":NaN}', 0),
        (b'{"duration":Infinity}', 0),
        (b'{"duration":true}', 0),
        (b'{"duration":null}', 0),
        (b'{"usage":{"seconds":"x"},"duration":3}', 3),
    ],
)
def test_audio_is_counted_in_seconds_begun(body: bytes, seconds: int) -> None:
    report = unary(body)
    assert (report.seconds if report is not None else 0) == seconds


@pytest.mark.parametrize(
    ("body", "tier"),
    [
        (b'{"usage":{"prompt_tokens":1},"service_tier":"flex"}', "flex"),
        (b'{"usage":{"prompt_tokens":1},"service_tier":null}', ""),
        (b'{"usage":{"prompt_tokens":1},"service_tier":7}', ""),
        (b'{"usage":{"prompt_tokens":1},"x":NaN,"service_tier":"flex"}', "flex"),
        (b'{"usage":{"prompt_tokens":1}}', ""),
    ],
)
def test_the_tier_of_service_is_the_one_that_the_reply_names(body: bytes, tier: str) -> None:
    report = unary(body)
    assert report is not None and report.tier == tier


def test_in_a_stream_the_tier_may_stand_in_any_chunk_before_the_usage() -> None:
    events = decode(
        chunk(choices=[choice({"content": "x"}, "stop")], service_tier="priority")
        + chunk(choices=[], usage={"prompt_tokens": 1})
    )
    assert [event.tier for event in events if isinstance(event, UsageReport)] == ["priority"]


def test_usage_in_every_chunk_is_told_each_time_and_the_last_one_counts() -> None:
    events = decode(
        chunk(choices=[choice({"content": "x"})], usage={"prompt_tokens": 5, "completion_tokens": 1})
        + chunk(choices=[choice({"content": "y"}, "stop")], usage={"prompt_tokens": 5, "completion_tokens": 2})
    )
    assert [event.usage for event in events if isinstance(event, UsageReport)] == [Usage(5, 1), Usage(5, 2)]
