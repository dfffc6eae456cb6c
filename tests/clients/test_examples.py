"""The examples in docs/clients.md run as they stand there, each where its client is installed."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "clients.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples(language: str) -> list[str]:
    return [text for found, text in FENCE.findall(PAGE.read_text()) if found == language]


def imports(source: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(source)))
    named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return named | {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}


def output(command: Sequence[str], cwd: Path) -> str:
    """What `command` prints; an exit status other than 0 fails the test, with what it complained of."""
    env = {**os.environ, "LLM_USER_PATH": str(cwd), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("source", examples("python"), ids=lambda source: source.split("\n", 1)[0])
def test_the_python_example_runs(source: str, scripted: str, tmp_path: Path) -> None:
    for name in imports(source):
        if importlib.util.find_spec(name.partition(".")[0]) is None:
            pytest.skip(f"{name} is installed in the other environment")
    assert output([sys.executable, "-c", source], tmp_path).strip()


@pytest.mark.skipif(not shutil.which("node"), reason="install the Debian package nodejs")
@pytest.mark.parametrize("source", examples("js"), ids=["openai"])
def test_the_javascript_example_runs(source: str, scripted: str) -> None:
    assert output(["node", "--input-type=module", "--eval", source], HERE / "node").strip()


@pytest.mark.skipif(not Path(sys.executable).with_name("llm").exists(), reason="installed in the other environment")
@pytest.mark.parametrize("source", examples("sh"), ids=["llm"])
def test_the_shell_example_runs(source: str, scripted: str, tmp_path: Path) -> None:
    assert output(["bash", "-euo", "pipefail", "-c", source], tmp_path).strip()
