"""Chat completions as OpenAI's own client reads them: chunks add up in it to the whole reply."""

from __future__ import annotations

from typing import Any

import orjson
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.dialects.base import Head
from gateway.dialects.chat import DIALECT
from gateway.model.completion import fold
from gateway.model.conversation import Citation, Media, Message, Reasoning, Text, ToolCall
from gateway.model.events import (
    Break,
    CitationDelta,
    Event,
    LogprobsDelta,
    PartDelta,
    ReasoningDelta,
    RefusalDelta,
    Start,
    Stop,
    TextDelta,
    ToolDelta,
    UsageReport,
)
from gateway.model.usage import Usage

HEAD = Head("req-1", "m", 1_700_000_000)
EVENTS: list[Event] = [
    Start("claude", id="msg_1"),
    ReasoningDelta("I "),
    ReasoningDelta("think"),
    ReasoningDelta("", signature="sig"),
    Break(),
    ReasoningDelta("", redacted="hidden"),
    TextDelta("Let me "),
    LogprobsDelta(({"token": "Let me", "logprob": -1.0},)),
    TextDelta("see."),
    LogprobsDelta(({"token": "see", "logprob": -2.0},)),
    CitationDelta(Citation("url", url="https://a.example", title="A")),
    ToolDelta(1, "", "weather", "toolu_1"),
    ToolDelta(1, '{"city":'),
    ToolDelta(2, "{}", "time", "toolu_2", signature="proof"),
    ToolDelta(1, '"Ulm"}'),
    PartDelta(Media("image", "AAAA", media_type="image/png")),
    Stop("tool_calls"),
    RefusalDelta("N", 1),
    RefusalDelta("o.", 1),
    Stop("refusal", 1),
    UsageReport(Usage(20, 9, 4, 2, 5)),
]


def chunks() -> list[Any]:
    encoder = DIALECT.stream_encoder(HEAD)
    stream = b"".join(encoder.feed([event]) for event in EVENTS) + encoder.close()
    return [orjson.loads(line[6:]) for line in stream.split(b"\n\n") if line and line != b"data: [DONE]"]


def accumulated() -> ChatCompletion:
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for chunk in chunks():
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    return state.current_completion_snapshot


def told(completion: ChatCompletion) -> list[Any]:
    return [
        (
            choice.message.content or None,
            choice.message.refusal,
            choice.finish_reason,
            [
                (call.id, call.function.name, call.function.arguments)
                for call in choice.message.tool_calls or ()
                if call.type == "function"
            ],
        )
        for choice in completion.choices
    ]


def test_the_client_adds_chunks_up_to_what_a_whole_reply_says() -> None:
    whole = ChatCompletion.model_validate_json(DIALECT.unary(HEAD, EVENTS))
    assert told(accumulated()) == told(whole)
    assert len(told(whole)[0][3]) == 2
    assert accumulated().usage == whole.usage


def test_what_the_client_kept_proves_thoughts_when_it_comes_back() -> None:
    """A client sends back what it got, unknown members included, as its SDK dumps them."""
    whole = ChatCompletion.model_validate_json(DIALECT.unary(HEAD, EVENTS))
    for message in (whole.choices[0].message, accumulated().choices[0].message):
        sent = orjson.loads(message.model_dump_json(exclude_none=True))
        read = DIALECT.read({"model": "m", "messages": [sent]}, "m", stream=False)
        first = fold(EVENTS).choices[0]
        text = [Text(part.text) for part in first.parts if isinstance(part, Text)]
        others = [part for part in first.parts if not isinstance(part, Text)]
        thoughts = [part for part in others if isinstance(part, Reasoning)]
        calls = [part for part in others if isinstance(part, ToolCall)]
        images = [part for part in others if isinstance(part, Media)]
        assert read.messages == (Message("assistant", (*thoughts, *text, *images, *calls)),)
        assert read.rest == {}
