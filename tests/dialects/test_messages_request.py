"""Anthropic's requests: what is read of them, and what is written of a conversation in any other words."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.base import Unsupported
from gateway.dialects.messages import DIALECT, MAX_TOKENS, Messages, Model
from gateway.errors import InvalidRequest
from gateway.model.conversation import (
    CacheTtl,
    Citation,
    Conversation,
    Effort,
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

HELLO = (Message("user", (Text("Hello"),)),)
FIVE = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}


def read(**body: Any) -> Conversation:
    return DIALECT.read({"messages": [{"role": "user", "content": "Hello"}], **body}, "m", stream=False)


def read_block(block: dict[str, Any], role: str = "user") -> Part:
    (message,) = read(messages=[{"role": role, "content": [block]}]).messages
    (part,) = message.parts
    return part


def talk(*messages: Message, **more: Any) -> Conversation:
    return Conversation(**{"source": "chat", "model": "m", "messages": messages or HELLO, "max_output": 99, **more})


def write(asked: Conversation, dialect: Messages = DIALECT) -> dict[str, Any]:
    written = dialect.write(asked, "claude", lenient=False)
    assert written.dropped == ()
    body = orjson.loads(written.body)
    assert isinstance(body, dict)
    return body


def drop(asked: Conversation, dialect: Messages = DIALECT) -> tuple[dict[str, Any], tuple[str, ...]]:
    with pytest.raises(Unsupported):
        dialect.write(asked, "claude", lenient=False)
    written = dialect.write(asked, "claude", lenient=True)
    return orjson.loads(written.body), written.dropped


# Reading


def test_a_whole_request_is_read() -> None:
    found = DIALECT.read(
        {
            "model": "claude-x",
            "max_tokens": 1000,
            "system": [{"type": "text", "text": "Be kind.", "cache_control": HOUR}],
            "messages": [
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}]},
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "t1", "content": "42"},
                        {"type": "text", "text": "And?", "cache_control": FIVE},
                    ],
                },
                {"role": "system", "content": "Be brief."},
            ],
            "temperature": 1,
            "top_p": 0.5,
            "top_k": 4,
            "stop_sequences": ["END"],
            "tools": [
                {"name": "f", "description": "d", "input_schema": SCHEMA, "strict": True, "cache_control": FIVE},
                SEARCH,
                {"type": "custom", "name": "g", "input_schema": {"type": "object"}, "input_examples": [{}]},
            ],
            "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
            "thinking": {"type": "enabled", "budget_tokens": 2048, "display": "omitted"},
            "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}, "task": 1},
            "metadata": {"user_id": "u"},
            "service_tier": "standard_only",
            "speed": "fast",
            "container": None,
        },
        "m",
        stream=True,
    )
    assert found == Conversation(
        source="messages",
        model="m",
        messages=(
            Message("system", (Text("Be kind.", "1h"),)),
            Message("user", (Text("Hello"),)),
            Message("assistant", (ToolCall("t1", "f", '{"a":1}'),)),
            Message("tool", (ToolResult("t1", (Text("42"),)),)),
            Message("user", (Text("And?", "5m"),)),
            Message("system", (Text("Be brief."),)),
        ),
        tools=(
            Tool("f", "d", SCHEMA, True, "5m"),
            Opaque("messages", "tools[1]", SEARCH),
            Tool("g", schema={"type": "object"}),
        ),
        tool_choice=ToolChoice("named", ("f",)),
        parallel_tools=False,
        max_output=1000,
        temperature=1,
        top_p=0.5,
        top_k=4,
        stop=("END",),
        format=Format("schema", schema=SCHEMA),
        thinking=Thinking("high", 2048, False),
        user="u",
        service_tier="default",
        stream=True,
        wants_usage=True,
        rest={"speed": "fast", "tools[2].input_examples": [{}], "output_config.task": 1},
    )


def test_the_least_of_a_request_is_enough() -> None:
    """A count of tokens sets no limit."""
    assert read() == Conversation(source="messages", model="m", messages=HELLO, wants_usage=True)


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "text", "text": "a"}, Text("a")),
        ({"type": "text", "text": "a", "citations": None, "cache_control": None}, Text("a")),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aQ=="}},
            Media("image", data="aQ==", media_type="image/png"),
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://x/i"}, "cache_control": HOUR},
            Media("image", url="https://x/i", cache="1h"),
        ),
        ({"type": "image", "source": {"type": "file", "file_id": "file_1"}}, Media("image", file_id="file_1")),
        (
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "aQ=="},
                "title": "t",
                "context": "c",
                "citations": {"enabled": True},
                "cache_control": FIVE,
            },
            Media("file", data="aQ==", media_type="application/pdf", title="t", context="c", cite=True, cache="5m"),
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
            Media("file", text="words", media_type="text/plain"),
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "https://x/d"}, "title": None},
            Media("file", url="https://x/d", media_type="application/pdf"),
        ),
        (
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
            Media("file", file_id="file_1"),
        ),
        (
            {"type": "tool_result", "tool_use_id": "t", "is_error": True, "cache_control": FIVE},
            ToolResult("t", (), is_error=True, cache="5m"),
        ),
        (
            {
                "type": "tool_result",
                "tool_use_id": "t",
                "content": [
                    {"type": "text", "text": "a", "cache_control": HOUR},
                    {"type": "image", "source": {"type": "url", "url": "https://x/i"}},
                    {"type": "tool_reference", "tool_name": "f"},
                ],
            },
            ToolResult(
                "t",
                (
                    Text("a", "1h"),
                    Media("image", url="https://x/i"),
                    Opaque(
                        "messages", "messages[0].content[0].content[2]", {"type": "tool_reference", "tool_name": "f"}
                    ),
                ),
            ),
        ),
        (
            {
                "type": "search_result",
                "source": "https://x",
                "title": "t",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
                "citations": {"enabled": True},
            },
            SearchResult("https://x", "t", ("a", "b"), True),
        ),
        ({"type": "thinking", "thinking": "Hm", "signature": "c2ln"}, Reasoning("Hm", "c2ln")),
        ({"type": "redacted_thinking", "data": "cmVk"}, Reasoning(redacted="cmVk")),
        (
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": "ü"}, "caller": {"type": "direct"}},
            ToolCall("t", "f", '{"a":"ü"}'),
        ),
        (
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            Opaque(
                "messages",
                "messages[0].content[0]",
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            ),
        ),
        (
            {"type": "image", "source": {"type": "new"}},
            Opaque("messages", "messages[0].content[0]", {"type": "image", "source": {"type": "new"}}),
        ),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
def test_every_kind_of_block_is_read_and_written_back(block: dict[str, Any], part: Part) -> None:
    role = "assistant" if isinstance(part, ToolCall | Reasoning) else "user"
    assert read_block(block, role) == part
    said = {"messages": [{"role": role, "content": [block]}], "max_tokens": 9}
    again = write(DIALECT.read(said, "m", stream=False))["messages"][0]["content"]
    if isinstance(again, str):
        again = [{"type": "text", "text": again}]
    unsaid = {"caller"}  # what a direct call does not need to say
    assert again == [{name: value for name, value in block.items() if value is not None and name not in unsaid}]


def test_a_document_of_blocks_is_text_whose_blocks_are_remembered() -> None:
    inside = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    block = {"type": "document", "source": {"type": "content", "content": inside}}
    found = read(messages=[{"role": "user", "content": [block]}])
    assert found.messages[0].parts == (Media("file", text="a\nb", media_type="text/plain"),)
    assert found.rest == {"messages[0].content[0].source.content": inside}
    with_image = {**block, "source": {"type": "content", "content": [{"type": "image", "source": {}}]}}
    assert read_block(with_image) == Opaque("messages", "messages[0].content[0]", with_image)


def test_members_of_a_block_that_are_not_known_are_remembered() -> None:
    block = {"type": "image", "source": {"type": "url", "url": "https://x"}, "transformations": {"a": 1}, "b": None}
    found = read(messages=[{"role": "user", "content": [block]}])
    assert found.rest == {"messages[0].content[0].transformations": {"a": 1}}


@pytest.mark.parametrize(
    ("said", "read_as"),
    [
        ({"thinking": {"type": "disabled"}}, Thinking(budget=0)),
        ({"thinking": {"type": "adaptive"}}, Thinking(budget=-1)),
        ({"thinking": {"type": "adaptive", "display": "summarized"}}, Thinking(budget=-1, show=True)),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, Thinking(budget=1024)),
        ({"output_config": {"effort": "max"}}, Thinking("max")),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, Thinking("low", -1)),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}, Thinking("low", 0)),
        ({"thinking": {"type": "between_tools"}}, None),
        ({"output_config": {"effort": None}}, None),
    ],
)
def test_how_much_to_think_is_read_and_written_back(said: dict[str, Any], read_as: Thinking | None) -> None:
    found = read(max_tokens=4096, **said)
    assert found.thinking == read_as
    again = write(found)
    assert {name: again[name] for name in ("thinking", "output_config") if name in again} == {
        name: value for name, value in said.items() if value != {"effort": None}
    }


@pytest.mark.parametrize(
    ("choice", "read_as"),
    [
        ({"type": "auto"}, (ToolChoice("auto"), None)),
        ({"type": "any", "disable_parallel_tool_use": False}, (ToolChoice("required"), True)),
        ({"type": "none"}, (ToolChoice("none"), None)),
        ({"type": "tool", "name": "f", "disable_parallel_tool_use": True}, (ToolChoice("named", ("f",)), False)),
    ],
)
def test_how_to_choose_tools_is_read_and_written_back(choice: dict[str, Any], read_as: Any) -> None:
    found = read(max_tokens=9, tools=[{"name": "f", "input_schema": SCHEMA}], tool_choice=choice)
    assert (found.tool_choice, found.parallel_tools) == read_as
    assert write(found)["tool_choice"] == choice


def test_the_format_has_an_old_name_too() -> None:
    said = {"type": "json_schema", "schema": SCHEMA}
    assert read(output_format=said).format == Format("schema", schema=SCHEMA)


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"messages": None}, "messages", "missing_field"),
        ({"messages": "Hello"}, "messages", "invalid_type"),
        ({"messages": ["Hello"]}, "messages[0]", "invalid_type"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages[0].role", "invalid_type"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_field"),
        ({"messages": [{"role": "user", "content": ["a"]}]}, "messages[0].content[0]", "invalid_type"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type", "missing_field"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
            "missing_field",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": "x"}]}]},
            "messages[0].content[0].source",
            "invalid_type",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": "5m"}]}]},
            "messages[0].content[0].cache_control",
            "invalid_type",
        ),
        ({"system": 1}, "system", "invalid_type"),
        ({"max_tokens": "9"}, "max_tokens", "invalid_type"),
        ({"max_tokens": 9.5}, "max_tokens", "invalid_type"),
        ({"temperature": True}, "temperature", "invalid_type"),
        ({"stop_sequences": [1]}, "stop_sequences", "invalid_type"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema", "missing_field"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name", "missing_field"),
        ({"tool_choice": {"type": "all"}}, "tool_choice.type", "invalid_type"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort", "invalid_type"),
        ({"output_config": {"format": {"type": "json"}}}, "output_config.format", "invalid_type"),
        ({"thinking": {"type": "enabled", "budget_tokens": "9"}}, "thinking.budget_tokens", "invalid_type"),
        ({"metadata": {"user_id": 7}}, "metadata.user_id", "invalid_type"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        read(**body)
    assert (raised.value.param, raised.value.code) == (param, code)
    assert f"`{param}`" in raised.value.message


# Writing


def test_a_conversation_in_openais_words_is_written_in_anthropics() -> None:
    asked = talk(
        Message("system", (Text("Be kind."),)),
        Message("user", (Text("What's the weather?"), Media("image", url="https://x/i", detail="auto"))),
        Message("developer", (Text("Be brief."),)),
        Message("assistant", (Text(""), ToolCall("call_1", "f", '{"a": 1.0}'), ToolCall("call_2", "f", ""))),
        Message("tool", (ToolResult("call_1", (Text("sunny"),)),)),
        Message("tool", (ToolResult("call_2", (Text("rain"), Text("snow"))),)),
        Message("user", (Text("And?"),)),
        Message("assistant", (Refusal("I will not say."),)),
        Message("user", (Text("Why?"),)),
        tools=(Tool("f", "d", {}, False),),
        parallel_tools=False,
        temperature=0.5,
        stop=("END",),
        user="u",
        service_tier="default",
        stream=True,
        choices=1,
        presence_penalty=0.0,
        format=Format("schema", "answer", SCHEMA, True, "An answer"),
    )
    assert write(asked) == {
        "model": "claude",
        "max_tokens": 99,
        "system": [{"type": "text", "text": "Be kind."}, {"type": "text", "text": "Be brief."}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What's the weather?"},
                    {"type": "image", "source": {"type": "url", "url": "https://x/i"}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1.0}},
                    {"type": "tool_use", "id": "call_2", "name": "f", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "sunny"},
                    {
                        "type": "tool_result",
                        "tool_use_id": "call_2",
                        "content": [{"type": "text", "text": "rain"}, {"type": "text", "text": "snow"}],
                    },
                    {"type": "text", "text": "And?"},
                ],
            },
            {"role": "assistant", "content": "I will not say."},
            {"role": "user", "content": "Why?"},
        ],
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": False}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "temperature": 0.5,
        "stop_sequences": ["END"],
        "output_config": {"format": {"type": "json_schema", "schema": {**SCHEMA, "description": "An answer"}}},
        "metadata": {"user_id": "u"},
        "service_tier": "standard_only",
        "stream": True,
    }


def test_arguments_keep_their_spelling() -> None:
    asked = talk(Message("assistant", (ToolCall("c", "f", '{"a": 1.0, "b": 12345678901234567890123}'),)))
    assert b'"input":{"a": 1.0, "b": 12345678901234567890123}' in DIALECT.write(asked, "m", lenient=False).body


def test_results_come_first_in_their_turn() -> None:
    turn = (Message("user", (Text("Wait."),)), Message("tool", (ToolResult("c", ()), ToolResult("d", ()))))
    content = write(talk(*turn))["messages"][0]["content"]
    assert [block["type"] for block in content] == ["tool_result", "tool_result", "text"]


def test_without_a_limit_the_default_of_the_model_holds() -> None:
    assert write(talk(max_output=None))["max_tokens"] == MAX_TOKENS
    assert write(talk(max_output=None), Messages(Model(max_tokens=7)))["max_tokens"] == 7
    thinking = Thinking(budget=2000)
    assert write(talk(max_output=None, thinking=thinking), Messages(Model(max_tokens=7)))["max_tokens"] == 2007


def test_a_model_may_take_instructions_where_they_stand() -> None:
    told = (Message("user", (Text("a"),)), Message("developer", (Text("b"),)), Message("assistant", (Text("c"),)))
    late = Messages(Model(system_turns=True))
    assert [one["role"] for one in write(talk(*told), late)["messages"]] == ["user", "system", "assistant"]
    assert [one["role"] for one in write(talk(told[0], told[2], told[1]), late)["messages"]] == ["user", "assistant"]
    assert write(talk(*told))["system"] == "b"


def test_instructions_alone_are_no_conversation() -> None:
    for lenient in (True, False):
        with pytest.raises(Unsupported, match="`messages`"):
            DIALECT.write(talk(Message("system", (Text("a"),))), "m", lenient=lenient)


@pytest.mark.parametrize(
    ("thinking", "said"),
    [
        (Thinking("high"), {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        (Thinking("minimal"), {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        (
            Thinking("xhigh", show=True, summary="auto"),
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "xhigh"}},
        ),
        (Thinking("none"), {"thinking": {"type": "disabled"}}),
        (Thinking(budget=0), {"thinking": {"type": "disabled"}}),
        (Thinking(budget=-1, show=False), {"thinking": {"type": "adaptive", "display": "omitted"}}),
        (Thinking(budget=1500), {"thinking": {"type": "enabled", "budget_tokens": 1500}}),
        (Thinking(show=True), {"thinking": {"type": "adaptive", "display": "summarized"}}),
        (Thinking(show=False), {}),
    ],
)
def test_how_much_to_think_in_other_words(thinking: Thinking, said: dict[str, Any]) -> None:
    body = write(talk(thinking=thinking, max_output=4096))
    assert {name: body[name] for name in ("thinking", "output_config") if name in body} == said


@pytest.mark.parametrize(
    ("effort", "limit", "budget", "most"),
    [("high", None, 16384, MAX_TOKENS + 16384), ("low", 9000, 2048, 9000), ("high", 9000, 4500, 9000)],
)
def test_a_model_without_efforts_is_told_tokens(effort: Effort, limit: int | None, budget: int, most: int) -> None:
    older = Messages(Model(adaptive=False))
    body = write(talk(thinking=Thinking(effort), max_output=limit), older)
    assert (body["thinking"], body["max_tokens"]) == ({"type": "enabled", "budget_tokens": budget}, most)
    assert "output_config" not in body


def test_of_several_named_tools_only_those_are_offered() -> None:
    tools = (Tool("f"), Tool("g"), Tool("h"))
    body = write(talk(tools=tools, tool_choice=ToolChoice("named", ("f", "h"))))
    assert [tool["name"] for tool in body["tools"]] == ["f", "h"] and body["tool_choice"] == {"type": "any"}
    assert "tool_choice" not in write(talk(parallel_tools=True, tools=tools))


def test_ids_that_anthropic_refuses_are_replaced_alike_in_call_and_result() -> None:
    call = Message("assistant", (ToolCall("functions.f:0", "f", "{}"),))
    body = write(talk(call, Message("tool", (ToolResult("functions.f:0", ()),))))
    made = body["messages"][0]["content"][0]["id"]
    assert made.startswith("toolu_") and body["messages"][1]["content"][0]["tool_use_id"] == made


@pytest.mark.parametrize(
    ("media", "block"),
    [
        (
            Media("file", data="JVBERi0x", name="a.pdf"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"},
                "title": "a.pdf",
            },
        ),
        (
            Media("file", data=base64.b64encode("ü,1".encode()).decode(), media_type="text/csv"),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "ü,1"}},
        ),
        (
            Media("file", data="aQ==", media_type="image/gif", name="a.gif"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "aQ=="}},
        ),
    ],
)
def test_files_go_as_what_they_are(media: Media, block: dict[str, Any]) -> None:
    assert write(talk(Message("user", (media,))))["messages"][0]["content"] == [block]


USER, ASSISTANT = "user", "assistant"


@pytest.mark.parametrize(
    ("role", "part", "name"),
    [
        ("user", Media("audio", data="aQ==", media_type="audio/wav"), "messages[0].parts[0]"),
        ("user", Media("image", data="aQ==", media_type="image/bmp"), "messages[0].parts[0]"),
        ("user", Media("file", data="aQ==", media_type="application/zip"), "messages[0].parts[0]"),
        ("user", Media("file", file_id="file-1"), "messages[0].parts[0].file_id"),
        ("user", Media("image", url="https://x", detail="low"), "messages[0].parts[0].detail"),
        ("assistant", Media("image", url="https://x"), "messages[0].parts[0]"),
        ("assistant", Reasoning("Hm"), "messages[0].parts[0]"),
        ("assistant", ToolCall("c", "f", "[1]"), "messages[0].parts[0].arguments"),
        ("assistant", ToolCall("c", "f", "{}", "sig"), "messages[0].parts[0].signature"),
        ("assistant", Text("a", citations=(Citation("url", url="https://x"),)), "messages[0].parts[0].citations"),
        ("user", Opaque("gemini", "contents[0].parts[0].executableCode", {}), "contents[0].parts[0].executableCode"),
    ],
)
def test_a_part_that_cannot_be_said_is_named(role: Any, part: Part, name: str) -> None:
    _, dropped = drop(talk(Message(role, (part, Text("a")))))
    assert dropped == (name,)


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"temperature": 1.5}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 0.5, "thinking": Thinking(budget=-1)}, "temperature"),
        ({"top_k": 5, "thinking": Thinking("low")}, "top_k"),
        ({"choices": 2}, "choices"),
        ({"seed": 1}, "seed"),
        ({"logprobs": 0}, "logprobs"),
        ({"presence_penalty": 0.1}, "presence_penalty"),
        ({"frequency_penalty": 0.1}, "frequency_penalty"),
        ({"metadata": {"a": "b"}}, "metadata"),
        ({"verbosity": "low"}, "verbosity"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"format": Format("json")}, "format"),
        ({"rest": {"prediction": {}}}, "prediction"),
        ({"thinking": Thinking(budget=512)}, "thinking"),
        ({"thinking": Thinking(budget=4096)}, "thinking"),
        ({"tools": (Opaque("responses", "tools[0]", {"type": "file_search"}), Tool("f"))}, "tools[0]"),
        (
            {"tools": (Tool("f"),), "tool_choice": ToolChoice("required"), "thinking": Thinking("low")},
            "tool_choice",
        ),
    ],
)
def test_a_member_that_cannot_be_said_is_named(more: dict[str, Any], name: str) -> None:
    body, dropped = drop(talk(**{"max_output": 4096, **more}))
    assert len(dropped) == 1 and (dropped[0] == name or dropped[0] not in body)


def test_a_model_of_less_is_told_less() -> None:
    newest = Messages(Model(sampling=False, budgets=False))
    assert drop(talk(temperature=0.2, top_p=0.5, top_k=1), newest)[1] == ("temperature", "top_p", "top_k")
    assert "temperature" not in write(talk(temperature=1, top_p=1.0), newest)
    assert len(drop(talk(thinking=Thinking(budget=2000), max_output=4096), newest)[1]) == 1
    older = Messages(Model(formats=False))
    assert len(drop(talk(format=Format("schema", schema=SCHEMA)), older)[1]) == 1
    assert drop(talk(tools=(Tool("f", strict=True),)), older)[1] == ("tools[0].strict",)


def test_members_of_its_own_go_back_to_where_they_stood() -> None:
    body = {
        "model": "claude",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "Hello"}],
        "tools": [SEARCH, {"name": "f", "input_schema": SCHEMA, "defer_loading": True}],
        "output_config": {"effort": "low", "task_budget": {"total": 1}},
        "mcp_servers": [],
        "inference_geo": "us",
        "cache_control": FIVE,
    }
    assert write(DIALECT.read(body, "claude", stream=False)) == body


# There and back

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
ids = st.text("abcXYZ019_-", min_size=1, max_size=12)
ttls: st.SearchStrategy[CacheTtl | None] = st.sampled_from([None, "5m", "1h"])
objects = st.dictionaries(words, st.integers(-9, 9) | words | st.none(), max_size=3)
texts = st.builds(Text, words, ttls)
images = st.builds(
    Media,
    st.just("image"),
    data=st.just("aQ=="),
    media_type=st.sampled_from(["image/png", "image/jpeg"]),
    cache=ttls,
) | st.builds(Media, st.just("image"), url=words, cache=ttls)
documents = st.builds(
    Media,
    st.just("file"),
    text=words,
    media_type=st.just("text/plain"),
    title=st.just("") | words,
    context=st.just("") | words,
    cite=st.booleans(),
    cache=ttls,
)
results = st.builds(
    ToolResult,
    ids,
    st.lists(texts | images, max_size=2).map(tuple),
    is_error=st.booleans(),
    cache=ttls,
)
searches = st.builds(SearchResult, words, words, st.lists(words, max_size=2).map(tuple), st.booleans(), ttls)
thoughts = st.builds(Reasoning, words, words) | st.builds(Reasoning, redacted=words)
calls = st.builds(
    lambda id_, name, given, ttl: ToolCall(id_, name, orjson.dumps(given).decode(), cache=ttl),
    ids,
    words,
    objects,
    ttls,
)


def _some(of: st.SearchStrategy[Any], least: int = 1) -> st.SearchStrategy[tuple[Part, ...]]:
    return st.lists(of, min_size=least, max_size=3).map(tuple)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """What both ChatGPT's and Anthropic's words could say, of turns that alternate."""
    messages: list[Message] = []
    if draw(st.booleans()):
        messages.append(Message("system", draw(_some(texts))))
    for _ in range(draw(st.integers(1, 3))):
        if given := draw(_some(results, 0)):
            messages.append(Message("tool", given))
        if not given or draw(st.booleans()):
            messages.append(Message("user", draw(_some(texts | images | documents | searches))))
        messages.append(Message("assistant", draw(_some(texts | thoughts | calls))))
    tools = draw(
        st.lists(st.builds(Tool, words, st.just("") | words, st.just(SCHEMA), st.none() | st.booleans(), ttls))
    )
    choice = draw(st.sampled_from([None, ToolChoice("auto"), ToolChoice("required"), ToolChoice("named", ("f",))]))
    return Conversation(
        source="messages",
        model="m",
        messages=tuple(messages),
        tools=tuple(tools),
        tool_choice=choice if tools else None,
        parallel_tools=draw(st.none() | st.booleans()) if tools and choice else None,
        max_output=draw(st.integers(5000, 9000)),
        temperature=draw(st.none() | st.floats(0, 1)),
        top_p=draw(st.none() | st.floats(0, 1)),
        top_k=draw(st.none() | st.integers(1, 99)),
        stop=tuple(draw(st.lists(words, max_size=2))),
        format=draw(st.none() | st.just(Format("schema", schema=SCHEMA))),
        thinking=draw(st.sampled_from([None, Thinking("high"), Thinking(budget=0), Thinking("low", 0)])),
        user=draw(st.just("") | words),
        service_tier=draw(st.sampled_from(["", "auto", "default"])),
        stream=draw(st.booleans()),
        wants_usage=True,
    )


@given(conversations())
def test_what_is_written_reads_as_it_was(asked: Conversation) -> None:
    body = write(asked)
    assert DIALECT.read(body, "m", stream=body.get("stream", False)) == asked


json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(0, 1) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = (
    "type text source content role input name id tool_use_id cache_control title context citations media_type data url "
    "file_id signature thinking caller is_error ttl display effort format schema user_id description strict "
    "input_schema disable_parallel_tool_use budget_tokens enabled"
).split()
KINDS = (
    "text image document tool_use tool_result thinking redacted_thinking search_result base64 url file content "
    "ephemeral auto any tool enabled adaptive json_schema user assistant char_location"
).split()
odd = st.recursive(
    json,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(MEMBERS), inner | st.sampled_from(KINDS), max_size=5)
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(
            "system messages tools tool_choice thinking output_config metadata stop_sequences max_tokens".split()
        ),
        odd | st.lists(odd, max_size=2),
    ),
    odd,
)
def test_what_is_odd_is_refused_and_breaks_nothing(body: dict[str, Any], content: Any) -> None:
    body.setdefault("messages", [{"role": "user", "content": [content]}])
    try:
        DIALECT.write(DIALECT.read(body, "m", stream=False), "m", lenient=True)
    except InvalidRequest:
        pass
