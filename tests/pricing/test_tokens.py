"""Token counts where a provider sends none: tiktoken's, from the files that ship, and bounded in time."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gateway.pricing.tokens import IMAGE, PER_ANSWER, PER_MESSAGE, count_request, count_text

CHAT = PER_ANSWER + PER_MESSAGE


@pytest.mark.parametrize(
    ("model", "text", "tokens"),
    [
        # as https://platform.openai.com/tokenizer and tiktoken's own documentation have them
        ("gpt-4o", "tiktoken is great!", 6),
        ("gpt-4", "tiktoken is great!", 6),
        ("gpt-4", "antidisestablishmentarianism", 6),
        ("gpt-4", "お誕生日おめでとう", 9),
        ("gpt-4o", "お誕生日おめでとう", 8),
        ("gpt-3.5-turbo", "2 + 2 = 4", 7),
        ("some-other-model", "hello world", 2),
        ("gpt-4o", "", 0),
        ("gpt-4o", "<|endoftext|>", 7),
        ("gpt-4o", "\ud83d", 1),
    ],
)
def test_text_is_counted_as_tiktoken_does(model: str, text: str, tokens: int) -> None:
    assert count_text(model, text) == tokens


@pytest.mark.parametrize(
    ("request_", "tokens"),
    [
        ({"messages": [{"role": "user", "content": "hello world"}]}, CHAT + 2),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "hello world"}]}]}, CHAT + 2),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, CHAT + IMAGE),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, CHAT),
        ({"messages": "hello"}, 1),
        ({"messages": []}, PER_ANSWER),
        ({"input": "hello world"}, 2),
        ({"input": ["hello", "world"]}, 3),
        ({"input": [1, 2, 3]}, 3),
        ({"input": [[1, 2], [3]]}, 3),
        ({"prompt": "hello world"}, 2),
        ({"query": "hello", "documents": [{"text": "world"}]}, 3),
        ({"voice": "alloy"}, 0),
        ({}, 0),
    ],
)
def test_a_request_is_counted_by_what_it_gives_to_read(request_: dict[str, Any], tokens: int) -> None:
    assert count_request("gpt-4o", request_) == tokens


@pytest.mark.parametrize("letter", ["a", " ", "^", "\U0001f642", "\n"])
def test_a_long_run_of_one_letter_takes_no_longer_than_prose(letter: str) -> None:
    count_text("gpt-4o", "x")
    began = time.process_time()
    assert count_text("gpt-4o", letter * 1_000_000) > 0
    assert time.process_time() - began < 8


def test_a_request_that_is_nested_beyond_reason_is_counted_to_a_depth() -> None:
    deep: Any = "hello"
    for _ in range(1000):
        deep = {"content": deep}
    assert count_request("gpt-4o", {"tools": deep, "input": "hello"}) == 1
