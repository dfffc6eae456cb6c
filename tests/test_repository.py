"""What is kept in the repository, and what must never be: locks with hashes, no hosts of registries, no large files."""

from __future__ import annotations

import ast
import re
import subprocess
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_FILE_BYTES = 5 * 1024 * 1024

HOSTS = tuple(
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("registry", "yarnpkg", "com"),
        ("download", "pytorch", "org"),
        ("proxy", "golang", "org"),
        ("crates", "io"),
    ]
)
"""Registries. Whoever installs says which is used, so their names stand nowhere, not even whole in here."""


def kept_files() -> list[Path]:
    """Every file that git tracks or would take in."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [path for name in names if name and (path := ROOT / name).is_file()]


FILES = kept_files()
LOCKS = [path for path in FILES if path.suffix == ".lock"]
MODULES = [path for path in FILES if path.is_relative_to(ROOT / "gateway") and path.suffix == ".py"]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def requirements(lock: Path) -> Iterator[str]:
    """The lock's requirements, each in one line."""
    for line in lock.read_text().replace("\\\n", " ").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield line.strip()


def pins(lock: Path) -> set[str]:
    return {requirement.split()[0] for requirement in requirements(lock)}


def test_no_file_names_the_host_of_a_package_registry() -> None:
    found = []
    for path in FILES:
        text = path.read_bytes().decode(errors="ignore")
        found += [f"{named(path)}: {host}" for host in HOSTS if host in text]
    assert found == []


def test_uv_lock_is_not_kept_since_it_names_a_host_for_every_file() -> None:
    assert [named(path) for path in FILES if path.name == "uv.lock"] == []


def test_no_file_is_large() -> None:
    assert [named(path) for path in FILES if path.stat().st_size > MAX_FILE_BYTES] == []


@pytest.mark.parametrize("lock", LOCKS, ids=named)
def test_every_locked_requirement_is_one_version_with_hashes_and_no_address(lock: Path) -> None:
    lines = list(requirements(lock))
    assert lines
    assert [
        line for line in lines if not re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+ .*--hash=sha256:[0-9a-f]{64}", line)
    ] == []
    assert "://" not in lock.read_text()


def test_torch_is_in_no_lock() -> None:
    assert [named(lock) for lock in LOCKS if any(pin.startswith("torch==") for pin in pins(lock))] == []


def test_the_development_lock_holds_what_is_served_and_the_semantic_lock_agrees_with_it() -> None:
    core, dev, semantic = (pins(ROOT / f"requirements{part}.lock") for part in ("", "-dev", "-semantic"))
    assert core - dev == set()
    shared = {pin.split("==")[0] for pin in dev} & {pin.split("==")[0] for pin in semantic}
    assert {pin for pin in semantic - dev if pin.split("==")[0] in shared} == set()


def test_every_package_lock_of_node_leaves_the_registry_open() -> None:
    assert [
        named(path) for path in FILES if path.name == "package-lock.json" and '"resolved": "http' in path.read_text()
    ] == []


def test_nothing_in_the_environment_runs_by_itself_when_python_starts() -> None:
    assert [path.name for path in Path(sysconfig.get_path("purelib")).glob("*.pth")] == []


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_every_module_begins_by_saying_what_it_is(module: Path) -> None:
    assert ast.get_docstring(ast.parse(module.read_text()))


def test_the_changelog_has_a_section_for_the_version_in_pyproject() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.search(rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
