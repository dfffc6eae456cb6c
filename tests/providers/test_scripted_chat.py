"""Chats and completions of the scripted provider: which reply is played, and what it looks like."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from gateway.providers.scripting import Ask, Play, Player, builtin, loads

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
            "required": ["city", "unit"],
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}}


def player(*replies: str, models: str = "[m, other]") -> Player:
    rows = "".join(f"  - {reply}\n" for reply in replies)
    return Player(loads(f"models: {models}\nreplies:\n{rows}" if replies else f"models: {models}"), clock=lambda: 7.0)


def body_of(play: Play) -> bytes:
    return b"".join(step.data for step in play.steps)


def ask(player: Player, question: str | list[dict[str, Any]], path: str = "/v1/chat/completions", **more: Any) -> Play:
    messages = [{"role": "user", "content": question}] if isinstance(question, str) else question
    return player.play(Ask("POST", path, orjson.dumps({"model": "m", "messages": messages, **more})))


def said(play: Play) -> str:
    text: str = orjson.loads(body_of(play))["choices"][0]["message"]["content"]
    return text


def events(play: Play) -> list[Any]:
    parts = body_of(play).decode().split("\n\n")
    assert parts.pop() == "" and parts.pop() == "data: [DONE]"
    return [json.loads(part.removeprefix("data: ")) for part in parts]


def test_the_first_reply_that_fits_is_played() -> None:
    one = player("{when: {contains: REFUND}, text: a}", "{when: {contains: refund}, text: b}", "text: c")
    assert [said(ask(one, "a refund!")), said(ask(one, "hello"))] == ["a", "c"]


def test_times_bounds_how_often_a_reply_is_played() -> None:
    one = player("{times: 2, text: a}", "text: b")
    assert [said(ask(one, "x")) for _ in range(4)] == ["a", "a", "b", "b"]


def test_a_chat_that_no_reply_fits_is_refused_so_that_a_test_notices() -> None:
    play = ask(player("{when: {contains: x}, text: a}"), "y")
    assert (play.status, orjson.loads(body_of(play))["error"]["code"]) == (400, "script_has_no_reply")


@pytest.mark.parametrize(
    ("when", "request_more", "fits"),
    [
        ("model: m", {}, True),
        ("model: 'o*'", {}, False),
        ("model: 'o*'", {"model": "other"}, True),
        ("endpoint: chat", {}, True),
        ("endpoint: completions", {}, False),
        ("stream: false", {}, True),
        ("stream: true", {}, False),
        ("turn: 1", {}, True),
        ("turn: 2", {}, False),
        ("regex: '^Wh?at'", {}, True),
        ("regex: '^at'", {}, False),
        ("format: json_object", {"response_format": {"type": "json_object"}}, True),
        ("format: text", {}, True),
        ("tool: wanted", {"tools": [WEATHER]}, True),
        ("tool: wanted", {"tools": [CLOCK]}, False),
        ("tool: wanted", {"tools": [CLOCK], "tool_choice": "required"}, True),
        ("tool: wanted", {"tools": [WEATHER], "tool_choice": "none"}, False),
        ("share: 0", {}, False),
        ("share: 1", {}, True),
    ],
)
def test_a_reply_fits_if_every_key_of_when_does(when: str, request_more: dict[str, Any], fits: bool) -> None:
    one = player(f"{{when: {{{when}}}, text: yes}}".replace("yes", "'yes'"), "text: 'no'")
    assert (said(ask(one, "What will get weather say?", **request_more)) == "yes") is fits


def test_turns_count_user_messages() -> None:
    one = player("{when: {turn: 2}, text: second}", "text: first")
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    assert said(ask(one, turns)) == "second"


def test_a_share_is_drawn_by_the_seed() -> None:
    def draws() -> list[str]:
        one = player("{when: {share: 0.3}, text: a}", "text: b")
        return [said(ask(one, "x")) for _ in range(200)]

    assert draws() == draws()
    assert 35 < draws().count("a") < 85


def test_a_text_is_filled_in_and_never_read_twice() -> None:
    one = player('text: "{{ model }}/{{question}}/{{ turn }}/{{ system }}/{{ count }}"')
    messages = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "{{ model }}"}]
    assert said(ask(one, messages)) == "m/{{ model }}/1/be kind/1"


def test_a_question_may_be_in_parts() -> None:
    one = player('text: "{{ question }}"')
    parts = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "text", "text": "b"},
    ]
    assert said(ask(one, [{"role": "user", "content": parts}])) == "a\nb"


def test_the_same_seed_and_requests_give_the_same_bytes() -> None:
    first, second = player("text: a"), player("text: a")
    assert [body_of(ask(first, "x")) for _ in range(3)] == [body_of(ask(second, "x")) for _ in range(3)]


def test_a_stream_says_what_the_whole_answer_says() -> None:
    one = player("text: 'one  two\n\n      three '", "{text: x}")
    whole = said(ask(one, "x"))
    for chunk in ("words", "chars", "3"):
        other = player("{text: " + json.dumps(whole) + f", chunk: {chunk}}}")
        chunks = events(ask(other, "x", stream=True))
        assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == whole


def test_a_stream_begins_with_the_role_and_ends_with_a_finish_reason() -> None:
    chunks = events(ask(player("text: a b c"), "x", stream=True))
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, None, "stop"]
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert all("usage" not in chunk for chunk in chunks)


def test_usage_comes_in_a_last_chunk_without_choices_where_it_is_asked_for() -> None:
    *others, last = events(ask(player("text: a b c"), "d e", stream=True, stream_options={"include_usage": True}))
    assert all(chunk["usage"] is None for chunk in others)
    assert last["choices"] == []
    assert (last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"]) == (2, 3)


@pytest.mark.parametrize(
    ("keys", "asked", "told"),
    [
        ("usage: none", True, []),
        ("stream_usage: always", False, [-1]),
        ("stream_usage: last", False, [-1]),
        ("stream_usage: asked", False, []),
    ],
)
def test_vendors_differ_in_where_they_tell_usage(keys: str, asked: bool, told: list[int]) -> None:
    chunks = events(ask(player(f"{{text: a b, {keys}}}"), "x", stream=True, stream_options={"include_usage": asked}))
    assert [at - len(chunks) for at, chunk in enumerate(chunks) if chunk.get("usage")] == told
    if "last" in keys:
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_usage_of_the_script_is_told_and_billed() -> None:
    one = player("{text: a, usage: {input_tokens: 100, output_tokens: 9, cache_read_tokens: 60, reasoning_tokens: 4}}")
    play = ask(one, "x")
    usage = orjson.loads(body_of(play))["usage"]
    assert usage["total_tokens"] == 109
    assert usage["prompt_tokens_details"]["cached_tokens"] == 60
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 4
    assert play.account.usage is not None and play.account.usage.output_tokens == 9


def test_untold_usage_is_billed_all_the_same() -> None:
    play = ask(player("{text: a b c, usage: none}"), "x")
    assert "usage" not in orjson.loads(body_of(play))
    assert play.account.usage is not None and play.account.usage.output_tokens == 3


def test_several_choices_differ_where_the_script_says_so() -> None:
    one = player('text: "number {{ choice }}"')
    choices = orjson.loads(body_of(ask(one, "x", n=3)))["choices"]
    assert [choice["message"]["content"] for choice in choices] == ["number 0", "number 1", "number 2"]
    chunks = events(ask(one, "x", n=3, stream=True))
    assert {chunk["choices"][0]["index"] for chunk in chunks} == {0, 1, 2}
    assert sum(chunk["choices"][0]["finish_reason"] == "stop" for chunk in chunks) == 3


@pytest.mark.parametrize(
    ("more", "text", "finish"),
    [
        ({}, "one two three", "stop"),
        ({"max_tokens": 2}, "one two", "length"),
        ({"max_completion_tokens": 1, "max_tokens": 3}, "one", "length"),
        ({"max_tokens": 3}, "one two three", "stop"),
        ({"stop": " thr"}, "one two", "stop"),
        ({"stop": ["x", "two"]}, "one ", "stop"),
    ],
)
def test_the_request_limits_the_answer(more: dict[str, Any], text: str, finish: str) -> None:
    choice = orjson.loads(body_of(ask(player("text: one two three"), "x", **more)))["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == (text, finish)


def test_a_scripted_finish_reason_wins() -> None:
    play = ask(player("{text: a, finish_reason: content_filter}"), "x")
    assert orjson.loads(body_of(play))["choices"][0]["finish_reason"] == "content_filter"


def test_tool_calls_are_streamed_in_pieces_that_join_to_the_arguments() -> None:
    one = player("{tool_calls: [{name: a, arguments: {city: Paris, deep: [1, {x: y}]}}, {name: b, arguments: '{\"'}]}")
    message = orjson.loads(body_of(ask(one, "x")))["choices"][0]["message"]
    assert message["content"] is None
    joined: dict[int, str] = {}
    chunks = events(ask(one, "x", stream=True))
    for chunk in chunks:
        for call in chunk["choices"][0]["delta"].get("tool_calls", ()):
            joined[call["index"]] = joined.get(call["index"], "") + call["function"]["arguments"]
    assert list(joined.values()) == [call["function"]["arguments"] for call in message["tool_calls"]]
    assert json.loads(joined[0]) == {"city": "Paris", "deep": [1, {"x": "y"}]}
    assert joined[1] == '{"'
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert len(chunks) > 8


def test_extra_fields_stand_in_the_answer_and_in_every_chunk() -> None:
    one = player("{text: a b, extra: {x_vendor: {a: 1}}}")
    assert orjson.loads(body_of(ask(one, "x")))["x_vendor"] == {"a": 1}
    assert all(chunk["x_vendor"] == {"a": 1} for chunk in events(ask(one, "x", stream=True)))


def test_an_error_has_its_status_shape_and_retry_after() -> None:
    one = player("error: {status: 429, type: requests, code: rate_limit_exceeded, message: Slow., retry_after: 2}")
    play = ask(one, "x", stream=True)
    assert (play.status, dict(play.headers)[b"retry-after"]) == (429, b"2")
    error = {"message": "Slow.", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
    assert orjson.loads(body_of(play)) == {"error": error}
    assert play.account.usage is None


def test_a_raw_body_goes_out_as_it_is() -> None:
    play = ask(player("{raw: {body: <html>, content_type: text/html}, status: 502, headers: {X-From: lb}}"), "x")
    assert (play.status, body_of(play)) == (502, b"<html>")
    assert dict(play.headers)[b"content-type"] == b"text/html" and dict(play.headers)[b"x-from"] == b"lb"


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        (b"{", 400, None, "parse"),
        (b"[]", 400, None, "must be an object"),
        (b"{}", 400, None, "you must provide a model"),
        (b'{"model":"nope","messages":[]}', 404, "model_not_found", "`nope` does not exist"),
        (b'{"model":"m"}', 400, None, "'messages'"),
        (b'{"model":"m","messages":[]}', 400, None, "'messages'"),
        (b'{"model":"m","messages":[1]}', 400, None, "role"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"n":0}', 400, None, "'n'"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":"many"}', 400, None, "'max_tokens'"),
    ],
)
def test_a_bad_request_is_refused_in_openais_shape(body: bytes, status: int, code: str | None, words: str) -> None:
    play = player("text: a").play(Ask("POST", "/v1/chat/completions", body))
    error = orjson.loads(body_of(play))["error"]
    assert (play.status, error["code"]) == (status, code)
    assert words in error["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/nothing", 404),
        ("DELETE", "/v1/models", 405),
        ("GET", "/", 404),
    ],
)
def test_an_unknown_path_or_method_is_refused(method: str, path: str, status: int) -> None:
    play = player("text: a").play(Ask(method, path))
    assert (play.status, orjson.loads(body_of(play))["error"]["type"]) == (status, "invalid_request_error")


def test_a_key_can_be_demanded() -> None:
    one = Player(loads("models: [m]\napi_key: sk-right"))
    assert one.play(Ask("GET", "/v1/models")).status == 401
    assert one.play(Ask("GET", "/v1/models", b"", {"authorization": "Bearer sk-wrong"})).status == 401
    assert one.play(Ask("GET", "/v1/models", b"", {"authorization": "Bearer sk-right"})).status == 200


def test_completions_answer_each_prompt() -> None:
    one = player("text: ' so'")
    play = ask(one, "", "/v1/completions", prompt=["a b", "c"], n=2)
    body = orjson.loads(body_of(play))
    assert [choice["text"] for choice in body["choices"]] == [" so"] * 4
    assert body["usage"]["prompt_tokens"] == 3
    chunks = events(ask(one, "", "/v1/completions", prompt="a", stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks[:-1]) == " so"
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["total_tokens"] == 2


class TestDemo:
    """The built-in script."""

    def test_it_says_something_pleasant(self) -> None:
        assert "Hello" in said(ask(Player(builtin()), "Hello there", model="demo"))
        assert "Paris" in said(ask(Player(builtin()), "Where is Paris?", model="demo"))

    def test_it_does_not_dawdle(self) -> None:
        play = ask(Player(builtin()), "tell me a story", model="demo", stream=True)
        assert play.head_delay_s == 0 and all(step.after_s == 0 for step in play.steps)

    @pytest.mark.parametrize(
        ("question", "choice", "names"),
        [
            ("what does get weather say?", "auto", ["get_weather"]),
            ("get_weather and get_time", None, ["get_weather", "get_time"]),
            ("x", {"type": "function", "function": {"name": "get_time"}}, ["get_time"]),
            ("x", "required", ["get_weather"]),
        ],
    )
    def test_it_calls_the_tool_that_is_wanted(self, question: str, choice: Any, names: list[str]) -> None:
        more = {"tool_choice": choice} if choice else {}
        play = ask(Player(builtin()), question, model="demo", tools=[WEATHER, CLOCK], **more)
        calls = orjson.loads(body_of(play))["choices"][0]["message"]["tool_calls"]
        assert [call["function"]["name"] for call in calls] == names
        for call in calls:
            if call["function"]["name"] == "get_weather":
                assert json.loads(call["function"]["arguments"]) == {"city": "city", "unit": "C"}

    def test_it_calls_one_tool_where_parallel_calls_are_off(self) -> None:
        play = ask(
            Player(builtin()), "get_weather get_time", model="demo", tools=[WEATHER, CLOCK], parallel_tool_calls=False
        )
        assert len(orjson.loads(body_of(play))["choices"][0]["message"]["tool_calls"]) == 1

    def test_it_answers_from_a_tools_result(self) -> None:
        call = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
        messages: list[dict[str, Any]] = [
            {"role": "user", "content": "get_weather"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "rain"},
        ]
        assert "rain" in said(ask(Player(builtin()), messages, model="demo", tools=[WEATHER]))

    def test_it_keeps_a_promised_shape(self) -> None:
        schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
        format = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
        assert json.loads(said(ask(Player(builtin()), "Hello", model="demo", response_format=format))) == {"a": 0}
        assert json.loads(said(ask(Player(builtin()), "Hello", model="demo", response_format={"type": "json_object"})))
