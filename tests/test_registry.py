"""Plugins are found in their folder, in the order of their names, and two of one name stop the start."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

import gateway.providers
from gateway.registry import NameClash, discover


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    package = tmp_path / "plugins_of_a_test"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "b.py").write_text("THING = 'two'")
    (package / "a.py").write_text("THING = 'one'")
    (package / "other.py").write_text("NOTHING = 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("plugins_of_a_test")]:
        monkeypatch.delitem(sys.modules, name)
    return __import__("plugins_of_a_test")


def test_a_folder_s_plugins_are_found_by_name(folder: ModuleType) -> None:
    found = discover(folder, "THING", str)
    assert list(found) == ["one", "two"] and found["two"].module == "plugins_of_a_test.b"


def test_a_clash_names_both(folder: ModuleType) -> None:
    with pytest.raises(NameClash, match=r"plugins_of_a_test\.a and plugins_of_a_test\.b offer `same`"):
        discover(folder, "THING", lambda _: "same")


def test_the_providers_that_ship_are_found() -> None:
    assert set(discover(gateway.providers, "PROVIDER", lambda one: str(one.kind))) == {"openai", "scripted"}
