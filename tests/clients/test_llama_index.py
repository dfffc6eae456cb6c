"""llama-index, unmodified. It does not read OPENAI_BASE_URL by itself: `api_base` is its own name for it."""

from __future__ import annotations

import os
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

HELLO = [ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content="Say hello")]


class Weather(BaseModel):
    """The weather of one city."""

    city: str
    celsius: int


def record_weather(city: str, celsius: int) -> str:
    """Writes the weather of one city down."""
    return f"{city}: {celsius}"


def llm(model: str) -> OpenAILike:
    return OpenAILike(
        model=model,
        api_base=os.environ["OPENAI_BASE_URL"],
        is_chat_model=True,
        is_function_calling_model=True,
        context_window=2048,
    )


def test_complete_gives_text(model: str) -> None:
    assert llm(model).complete("Say hello").text


def test_complete_by_the_legacy_endpoint(model: str) -> None:
    plain = OpenAILike(model=model, api_base=os.environ["OPENAI_BASE_URL"], is_chat_model=False, max_tokens=4)
    assert plain.complete("Once upon a time").text


def test_chat_gives_a_message(model: str) -> None:
    answer = llm(model).chat(HELLO)
    assert answer.message.role == "assistant"
    assert answer.message.content


async def test_achat_gives_a_message(model: str) -> None:
    assert (await llm(model).achat(HELLO)).message.content


def test_stream_chat_gives_pieces(model: str) -> None:
    pieces = [chunk.delta for chunk in llm(model).stream_chat(HELLO)]
    assert len([p for p in pieces if p]) > 1


def test_stream_complete_gives_pieces(model: str) -> None:
    pieces = [chunk.delta or "" for chunk in llm(model).stream_complete("Say hello")]
    assert "".join(pieces)


async def test_astream_chat_gives_pieces(model: str) -> None:
    pieces = [chunk.delta or "" async for chunk in await llm(model).astream_chat(HELLO)]
    assert "".join(pieces)


def test_a_tool_is_called(model: str) -> None:
    tool = FunctionTool.from_defaults(fn=record_weather)
    answer = llm(model).chat_with_tools([tool], user_msg="Please call record_weather for Paris")
    (call,) = llm(model).get_tool_calls_from_response(answer)
    assert call.tool_name == "record_weather"
    assert set(call.tool_kwargs) == {"city", "celsius"}


def test_predict_and_call_runs_the_tool(model: str) -> None:
    tool = FunctionTool.from_defaults(fn=record_weather)
    answer = llm(model).predict_and_call([tool], user_msg="Please call record_weather for Paris")
    assert ": " in answer.response


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # llama-index looks through pydantic's old names
async def test_an_agent_calls_the_tool_and_answers_from_its_result(model: str) -> None:
    agent = FunctionAgent(tools=[record_weather], llm=llm(model))  # streams
    answer = await agent.run("Please call record_weather for Paris")
    assert [call.tool_name for call in answer.tool_calls] == ["record_weather"]
    assert answer.response.content


def test_a_structured_llm_gives_an_instance(model: str) -> None:
    answer = llm(model).as_structured_llm(Weather).complete("The weather of Paris as JSON")
    assert isinstance(answer.raw, Weather)


@pytest.fixture(params=[OpenAILikeEmbedding, OpenAIEmbedding], ids=["openai-like", "openai"])
def embedding(request: pytest.FixtureRequest, scripted: str) -> Any:
    return request.param(
        model_name=scripted, api_base=os.environ["OPENAI_BASE_URL"], api_key=os.environ["OPENAI_API_KEY"]
    )


def test_embeddings_of_texts_and_of_a_query(embedding: Any) -> None:
    vectors = embedding.get_text_embedding_batch(["one", "two"])
    assert len(vectors) == 2
    assert len(vectors[0]) == len(embedding.get_query_embedding("one"))


async def test_embeddings_by_the_async_client(embedding: Any) -> None:
    assert await embedding.aget_text_embedding("one")
