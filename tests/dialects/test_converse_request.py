"""Bedrock's requests: what is written of a conversation in any other words."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.dialects.base import Unsupported
from gateway.dialects.chat import DIALECT as CHAT
from gateway.dialects.converse import ANTHROPIC, DIALECT, NOVA, OTHER, Converse, Family, family_of
from gateway.dialects.messages import Model
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

CLAUDE = "us.anthropic.claude-opus-4-6-v1"
NOVA_2 = "us.amazon.nova-2-lite-v1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"
GPT = "openai.gpt-oss-120b-1:0"
HELLO = (Message("user", (Text("Hello"),)),)
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
POINT = {"cachePoint": {"type": "default"}}
HOUR = {"cachePoint": {"type": "default", "ttl": "1h"}}
F = Tool("f", "d", SCHEMA)
F_SAID = {"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": SCHEMA}}}


def talk(*messages: Message, **more: Any) -> Conversation:
    return Conversation(**{"source": "chat", "model": "m", "messages": messages or HELLO, **more})


def write(asked: Conversation, model: str = CLAUDE, dialect: Converse = DIALECT) -> dict[str, Any]:
    written = dialect.write(asked, model, lenient=False)
    assert written.dropped == ()
    body = orjson.loads(written.body)
    assert isinstance(body, dict)
    return body


def drop(
    asked: Conversation, model: str = CLAUDE, dialect: Converse = DIALECT
) -> tuple[dict[str, Any], tuple[str, ...]]:
    with pytest.raises(Unsupported):
        dialect.write(asked, model, lenient=False)
    written = dialect.write(asked, model, lenient=True)
    return orjson.loads(written.body), written.dropped


def whole() -> Conversation:
    """A conversation with all that Converse can say to a model of Anthropic's."""
    return talk(
        Message("system", (Text("Be kind.", "1h"),)),
        Message("developer", (Text("Be brief."),)),
        Message(
            "user",
            (
                Text("Look:"),
                Media("image", "iVBO", media_type="image/png", detail="auto"),
                Media("file", "JVBERi0=", media_type="application/pdf", name="a_report.pdf", cite=True, context="c"),
                Media("file", text="plain", title="Notes", cache="5m"),
                Media("video", url="s3://bucket/film.mp4"),
                SearchResult("kb://1", "T", ("one", "two"), cite=True),
            ),
        ),
        Message(
            "assistant",
            (
                Reasoning("Hm.", "c2ln"),
                Reasoning(redacted="cmVk"),
                Text("Blue.", citations=(Citation("char", "sky", "Notes", "", 1, 4, 7),)),
                Refusal("Not that."),
                ToolCall("t1", "f", '{"a": 1.0}'),
                ToolCall("t2", "f", ""),
            ),
        ),
        Message("user", (Text("And?", "5m"),)),
        Message("tool", (ToolResult("t1", (Text("42"),)),)),
        Message(
            "tool", (ToolResult("t2", (Media("image", "iVBO", media_type="image/png"),), is_error=True, cache="5m"),)
        ),
        tools=(Tool("f", "d", SCHEMA, True, "5m"), Tool("g")),
        tool_choice=ToolChoice("auto"),
        parallel_tools=True,
        max_output=9000,
        temperature=1,
        top_p=0.95,
        stop=("END",),
        format=Format("schema", "n", SCHEMA, True, "d"),
        thinking=Thinking("high", show=True),
        user="u-1",
        metadata={"team": "blue"},
        service_tier="flex",
        stream=True,
        wants_usage=True,
    )


def test_a_whole_conversation_is_written() -> None:
    assert write(whole()) == {
        "system": [{"text": "Be kind."}, HOUR, {"text": "Be brief."}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"text": "Look:"},
                    {"image": {"format": "png", "source": {"bytes": "iVBO"}}},
                    {
                        "document": {
                            "format": "pdf",
                            "name": "a report pdf",
                            "source": {"bytes": "JVBERi0="},
                            "context": "c",
                            "citations": {"enabled": True},
                        }
                    },
                    {"document": {"format": "txt", "name": "Notes", "source": {"text": "plain"}}},
                    POINT,
                    {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://bucket/film.mp4"}}}},
                    {
                        "searchResult": {
                            "source": "kb://1",
                            "title": "T",
                            "content": [{"text": "one"}, {"text": "two"}],
                            "citations": {"enabled": True},
                        }
                    },
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
                    {"reasoningContent": {"redactedContent": "cmVk"}},
                    {
                        "citationsContent": {
                            "content": [{"text": "Blue."}],
                            "citations": [
                                {
                                    "sourceContent": [{"text": "sky"}],
                                    "location": {"documentChar": {"documentIndex": 1, "start": 4, "end": 7}},
                                    "title": "Notes",
                                }
                            ],
                        }
                    },
                    {"text": "Not that."},
                    {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": 1.0}}},
                    {"toolUse": {"toolUseId": "t2", "name": "f", "input": {}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"toolResult": {"toolUseId": "t1", "content": [{"text": "42"}]}},
                    {
                        "toolResult": {
                            "toolUseId": "t2",
                            "content": [{"image": {"format": "png", "source": {"bytes": "iVBO"}}}],
                            "status": "error",
                        }
                    },
                    POINT,
                    {"text": "And?"},
                    POINT,
                ],
            },
        ],
        "toolConfig": {
            "tools": [
                {"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": SCHEMA}, "strict": True}},
                POINT,
                {"toolSpec": {"name": "g", "inputSchema": {"json": {"type": "object"}}}},
            ],
            "toolChoice": {"auto": {}},
        },
        "inferenceConfig": {"maxTokens": 9000, "temperature": 1, "topP": 0.95, "stopSequences": ["END"]},
        "outputConfig": {
            "effort": "high",
            "textFormat": {
                "type": "json_schema",
                "structure": {"jsonSchema": {"schema": orjson.dumps(SCHEMA).decode(), "name": "n", "description": "d"}},
            },
        },
        "additionalModelRequestFields": {"thinking": {"type": "adaptive", "display": "summarized"}},
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
        "serviceTier": {"type": "flex"},
        "requestMetadata": {"team": "blue", "user": "u-1"},
    }


def test_arguments_keep_their_spelling() -> None:
    written = DIALECT.write(talk(Message("assistant", (ToolCall("t", "f", '{"a": 1.0e2}'),))), CLAUDE, lenient=False)
    assert b'"input":{"a": 1.0e2}' in written.body


def test_ids_that_converse_refuses_are_replaced_alike_in_call_and_result() -> None:
    for id_ in ("call|1", "", "x" * 65, "ü"):
        body = write(talk(Message("assistant", (ToolCall(id_, "f", "{}"),)), Message("tool", (ToolResult(id_, ()),))))
        call, result = (message["content"][0] for message in body["messages"])
        assert call["toolUse"]["toolUseId"] == result["toolResult"]["toolUseId"]
        assert call["toolUse"]["toolUseId"].startswith("tooluse_")


def test_text_that_says_nothing_is_left_out() -> None:
    body = write(talk(Message("user", (Text(" \n"), Text("Hi"))), Message("assistant", (Text(""), Refusal("")))))
    assert body["messages"] == [{"role": "user", "content": [{"text": "Hi"}]}]
    empty = write(talk(Message("tool", (ToolResult("t", (Text(""),)),))))
    assert empty["messages"][0]["content"] == [{"toolResult": {"toolUseId": "t", "content": []}}]


def test_documents_get_names_that_are_allowed_and_differ() -> None:
    files = tuple(Media("file", text="x", name=name) for name in ("a.pdf", "A/pdf", "", "", "[1] (b)-c", "ü" * 300))
    files += (Media("file", text="x", name="n" * 300),)
    body = write(talk(Message("user", files)))
    names = [block["document"]["name"] for block in body["messages"][0]["content"]]
    assert names == ["a pdf", "A pdf 2", "document", "document 2", "[1] (b)-c", "document 3", "n" * 194]


@pytest.mark.parametrize(
    ("media", "block"),
    [
        (Media("image", "AA", media_type="image/webp"), {"image": {"format": "webp", "source": {"bytes": "AA"}}}),
        (
            Media("image", url="s3://b/c.jpg"),
            {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://b/c.jpg"}}}},
        ),
        (Media("file", "AA", media_type="image/gif"), {"image": {"format": "gif", "source": {"bytes": "AA"}}}),
        (Media("audio", "AA", media_type="audio/wav"), {"audio": {"format": "wav", "source": {"bytes": "AA"}}}),
        (Media("audio", "AA", media_type="audio/mpeg"), {"audio": {"format": "mp3", "source": {"bytes": "AA"}}}),
        (
            Media("video", "AA", media_type="video/3gpp"),
            {"video": {"format": "three_gp", "source": {"bytes": "AA"}}},
        ),
        (
            Media("file", "AA", media_type="text/csv"),
            {"document": {"format": "csv", "name": "document", "source": {"bytes": "AA"}}},
        ),
        (
            Media("file", "AA", name="b.docx"),
            {"document": {"format": "docx", "name": "b docx", "source": {"bytes": "AA"}}},
        ),
        (
            Media("file", "JVBERi0="),
            {"document": {"format": "pdf", "name": "document", "source": {"bytes": "JVBERi0="}}},
        ),
        (
            Media("file", "AA", media_type="text/x-python"),
            {"document": {"format": "txt", "name": "document", "source": {"bytes": "AA"}}},
        ),
    ],
)
def test_files_go_as_what_they_are(media: Media, block: dict[str, Any]) -> None:
    assert write(talk(Message("user", (media,))))["messages"][0]["content"] == [block]


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (None, None),
        (ToolChoice("auto"), {"auto": {}}),
        (ToolChoice("required"), {"any": {}}),
        (ToolChoice("named", ("f",)), {"tool": {"name": "f"}}),
    ],
)
def test_how_to_choose_tools(choice: ToolChoice | None, said: Any) -> None:
    config = write(talk(tools=(F,), tool_choice=choice))["toolConfig"]
    assert config["tools"] == [F_SAID] and config.get("toolChoice") == said


def test_of_several_named_tools_only_those_are_offered() -> None:
    config = write(talk(tools=(F, Tool("g"), Tool("h")), tool_choice=ToolChoice("named", ("f", "h"))))["toolConfig"]
    assert [tool["toolSpec"]["name"] for tool in config["tools"]] == ["f", "h"]
    assert config["toolChoice"] == {"any": {}}


def test_tools_that_may_not_be_called_are_not_offered_unless_they_were() -> None:
    assert "toolConfig" not in write(talk(tools=(F,), tool_choice=ToolChoice("none")))
    called = (*HELLO, Message("assistant", (ToolCall("t", "f", "{}"),)))
    body, dropped = drop(talk(*called, tools=(F,), tool_choice=ToolChoice("none")))
    assert body["toolConfig"] == {"tools": [F_SAID]} and dropped == (CHAT.fields.get("tool_choice", "tool_choice"),)


def test_its_own_tools_and_parts_are_kept() -> None:
    tool = {"systemTool": {"name": "nova_grounding"}}
    block = {"guardContent": {"text": {"text": "x"}}}
    body = write(
        talk(
            Message("user", (Opaque("converse", "messages[0].content[0]", block),)),
            tools=(Opaque("converse", "toolConfig.tools[0]", tool),),
        )
    )
    assert body["messages"][0]["content"] == [block] and body["toolConfig"] == {"tools": [tool]}


# Families


@pytest.mark.parametrize(
    ("model", "family"),
    [
        (CLAUDE, ANTHROPIC),
        ("anthropic.claude-3-haiku-20240307-v1:0", ANTHROPIC),
        ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0", ANTHROPIC),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/global.anthropic.claude-opus-4-6-v1", ANTHROPIC),
        (NOVA_2, NOVA),
        ("amazon.nova-pro-v1:0", NOVA),
        ("amazon.titan-text-express-v1", OTHER),
        (LLAMA, OTHER),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc", OTHER),
    ],
)
def test_a_family_is_told_by_the_models_name(model: str, family: Family) -> None:
    assert family_of(model) is family


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (CLAUDE, {"top_k": 5}),
        (NOVA_2, {"inferenceConfig": {"topK": 5}}),
        ("mistral.mistral-large-2407-v1:0", {"top_k": 5}),
        ("cohere.command-r-v1:0", {"k": 5}),
    ],
)
def test_top_k_goes_in_the_makers_words(model: str, fields: dict[str, Any]) -> None:
    assert write(talk(top_k=5), model)["additionalModelRequestFields"] == fields


OLD = Converse(Family("anthropic", ("top_k",), "claude", stops=True, claude=Model(adaptive=False)))
NEW = Converse(Family("anthropic", ("top_k",), "claude", stops=True, claude=Model(sampling=False, budgets=False)))


@pytest.mark.parametrize(
    ("model", "dialect", "thinking", "fields", "effort"),
    [
        (CLAUDE, DIALECT, Thinking(budget=2048), {"thinking": {"type": "enabled", "budget_tokens": 2048}}, None),
        (CLAUDE, DIALECT, Thinking("low"), {"thinking": {"type": "adaptive"}}, "low"),
        (CLAUDE, DIALECT, Thinking("minimal"), {"thinking": {"type": "adaptive"}}, "low"),
        (CLAUDE, DIALECT, Thinking("none"), {"thinking": {"type": "disabled"}}, None),
        (CLAUDE, DIALECT, Thinking(budget=0), {"thinking": {"type": "disabled"}}, None),
        (CLAUDE, DIALECT, Thinking("low", 0), {"thinking": {"type": "disabled"}}, "low"),
        (
            CLAUDE,
            DIALECT,
            Thinking(budget=-1, show=False),
            {"thinking": {"type": "adaptive", "display": "omitted"}},
            None,
        ),
        (CLAUDE, OLD, Thinking("low"), {"thinking": {"type": "enabled", "budget_tokens": 2048}}, None),
        (CLAUDE, OLD, Thinking("high"), {"thinking": {"type": "enabled", "budget_tokens": 4500}}, None),
        (NOVA_2, DIALECT, Thinking("low"), {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}, None),
        (NOVA_2, DIALECT, Thinking("none"), {"reasoningConfig": {"type": "disabled"}}, None),
        (GPT, DIALECT, Thinking("xhigh"), {"reasoning_effort": "high"}, None),
    ],
)
def test_how_much_to_think_is_said_in_the_makers_words(
    model: str, dialect: Converse, thinking: Thinking, fields: dict[str, Any], effort: str | None
) -> None:
    body = write(talk(thinking=thinking, max_output=9000), model, dialect)
    assert body["additionalModelRequestFields"] == fields
    assert body.get("outputConfig", {}).get("effort") == effort


def test_in_anthropics_words_an_effort_alone_leaves_open_whether_to_think() -> None:
    body = write(talk(source="messages", thinking=Thinking("high")))
    assert body["outputConfig"] == {"effort": "high"} and "additionalModelRequestFields" not in body


# What cannot be said


@pytest.mark.parametrize(
    ("role", "part", "name"),
    [
        ("user", Media("image", url="https://a.example/b.png"), "messages[0].parts[1].url"),
        ("user", Media("image", file_id="f1"), "messages[0].parts[1].file_id"),
        ("user", Media("image", "AA", media_type="image/tiff"), "messages[0].parts[1]"),
        ("user", Media("file", "AA", media_type="application/zip"), "messages[0].parts[1]"),
        ("user", Media("audio"), "messages[0].parts[1]"),
        ("user", Media("image", "AA", media_type="image/png", detail="high"), "messages[0].parts[1].detail"),
        ("user", Text("x", citations=(Citation("url", url="u"),)), "messages[0].parts[1].citations"),
        ("user", ToolCall("t", "f", "{}"), "messages[0].parts[1]"),
        ("user", Reasoning("Hm.", "s"), "messages[0].parts[1]"),
        ("assistant", Media("image", "AA", media_type="image/png"), "messages[0].parts[1]"),
        ("assistant", Reasoning("Hm."), "messages[0].parts[1]"),
        ("assistant", Reasoning(redacted="gAAA=*"), "messages[0].parts[1].redacted"),
        ("assistant", ToolCall("t", "f", "[1"), "messages[0].parts[1].arguments"),
        ("assistant", ToolCall("t", "f", "{}", "sig"), "messages[0].parts[1].signature"),
        ("assistant", Text("x", citations=(Citation("file"),)), "messages[0].parts[1].citations"),
        ("user", Opaque("messages", "messages[0].content[1]", {}), "messages[0].content[1]"),
        ("tool", ToolResult("t", (Text("x", "5m"),)), "messages[0].parts[1].parts[0].cache"),
        ("tool", ToolResult("t", (Media("audio", "AA", media_type="audio/wav"),)), "messages[0].parts[1].parts[0]"),
    ],
)
def test_a_part_that_cannot_be_said_is_named(role: Any, part: Part, name: str) -> None:
    _, dropped = drop(talk(Message(role, (Text("Hello"), part))))
    assert dropped == (name,)


@pytest.mark.parametrize(
    ("more", "model", "name"),
    [
        ({"temperature": 1.5}, CLAUDE, "temperature"),
        ({"temperature": 0.5, "thinking": Thinking("low")}, CLAUDE, "temperature"),
        ({"top_k": 4, "thinking": Thinking("low")}, CLAUDE, "top_k"),
        ({"top_k": 4}, LLAMA, "top_k"),
        ({"thinking": Thinking("low")}, LLAMA, "thinking"),
        ({"thinking": Thinking(budget=2048)}, NOVA_2, "thinking"),
        ({"thinking": Thinking("none")}, GPT, "thinking"),
        ({"thinking": Thinking(budget=100)}, CLAUDE, "thinking"),
        ({"thinking": Thinking(budget=2048), "max_output": 2048}, CLAUDE, "thinking"),
        ({"thinking": Thinking("low"), "tools": (F,), "tool_choice": ToolChoice("required")}, CLAUDE, "tool_choice"),
        ({"tools": (F,), "parallel_tools": False}, CLAUDE, "parallel_tools"),
        ({"tools": (F, Opaque("chat", "tools[1]", {}))}, CLAUDE, "tools[1]"),
        ({"format": Format("json")}, CLAUDE, "format"),
        ({"choices": 2}, CLAUDE, "choices"),
        ({"seed": 1}, CLAUDE, "seed"),
        ({"logprobs": 0}, CLAUDE, "logprobs"),
        ({"presence_penalty": 0.5}, CLAUDE, "presence_penalty"),
        ({"frequency_penalty": 0.5}, CLAUDE, "frequency_penalty"),
        ({"verbosity": "high"}, CLAUDE, "verbosity"),
        ({"service_tier": "scale"}, CLAUDE, "service_tier"),
        ({"user": "ü"}, CLAUDE, "user"),
        ({"metadata": {"a": "x" * 257}}, CLAUDE, "metadata"),
        ({"metadata": {str(at): "x" for at in range(17)}}, CLAUDE, "metadata"),
        ({"rest": {"logit_bias": {}}}, CLAUDE, "logit_bias"),
        ({"messages": (Message("user", (Text("Hi"),), "Ann"),)}, CLAUDE, "messages[0].name"),
        (
            {"messages": (*HELLO, Message("system", (Media("image", "AA", media_type="image/png"),)))},
            CLAUDE,
            "messages[1].parts[0]",
        ),
    ],
)
def test_a_member_that_cannot_be_said_is_named(more: dict[str, Any], model: str, name: str) -> None:
    _, dropped = drop(talk(**more), model)
    assert dropped == (CHAT.fields.get(name, name),)


def test_what_is_the_default_anyway_need_not_be_said() -> None:
    asked = talk(
        choices=1, presence_penalty=0, frequency_penalty=0, verbosity="medium", service_tier="auto", parallel_tools=True
    )
    assert write(asked) == {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}


def test_a_model_without_sampling_is_told_none() -> None:
    assert "inferenceConfig" not in drop(talk(temperature=0.5), dialect=NEW)[0]
    assert drop(talk(top_k=5), dialect=NEW)[1] == (CHAT.fields.get("top_k", "top_k"),)


def test_a_model_without_schemas_is_told_none() -> None:
    dialect = Converse(Family("anthropic", claude=Model(formats=False)))
    body, dropped = drop(
        talk(tools=(Tool("f", strict=True), Tool("g", strict=False)), format=Format("schema", schema=SCHEMA)),
        dialect=dialect,
    )
    assert dropped == ("tools[0].strict", CHAT.fields.get("format")) and "outputConfig" not in body
    assert all("strict" not in tool["toolSpec"] for tool in body["toolConfig"]["tools"])


def test_names_are_those_of_the_source() -> None:
    with pytest.raises(Unsupported) as raised:
        DIALECT.write(talk(source="messages", stop=(), user="ü"), CLAUDE, lenient=False)
    assert "`metadata.user_id`" in raised.value.message and "(converse)" in raised.value.message


def test_instructions_alone_are_no_conversation() -> None:
    with pytest.raises(Unsupported):
        DIALECT.write(talk(Message("system", (Text("x"),))), CLAUDE, lenient=True)
