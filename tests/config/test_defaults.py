"""What is there without a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.loader import Loader
from gateway.config.presets import PRESETS
from gateway.config.settings import Settings, read
from gateway.routing import plan

KEYS = {preset.env: f"test-{name}" for name, preset in PRESETS.items() if preset.env}


def settings(environ: dict[str, str]) -> Settings:
    found, warnings = read(None, environ, Path("/var/lib/gateway"))
    assert warnings == []
    return found


def test_without_keys_the_scripted_provider_serves_demo_and_files() -> None:
    found = settings({})
    assert list(found.providers) == ["scripted"]
    assert list(found.models) == ["demo"]
    assert found.passthrough.default == "scripted"
    assert found.server.port == 8080


@pytest.mark.parametrize("value", ["", "  ", "gw-abc-def"])
def test_a_blank_key_or_one_of_this_gateway_brings_no_provider(value: str) -> None:
    assert "openai" not in settings({"OPENAI_API_KEY": value}).providers


def test_every_provider_with_a_key_is_there_with_its_models() -> None:
    found = settings(KEYS)
    assert set(found.providers) == {"scripted"} | {name for name, preset in PRESETS.items() if preset.env}
    assert {f"{name}/*" for name in found.providers if name != "scripted"} <= set(found.models)
    assert found.passthrough.default == "openai"


@pytest.mark.parametrize(
    ("asked", "provider", "model"),
    [
        ("demo", "scripted", "demo"),
        ("gpt-5-mini", "openai", "gpt-5-mini"),
        ("o3", "openai", "o3"),
        ("openai/gpt-5-mini", "openai", "gpt-5-mini"),
        ("claude-haiku-4-5", "anthropic", "claude-haiku-4-5"),
        ("gemini-2.5-flash", "gemini", "gemini-2.5-flash"),
        ("groq/openai/gpt-oss-120b", "groq", "openai/gpt-oss-120b"),
        ("accounts/fireworks/models/kimi-k2", "fireworks", "accounts/fireworks/models/kimi-k2"),
        ("sonar", "perplexity", "sonar"),
    ],
)
def test_a_name_leads_to_its_provider(asked: str, provider: str, model: str) -> None:
    routes = Loader(None, KEYS, Path("/var/lib/gateway")).load().routes
    route = routes.find(asked)
    assert route is not None
    (candidate,) = plan(routes, route, asked, 0.0)
    assert (candidate.provider, candidate.model) == (provider, model)


def test_keys_are_never_in_the_text_of_the_settings() -> None:
    text = repr(settings(KEYS)) + settings(KEYS).model_dump_json()
    assert not [value for value in KEYS.values() if value in text]
