"""Presets: complete rows, and what a provider takes from one."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.config.presets import PRESETS, fill
from gateway.config.routes import OpenAIProvider


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_alone_is_a_valid_provider(name: str) -> None:
    provider = OpenAIProvider.model_validate({"kind": "openai", **fill({"preset": name})})
    assert provider.base_url == PRESETS[name].base_url
    assert (provider.api_key is None) == (PRESETS[name].env is None)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_its_source_and_calls_strangers_by_https_only(name: str) -> None:
    preset = PRESETS[name]
    assert urlsplit(preset.source).scheme == "https"
    assert preset.allow_private or preset.base_url.startswith("https://")
    assert preset.allow_private == (preset.env is None)


def test_no_two_presets_share_a_variable_or_a_pattern() -> None:
    variables = [preset.env for preset in PRESETS.values() if preset.env]
    patterns = [pattern for preset in PRESETS.values() for pattern in preset.models]
    assert len(set(variables)) == len(variables)
    assert len(set(patterns)) == len(patterns)
    assert all(pattern.endswith("*") for pattern in patterns)


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ({"preset": "groq"}, {"api_key": "${GROQ_API_KEY}", "ask_stream_usage": True, "allow_private": False}),
        ({"preset": "mistral"}, {"ask_stream_usage": False}),
        ({"preset": "mistral", "ask_stream_usage": True}, {"ask_stream_usage": True}),
        ({"preset": "openai", "api_key": "file:key"}, {"api_key": "file:key"}),
        ({"preset": "openai", "api_key": None}, {"api_key": None}),
        ({"preset": "vllm"}, {"allow_private": True}),
        ({"preset": "vllm", "base_url": "http://10.0.0.5/v1"}, {"allow_private": False}),
    ],
    ids=str,
)
def test_a_preset_gives_what_the_file_does_not_say(provider: dict[str, Any], expected: dict[str, Any]) -> None:
    assert fill(provider).items() >= expected.items()


def test_a_provider_without_a_preset_stays_as_it_is() -> None:
    assert fill({"base_url": "https://x"}) == {"base_url": "https://x"}
