"""What every client test gets: the names of two models behind one gateway, and nothing else.

Each client finds the gateway by OPENAI_BASE_URL and OPENAI_API_KEY alone, as an application would; run.py sets them.
"""

from __future__ import annotations

import os

import pytest

SCRIPTED = "demo"  # the scripted provider, inside the gateway
REAL = "tiny"  # a real model server over HTTP: `transformers serve`


def pytest_report_header() -> str:
    return f"clients of {os.environ['OPENAI_BASE_URL']}, models: {', '.join(_served())}"


def _served() -> list[str]:
    return os.environ.get("CLIENTS_MODELS", f"{SCRIPTED},{REAL}").split(",")


@pytest.fixture(params=[SCRIPTED, REAL])
def model(request: pytest.FixtureRequest) -> str:
    """A model's name: every test that takes it runs once with each server."""
    return _or_skip(request.param)


@pytest.fixture
def scripted() -> str:
    """The scripted model, for what the real server does not serve."""
    return _or_skip(SCRIPTED)


def _or_skip(name: str) -> str:
    if name not in _served():
        pytest.skip(f"no server for the model {name}: see the first lines of run.py's output")
    return name
