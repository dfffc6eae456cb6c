"""Chat completions, requests: what is read from a client, and what is written for a provider."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.base import WORDS, Unsupported
from gateway.dialects.chat import DIALECT, Chat, Server
from gateway.errors import InvalidRequest
from gateway.model.conversation import (
    Citation,
    Conversation,
    Format,
    Media,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    SearchResult,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from tests.dialects.published import Check, openai_check

HELLO = [{"role": "user", "content": "Hello"}]
PNG = "data:image/png;base64,iVBORw0KGgo="
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}, "strict": True}}
SEARCH = {"type": "function", "function": {"name": "search", "description": "Searches."}}
CUSTOM = {"type": "custom", "custom": {"name": "code", "format": {"type": "text"}}}


@pytest.fixture(scope="module")
def check(data_set: Callable[[str], Path]) -> Check:
    return openai_check(data_set("specs/openai.yaml.gz"))


def read(messages: Any = None, *, stream: bool = False, **more: Any) -> Conversation:
    return DIALECT.read({"model": "m", "messages": messages or HELLO, **more}, "m", stream=stream)


def parts(*content: Any, role: str = "user", **more: Any) -> tuple[Part, ...]:
    return read([{"role": role, "content": list(content) or None, **more}]).messages[0].parts


def write(asked: Conversation, *, lenient: bool = False, dialect: Chat | None = None) -> Any:
    return orjson.loads((dialect or DIALECT).write(asked, "theirs", lenient=lenient).body)


def ask(*messages: Message, **more: Any) -> Conversation:
    return Conversation(source="messages", model="m", messages=messages or (Message("user", (Text("Hi"),)),), **more)


# Reading


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": "a"}, Text("a")),
        ({"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}, Text("a", "5m")),
        ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}, Text("a", "1h")),
        (
            {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
            Media("image", "iVBORw0KGgo=", media_type="image/png", detail="low"),
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
            Media("image", url="https://example.org/a.png"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
            Media("audio", "AAAA", media_type="audio/mpeg"),
        ),
        ({"type": "file", "file": {"file_id": "file-1"}}, Media("file", file_id="file-1")),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
            Media("file", "AAAA", media_type="application/pdf", name="a.pdf"),
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "AAAA"}},
            Media("file", "AAAA", media_type="application/pdf", name="a.pdf"),
        ),
        (
            {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
            Media("video", "AAAA", media_type="video/mp4"),
        ),
        ({"type": "hologram", "x": 1}, Opaque("chat", "messages[0].content[0]", {"type": "hologram", "x": 1})),
    ],
)
def test_a_part_of_a_user_is_read(part: Any, expected: Part) -> None:
    assert parts(part) == (expected,)


CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CUSTOM_CALL = {"id": "2", "type": "custom", "custom": {"name": "g", "input": "x"}}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"content": "a"}, [Text("a")]),
        ({"content": ""}, []),
        ({"content": [{"type": "refusal", "refusal": "no"}]}, [Refusal("no")]),
        ({"content": None, "refusal": "no"}, [Refusal("no")]),
        ({"audio": {"id": "audio_1"}}, [Media("audio", file_id="audio_1")]),
        (
            {"tool_calls": [CALL, CUSTOM_CALL]},
            [ToolCall("1", "f", "{}"), Opaque("chat", "messages[0].tool_calls[1]", CUSTOM_CALL)],
        ),
        ({"function_call": {"name": "f", "arguments": "{}"}}, [ToolCall("call_0", "f", "{}")]),
        ({"content": "a", "reasoning_content": "hm"}, [Reasoning("hm"), Text("a")]),
        ({"content": "a", "reasoning": "hm"}, [Reasoning("hm"), Text("a")]),
        ({"content": "a", "reasoning": {"x": 1}, "annotations": [], "audio": None}, [Text("a")]),
        ({"content": "a", "cache_control": {"type": "ephemeral"}}, [Text("a", "5m")]),
        ({"content": [{"type": "thinking", "thinking": "hm", "signature": "s"}]}, [Reasoning("hm", "s")]),
        (
            {"content": "a", "images": [{"type": "image_url", "index": 0, "image_url": {"url": PNG}}]},
            [Text("a"), Media("image", "iVBORw0KGgo=", media_type="image/png")],
        ),
        (
            {
                "reasoning_content": "hm",
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "hm", "signature": "s"},
                    {"type": "reasoning.encrypted", "data": "r"},
                    {"type": "reasoning.summary", "summary": "so", "id": "1"},
                    {"type": "reasoning.encrypted", "data": "q", "id": "1"},
                ],
            },
            [Reasoning("hm", "s"), Reasoning(redacted="r"), Reasoning("so", redacted="q", id="1")],
        ),
        (
            {"tool_calls": [{**CALL, "extra_content": {"google": {"thought_signature": "s"}}}]},
            [ToolCall("1", "f", "{}", "s")],
        ),
    ],
)
def test_what_an_assistant_said_is_read(message: Any, expected: list[Part]) -> None:
    assert read([{"role": "assistant", **message}]).messages == (Message("assistant", tuple(expected)),)


def test_results_that_follow_one_another_are_one_message() -> None:
    asked = read(
        [
            {"role": "developer", "content": "Be brief.", "name": "boss"},
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "1", "content": "a"},
            {"role": "tool", "tool_call_id": "2", "content": [{"type": "text", "text": "b"}]},
            {"role": "user", "content": "And?"},
            {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "c"},
        ]
    )
    assert asked.messages == (
        Message("developer", (Text("Be brief."),), "boss"),
        Message("assistant", (ToolCall("1", "f", "{}"),)),
        Message("tool", (ToolResult("1", (Text("a"),)), ToolResult("2", (Text("b"),)))),
        Message("user", (Text("And?"),)),
        Message("assistant", (ToolCall("call_5", "f", "{}"),)),
        Message("tool", (ToolResult("call_5", (Text("c"),), "f"),)),
    )


SCHEMA = {"name": "s", "schema": {"type": "object"}, "strict": True, "description": "d"}
TOOLS = (Tool("weather", schema={"type": "object"}, strict=True), Tool("search", "Searches."))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"max_completion_tokens": 5, "max_tokens": 6}, {"max_output": 5}),
        ({"max_tokens": 6}, {"max_output": 6}),
        ({"temperature": 0.5, "top_p": 1}, {"temperature": 0.5, "top_p": 1.0}),
        ({"n": 2, "seed": 3}, {"choices": 2, "seed": 3}),
        ({"stop": "a"}, {"stop": ("a",)}),
        ({"stop": ["a", "b"]}, {"stop": ("a", "b")}),
        ({"presence_penalty": 1, "frequency_penalty": -1}, {"presence_penalty": 1.0, "frequency_penalty": -1.0}),
        ({"logprobs": True}, {"logprobs": 0}),
        ({"logprobs": True, "top_logprobs": 4}, {"logprobs": 4}),
        ({"logprobs": False}, {}),
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": {"type": "json_object"}}, {"format": Format("json")}),
        (
            {"response_format": {"type": "json_schema", "json_schema": SCHEMA}},
            {"format": Format("schema", "s", {"type": "object"}, True, "d")},
        ),
        ({"reasoning_effort": "xhigh"}, {"thinking": Thinking("xhigh")}),
        ({"verbosity": "low"}, {"verbosity": "low"}),
        ({"user": "u"}, {"user": "u"}),
        ({"safety_identifier": "u"}, {"user": "u"}),
        ({"user": "u", "safety_identifier": "v"}, {"user": "u", "rest": {"safety_identifier": "v"}}),
        ({"metadata": {"a": "b"}}, {"metadata": {"a": "b"}}),
        ({"service_tier": "flex"}, {"service_tier": "flex"}),
        ({"stream_options": {"include_usage": True}}, {"wants_usage": True}),
        (
            {"stream_options": {"include_obfuscation": True}},
            {"rest": {"stream_options": {"include_obfuscation": True}}},
        ),
        ({"tools": [WEATHER, SEARCH]}, {"tools": TOOLS}),
        ({"tools": [CUSTOM]}, {"tools": (Opaque("chat", "tools[0]", CUSTOM),)}),
        (
            {"functions": [SEARCH["function"]], "function_call": "auto"},
            {"tools": TOOLS[1:], "tool_choice": ToolChoice("auto")},
        ),
        ({"function_call": {"name": "f"}}, {"tool_choice": ToolChoice("named", ("f",))}),
        ({"tool_choice": "required"}, {"tool_choice": ToolChoice("required")}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"tool_choice": ToolChoice("named", ("f",))},
        ),
        (
            {"tool_choice": {"type": "custom", "custom": {"name": "code"}}},
            {"tool_choice": ToolChoice("named", ("code",))},
        ),
        (
            {
                "tools": [WEATHER, SEARCH, CUSTOM],
                "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [SEARCH, CUSTOM]}},
            },
            {"tools": (TOOLS[1], Opaque("chat", "tools[2]", CUSTOM)), "tool_choice": ToolChoice("auto")},
        ),
        (
            {
                "tools": [WEATHER, SEARCH],
                "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [SEARCH]}},
            },
            {"tools": TOOLS, "tool_choice": ToolChoice("named", ("search",))},
        ),
        ({"parallel_tool_calls": False}, {"parallel_tools": False}),
        ({"modalities": ["text"], "store": False, "logit_bias": None}, {}),
        (
            {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}, "new": 1},
            {"rest": {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}, "new": 1}},
        ),
        (
            {"prediction": {"type": "content", "content": "x"}, "web_search_options": {}, "logit_bias": {"5": 1}},
            {
                "rest": {
                    "prediction": {"type": "content", "content": "x"},
                    "web_search_options": {},
                    "logit_bias": {"5": 1},
                }
            },
        ),
        ({"prompt_cache_key": "k", "store": True}, {"rest": {"prompt_cache_key": "k", "store": True}}),
    ],
)
def test_a_member_is_read(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert read(**given) == msgspec.structs.replace(read(), **expected)


def test_members_of_a_message_that_nobody_knows_are_kept_by_name() -> None:
    asked = read([{"role": "user", "content": "a", "mood": "good"}])
    assert asked.rest == {"messages[0].mood": "good"}
    with pytest.raises(Unsupported):
        DIALECT.write(asked, "m", lenient=False)


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "messages", "missing_field"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": "x"}, "messages", "invalid_type"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "missing_field"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_field"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "invalid_type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
            "missing_field",
        ),
        ({"messages": [{"role": "user", "content": [{"text": "a"}]}]}, "messages[0].content[0].type", "missing_field"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id", "missing_field"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}]},
            "messages[0].tool_calls[0].function",
            "missing_field",
        ),
        ({"messages": HELLO, "temperature": "hot"}, "temperature", "invalid_type"),
        ({"messages": HELLO, "reasoning_effort": "huge"}, "reasoning_effort", "invalid_value"),
        ({"messages": HELLO, "tools": [{"type": "function"}]}, "tools[0].function", "missing_field"),
        ({"messages": HELLO, "tool_choice": "maybe"}, "tool_choice", "invalid_value"),
        ({"messages": HELLO, "tool_choice": {"type": "function"}}, "tool_choice.function.name", "missing_field"),
        ({"messages": HELLO, "response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        ({"messages": HELLO, "top_logprobs": 3}, "top_logprobs", "invalid_value"),
    ],
)
def test_what_is_wrong_is_named(body: Any, param: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        DIALECT.read(body, "m", stream=False)
    assert (raised.value.param, raised.value.code) == (param, code)


# Writing


FULL: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "name": "ada",
            "content": [
                {"type": "text", "text": "What is this?", "prompt_cache_breakpoint": {"mode": "explicit"}},
                {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
                {"type": "file", "file": {"file_id": "file-1"}},
            ],
        },
        {"role": "assistant", "content": "Let me see.", "tool_calls": [CALL, CUSTOM_CALL]},
        {"role": "tool", "tool_call_id": "1", "content": "a"},
        {"role": "tool", "tool_call_id": "2", "content": [{"type": "text", "text": text} for text in "bc"]},
        {"role": "assistant", "content": None, "refusal": "No."},
        {"role": "assistant", "content": None, "audio": {"id": "audio_1"}},
        {"role": "user", "content": "Go on."},
    ],
    "tools": [WEATHER, SEARCH, CUSTOM],
    "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
        {"type": "function", "function": {"name": "weather"}}, {"type": "custom", "custom": {"name": "code"}}]}},
    "parallel_tool_calls": False,
    "max_completion_tokens": 9,
    "temperature": 0.5,
    "top_p": 0.9,
    "n": 2,
    "stop": ["a", "b"],
    "seed": 7,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.2,
    "logprobs": True,
    "top_logprobs": 2,
    "response_format": {"type": "json_schema", "json_schema": SCHEMA},
    "reasoning_effort": "low",
    "verbosity": "high",
    "user": "u",
    "metadata": {"a": "b"},
    "service_tier": "flex",
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "wav"},
    "prediction": {"type": "content", "content": "x"},
    "web_search_options": {"search_context_size": "low"},
    "logit_bias": {"5": 1},
    "store": True,
    "prompt_cache_key": "k",
    "safety_identifier": "s",
    "stream_options": {"include_usage": True, "include_obfuscation": True},
}  # fmt: skip


def test_a_request_with_everything_comes_back_as_it_was(check: Check) -> None:
    asked = DIALECT.read(FULL, "theirs", stream=True)
    written = write(asked)
    check("CreateChatCompletionRequest", written)
    assert written == {**FULL, "model": "theirs", "stream": True}
    assert DIALECT.read(written, "theirs", stream=True) == asked


def test_what_other_dialects_say_is_written(check: Check) -> None:
    asked = ask(
        Message("system", (Text("Be brief.", "5m"), Text("Be kind."))),
        Message("user", (Media("file", text="Once upon a time", title="Tale"), Text("Sum up."))),
        Message("assistant", (Text("See."), ToolCall("toolu_" + "x" * 60, "f", "{}"), ToolCall("2", "g", ""))),
        Message(
            "tool",
            (
                ToolResult("toolu_" + "x" * 60, (Text("a"), SearchResult("https://a.example", "A", ("b", "c")))),
                ToolResult("2", ()),
                Text("And now?"),
            ),
        ),
        tools=(Tool("f", "F.", {"type": "object"}), Opaque("responses", "tools[1]", {"type": "custom", "name": "c"})),
        tool_choice=ToolChoice("named", ("c",)),
        thinking=Thinking(budget=0),
        service_tier="standard_only",
        format=Format("schema", schema={"type": "object"}),
        stream=True,
    )
    written = write(asked)
    check("CreateChatCompletionRequest", written)
    call = written["messages"][2]["tool_calls"][0]["id"]
    assert len(call) <= 40
    assert written == {
        "model": "theirs",
        "messages": [
            {
                "role": "system",
                "content": [
                    {"type": "text", "text": "Be brief.", "prompt_cache_breakpoint": {"mode": "explicit"}},
                    {"type": "text", "text": "Be kind."},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "text", "text": "Tale\nOnce upon a time"}, {"type": "text", "text": "Sum up."}],
            },
            {
                "role": "assistant",
                "content": "See.",
                "tool_calls": [
                    {"id": call, "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                ],
            },
            {
                "role": "tool",
                "tool_call_id": call,
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "A\nhttps://a.example\nb\nc"}],
            },
            {"role": "tool", "tool_call_id": "2", "content": ""},
            {"role": "user", "content": "And now?"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "F.", "parameters": {"type": "object"}}},
            {"type": "custom", "custom": {"name": "c"}},
        ],
        "tool_choice": {"type": "custom", "custom": {"name": "c"}},
        "reasoning_effort": "none",
        "service_tier": "default",
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}},
        "stream": True,
        "stream_options": {"include_usage": True},
    }


CITED = Text("a", citations=(Citation("char", "b"),))


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (ask(top_k=5), "top_k"),
        (ask(stop=tuple("abcde")), "stop"),
        (ask(logprobs=30), "logprobs"),
        (ask(thinking=Thinking(budget=1000)), "thinking"),
        (ask(thinking=Thinking(show=True)), "thinking"),
        (ask(service_tier="batch"), "service_tier"),
        (ask(rest={"container": "x"}), "container"),
        (ask(tools=(Tool("f", cache="5m"),)), "tools[0].cache"),
        (ask(tools=(Opaque("messages", "tools[0]", {"type": "bash_20250124"}),)), "tools[0]"),
        (ask(Message("user", (Text("a", "1h"),))), "messages[0].parts[0].cache"),
        (ask(Message("user", (Media("video", "AAAA"),))), "messages[0].parts[0]"),
        (ask(Message("user", (Media("image", file_id="f"),))), "messages[0].parts[0]"),
        (ask(Message("user", (Media("file", url="https://a.example"),))), "messages[0].parts[0]"),
        (ask(Message("user", (Media("audio", "AAAA", media_type="audio/flac"),))), "messages[0].parts[0]"),
        (ask(Message("user", (Media("file", text="a", cite=True),))), "messages[0].parts[0].cite"),
        (ask(Message("assistant", (Reasoning("hm", "s"), Text("a")))), "messages[0].parts[0]"),
        (ask(Message("assistant", (CITED,))), "messages[0].parts[0].citations"),
        (ask(Message("assistant", (ToolCall("1", "f", "{}", "s"),))), "messages[0].parts[0].signature"),
        (ask(Message("assistant", (Media("image", "AAAA"),))), "messages[0].parts[0]"),
        (ask(Message("tool", (ToolResult("1", (Text("a"),), is_error=True),))), "messages[0].parts[0].is_error"),
        (ask(Message("tool", (ToolResult("1", (Media("image", "AAAA"),)),))), "messages[0].parts[0].parts[0]"),
        (ask(Message("user", (Opaque("gemini", "x", 1),))), "messages[0].parts[0]"),
    ],
)
def test_what_cannot_be_said_is_an_error_or_a_drop(check: Check, asked: Conversation, name: str) -> None:
    name = WORDS[asked.source].get(name, name)
    with pytest.raises(Unsupported) as raised:
        DIALECT.write(asked, "theirs", lenient=False)
    assert raised.value.member == name
    written = DIALECT.write(asked, "theirs", lenient=True)
    assert written.dropped == (name,)
    check("CreateChatCompletionRequest", orjson.loads(written.body))


def test_a_budget_of_thinking_becomes_the_nearest_effort_where_that_may_be() -> None:
    efforts = [
        write(ask(thinking=Thinking(budget=tokens)), lenient=True)["reasoning_effort"] for tokens in (9, 4096, 9999)
    ]
    assert efforts == ["low", "medium", "high"]
    assert "reasoning_effort" not in write(ask(thinking=Thinking(budget=-1)))


def test_a_server_of_another_kind_is_told_in_its_words() -> None:
    dialect = Chat(Server(limit="max_tokens", developer=False, breakpoints=False, thoughts=True))
    thought = Reasoning("hm", "s")
    asked = ask(
        Message("developer", (Text("Be brief.", "5m"),)),
        Message("assistant", (thought, ToolCall("1", "f", "{}", "t"))),
        max_output=5,
    )
    written = dialect.write(asked, "theirs", lenient=True)
    body = orjson.loads(written.body)
    assert written.dropped == ("messages[0].parts[0].cache",)
    assert body["max_tokens"] == 5 and body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert DIALECT.read(body, "m", stream=False).messages[1].parts == asked.messages[1].parts


def test_an_empty_answer_is_said_too() -> None:
    assert write(ask(Message("assistant", ()), Message("user", ())))["messages"] == [
        {"role": "assistant", "content": ""},
        {"role": "user", "content": ""},
    ]


# What both sides can say goes there and back


words = st.text(min_size=1, max_size=6)
names = st.sampled_from(["f", "g", "h"])
caches = st.sampled_from([None, "5m"])
texts = st.builds(Text, words, caches)
media = st.one_of(
    st.builds(
        Media, st.just("image"), data=words, media_type=st.just("image/png"), detail=st.sampled_from(["", "low"])
    ),
    st.builds(Media, st.just("image"), url=st.just("https://a.example/b"), cache=caches),
    st.builds(
        Media, st.just("audio"), data=words, media_type=st.sampled_from(["audio/wav", "audio/mpeg"]), cache=caches
    ),
    st.builds(Media, st.just("file"), data=words, media_type=st.just("text/csv"), name=words, cache=caches),
    st.builds(Media, st.just("file"), file_id=words),
)
calls = st.builds(ToolCall, words, names, words)
results = st.builds(ToolResult, words, st.lists(texts, max_size=2).map(tuple))


@st.composite
def dialogues(draw: st.DrawFn) -> tuple[Message, ...]:
    found: list[Message] = []
    for role in draw(st.lists(st.sampled_from(["system", "developer", "user", "assistant", "tool"]), min_size=1)):
        if role == "assistant":
            said: list[Part] = [*draw(st.lists(texts, max_size=2)), *draw(st.lists(calls, max_size=2))]
        elif role == "tool":
            if found and found[-1].role == "tool":
                continue
            said = [*draw(st.lists(results, min_size=1, max_size=2))]
        else:
            said = [*draw(st.lists(st.one_of(texts, media) if role == "user" else texts, max_size=3))]
        name = draw(st.sampled_from(["", "ada"])) if role != "tool" else ""
        found.append(Message(role, tuple(said), name))  # type: ignore[arg-type]
    return tuple(found)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), strategy)


tools = st.builds(Tool, names, st.sampled_from(["", "does"]), maybe(st.just({"type": "object"})), maybe(st.booleans()))
choices = st.one_of(
    st.builds(ToolChoice, st.sampled_from(["auto", "none", "required"])),
    st.builds(ToolChoice, st.just("named"), st.lists(names, min_size=1, max_size=2).map(tuple)),
)
conversations = st.builds(
    Conversation,
    source=st.just("chat"),
    model=st.just("m"),
    messages=dialogues(),
    tools=st.lists(st.one_of(tools, st.just(Opaque("chat", "tools[0]", CUSTOM))), min_size=1, max_size=1).map(tuple),
    tool_choice=maybe(choices),
    parallel_tools=maybe(st.booleans()),
    max_output=maybe(st.integers(1, 99)),
    temperature=maybe(st.floats(0, 2)),
    top_p=maybe(st.floats(0, 1)),
    choices=maybe(st.integers(1, 3)),
    stop=st.lists(words, max_size=4).map(tuple),
    seed=maybe(st.integers(0, 99)),
    presence_penalty=maybe(st.floats(-2, 2)),
    frequency_penalty=maybe(st.floats(-2, 2)),
    logprobs=maybe(st.integers(0, 20)),
    format=maybe(
        st.one_of(st.just(Format("json")), st.builds(Format, st.just("schema"), names, st.just({}), st.booleans()))
    ),
    thinking=maybe(st.builds(Thinking, st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"]))),
    verbosity=st.sampled_from(["", "low", "high"]),
    user=st.sampled_from(["", "u"]),
    metadata=st.dictionaries(names, words, max_size=2),
    service_tier=st.sampled_from(["", "auto", "flex"]),
    rest=st.sampled_from([{}, {"logit_bias": {"1": 2}}]),
)


@given(conversations)
def test_what_is_written_reads_as_it_was(asked: Conversation) -> None:
    body = orjson.loads(DIALECT.write(asked, "m", lenient=False).body)
    assert DIALECT.read(body, "m", stream=False) == asked


@given(conversations)
def test_what_is_written_is_what_openai_takes(check: Check, asked: Conversation) -> None:
    check("CreateChatCompletionRequest", orjson.loads(DIALECT.write(asked, "m", lenient=False).body))


junk = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-5, 5), st.floats(allow_nan=False), st.sampled_from(["", "auto", "x"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["type", "name", "x"]), inner)
    ),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [place for key, one in inner for place in places(one, (*path, key))]


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[path[0]] = put(value[path[0]], path[1:], new)
    return changed


@given(st.sampled_from(places(FULL)), junk)
def test_whatever_stands_anywhere_is_read_or_refused(path: tuple[Any, ...], new: Any) -> None:
    try:
        asked = DIALECT.read(put(FULL, path, new), "m", stream=True)
    except InvalidRequest as refused:
        assert refused.message and refused.code in ("missing_field", "invalid_type", "invalid_value")
    else:
        assert DIALECT.write(asked, "m", lenient=True).body


def test_what_is_nested_too_deeply_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(300):
        schema = {"x": schema}
    with pytest.raises(InvalidRequest):
        write(ask(tools=(Tool("f", schema=schema),)))
