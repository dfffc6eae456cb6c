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
