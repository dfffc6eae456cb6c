"""langchain-openai, unmodified: it finds the gateway in the environment by itself."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel


class Weather(BaseModel):
    """The weather of one city."""

    city: str
    celsius: int


@tool
def record_weather(city: str, celsius: int) -> str:
    """Writes the weather of one city down."""
    return f"{city}: {celsius}"


def test_invoke_gives_text_and_usage(model: str) -> None:
    answer = ChatOpenAI(model=model).invoke([SystemMessage("Be brief."), HumanMessage("Say hello")])
    assert answer.text
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] > 0
    assert answer.response_metadata["finish_reason"] == "stop"


async def test_ainvoke_gives_text(model: str) -> None:
    assert (await ChatOpenAI(model=model).ainvoke("Say hello")).text


def test_stream_gives_pieces(model: str) -> None:
    pieces = [chunk.text for chunk in ChatOpenAI(model=model).stream("Say hello")]
    assert len([p for p in pieces if p]) > 1


def test_stream_usage_arrives_once(model: str) -> None:
    chunks = list(ChatOpenAI(model=model, stream_usage=True).stream("Say hello"))
    assert len([c for c in chunks if c.usage_metadata]) == 1


async def test_astream_gives_pieces(model: str) -> None:
    pieces = [chunk.text async for chunk in ChatOpenAI(model=model).astream("Say hello")]
    assert "".join(pieces)


def test_a_batch_is_answered_in_parallel(model: str) -> None:
    answers = ChatOpenAI(model=model).batch(["Say hello"] * 4, config={"max_concurrency": 4})
    assert all(answer.text for answer in answers)


def test_bind_tools_gives_a_call_and_its_result_an_answer(model: str) -> None:
    chat = ChatOpenAI(model=model).bind_tools([record_weather])
    asked = HumanMessage("Please call record_weather for Paris")
    called = chat.invoke([asked])
    (call,) = called.tool_calls
    result: ToolMessage = record_weather.invoke(call)
    answer = chat.invoke([asked, called, result])
    assert answer.text
    assert not answer.tool_calls


def test_a_streamed_tool_call_adds_up(model: str) -> None:
    chunks = list(ChatOpenAI(model=model).bind_tools([record_weather]).stream("Please call record_weather for Paris"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    (call,) = whole.tool_calls
    assert call["name"] == "record_weather"
    assert set(call["args"]) == {"city", "celsius"}


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_structured_output_gives_an_instance(model: str, method: str) -> None:
    if (model, method) == ("demo", "json_mode"):
        pytest.skip("json_mode names no schema: a scripted answer cannot know the fields")
    chat = ChatOpenAI(model=model).with_structured_output(Weather, method=method)
    assert isinstance(chat.invoke("The weather of Paris as JSON with the keys city and celsius"), Weather)


def test_streamed_events_fold_into_one_message(model: str) -> None:
    whole = ChatOpenAI(model=model, streaming=True).invoke("Say hello")
    assert isinstance(whole, AIMessage)
    assert whole.text


class TestEmbeddings:
    def test_documents_sent_as_tokens(self, scripted: str) -> None:
        # The default: texts go as lists of token numbers, cut to the model's context here.
        vectors = OpenAIEmbeddings(model=scripted).embed_documents(["one", "two"])
        assert len(vectors) == 2
        assert len(vectors[0]) == len(vectors[1]) > 0

    def test_documents_sent_as_text(self, scripted: str) -> None:
        vectors = OpenAIEmbeddings(model=scripted, check_embedding_ctx_length=False).embed_documents(["one", "two"])
        assert len(vectors) == 2
        assert vectors[0] != vectors[1]

    async def test_a_query(self, scripted: str) -> None:
        assert await OpenAIEmbeddings(model=scripted, dimensions=16).aembed_query("one")
