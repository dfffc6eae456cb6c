"""`gateway import litellm`: what is typed, what is printed, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway import cli_import

CONFIG = """\
model_list:
  - model_name: gpt-4o
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
general_settings: {master_key: sk-1234}
"""
MADE = """\
providers:
  openai:
    preset: openai
models:
  gpt-4o:
    deployments:
    - provider: openai
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def run(*args: object) -> Result:
    return CliRunner().invoke(cli_import.build(), ["litellm", *map(str, args)])


def test_the_configuration_is_printed_and_the_rest_is_told_apart(source: Path) -> None:
    found = run(source)
    assert found.exit_code == 0 and found.stdout.endswith(MADE)
    assert found.stderr == (
        f"{source}:4: `general_settings.master_key`: ignored: the gateway makes keys of its own at its first start"
        " (`gateway keys`)\n"
    )


def test_it_is_written_to_a_file_and_over_one_only_when_told(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "gateway.yaml"
    assert run(source, "--out", out).exit_code == 0 and out.read_text().endswith(MADE)
    out.write_text("mine")
    assert run(source, "--out", out).exit_code == 2 and out.read_text() == "mine"
    assert run(source, "--out", out, "--force").exit_code == 0 and out.read_text().endswith(MADE)


def test_strict_ends_with_1_if_anything_was_left_out(source: Path) -> None:
    assert run(source, "--strict").exit_code == 1
    source.write_text(CONFIG.rsplit("general", 1)[0])
    assert run(source, "--strict").exit_code == 0


def test_json_has_both(source: Path) -> None:
    found = run(source, "--format", "json")
    data = json.loads(found.stdout)
    assert data["config"].endswith(MADE) and [one["line"] for one in data["left"]] == [4] and not found.stderr


@pytest.mark.parametrize("content", [b"models: {}", b"a: [", b"\xff\xfe\x00"])
def test_a_file_that_is_none_is_refused(source: Path, content: bytes) -> None:
    source.write_bytes(content)
    found = run(source)
    assert found.exit_code == 1 and str(source) in found.stderr and not found.stdout


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    found = run(tmp_path / "none.yaml")
    assert found.exit_code == 1 and "cannot be read" in found.stderr


def test_a_place_that_cannot_be_written_is_told(source: Path, tmp_path: Path) -> None:
    found = run(source, "--out", tmp_path / "no" / "gateway.yaml")
    assert found.exit_code == 1 and "No such file" in found.stderr
