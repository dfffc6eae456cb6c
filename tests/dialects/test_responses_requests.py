"""OpenAI's Responses, requests: what is read from a client, and what is written for a provider."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.base import Head, Unsupported
from gateway.dialects.chat import DIALECT as CHAT
from gateway.dialects.messages import DIALECT as MESSAGES
from gateway.dialects.responses import DIALECT
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
from tests.dialects.published import Check
from tests.dialects.published_responses import responses_check

PNG = "data:image/png;base64,iVBORw0KGgo="
IMAGE = Media("image", "iVBORw0KGgo=", media_type="image/png", detail="low")
WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": True}
SEARCH = {"type": "function", "name": "search", "description": "Searches."}
WEB = {"type": "web_search", "search_context_size": "low"}
CUSTOM = {"type": "custom", "name": "code", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}}
CUSTOM_CALL = {"type": "custom_tool_call", "call_id": "c9", "name": "code", "input": "1"}


@pytest.fixture(scope="module")
def check(data_set: Callable[[str], Path]) -> Check:
    return responses_check(data_set("specs/openai.yaml.gz"))


def read(given: Any = "Hi", *, stream: bool = False, **more: Any) -> Conversation:
    return DIALECT.read({"model": "m", "input": given, **more}, "m", stream=stream)


def parts(*content: Any, role: str = "user", **more: Any) -> tuple[Part, ...]:
    return read([{"role": role, "content": list(content), **more}]).messages[0].parts


def write(asked: Conversation, *, lenient: bool = False) -> Any:
    return orjson.loads(DIALECT.write(asked, "theirs", lenient=lenient).body)


def ask(*messages: Message, **more: Any) -> Conversation:
    return Conversation(source="messages", model="m", messages=messages or (Message("user", (Text("Hi"),)),), **more)


def items(*parts: Part, role: Any = "assistant") -> Any:
    return write(ask(Message("user", (Text("Hi"),)), Message(role, parts)))["input"][1:]


# Reading


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "input_text", "text": "a"}, Text("a")),
        ({"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}, Text("a", "5m")),
        ({"type": "input_image", "image_url": PNG, "detail": "low"}, IMAGE),
        (
            {"type": "input_image", "image_url": "https://a.example/a.png"},
            Media("image", url="https://a.example/a.png"),
        ),
        ({"type": "input_image", "file_id": "file-1"}, Media("image", file_id="file-1")),
        ({"type": "input_file", "file_id": "file-1"}, Media("file", file_id="file-1")),
        (
            {"type": "input_file", "file_url": "https://a.example/a.pdf", "detail": "high"},
            Media("file", url="https://a.example/a.pdf", detail="high"),
        ),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aQ=="},
            Media("file", "aQ==", media_type="application/pdf", name="a.pdf"),
        ),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": "aQ=="},
            Media("file", "aQ==", media_type="application/pdf", name="a.pdf"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "aQ==", "format": "mp3"}},
            Media("audio", "aQ==", media_type="audio/mpeg"),
        ),
        ({"type": "new", "x": 1}, Opaque("responses", "input[0].content[0]", {"type": "new", "x": 1})),
    ],
)
def test_parts_of_a_user(part: Any, expected: Part) -> None:
    assert parts(part) == (expected,)


def test_what_the_model_said_is_one_turn() -> None:
    thought = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
        "encrypted_content": "gAAAAx",
        "status": None,
    }
    url = {"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 1}
    said = [
        {"type": "output_text", "text": "x", "annotations": [url], "logprobs": []},
        {"type": "refusal", "refusal": "no"},
    ]
    web = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}
    picture = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "aQ=="}
    call = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"}
    ran = {"type": "computer_call_output", "call_id": "c3", "output": {"type": "computer_screenshot"}}
    found = read(
        [
            {"role": "user", "content": "Hi"},
            thought,
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": said},
            web,
            picture,
            call,
            {**call, "call_id": "c2", "extra_content": {"google": {"thought_signature": "s"}}},
            CUSTOM_CALL,
            {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
            {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "wet"}]},
            {"type": "custom_tool_call_output", "call_id": "c9", "output": "1"},
            ran,
            {"id": "msg_0"},
            {"type": "item_reference", "id": "msg_9"},
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": "Bye"},
            {"role": "user", "content": [{"type": "input_text", "text": "bye"}]},
        ]
    )
    assert found.rest == {}
    assert found.messages == (
        Message("user", (Text("Hi"),)),
        Message(
            "assistant",
            (
                Reasoning("a\n\nb", redacted="gAAAAx", id="rs_1"),
                Text("x", citations=(Citation("url", "", "A", "https://a.example", None, 0, 1),)),
                Refusal("no"),
                Opaque("responses", "input[3]", web),
                Media("image", "aQ==", media_type="image/png"),
                ToolCall("c1", "f", "{}"),
                ToolCall("c2", "f", "{}", "s"),
                Opaque("responses", "input[7]", CUSTOM_CALL),
            ),
        ),
        Message(
            "tool",
            (
                ToolResult("c1", (Text("sunny"),)),
                ToolResult("c2", (Text("wet"),)),
                ToolResult("c9", (Text("1"),)),
                Opaque("responses", "input[11]", ran),
            ),
        ),
        Message(
            "assistant",
            (
                Opaque("responses", "input[12]", {"id": "msg_0"}),
                Opaque("responses", "input[13]", {"type": "item_reference", "id": "msg_9"}),
            ),
        ),
        Message("developer", (Text("Be kind."),)),
        Message("user", (Text("Bye"),)),
        Message("user", (Text("bye"),)),
    )


def test_every_member_is_read() -> None:
    found = read(
        stream=True,
        instructions="Be kind.",
        tools=[WEATHER, SEARCH, WEB],
        tool_choice="required",
        parallel_tool_calls=False,
        max_output_tokens=100,
        temperature=0.5,
        top_p=0.9,
        top_logprobs=2,
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        text={"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}, "verbosity": "low"},
        reasoning={"effort": "high", "summary": "concise"},
        user="u",
        metadata={"a": "b"},
        service_tier="flex",
        store=True,
        background=False,
        truncation="disabled",
        stream_options={"include_obfuscation": False},
    )
    assert found == Conversation(
        source="responses",
        model="m",
        messages=(Message("system", (Text("Be kind."),)), Message("user", (Text("Hi"),))),
        tools=(
            Tool("weather", "", {"type": "object"}, True),
            Tool("search", "Searches."),
            Opaque("responses", "tools[2]", WEB),
        ),
        tool_choice=ToolChoice("required"),
        parallel_tools=False,
        max_output=100,
        temperature=0.5,
        top_p=0.9,
        logprobs=2,
        format=Format("schema", "n", {"type": "object"}),
        thinking=Thinking("high", show=True, summary="concise"),
        verbosity="low",
        user="u",
        metadata={"a": "b"},
        service_tier="flex",
        stream=True,
        wants_usage=True,
    )


def test_what_the_model_has_no_place_for_is_kept_by_its_path() -> None:
    rest: dict[str, Any] = {
        "previous_response_id": "resp_1",
        "background": True,
        "prompt": {"id": "pmpt_1"},
        "prompt_cache_key": "k",
        "truncation": "auto",
        "stream_options": {"include_obfuscation": True},
        "max_tool_calls": 3,
        "conversation": "conv_1",
    }
    found = read(
        [{"role": "assistant", "content": "a", "phase": "commentary"}],
        **rest,
        include=["web_search_call.action.sources"],
        reasoning={"effort": "low", "context": "all_turns"},
        text={"verbosity": "low", "new": 1},
        tools=[{**WEATHER, "defer_loading": True, "allowed_callers": None}],
        user="u",
        safety_identifier="s",
        new=1,
    )
    assert found.rest == rest | {
        "include": ["web_search_call.action.sources"],
        "input[0].phase": "commentary",
        "reasoning.context": "all_turns",
        "text.new": 1,
        "tools[0].defer_loading": True,
        "safety_identifier": "s",
        "new": 1,
    }
    body = write(found, lenient=True)
    assert body["reasoning"]["context"] == "all_turns" and body["tools"][0]["defer_loading"] and body["new"] == 1
    assert DIALECT.write(found, "m", lenient=True).dropped == ("input[0].phase",)


@pytest.mark.parametrize(
    ("choice", "tools", "expected"),
    [
        ("auto", 3, ToolChoice("auto")),
        ({"type": "function", "name": "weather"}, 3, ToolChoice("named", ("weather",))),
        ({"type": "custom", "name": "code"}, 3, ToolChoice("named", ("code",))),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "weather"}]},
            3,
            ToolChoice("named", ("weather",)),
        ),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "weather"}]},
            1,
            ToolChoice("auto"),
        ),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [SEARCH, {"type": "web_search"}]},
            1,
            ToolChoice("required"),
        ),
        ({"type": "web_search"}, 3, None),
    ],
)
def test_tool_choices(choice: Any, tools: int, expected: ToolChoice | None) -> None:
    found = read(tools=[WEATHER, WEB, CUSTOM], tool_choice=choice)
    assert len(found.tools) == tools and found.tool_choice == expected
    assert found.rest == ({} if expected is not None else {"tool_choice": choice})


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        ({}, "input"),
        ({"input": 3}, "input"),
        ({"input": [3]}, "input[0]"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "robot", "content": ""}]}, "input[0].role"),
        ({"input": [{"type": 3}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": [{"type": []}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": 1}]}]}, "input[0].content[0].text"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "output": ""}]}, "input[0].call_id"),
        ({"input": "", "tools": [{"type": "function"}]}, "tools[0].name"),
        ({"input": "", "tools": [{}]}, "tools[0].type"),
        ({"input": "", "tool_choice": "some"}, "tool_choice"),
        ({"input": "", "tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"input": "", "tool_choice": {"type": "allowed_tools"}}, "tool_choice.tools"),
        ({"input": "", "text": {"format": {"type": "json_schema"}}}, "text.format.name"),
        ({"input": "", "text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"input": "", "reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"input": "", "metadata": {"a": 1}}, "metadata[...]"),
        ({"input": "", "max_output_tokens": "9"}, "max_output_tokens"),
    ],
)
def test_what_is_wrong_is_named(request_: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        DIALECT.read(request_, "m", stream=False)
    assert raised.value.param == param


@pytest.mark.parametrize("given", [{"previous_response_id": "r"}, {"prompt": {"id": "p"}}, {"conversation": "c"}])
def test_an_input_may_be_kept_elsewhere(given: dict[str, Any]) -> None:
    assert DIALECT.read(given, "m", stream=False).messages == ()


# Writing


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Text("a"), "a"),
        (Text("a", "5m"), [{"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}]),
        (IMAGE, [{"type": "input_image", "image_url": PNG, "detail": "low"}]),
        (Media("image", file_id="f"), [{"type": "input_image", "file_id": "f", "detail": "auto"}]),
        (
            Media("file", "aQ==", media_type="application/pdf", title="T"),
            [{"type": "input_file", "filename": "T", "file_data": "data:application/pdf;base64,aQ=="}],
        ),
        (
            Media("file", "aQ=="),
            [{"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,aQ=="}],
        ),
        (Media("file", url="https://a.example/a"), [{"type": "input_file", "file_url": "https://a.example/a"}]),
        (Media("file", text="b", title="T"), "T\nb"),
        (SearchResult("s", "t", ("a", "b")), "t\ns\na\nb"),
    ],
)
def test_parts_for_a_user(part: Part, expected: Any) -> None:
    assert items(part, role="user") == [{"role": "user", "content": expected}]


def test_items_of_the_models() -> None:
    found = items(
        Reasoning("a", redacted="rs_1:gAAAAx"),
        Reasoning("b", redacted="gAAAAy", id="rs_2"),
        Reasoning("", redacted="gAAAAz"),
        Text("x"),
        ToolCall("c1", "f", ""),
        Text("y"),
        Refusal("no"),
        ToolCall("c" * 65, "g", "{}"),
    )
    assert found[:5] == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "a"}],
            "encrypted_content": "gAAAAx",
        },
        {
            "type": "reasoning",
            "id": "rs_2",
            "summary": [{"type": "summary_text", "text": "b"}],
            "encrypted_content": "gAAAAy",
        },
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAAAz"},
        {"role": "assistant", "content": "x"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
    ]
    assert found[5]["id"].startswith("msg_") and [part["type"] for part in found[5]["content"]] == [
        "output_text",
        "refusal",
    ]
    assert len(found[6]["call_id"]) <= 64


def test_results_of_tools() -> None:
    long = "c" * 70
    chat_call = {"id": "c2", "type": "custom", "custom": {"name": "code", "input": "1"}}
    asked = ask(
        Message("assistant", (ToolCall(long, "f", "{}"), Opaque("chat", "x", chat_call))),
        Message("tool", (ToolResult(long, (Text("a"), IMAGE)), ToolResult("c2", ()), Text("go on"))),
    )
    call, custom, first, second, said = write(asked)["input"]
    assert custom == {"type": "custom_tool_call", "call_id": "c2", "name": "code", "input": "1"}
    assert first["call_id"] == call["call_id"] and [part["type"] for part in first["output"]] == [
        "input_text",
        "input_image",
    ]
    assert second == {"type": "custom_tool_call_output", "call_id": "c2", "output": ""}
    assert said == {"role": "user", "content": "go on"}


def test_the_body() -> None:
    asked = ask(
        Message("system", (Text("Be kind."),)),
        Message("system", (Text("Be brief."),)),
        Message("user", (Text("Hi"),)),
        tools=(
            Tool("f", "F", {"type": "object"}),
            Opaque("chat", "tools[1]", {"type": "custom", "custom": {"name": "c"}}),
        ),
        tool_choice=ToolChoice("named", ("f", "c")),
        parallel_tools=True,
        max_output=100,
        temperature=0.0,
        logprobs=0,
        format=Format("schema", "", {"type": "object"}, True),
        thinking=Thinking("low", show=True),
        verbosity="high",
        user="u",
        metadata={"a": "b"},
        service_tier="standard_only",
        stream=True,
    )
    assert write(asked) == {
        "model": "theirs",
        "instructions": "Be kind.",
        "input": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "tools": [
            {"type": "function", "name": "f", "description": "F", "parameters": {"type": "object"}, "strict": False},
            {"type": "custom", "name": "c"},
        ],
        "tool_choice": {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "c"}],
        },
        "parallel_tool_calls": True,
        "max_output_tokens": 100,
        "temperature": 0.0,
        "text": {
            "format": {"type": "json_schema", "name": "answer", "schema": {"type": "object"}, "strict": True},
            "verbosity": "high",
        },
        "reasoning": {"effort": "low", "summary": "auto"},
        "user": "u",
        "metadata": {"a": "b"},
        "service_tier": "default",
        "store": False,
        "include": ["message.output_text.logprobs", "reasoning.encrypted_content"],
        "stream": True,
    }


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"top_k": 3}, "top_k"),
        ({"seed": 3}, "seed"),
        ({"stop": ("a",)}, "stop_sequences"),
        ({"choices": 2}, "choices"),
        ({"presence_penalty": 1.0}, "presence_penalty"),
        ({"max_output": 3}, "max_tokens"),
        ({"logprobs": 30}, "logprobs"),
        ({"thinking": Thinking(budget=4000)}, "thinking"),
        ({"service_tier": "x"}, "service_tier"),
        ({"rest": {"x": 1}}, "x"),
        ({"tools": (Tool("f", cache="5m"),)}, "tools[0].cache"),
        ({"tools": (Opaque("messages", "tools[0]", {"type": "bash"}),)}, "tools[0]"),
    ],
)
def test_what_cannot_be_said_is_named(check: Check, more: dict[str, Any], name: str) -> None:
    asked = ask(**more)
    with pytest.raises(Unsupported) as raised:
        write(asked)
    assert raised.value.member == name
    written = DIALECT.write(asked, "theirs", lenient=True)
    assert written.dropped == (name,)
    check("CreateResponse", orjson.loads(written.body))


@pytest.mark.parametrize(
    ("role", "part", "name"),
    [
        ("user", Media("audio", "aQ==", media_type="audio/wav"), "messages[0].parts[0]"),
        ("user", Media("file", "aQ==", cite=True), "messages[0].parts[0].cite"),
        ("user", Text("a", "1h"), "messages[0].parts[0].cache"),
        ("user", Opaque("messages", "messages[0].content[0]", {}), "messages[0].parts[0]"),
        ("assistant", Reasoning("a", "sig"), "messages[0].parts[0]"),
        ("assistant", Reasoning("", redacted="anthropics"), "messages[0].parts[0]"),
        ("assistant", ToolCall("c", "f", "{}", "sig"), "messages[0].parts[0].signature"),
        ("assistant", Text("a", citations=(Citation("page"),)), "messages[0].parts[0].citations"),
        ("assistant", IMAGE, "messages[0].parts[0]"),
        ("tool", ToolResult("c", (), is_error=True), "messages[0].parts[0].is_error"),
    ],
)
def test_parts_that_cannot_be_said_are_named(check: Check, role: Any, part: Part, name: str) -> None:
    asked = ask(Message(role, (part,)))
    with pytest.raises(Unsupported) as raised:
        write(asked)
    assert raised.value.member == name
    written = DIALECT.write(asked, "theirs", lenient=True)
    assert written.dropped == (name,)
    check("CreateResponse", orjson.loads(written.body))


def test_what_openais_two_apis_share_goes_across() -> None:
    asked = CHAT.read(
        {"messages": [{"role": "user", "content": "Hi"}], "prompt_cache_key": "k", "store": True}, "m", stream=False
    )
    assert write(asked)["prompt_cache_key"] == "k" and write(asked)["store"] is True
    back = orjson.loads(CHAT.write(read(prompt_cache_key="k"), "m", lenient=False).body)
    assert back["prompt_cache_key"] == "k"


def test_a_proof_of_another_provider_comes_back_through_a_client() -> None:
    """A thought of Anthropic's, given to a client of Responses, and given back by it, is as Anthropic wrote it."""
    item = {"type": "reasoning", "id": "rs_x", "summary": [], "encrypted_content": "signature:c2ln"}
    asked = read([{"role": "user", "content": "Hi"}, item | {"summary": [{"type": "summary_text", "text": "Hm."}]}])
    assert asked.messages[1].parts == (Reasoning("Hm.", "c2ln", id="rs_x"),)
    body = orjson.loads(MESSAGES.write(asked, "claude", lenient=False).body)
    assert body["messages"][1]["content"] == [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}]


def test_a_thought_of_openais_comes_back_through_clients_of_other_dialects() -> None:
    """What it encrypted is bound to the id of its item, for which others have no word."""
    decoder = DIALECT.unary_decoder()
    decoder.feed(orjson.dumps({"status": "completed", "output": [OWN_THOUGHT]}))
    events = decoder.close()
    chat = orjson.loads(CHAT.unary(Head("1", "m", 1), events))["choices"][0]["message"]
    claude = orjson.loads(MESSAGES.unary(Head("1", "m", 1), events))["content"]
    hello = {"role": "user", "content": "Hi"}
    for asked in (
        CHAT.read({"messages": [hello, chat, hello]}, "m", stream=False),
        MESSAGES.read(
            {"max_tokens": 99, "messages": [hello, {"role": "assistant", "content": claude}, hello]}, "m", stream=False
        ),
    ):
        assert write(asked)["input"][1] == OWN_THOUGHT


OWN_THOUGHT = {
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "Hm."}],
    "id": "rs_1",
    "encrypted_content": "gAAAAx",
}


def test_words_of_a_thought_alone_are_not_taken_back() -> None:
    for parts in (
        (Reasoning("a"), Text("b")),
        (Text("b"), Reasoning("a")),
        (Reasoning("a"), Reasoning("b", redacted="gAAAA")),
    ):
        written = DIALECT.write(ask(Message("assistant", parts)), "m", lenient=True)
        assert written.dropped == (f"messages[0].parts[{parts.index(Reasoning('a'))}]",)
        assert len(orjson.loads(written.body)["input"]) == 1


# Both


WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
IDS = st.text("abcdef0123456789", min_size=1, max_size=6)
CACHE: Any = st.sampled_from([None, "5m"])
GIVEN: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, WORDS, CACHE),
    st.just(IMAGE),
    st.just(Media("image", url="https://a.example/a.png", detail="auto")),
    st.just(Media("file", "aQ==", media_type="application/pdf", name="a.pdf")),
    st.just(Media("file", file_id="file-1")),
)
CITED = (Citation("url", "", "A", "https://a.example", None, 0, 1),)
SAID: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, WORDS, citations=st.sampled_from([(), CITED])),
    st.builds(Refusal, WORDS),
    st.builds(lambda text, id_: Reasoning(text, redacted="gAAAAx", id=f"rs_{id_}"), WORDS, IDS),
    st.builds(ToolCall, IDS, IDS, WORDS),
    st.just(Opaque("responses", "", CUSTOM_CALL)),
)
RESULT = st.builds(ToolResult, IDS, st.lists(GIVEN, max_size=2).map(tuple))
TURN = st.one_of(
    st.builds(Message, st.sampled_from(["user", "developer"]), st.lists(GIVEN, min_size=1, max_size=3).map(tuple)),
    st.builds(Message, st.just("assistant"), st.lists(SAID, min_size=1, max_size=4).map(tuple)),
    st.builds(Message, st.just("tool"), st.lists(RESULT, min_size=1, max_size=2).map(tuple)),
)


def apart(messages: list[Message]) -> tuple[Message, ...]:
    """Without turns of the model's, and results, that follow one another: those are read as one."""
    kept: list[Message] = []
    for message in messages:
        if not kept or message.role != kept[-1].role or message.role in ("user", "developer"):
            kept.append(message)
    return tuple(kept)


CONVERSATIONS = st.builds(
    lambda system, messages, **more: Conversation(
        source="responses", model="m", messages=(*system, *apart(messages)), wants_usage=True, **more
    ),
    system=st.sampled_from([(), (Message("system", (Text("Be kind."),)),)]),
    messages=st.lists(TURN, max_size=5),
    tools=st.sampled_from([(), (Tool("f", "F", {"type": "object"}, True), Opaque("responses", "tools[1]", WEB))]),
    max_output=st.sampled_from([None, 16, 4000]),
    temperature=st.sampled_from([None, 0.0, 1.5]),
    top_p=st.sampled_from([None, 0.5]),
    logprobs=st.sampled_from([None, 0, 5]),
    format=st.sampled_from([None, Format("json"), Format("schema", "n", {"type": "object"}, True, "d")]),
    thinking=st.sampled_from([None, Thinking("none"), Thinking("high"), Thinking("low", show=True, summary="auto")]),
    verbosity=st.sampled_from(["", "low"]),
    user=st.sampled_from(["", "u"]),
    metadata=st.sampled_from([{}, {"a": "b"}]),
    service_tier=st.sampled_from(["", "auto", "priority"]),
    stream=st.booleans(),
)


def without_fields(messages: tuple[Message, ...]) -> Any:
    """Opaque parts say where they stood, which is elsewhere once they were written."""
    found = msgspec.to_builtins(messages)
    for message in found:
        for part in message["parts"]:
            part.pop("field", None)
    return found


@given(CONVERSATIONS)
def test_what_is_written_is_as_published(check: Check, asked: Conversation) -> None:
    check("CreateResponse", write(asked))


@given(CONVERSATIONS)
def test_what_is_written_is_read_as_it_was(asked: Conversation) -> None:
    body = write(asked)
    found = DIALECT.read(body, "m", stream=body.get("stream", False))
    assert without_fields(found.messages) == without_fields(asked.messages)
    assert msgspec.structs.replace(found, messages=()) == msgspec.structs.replace(asked, messages=())


@pytest.mark.parametrize("choice", [ToolChoice("none"), ToolChoice("named", ("f",)), ToolChoice("named", ("f", "g"))])
@pytest.mark.parametrize("parallel", [True, False])
def test_choices_are_as_published_and_read_as_they_were(check: Check, choice: ToolChoice, *, parallel: bool) -> None:
    body = write(
        ask(tools=(Tool("f", strict=False), Tool("g", strict=True)), tool_choice=choice, parallel_tools=parallel)
    )
    check("CreateResponse", body)
    found = DIALECT.read(body, "m", stream=False)
    assert (found.tool_choice, found.parallel_tools) == (choice, parallel)


def test_the_check_finds_faults(check: Check) -> None:
    good = write(ask())
    check("CreateResponse", good)
    for bad in (
        {**good, "input": [{"role": "robot", "content": "a"}]},
        {**good, "temperature": 3},
        {**good, "tools": [{"type": "function"}]},
        {**good, "include": ["x"]},
    ):
        with pytest.raises(ValueError):
            check("CreateResponse", bad)
