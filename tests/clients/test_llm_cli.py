"""`llm`, the command line, as its user sets it up: a model in extra-openai-models.yaml, then `llm -m NAME "..."`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Ask = Callable[..., str]

MODELS = """\
- model_id: gateway-{model}
  model_name: {model}
  api_base: {base_url}
  api_key_name: openai
  supports_schema: true
  supports_tools: true
"""

TOOL = '''\
def record_weather(city: str, celsius: int) -> str:
    """Writes the weather of one city down."""
    return f"{city}: {celsius}"
'''


@pytest.fixture
def ask(tmp_path: Path, model: str) -> Ask:
    """Runs `llm` with the arguments given and returns what it printed."""
    settings = MODELS.format(model=model, base_url=os.environ["OPENAI_BASE_URL"])
    (tmp_path / "extra-openai-models.yaml").write_text(settings)
    llm = str(Path(sys.executable).with_name("llm"))

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [llm, *arguments],
            env={**os.environ, "LLM_USER_PATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=50,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_prompt_is_answered_as_a_stream(ask: Ask, model: str) -> None:
    assert ask("-m", f"gateway-{model}", "Say hello").strip()


def test_a_prompt_is_answered_at_once(ask: Ask, model: str) -> None:
    assert ask("-m", f"gateway-{model}", "--no-stream", "Say hello").strip()


def test_a_system_prompt_and_an_option_go_along(ask: Ask, model: str) -> None:
    assert ask("-m", f"gateway-{model}", "-s", "Be brief.", "-o", "temperature", "0", "Say hello").strip()


def test_usage_is_shown(ask: Ask, model: str) -> None:
    ask("-m", f"gateway-{model}", "Say hello")
    (logged,) = json.loads(ask("logs", "--json"))
    assert logged["input_tokens"] > 0
    assert logged["output_tokens"] > 0


def test_a_schema_gives_json(ask: Ask, model: str) -> None:
    answer = ask("-m", f"gateway-{model}", "--schema", "city, celsius int", "The weather of Paris as JSON")
    assert set(json.loads(answer)) == {"city", "celsius"}


def test_a_tool_is_run_and_its_result_answered(ask: Ask, model: str) -> None:
    asked = "Please call record_weather for Paris"
    assert ask("-m", f"gateway-{model}", "--functions", TOOL, asked).strip()
    assert "record_weather" in ask("logs", "--json")


def test_a_conversation_goes_on(ask: Ask, model: str) -> None:
    ask("-m", f"gateway-{model}", "Say hello")
    assert ask("-c", "Again").strip()
