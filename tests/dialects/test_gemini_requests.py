"""Gemini's requests: read in either spelling, and written from what other dialects ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import chat
from gateway.dialects.base import WORDS, Unsupported
from gateway.dialects.gemini import DIALECT, Gemini
from gateway.errors import BrokenReply, InvalidRequest
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

HELLO = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def read(stream: bool = False, **more: Any) -> Conversation:
    return DIALECT.read({**HELLO, **more}, "m", stream=stream)


def parts_of(*parts: dict[str, Any], role: str = "user") -> tuple[Part, ...]:
    return read(contents=[{"role": role, "parts": list(parts)}]).messages[0].parts


def asked(*messages: Message, **more: Any) -> Conversation:
    defaults: dict[str, Any] = {"source": "chat", "model": "m"}
    return Conversation(messages=messages or (Message("user", (Text("hi"),)),), **{**defaults, **more})


def written(conversation: Conversation, model: str = "gemini-2.5-flash") -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(DIALECT.write(conversation, model, lenient=False).body)
    return found


def written_parts(*parts: Part, role: Any = "user", model: str = "gemini-2.5-flash") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = written(asked(Message(role, parts)), model)["contents"][0]["parts"]
    return found


# Read: parts


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ({"text": "a"}, (Text("a"),)),
        ({"text": "", "thoughtSignature": "c2ln"}, (Reasoning("", "c2ln"),)),
        ({"text": "a", "thought_signature": "c2ln"}, (Text("a"), Reasoning("", "c2ln"))),
        ({"text": "a", "thought": True, "thoughtSignature": "c2ln"}, (Reasoning("a", "c2ln"),)),
        (
            {"inlineData": {"mimeType": "image/png", "data": "-_8="}},
            (Media("image", "+/8=", media_type="image/png"),),
        ),
        (
            {"inline_data": {"mime_type": "audio/wav", "data": "AA", "display_name": "x"}},
            (Media("audio", "AA", media_type="audio/wav", name="x"),),
        ),
        (
            {
                "inlineData": {"mimeType": "image/png", "data": "AA"},
                "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"},
            },
            (Media("image", "AA", media_type="image/png", detail="low"),),
        ),
        (
            {"fileData": {"mimeType": "application/pdf", "fileUri": "https://x.org/a.pdf"}},
            (Media("file", url="https://x.org/a.pdf", media_type="application/pdf"),),
        ),
        (
            {"file_data": {"file_uri": "https://generativelanguage.googleapis.com/v1beta/files/a"}},
            (Media("file", file_id="https://generativelanguage.googleapis.com/v1beta/files/a"),),
        ),
        (
            {"fileData": {"fileUri": "https://www.youtube.com/watch?v=1"}},
            (Media("video", url="https://www.youtube.com/watch?v=1"),),
        ),
        (
            {"functionCall": {"name": "f", "args": {"a": 1}, "id": "x"}, "thoughtSignature": "c2ln"},
            (ToolCall("x", "f", '{"a":1}', "c2ln"),),
        ),
        ({"function_call": {"name": "f"}}, (ToolCall("call_0", "f", "{}"),)),
    ],
)
def test_a_part_is_read_in_either_spelling(part: dict[str, Any], found: tuple[Part, ...]) -> None:
    assert parts_of(part, role="model") == found


@pytest.mark.parametrize(
    "part",
    [
        {"executableCode": {"language": "PYTHON", "code": "1"}},
        {"code_execution_result": {"outcome": "OUTCOME_OK", "output": "1"}},
        {"toolCall": {"toolType": "GOOGLE_SEARCH_WEB"}},
        {"fileData": {"fileUri": "gs://b/v.mp4"}, "videoMetadata": {"fps": 5}},
        {"functionCall": {"name": "f", "willContinue": True}},
        {"inlineData": {"mimeType": "image/png", "data": ""}, "mediaResolution": {"level": "MEDIA_RESOLUTION_MEDIUM"}},
    ],
)
def test_what_only_gemini_knows_stays_whole(part: dict[str, Any]) -> None:
    assert parts_of(part) == (Opaque("gemini", "contents[0].parts[0]", part),)
    assert written_parts(Opaque("gemini", "x", part)) == [part]


@pytest.mark.parametrize(
    ("response", "parts", "is_error"),
    [
        ({"output": "sunny"}, (Text("sunny"),), False),
        ({"output": ["a", "b"]}, (Text("a"), Text("b")), False),
        ({"error": "none"}, (Text("none"),), True),
        ({"temperature": 20}, (Text('{"temperature":20}'),), False),
        ({"output": {"a": 1}}, (Text('{"output":{"a":1}}'),), False),
        ({}, (), False),
    ],
)
def test_what_a_function_gave_is_text(response: Any, parts: tuple[Part, ...], is_error: bool) -> None:
    part = {"functionResponse": {"name": "f", "id": "x", "response": response}}
    assert read(contents=[{"parts": [part]}]).messages == (Message("tool", (ToolResult("x", parts, "f", is_error),)),)


def test_results_without_ids_answer_calls_by_name_and_order() -> None:
    def call(name: str) -> dict[str, Any]:
        return {"functionCall": {"name": name}}

    def result(name: str, said: str) -> dict[str, Any]:
        return {"functionResponse": {"name": name, "response": {"output": said}}}

    contents = [
        {"role": "model", "parts": [call("f"), call("g"), call("f")]},
        {"role": "function", "parts": [result("f", "1"), result("f", "2"), result("g", "3")]},
        {"role": "model", "parts": [call("f")]},
        {"role": "user", "parts": [result("f", "4"), {"text": "go on"}]},
    ]
    found = read(contents=contents)
    calls = [part.id for message in found.messages for part in message.parts if isinstance(part, ToolCall)]
    assert calls == ["call_0", "call_1", "call_2", "call_3"]
    results = [part for message in found.messages for part in message.parts if isinstance(part, ToolResult)]
    assert [(one.call_id, one.parts) for one in results] == [
        ("call_0", (Text("1"),)),
        ("call_2", (Text("2"),)),
        ("call_1", (Text("3"),)),
        ("call_3", (Text("4"),)),
    ]
    assert [message.role for message in found.messages] == ["assistant", "tool", "assistant", "tool", "user"]


def test_a_recorded_stream_is_one_message_again() -> None:
    chunks: list[dict[str, Any]] = [
        {"text": "I th", "thought": True},
        {"text": "ink", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": "c2ln"},
        {"text": "Hel"},
        {"text": "lo"},
    ]
    found = read(contents=[{"role": "model", "parts": [one]} for one in chunks])
    assert found.messages == (Message("assistant", (Reasoning("I think", "c2ln"), Text("Hello"))),)


# Read: the rest


EVERYTHING: dict[str, Any] = {
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "tools": [
        {
            "functionDeclarations": [
                {
                    "name": "f",
                    "description": "does f",
                    "parameters": {
                        "type": "OBJECT",
                        "properties": {
                            "b": {"type": "STRING", "nullable": True, "enum": ["x"]},
                            "a": {"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "1"},
                        },
                        "propertyOrdering": ["a", "b"],
                        "required": ["a"],
                    },
                },
                {"name": "g", "parametersJsonSchema": {"type": "object"}, "response": {"type": "STRING"}},
            ]
        },
        {"googleSearch": {}},
    ],
    "toolConfig": {
        "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]},
        "retrievalConfig": {"languageCode": "de"},
    },
    "generationConfig": {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "candidateCount": 2,
        "maxOutputTokens": 100,
        "stopSequences": ["x"],
        "seed": 7,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "responseLogprobs": True,
        "logprobs": 3,
        "responseMimeType": "application/json",
        "responseSchema": {"type": "OBJECT", "anyOf": [{"type": "NULL"}]},
        "thinkingConfig": {"thinkingBudget": -1, "includeThoughts": True},
        "speechConfig": {"languageCode": "de-DE"},
    },
    "safetySettings": [{"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_NONE"}],
    "cachedContent": "cachedContents/1",
    "labels": {"team": "a"},
    "serviceTier": "flex",
}


def snake(value: Any) -> Any:
    """As a client of the other spelling writes it; names within schemas and labels are not ours."""
    if isinstance(value, list):
        return [snake(one) for one in value]
    if not isinstance(value, dict):
        return value
    keep = {"parameters", "parametersJsonSchema", "responseSchema", "response", "labels"}
    return {
        "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name): value[name]
        if name in keep
        else snake(value[name])
        for name in value
    }


def test_every_member_is_read() -> None:
    found = read(stream=True, **EVERYTHING)
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
            "b": {"type": ["string", "null"], "enum": ["x", None]},
        },
        "required": ["a"],
    }
    f, g, search = found.tools
    assert f == Tool("f", "does f", schema) and isinstance(f, Tool) and f.schema is not None
    assert list(f.schema["properties"]) == ["a", "b"]
    assert g == Tool("g", 'Returns: {"type":"string"}', {"type": "object"})
    assert search == Opaque("gemini", "tools[1].googleSearch", {"googleSearch": {}})
    assert msgspec.structs.replace(found, tools=()) == Conversation(
        source="gemini",
        model="m",
        messages=(Message("system", (Text("Be brief."),)), Message("user", (Text("hi"),))),
        tool_choice=ToolChoice("named", ("f",)),
        max_output=100,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        choices=2,
        stop=("x",),
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        logprobs=3,
        format=Format("schema", schema={"type": "object", "anyOf": [{"type": "null"}]}),
        thinking=Thinking(budget=-1, show=True),
        metadata={"team": "a"},
        service_tier="flex",
        stream=True,
        wants_usage=True,
        rest={
            "safetySettings": EVERYTHING["safetySettings"],
            "cachedContent": "cachedContents/1",
            "generationConfig.speechConfig": {"languageCode": "de-DE"},
            "toolConfig.retrievalConfig": {"languageCode": "de"},
        },
    )


def test_both_spellings_mean_the_same() -> None:
    other = snake(EVERYTHING)
    assert "generation_config" in other and "max_output_tokens" in other["generation_config"]
    found, same = read(**other), read(**EVERYTHING)
    assert msgspec.structs.replace(found, rest={}) == msgspec.structs.replace(same, rest={})
    assert found.rest.keys() == same.rest.keys()


@pytest.mark.parametrize(
    ("config", "choice", "names", "strict"),
    [
        ({}, None, ["f", "g"], None),
        ({"mode": "AUTO"}, ToolChoice("auto"), ["f", "g"], None),
        ({"mode": "none"}, ToolChoice("none"), ["f", "g"], None),
        ({"mode": "ANY"}, ToolChoice("required"), ["f", "g"], None),
        ({"mode": "ANY", "allowedFunctionNames": ["f", "g"]}, ToolChoice("named", ("f", "g")), ["f", "g"], None),
        ({"mode": "VALIDATED"}, ToolChoice("auto"), ["f", "g"], True),
        ({"mode": "VALIDATED", "allowed_function_names": ["g"]}, ToolChoice("auto"), ["g"], True),
    ],
)
def test_every_mode_of_calling_is_read(config: Any, choice: Any, names: list[str], strict: bool | None) -> None:
    declared = [{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}]
    found = read(tools=declared, toolConfig={"functionCallingConfig": config})
    assert found.tool_choice == choice
    assert [(tool.name, tool.strict) for tool in found.tools if isinstance(tool, Tool)] == [
        (name, strict) for name in names
    ]


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"responseMimeType": "text/plain"}, None),
        ({"responseMimeType": "application/json"}, Format("json")),
        (
            {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}},
            Format("schema", schema={"type": "object"}),
        ),
    ],
)
def test_every_format_is_read(config: Any, found: Format | None) -> None:
    assert read(generationConfig=config).format == found


def test_what_goes_without_saying_is_not_kept() -> None:
    assert read(generationConfig={"responseModalities": ["TEXT"]}).rest == {}
    assert read(generationConfig={"responseModalities": ["IMAGE"]}).rest != {}


def test_a_format_that_is_no_json_is_kept() -> None:
    config = {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["a"]}}
    found = read(generationConfig=config)
    assert found.format is None
    assert found.rest == {f"generationConfig.{name}": value for name, value in config.items()}


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"thinkingLevel": "HIGH"}, Thinking("high")),
        ({"thinking_level": "minimal", "include_thoughts": False}, Thinking("minimal", show=False)),
        ({"thinkingBudget": 0}, Thinking(budget=0)),
        ({}, None),
    ],
)
def test_thinking_is_read(config: Any, found: Thinking | None) -> None:
    assert read(generationConfig={"thinkingConfig": config}).thinking == found


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "contents"),
        ({"contents": []}, "contents"),
        ({"contents": ["x"]}, "contents[0]"),
        ({"contents": [{"role": "assistant", "parts": []}]}, "contents[0].role"),
        ({"contents": [{"parts": "x"}]}, "contents[0].parts"),
        ({"contents": [{"parts": [{"text": 1}]}]}, "contents[0].parts[0].text"),
        ({"contents": [{"parts": [{"inlineData": {"data": ""}}]}]}, "contents[0].parts[0].inlineData.mimeType"),
        ({"contents": [{"parts": [{"functionCall": {"args": {}}}]}]}, "contents[0].parts[0].functionCall.name"),
        ({**HELLO, "tools": [{"functionDeclarations": {}}]}, "tools[0].functionDeclarations"),
        ({**HELLO, "generationConfig": {"topK": 1.5}}, "generationConfig.topK"),
        ({**HELLO, "generationConfig": {"temperature": "x"}}, "generationConfig.temperature"),
        ({**HELLO, "generationConfig": {"logprobs": 2}}, "generationConfig.logprobs"),
        ({**HELLO, "generationConfig": {"stopSequences": "x"}}, "generationConfig.stopSequences"),
        (
            {**HELLO, "toolConfig": {"functionCallingConfig": {"mode": "MAYBE"}}},
            "toolConfig.functionCallingConfig.mode",
        ),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        DIALECT.read(body, "m", stream=False)
    assert caught.value.param == param


TALK = [
    {
        "role": "model",
        "parts": [{"text": "a", "thought": True, "partMetadata": {"gateway": {"id": "x"}}}, {"text": "b"}],
    },
    {
        "role": "model",
        "parts": [{"functionCall": {"name": "f", "args": {"a": 1}, "id": "1"}, "thoughtSignature": "AA"}],
    },
    {"parts": [{"functionResponse": {"name": "f", "response": {"output": "x"}, "parts": [{"inlineData": {}}]}}]},
    {"parts": [{"inlineData": {"mimeType": "image/png", "data": "A"}, "mediaResolution": {"level": "x"}}]},
    {"parts": [{"fileData": {"fileUri": "x"}}, {"executableCode": {}}]},
]


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Ways to every value within `value`."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(place for name, one in inner for place in places(one, (*way, name)))]


WHOLE = {"contents": TALK, **EVERYTHING}
PLACES = places(WHOLE)[1:]
ODD: list[Any] = [None, True, 0, -1.5, 1e300, "", "x", "1e3", "nan", [], [[]], [{}], {}, {"parts": 1}, {"type": []}]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_whatever_is_odd_is_read_or_named(odd: Any) -> None:
    for way in PLACES:
        body = orjson.loads(orjson.dumps(WHOLE))
        place = body
        for step in way[:-1]:
            place = place[step]
        place[way[-1]] = odd
        try:
            found = DIALECT.read(body, "m", stream=False)
        except InvalidRequest as error:
            assert error.param and error.message
        else:
            DIALECT.write(found, "gemini-3-pro", lenient=True)


# Written


def test_system_messages_are_put_together_and_results_grouped() -> None:
    conversation = asked(
        Message("system", (Text("a"),)),
        Message("user", (Text("q"),)),
        Message("developer", (Text("b"),)),
        Message("assistant", (Text(""), ToolCall("1", "f", '{"n":  12345678901234567890123}'), ToolCall("2", "g", ""))),
        Message("tool", (ToolResult("2", (Text("sunny"),)), ToolResult("1", (Text('{"output":"x"}'),)))),
        Message("user", (Text("go on"),)),
    )
    raw = DIALECT.write(conversation, "gemini-2.5-pro", lenient=False).body
    assert b'"args":{"n":  12345678901234567890123}' in raw  # not a digit lost
    found = orjson.loads(raw)
    assert found["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}]}
    assert [content["role"] for content in found["contents"]] == ["user", "model", "user", "user"]
    assert found["contents"][2]["parts"] == [
        {"functionResponse": {"name": "f", "response": {"output": '{"output":"x"}'}, "id": "1"}},
        {"functionResponse": {"name": "g", "response": {"output": "sunny"}, "id": "2"}},
    ]
    without = orjson.loads(Gemini(ids=False).write(conversation, "gemini-2.5-pro", lenient=False).body)
    results = [part["functionResponse"] for part in without["contents"][2]["parts"]]
    assert [(one["name"], "id" in one) for one in results] == [("f", False), ("g", False)]


def test_results_in_messages_of_their_own_are_one_content() -> None:
    conversation = asked(
        Message("assistant", (ToolCall("1", "f", "{}"), ToolCall("2", "g", "{}"))),
        Message("tool", (ToolResult("1", ()),)),
        Message("tool", (ToolResult("2", ()),)),
    )
    assert [len(content["parts"]) for content in written(conversation)["contents"]] == [2, 2]


def test_gemini_3_is_told_which_calls_have_no_signature() -> None:
    calls = (ToolCall("1", "f", "{}"), ToolCall("2", "f", "{}"))
    first, second = written_parts(*calls, role="assistant", model="gemini-3-pro-preview")
    assert first["thoughtSignature"] == "skip_thought_signature_validator"
    assert "thoughtSignature" not in second
    assert parts_of(first, role="model") == (ToolCall("1", "f", "{}"),)
    assert all("thoughtSignature" not in part for part in written_parts(*calls, role="assistant"))
    own = written_parts(ToolCall("1", "f", "{}", "c2ln"), role="assistant", model="gemini-3-pro-preview")
    assert own[0]["thoughtSignature"] == "c2ln"


@pytest.mark.parametrize(
    ("part", "found"),
    [
        (Media("image", "AA", media_type="image/png"), {"inlineData": {"data": "AA", "mimeType": "image/png"}}),
        (Media("image", "iVBORw0KGgo="), {"inlineData": {"data": "iVBORw0KGgo=", "mimeType": "image/png"}}),
        (
            Media("image", url="https://x.org/a.JPG?b=1", detail="auto"),
            {"fileData": {"fileUri": "https://x.org/a.JPG?b=1", "mimeType": "image/jpeg"}},
        ),
        (Media("video", url="gs://b/v"), {"fileData": {"fileUri": "gs://b/v"}}),
        (Media("file", file_id="files/1"), {"fileData": {"fileUri": "files/1"}}),
        (
            Media("file", text="hi", title="T"),
            {"inlineData": {"data": "aGk=", "mimeType": "text/plain", "displayName": "T"}},
        ),
        (Refusal("No."), {"text": "No."}),
        (Reasoning("a", "c2ln"), {"text": "a", "thought": True, "thoughtSignature": "c2ln"}),
        (Reasoning("a", id="rs_1"), {"text": "a", "thought": True}),
        (Reasoning("", "c2ln"), {"text": "", "thoughtSignature": "c2ln"}),
    ],
)
def test_a_part_is_written(part: Part, found: dict[str, Any]) -> None:
    assert written_parts(part) == [found]


def test_a_functions_media_go_with_its_result() -> None:
    picture = Media("image", "AA", media_type="image/png")
    result = ToolResult("1", (Text('{"ok": true}'), picture), "f")
    response = {
        "name": "f",
        "response": {"ok": True},
        "id": "1",
        "parts": [{"inlineData": {"data": "AA", "mimeType": "image/png"}}],
    }
    assert written_parts(result, role="tool") == [{"functionResponse": response}]
    assert read(contents=[{"parts": [{"functionResponse": response}]}]).messages[0].parts == (
        ToolResult("1", (Text('{"ok":true}'), picture), "f"),
    )


@pytest.mark.parametrize(
    ("thinking", "model", "found"),
    [
        (Thinking("low"), "gemini-2.5-flash", {"thinkingBudget": 1024}),
        (Thinking("none"), "gemini-2.5-flash", {"thinkingBudget": 0}),
        (Thinking("high", budget=-1), "models/gemini-2.5-pro", {"thinkingBudget": 24576}),
        (Thinking("high", budget=99), "gemini-2.5-pro", {"thinkingBudget": 99}),
        (Thinking("medium", show=True), "gemini-3-flash", {"includeThoughts": True, "thinkingLevel": "MEDIUM"}),
        (Thinking("max", budget=-1), "gemini-3-pro", {"thinkingLevel": "XHIGH"}),
        (Thinking(budget=500), "gemini-3-pro", {"thinkingBudget": 500}),
        (Thinking(summary="auto"), "gemini-flash-latest", {"includeThoughts": True}),
    ],
)
def test_thinking_is_written_as_the_model_takes_it(thinking: Thinking, model: str, found: dict[str, Any]) -> None:
    assert written(asked(thinking=thinking), model)["generationConfig"]["thinkingConfig"] == found


@pytest.mark.parametrize(
    ("choice", "strict", "found"),
    [
        (None, None, None),
        (None, True, {"mode": "VALIDATED"}),
        (ToolChoice("auto"), None, {"mode": "AUTO"}),
        (ToolChoice("auto"), True, {"mode": "VALIDATED"}),
        (ToolChoice("none"), True, {"mode": "NONE"}),
        (ToolChoice("required"), None, {"mode": "ANY"}),
        (ToolChoice("named", ("f", "g")), True, {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}),
    ],
)
def test_every_choice_of_tools_is_written(choice: ToolChoice | None, strict: bool | None, found: Any) -> None:
    body = written(asked(tools=(Tool("f", strict=strict), Tool("g")), tool_choice=choice))
    assert body.get("toolConfig", {}).get("functionCallingConfig") == found


def user(part: Part) -> Conversation:
    return asked(Message("user", (part,)))


@pytest.mark.parametrize(
    ("conversation", "name"),
    [
        (asked(parallel_tools=False), "parallel_tool_calls"),
        (asked(verbosity="low"), "verbosity"),
        (asked(user="u"), "user"),
        (asked(metadata={"Session ID": "1"}), "metadata"),
        (asked(service_tier="scale"), "service_tier"),
        (asked(seed=1 << 40), "seed"),
        (asked(rest={"logit_bias": {"1": 1}}), "logit_bias"),
        (asked(tools=(Opaque("responses", "tools[0]", {}),)), "tools[0]"),
        (asked(tools=(Tool("f", cache="5m"),)), "tools[0].cache"),
        (asked(Message("user", (Text("x"),), "bob")), "messages[0].name"),
        (user(Text("x", cache="5m")), "messages[0].parts[0].cache"),
        (user(Text("x", citations=(Citation("url"),))), "messages[0].parts[0].citations"),
        (user(Media("image", url="ftp://x.org/a.png")), "messages[0].parts[0].url"),
        (user(Media("file", file_id="file-1")), "messages[0].parts[0].file_id"),
        (user(Media("file", "AAAA")), "messages[0].parts[0].media_type"),
        (user(Media("image", "AA", media_type="image/png", detail="low")), "messages[0].parts[0].detail"),
        (user(Media("file", text="x", cite=True)), "messages[0].parts[0].cite"),
        (user(SearchResult("s", "t", ("x",))), "messages[0].parts[0]"),
        (user(Reasoning("x", redacted="y")), "messages[0].parts[0]"),
        (user(Opaque("messages", "messages[0].content[0]", {})), "messages[0].content[0]"),
        (user(ToolResult("1", ())), "messages[0].parts[0].call_id"),
        (asked(Message("assistant", (ToolCall("1", "f", "[1]"),))), "messages[0].parts[0].arguments"),
        (asked(Message("system", (Text("only"),))), "messages"),
        (asked(Message("system", (Media("image", "AA"),)), Message("user", (Text("x"),))), "messages[0].parts[0]"),
        (asked(thinking=Thinking(summary="detailed")), "thinking.summary"),
    ],
)
def test_what_gemini_has_no_word_for_is_refused_or_dropped_by_name(conversation: Conversation, name: str) -> None:
    assert WORDS["chat"] == chat.DIALECT.fields
    with pytest.raises(Unsupported) as caught:
        DIALECT.write(conversation, "gemini-2.5-flash", lenient=False)
    assert f"`{name}`" in caught.value.message
    assert DIALECT.write(conversation, "gemini-2.5-flash", lenient=True).dropped == (name,)


def test_no_thinking_at_all_is_more_than_gemini_3_can_do() -> None:
    conversation = asked(thinking=Thinking("none"))
    with pytest.raises(Unsupported):
        written(conversation, "gemini-3-pro")
    lenient = orjson.loads(DIALECT.write(conversation, "gemini-3-pro", lenient=True).body)
    assert lenient["generationConfig"]["thinkingConfig"] == {"thinkingLevel": "MINIMAL"}


# There and back


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
signatures = st.sampled_from(["", "c2ln"])
objects = st.dictionaries(texts, st.integers(0, 9), min_size=1, max_size=2).map(lambda one: orjson.dumps(one).decode())
media = st.one_of(
    st.builds(
        Media, st.just("image"), st.just("AAAA"), media_type=st.just("image/png"), name=st.sampled_from(["", "a"])
    ),
    st.builds(Media, st.just("audio"), url=st.just("https://x.org/a"), media_type=st.just("audio/wav")),
)
said = st.one_of(st.builds(Text, texts), media)
thoughts = st.builds(Reasoning, texts, signatures)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """What both Gemini and the model can say, in the one way in which it is read."""
    messages = [Message("system", (Text(draw(texts)),))] if draw(st.booleans()) else []
    for turn in range(draw(st.integers(1, 3))):
        messages.append(Message("user", tuple(draw(st.lists(said, min_size=1, max_size=3)))))
        calls = [
            ToolCall(f"id{turn}{at}", draw(st.sampled_from("fg")), draw(objects), draw(signatures))
            for at in range(draw(st.integers(0, 2)))
        ]
        spoken: list[Part] = [draw(thoughts), Text(draw(texts))]
        messages.append(Message("assistant", (*spoken[: draw(st.integers(0 if calls else 1, 2))], *calls)))
        if calls:
            messages.append(Message("tool", tuple(draw(_result(call)) for call in calls)))
    number = st.none() | st.integers(0, 9)
    return Conversation(
        source="gemini",
        model="m",
        messages=tuple(messages),
        tools=draw(st.sampled_from([(), (Tool("f", "x", {"type": "object"}), Tool("g"))])),
        tool_choice=draw(st.sampled_from([None, ToolChoice("auto"), ToolChoice("named", ("f",))])),
        max_output=draw(number),
        temperature=draw(st.none() | st.floats(0, 2)),
        top_k=draw(number),
        seed=draw(number),
        logprobs=draw(number),
        stop=draw(st.sampled_from([(), ("a", "b")])),
        format=draw(st.sampled_from([None, Format("json"), Format("schema", schema={"type": "object"})])),
        thinking=draw(st.sampled_from([None, Thinking("low"), Thinking(budget=5, show=True)])),
        metadata=draw(st.sampled_from([{}, {"team": "a"}])),
        service_tier=draw(st.sampled_from(["", "flex", "default"])),
        wants_usage=True,
        rest=draw(st.sampled_from([{}, {"cachedContent": "c", "generationConfig.speechConfig": {}}])),
    )


@st.composite
def _result(draw: st.DrawFn, call: ToolCall) -> ToolResult:
    parts: Sequence[Part] = [Text(one) for one in draw(st.lists(texts | objects, max_size=2))]
    is_error = bool(parts) and draw(st.booleans())
    return ToolResult(call.id, (*parts, *draw(st.lists(media, max_size=1))), call.name, is_error)


@given(conversation=conversations())
def test_what_is_written_is_read_back(conversation: Conversation) -> None:
    body = DIALECT.write(conversation, "gemini-3-pro", lenient=False).body
    assert DIALECT.read(orjson.loads(body), "m", stream=False) == conversation


# countTokens


def test_tokens_are_counted_of_contents_or_of_a_whole_request() -> None:
    request = {**HELLO, "systemInstruction": {"parts": [{"text": "Be brief."}]}}
    alone = DIALECT.read_count(request, "m")
    assert DIALECT.read_count({"generateContentRequest": {"model": "models/m", **request}}, "m") == alone
    body = orjson.loads(DIALECT.write_count(alone, "gemini-x", lenient=False).body)
    assert body["generateContentRequest"]["model"] == "models/gemini-x"
    assert DIALECT.read_count(body, "m") == alone
    assert DIALECT.counted(DIALECT.count_reply(31)) == 31
    with pytest.raises(BrokenReply):
        DIALECT.counted(b"{}")
