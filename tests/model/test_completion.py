"""Folding: what a stream's events add up to, and back."""

from __future__ import annotations

import base64
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.completion import Choice, Completion, fold, unfold
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
    StopReason,
    TextDelta,
    ToolDelta,
    UsageReport,
)
from gateway.model.usage import Usage

HERE = Citation("url", url="https://example.org/a", start=0, end=3)
IMAGE = Media("image", data="AAAA", media_type="image/png")


def sound(data: bytes) -> Media:
    return Media("audio", data=base64.b64encode(data).decode(), media_type="audio/pcm")


@pytest.mark.parametrize(
    ("events", "parts"),
    [
        ([TextDelta("a"), TextDelta("b")], [Text("ab")]),
        ([TextDelta("a"), Break(), TextDelta("b")], [Text("a"), Text("b")]),
        ([TextDelta(""), Break(), RefusalDelta("")], []),
        ([ReasoningDelta("hm"), TextDelta("a"), ReasoningDelta("so")], [Reasoning("hm"), Text("a"), Reasoning("so")]),
        ([ReasoningDelta("h"), ReasoningDelta("m"), ReasoningDelta("", signature="s")], [Reasoning("hm", "s")]),
        (
            [ReasoningDelta("a", signature="1"), ReasoningDelta("b", signature="2")],
            [Reasoning("a", "1"), Reasoning("b", "2")],
        ),
        ([ReasoningDelta("", redacted="x")], [Reasoning(redacted="x")]),
        ([TextDelta("a"), CitationDelta(HERE), TextDelta("b")], [Text("ab", citations=(HERE,))]),
        ([TextDelta("a"), PartDelta(IMAGE), CitationDelta(HERE)], [Text("a", citations=(HERE,)), IMAGE]),
        (
            [TextDelta("a"), Break(), CitationDelta(HERE), TextDelta("b")],
            [Text("a"), Text("b", citations=(HERE,))],
        ),
        ([RefusalDelta("n"), RefusalDelta("o")], [Refusal("no")]),
        (
            [
                ToolDelta(0, "", "f", "1"),
                ToolDelta(1, "", "g", "2"),
                ToolDelta(0, "{"),
                ToolDelta(1, "[]"),
                ToolDelta(0, "}"),
            ],
            [ToolCall("1", "f", "{}"), ToolCall("2", "g", "[]")],
        ),
        ([TextDelta("a"), ToolDelta(0, "", "f"), TextDelta("b")], [Text("a"), ToolCall("", "f", ""), Text("b")]),
        ([TextDelta("a"), PartDelta(IMAGE), PartDelta(IMAGE)], [Text("a"), IMAGE, IMAGE]),
        ([PartDelta(sound(b"a")), PartDelta(sound(b"bc"))], [sound(b"abc")]),
        ([PartDelta(sound(b"a")), Break(), PartDelta(sound(b"bc"))], [sound(b"a"), sound(b"bc")]),
    ],
)
def test_deltas_add_up_to_parts(events: list[Event], parts: list[Part]) -> None:
    assert fold(events).choices == ((Choice(tuple(parts)),) if events else ())


def test_choices_are_told_apart_and_what_is_said_of_the_whole_is_kept() -> None:
    events: list[Event] = [
        Start("m", id="1", created=5),
        TextDelta("a", 1),
        TextDelta("b", 0),
        Passed(b": ping\n\n"),
        LogprobsDelta(({"token": "a"},), 1),
        LogprobsDelta(({"token": "b"},), 1),
        Stop("stop", 1, sequence="END"),
        Stop("length", 0),
        UsageReport(Usage(1, 2), tier="flex"),
    ]
    assert fold(events) == Completion(
        (
            Choice((Text("b"),), "length"),
            Choice((Text("a"),), "stop", "END", ({"token": "a"}, {"token": "b"})),
        ),
        Usage(1, 2),
        "m",
        "1",
        5,
        "flex",
    )


def test_what_failed_says_so() -> None:
    assert fold([Start("m"), TextDelta("a"), Failed("gone")]).failed == "gone"
    assert fold([]) == Completion()


words = st.text(min_size=1, max_size=5)
citations = st.lists(st.builds(Citation, st.just("url"), url=words), max_size=2).map(tuple)
parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, words, citations=citations),
    st.builds(Reasoning, words, st.sampled_from(["", "s"]), st.sampled_from(["", "r"]), st.sampled_from(["", "i"])),
    st.builds(Refusal, words),
    st.builds(ToolCall, words, words, words, st.sampled_from(["", "s"])),
    st.just(IMAGE),
    st.builds(sound, st.binary(min_size=1, max_size=4)),
    st.just(Opaque("chat", "x", {"a": 1})),
)
choices = st.builds(
    Choice,
    st.lists(parts, max_size=5).map(tuple),
    st.sampled_from(get_args(StopReason)),
    st.sampled_from(["", "END"]),
    st.sampled_from([(), ({"token": "a"},)]),
)
completions = st.builds(
    Completion,
    st.lists(choices, max_size=3).map(tuple),
    st.sampled_from([Usage(1, 2)]),
    words,
    st.sampled_from(["", "id"]),
    st.integers(0, 9),
    st.sampled_from(["", "flex"]),
    st.integers(0, 3),
    st.sampled_from(["", "gone"]),
    st.integers(0, 2),
)


@given(completions)
def test_what_is_unfolded_folds_to_the_same(completion: Completion) -> None:
    assert fold(unfold(completion)) == completion


@given(completions, st.data())
def test_pieces_of_any_size_fold_to_the_same(completion: Completion, data: st.DataObject) -> None:
    events: list[Event] = []
    for event in unfold(completion):
        if isinstance(event, TextDelta | RefusalDelta):
            at = data.draw(st.integers(0, len(event.text)))
            events += [type(event)(event.text[:at], event.index), type(event)(event.text[at:], event.index)]
        elif isinstance(event, ToolDelta):
            events += [event, ToolDelta(event.call, "", index=event.index)]
        else:
            events.append(event)
    assert fold(events) == completion
