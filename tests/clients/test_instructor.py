"""instructor, unmodified, around the OpenAI SDK: every way it has to ask for an object."""

from __future__ import annotations

from typing import Any

import instructor
import pytest
from instructor import Mode
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

ASK: Any = [{"role": "user", "content": "The weather of Paris as JSON"}]


class Weather(BaseModel):
    """The weather of one city."""

    city: str
    celsius: int


@pytest.mark.parametrize("mode", [Mode.TOOLS, Mode.JSON_SCHEMA], ids=["tools", "json-schema"])
def test_a_response_model_is_filled(model: str, mode: Mode) -> None:
    with OpenAI() as plain:
        client = instructor.from_openai(plain, mode=mode)
        weather = client.chat.completions.create(model=model, response_model=Weather, messages=ASK, max_retries=1)
    assert isinstance(weather, Weather)


def test_the_completion_comes_along(model: str) -> None:
    with OpenAI() as plain:
        client = instructor.from_openai(plain)
        weather, completion = client.chat.completions.create_with_completion(
            model=model, response_model=Weather, messages=ASK
        )
    assert isinstance(weather, Weather)
    assert completion.usage.completion_tokens > 0


def test_a_partial_object_streams(model: str) -> None:
    with OpenAI() as plain:
        client = instructor.from_openai(plain)
        states = list(client.chat.completions.create_partial(model=model, response_model=Weather, messages=ASK))
    assert states[-1].city is not None
    assert states[-1].celsius is not None


async def test_a_response_model_is_filled_by_the_async_client(model: str) -> None:
    async with AsyncOpenAI() as plain:
        client = instructor.from_openai(plain)
        weather = await client.chat.completions.create(model=model, response_model=Weather, messages=ASK)
    assert isinstance(weather, Weather)


def test_from_provider_finds_the_gateway_in_the_environment(model: str) -> None:
    client = instructor.from_provider(f"openai/{model}")
    assert isinstance(client.chat.completions.create(response_model=Weather, messages=ASK), Weather)
