"""OpenAI's own Python SDK, unmodified. Runs with its version 2 and its version 3."""

from __future__ import annotations

import base64
import json
import time
import uuid
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

HELLO: Any = [{"role": "user", "content": "Say hello"}]
ASK_TOOL: Any = [{"role": "user", "content": "Please call record_weather for Paris"}]
ASK_JSON: Any = [{"role": "user", "content": "The weather of Paris as JSON"}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "record_weather",
            "description": "Writes the weather of one city down",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "celsius": {"type": "integer"}},
                "required": ["city", "celsius"],
                "additionalProperties": False,
            },
        },
    }
]


class Weather(BaseModel):
    """The weather of one city."""

    city: str
    celsius: int


@pytest.fixture
def client() -> Any:
    with OpenAI() as client:
        yield client


class TestChat:
    def test_an_answer_has_text_a_finish_reason_and_usage(self, client: OpenAI, model: str) -> None:
        answer = client.chat.completions.create(model=model, messages=HELLO)
        choice = answer.choices[0]
        assert choice.message.role == "assistant"
        assert choice.message.content
        assert choice.finish_reason == "stop"
        assert answer.usage is not None
        assert answer.usage.prompt_tokens > 0
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens

    def test_every_answer_says_under_which_id_the_gateway_knows_it(self, client: OpenAI, model: str) -> None:
        answer = client.chat.completions.create(model=model, messages=HELLO)
        raw = client.chat.completions.with_raw_response.create(model=model, messages=HELLO)
        assert answer._request_id
        assert raw.headers["x-request-id"] not in ("", answer._request_id)

    def test_a_long_conversation_with_every_role_is_answered(self, client: OpenAI, model: str) -> None:
        conversation: Any = [
            {"role": "system", "content": "Be brief."},
            *HELLO,
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": [{"type": "text", "text": "Again, with ünïcode, 日本語 and 🌍"}]},
        ]
        answer = client.chat.completions.create(model=model, messages=conversation, temperature=0, seed=1)
        assert answer.choices[0].message.content

    def test_max_tokens_reaches_the_provider(self, client: OpenAI, model: str) -> None:
        answer = client.chat.completions.create(model=model, messages=HELLO, max_tokens=2)
        assert answer.choices[0].finish_reason == "length"
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 2


class TestStream:
    def test_pieces_of_a_stream_make_the_answer(self, client: OpenAI, model: str) -> None:
        whole = client.chat.completions.create(model=model, messages=HELLO).choices[0].message.content
        with client.chat.completions.create(model=model, messages=HELLO, stream=True) as stream:
            chunks = list(stream)
        pieces = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
        assert len(pieces) > 1
        assert "".join(pieces) == whole
        assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
        assert len({c.id for c in chunks}) == 1

    def test_usage_comes_in_a_stream_that_asks_for_it(self, client: OpenAI, model: str) -> None:
        chunks = list(
            client.chat.completions.create(
                model=model, messages=HELLO, stream=True, stream_options={"include_usage": True}
            )
        )
        counted = [c.usage for c in chunks if c.usage]
        assert len(counted) == 1
        assert counted[0].completion_tokens > 1

    def test_a_chunk_of_usage_alone_never_reaches_a_client_that_did_not_ask(self, client: OpenAI, model: str) -> None:
        chunks = list(client.chat.completions.create(model=model, messages=HELLO, stream=True))
        assert all(c.choices for c in chunks)

    def test_a_client_may_leave_a_stream_and_ask_again(self, client: OpenAI, model: str) -> None:
        for _ in range(3):
            with client.chat.completions.create(model=model, messages=HELLO, stream=True) as stream:
                next(iter(stream))
        assert client.chat.completions.create(model=model, messages=HELLO).choices[0].message.content

    def test_the_stream_helper_folds_events_into_a_completion(self, client: OpenAI, model: str) -> None:
        with client.chat.completions.stream(model=model, messages=HELLO) as stream:
            kinds = {event.type for event in stream}
            final = stream.get_final_completion()
        assert {"chunk", "content.delta", "content.done"} <= kinds
        assert final.choices[0].message.content


class TestTools:
    def test_a_tool_is_called_with_arguments_that_parse(self, client: OpenAI, model: str) -> None:
        answer = client.chat.completions.create(model=model, messages=ASK_TOOL, tools=TOOLS, tool_choice="required")
        assert answer.choices[0].finish_reason in ("tool_calls", "stop")
        (call,) = answer.choices[0].message.tool_calls or []
        assert call.type == "function"
        assert call.id
        assert call.function.name == "record_weather"
        Weather.model_validate_json(call.function.arguments)

    def test_a_streamed_tool_call_adds_up(self, client: OpenAI, model: str) -> None:
        with client.chat.completions.stream(model=model, messages=ASK_TOOL, tools=TOOLS) as stream:
            final = stream.get_final_completion()
        (call,) = final.choices[0].message.tool_calls or []
        assert call.function.name == "record_weather"
        assert set(json.loads(call.function.arguments)) == {"city", "celsius"}

    def test_the_tools_result_is_answered_in_text(self, client: OpenAI, model: str) -> None:
        asked = client.chat.completions.create(model=model, messages=ASK_TOOL, tools=TOOLS).choices[0].message
        (call,) = asked.tool_calls or []
        conversation: Any = [*ASK_TOOL, asked, {"role": "tool", "tool_call_id": call.id, "content": '{"ok": true}'}]
        answer = client.chat.completions.create(model=model, messages=conversation, tools=TOOLS).choices[0]
        assert answer.message.content
        assert answer.finish_reason == "stop"


class TestStructuredOutput:
    def test_parse_gives_an_instance_of_the_pydantic_model(self, client: OpenAI, model: str) -> None:
        answer = client.chat.completions.parse(model=model, messages=ASK_JSON, response_format=Weather)
        assert isinstance(answer.choices[0].message.parsed, Weather)

    def test_a_pydantic_tool_gives_parsed_arguments(self, client: OpenAI, model: str) -> None:
        tool = openai.pydantic_function_tool(Weather, name="record_weather")
        answer = client.chat.completions.parse(model=model, messages=ASK_TOOL, tools=[tool])
        (call,) = answer.choices[0].message.tool_calls or []
        assert isinstance(call.function.parsed_arguments, Weather)


class TestOtherEndpoints:
    def test_both_models_are_listed_and_one_can_be_retrieved(self, client: OpenAI, model: str) -> None:
        assert model in [m.id for m in client.models.list()]
        assert client.models.retrieve(model).id == model

    def test_a_legacy_completion_is_answered(self, client: OpenAI, model: str) -> None:
        answer = client.completions.create(model=model, prompt="Once upon a time", max_tokens=4)
        assert answer.choices[0].text
        assert answer.usage is not None

    def test_a_legacy_completion_streams(self, client: OpenAI, model: str) -> None:
        chunks = list(client.completions.create(model=model, prompt="Once upon a time", max_tokens=4, stream=True))
        assert "".join(c.choices[0].text for c in chunks if c.choices)

    def test_embeddings_come_as_base64_and_as_floats(self, client: OpenAI, scripted: str) -> None:
        packed = client.embeddings.create(model=scripted, input=["one", "two"])  # the SDK asks for base64 by itself
        plain = client.embeddings.create(model=scripted, input=["one", "two"], encoding_format="float")
        assert [len(e.embedding) for e in packed.data] == [len(e.embedding) for e in plain.data]
        assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)
        assert packed.data[0].embedding != packed.data[1].embedding
        assert packed.usage.prompt_tokens > 0

    def test_embeddings_of_a_chosen_size(self, client: OpenAI, scripted: str) -> None:
        assert len(client.embeddings.create(model=scripted, input="one", dimensions=8).data[0].embedding) == 8

    def test_a_moderation_has_categories(self, client: OpenAI, scripted: str) -> None:
        assert client.moderations.create(model=scripted, input="hello").results[0].categories is not None

    def test_an_image_is_drawn(self, client: OpenAI, scripted: str) -> None:
        (image,) = client.images.generate(model=scripted, prompt="a gate", response_format="b64_json").data or []
        assert base64.b64decode(image.b64_json or "").startswith(b"\x89PNG")

    def test_speech_comes_as_bytes_and_a_recording_as_text(self, client: OpenAI, scripted: str) -> None:
        spoken = client.audio.speech.create(model=scripted, voice="alloy", input="hello", response_format="wav").read()
        assert spoken.startswith(b"RIFF")
        assert client.audio.transcriptions.create(model=scripted, file=("hello.wav", spoken)).text


class TestFiles:
    def test_a_file_is_uploaded_read_listed_and_deleted(self, client: OpenAI, scripted: str) -> None:
        content = b'{"a": 1}\n' * 10_000
        uploaded = client.files.create(file=("lines.jsonl", content), purpose="batch")
        assert uploaded.bytes == len(content)
        assert client.files.content(uploaded.id).read() == content
        assert uploaded.id in [each.id for each in client.files.list()]
        assert client.files.delete(uploaded.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(uploaded.id)

    def test_a_batch_runs_to_its_end(self, client: OpenAI, scripted: str) -> None:
        line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions"}
        line |= {"body": {"model": scripted, "messages": HELLO}}
        uploaded = client.files.create(file=("batch.jsonl", json.dumps(line).encode()), purpose="batch")
        batch = client.batches.create(
            input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        for _ in range(20):
            batch = client.batches.retrieve(batch.id)
            if batch.status == "completed":
                break
            time.sleep(0.1)
        assert batch.status == "completed"
        assert batch.output_file_id
        assert json.loads(client.files.content(batch.output_file_id).read())["custom_id"] == "1"


class TestRetries:
    def test_the_same_idempotency_key_gives_the_same_answer(self, client: OpenAI, model: str) -> None:
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        first, second = (
            client.chat.completions.create(model=model, messages=HELLO, extra_headers=headers) for _ in range(2)
        )
        assert first.id == second.id


class TestAsync:
    async def test_an_answer(self, model: str) -> None:
        async with AsyncOpenAI() as client:
            answer = await client.chat.completions.create(model=model, messages=HELLO)
        assert answer.choices[0].message.content

    async def test_a_stream(self, model: str) -> None:
        async with AsyncOpenAI() as client:
            stream = await client.chat.completions.create(model=model, messages=HELLO, stream=True)
            pieces = [c.choices[0].delta.content or "" async for c in stream if c.choices]
        assert "".join(pieces)


class TestErrors:
    def test_a_wrong_key_is_an_authentication_error(self, model: str) -> None:
        with OpenAI(api_key="gw-000000000000-wrong") as client, pytest.raises(openai.AuthenticationError) as caught:
            client.chat.completions.create(model=model, messages=HELLO)
        assert caught.value.status_code == 401
        assert caught.value.code == "invalid_api_key"
        assert caught.value.request_id

    def test_an_unknown_model_is_a_not_found_error_that_names_the_nearest(self, client: OpenAI, model: str) -> None:
        with pytest.raises(openai.NotFoundError) as caught:
            client.chat.completions.create(model=model + "x", messages=HELLO)
        assert caught.value.code == "model_not_found"
        assert f"`{model}`" in str(caught.value) or f"'{model}'" in str(caught.value)

    def test_an_unknown_model_is_a_not_found_error_before_a_stream_begins(self, client: OpenAI) -> None:
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="nobody", messages=HELLO, stream=True)

    def test_messages_of_the_wrong_type_are_a_bad_request_error(self, client: OpenAI, scripted: str) -> None:
        wrong: Any = "hello"
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model=scripted, messages=wrong)
        assert caught.value.param == "messages"

    def test_what_the_provider_lacks_is_its_own_typed_error(self, client: OpenAI) -> None:
        with pytest.raises(openai.NotFoundError):  # transformers has no embeddings: its 404 arrives as a 404
            client.embeddings.create(model="tiny", input="one")

    async def test_a_wrong_key_is_an_authentication_error_of_the_async_client(self, model: str) -> None:
        async with AsyncOpenAI(api_key="nonsense") as client:
            with pytest.raises(openai.AuthenticationError):
                await client.chat.completions.create(model=model, messages=HELLO)
