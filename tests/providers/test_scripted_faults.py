"""Delays and faults: how a reply that was whole is broken, before anybody acts it."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from typing import Any

import orjson
import pytest

from gateway.providers.scripting import Ask, Play, Player, Send, bill, loads

WHOLE = "one two three four"


def play(reply: str, *, stream: bool = False, text: str = WHOLE) -> Play:
    player = Player(loads(f"models: [m]\nreplies:\n  - {{text: {text}, {reply}}}"), clock=lambda: 7.0)
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": stream}
    return player.play(Ask("POST", "/v1/chat/completions", orjson.dumps(body)))


def joined(steps: Iterable[Send]) -> bytes:
    return b"".join(step.data for step in steps)


GOOD = joined(play("times: 9").steps)
STREAM = joined(play("times: 9", stream=True).steps)
EVENTS = [event + b"\n\n" for event in STREAM.split(b"\n\n")[:-1]]


def test_a_whole_reply_has_a_length_and_a_stream_has_chunks() -> None:
    whole, stream = play("times: 1"), play("times: 1", stream=True)
    assert (whole.framing, whole.declared, whole.ending) == ("length", len(GOOD), "complete")
    assert (stream.framing, stream.ending) == ("chunked", "complete")
    assert [step.data for step in stream.steps] == EVENTS


def test_delays_stand_where_they_were_put() -> None:
    one = play("delay: {head: 1, first: 2, chunk: 3}", stream=True)
    waits = [step.after_s for step in one.steps]
    assert (one.head_delay_s, waits[0], set(waits[1:])) == (1, 2, {3})


def test_a_delay_that_is_a_range_is_drawn_by_the_seed() -> None:
    waits = [step.after_s for step in play("delay: {chunk: [0.1, 0.2]}", stream=True).steps]
    assert waits == [step.after_s for step in play("delay: {chunk: [0.1, 0.2]}", stream=True).steps]
    assert all(0.1 <= wait <= 0.2 for wait in waits[1:]) and len(set(waits)) > 3


@pytest.mark.parametrize(("kind", "ending"), [("hang", "hang"), ("reset", "reset"), ("close_early", "close")])
@pytest.mark.parametrize("stream", [True, False])
def test_a_stop_happens_where_the_script_says(kind: str, ending: str, stream: bool) -> None:
    body = STREAM if stream else GOOD
    for at in range(0, len(body), 37):
        one = play(f"fault: {{kind: {kind}, after_bytes: {at}}}", stream=stream)
        assert (joined(one.steps), one.ending) == (body[:at], ending)
        assert one.declared == len(body)


def test_a_stop_after_chunks_counts_events() -> None:
    for count in range(len(EVENTS) + 1):
        one = play(f"fault: {{kind: reset, after_chunks: {count}}}", stream=True)
        assert [step.data for step in one.steps] == EVENTS[:count]


def test_a_stop_without_a_place_is_after_the_head_and_one_before_it_says_nothing() -> None:
    after, before = play("fault: {kind: hang}"), play("fault: {kind: hang, before_head: true}")
    assert (after.head, joined(after.steps)) == ("good", b"")
    assert (before.head, joined(before.steps)) == ("none", b"")


def test_a_truncated_body_is_framed_as_if_it_were_whole() -> None:
    one = play("fault: {kind: truncate, after_bytes: 10}")
    assert (joined(one.steps), one.declared, one.ending) == (GOOD[:10], 10, "complete")


def test_a_bad_chunk_ends_a_chunked_body() -> None:
    one = play("fault: {kind: bad_chunk, after_bytes: 10}")
    assert (joined(one.steps), one.framing, one.ending) == (GOOD[:10], "chunked", "bad_chunk")


def test_a_drip_loses_nothing() -> None:
    one = play("fault: {kind: drip, after_chunks: 1, bytes: 7, every: 2}", stream=True)
    steps = list(one.steps)
    assert joined(steps) == STREAM
    assert steps[0] == Send(EVENTS[0], 0.0, 0)
    assert all(step.after_s == 2 and len(step.data) <= 7 for step in steps[1:])


@pytest.mark.parametrize(("how", "has"), [("json", b'"del\n\n'), ("utf8", b"\xff\xfe"), ("huge", b"x" * (1 << 20))])
def test_a_malformed_event_stands_among_good_ones(how: str, has: bytes) -> None:
    data = [
        step.data for step in play(f"fault: {{kind: malformed_sse, how: {how}, after_chunks: 2}}", stream=True).steps
    ]
    assert data[:2] + data[3:] == EVENTS
    assert has in data[2]


def test_an_error_event_is_the_last() -> None:
    data = [
        step.data for step in play("fault: {kind: error_event, after_chunks: 2, message: Busy.}", stream=True).steps
    ]
    assert data[:-1] == EVENTS[:2]
    assert orjson.loads(data[-1][6:])["error"]["message"] == "Busy."


@pytest.mark.parametrize("wire", ["", ", wire: {line_end: crlf}", ", wire: {line_end: cr}"])
def test_done_can_be_left_out(wire: str) -> None:
    one = play(f"fault: {{kind: no_done}}{wire}", stream=True)
    assert b"[DONE]" not in joined(one.steps) and b'"finish_reason":"stop"' in joined(one.steps)
    assert one.ending == "complete"


@pytest.mark.parametrize(("by", "ending"), [(10, "close"), (-10, "complete"), (-99_999, "complete")])
def test_a_length_can_be_wrong_either_way(by: int, ending: str) -> None:
    one = play(f"fault: {{kind: wrong_length, by: {by}}}")
    assert (joined(one.steps), one.declared, one.ending) == (GOOD, max(0, len(GOOD) + by), ending)


def test_heads_can_be_bad() -> None:
    assert play("fault: {kind: bad_head}").head == "garbage"
    huge = play("fault: {kind: huge_head, bytes: 5}")
    assert (huge.head, huge.head_bytes) == ("huge", 5)


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (5 << 20) + 3])
@pytest.mark.parametrize("stream", [True, False])
def test_a_gzip_bomb_is_a_right_gzip_file_of_the_answer_and_much_white_space(size: int, stream: bool) -> None:
    one = play(f"fault: {{kind: gzip_bomb, expands_to: {size}}}", stream=stream)
    packed = joined(one.steps)
    assert dict(one.headers)[b"content-encoding"] == b"gzip"
    body = gzip.decompress(packed)
    assert len(body) == size + (len(STREAM) + 3 if stream else len(GOOD))
    assert body.endswith(STREAM) if stream else orjson.loads(body) == orjson.loads(GOOD)
    assert len(packed) < 4_000 + size // 500


@pytest.mark.parametrize("split", [1, 7, 1000])
def test_split_cuts_anywhere_and_loses_nothing(split: int) -> None:
    one = play(f"delay: {{chunk: 0.5}}, wire: {{split: {split}}}", stream=True)
    steps = list(one.steps)
    assert joined(steps) == STREAM and all(len(step.data) <= split for step in steps)
    assert sum(step.after_s for step in steps) == 0.5 * (len(EVENTS) - 1)


@pytest.mark.parametrize(("name", "end"), [("crlf", b"\r\n"), ("cr", b"\r")])
def test_lines_may_end_otherwise(name: str, end: bytes) -> None:
    assert joined(play(f"wire: {{line_end: {name}}}", stream=True).steps) == STREAM.replace(b"\n", end)


def test_comments_come_before_events() -> None:
    assert joined(play("wire: {comments: true}", stream=True).steps).count(b": keep-alive\n\n") == len(EVENTS)


def test_headers_of_the_script_are_added_or_win() -> None:
    headers = dict(play("headers: {X-Request-Id: mine, content-type: text/odd}").headers)
    assert headers == {b"x-request-id": b"mine", b"content-type": b"text/odd"}


def bill_of(one: Play, steps: int, completed: bool) -> Any:
    sent = list(one.steps)[:steps]
    line = bill.line(one, sent[-1] if sent else None, len(joined(sent)), completed=completed, at_s=1.5)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    return orjson.loads(line)


def test_a_stream_that_broke_off_is_billed_as_far_as_it_was_sent() -> None:
    one = play("usage: {output_tokens: 40, input_tokens: 5}", stream=True)
    billed = [bill_of(one, steps, False)["output_tokens"] for steps in range(len(EVENTS) + 1)]
    assert billed == [0, 0, 10, 20, 30, 40, 40, 40]
    assert bill_of(one, 0, False)["input_tokens"] == 5
    assert bill_of(one, 0, True)["output_tokens"] == 40


def test_any_other_answer_is_billed_whole_and_an_error_not_at_all() -> None:
    assert bill_of(play("times: 1"), 0, False)["output_tokens"] == 4
    player = Player(loads("models: [m]"))
    assert bill_of(player.play(Ask("GET", "/v1/nothing")), 1, True)["billed"] is False
