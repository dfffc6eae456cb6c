"""Imports point down: the layers of .importlinter hold, and no folder escapes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from importlinter import cli

ROOT = Path(__file__).parent.parent


def test_no_module_imports_from_a_layer_above_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    status = cli.lint_imports(config_filename=str(ROOT / ".importlinter"), no_cache=True)
    assert status == 0, capsys.readouterr().out


def test_every_folder_of_code_is_a_package_so_that_the_layers_see_it() -> None:
    folders = {path.parent for path in (ROOT / "gateway").rglob("*.py")}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
