"""The rule about skipping, tried on a suite of its own: pytest is run as a whole, since that is what CI does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
import pytest

def test_wants_a_binary(service):
    service("no-such-binary")

def test_wants_a_data_set(data_set):
    data_set("no-such-file")

def test_has_what_it_wants(service):
    assert service("sh").name == "sh"

@pytest.mark.xfail
def test_is_known_to_fail():
    assert False
"""


def run_suite(folder: Path, **environ: str) -> str:
    """Pytest's whole output on a suite that uses our conftest."""
    shutil.copy(Path(__file__).parent / "conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_suite.py").write_text(SUITE)
    kept = {name: value for name, value in os.environ.items() if name not in {"REQUIRE_SERVICES", "GATEWAY_TEST_DATA"}}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rsxf", "-p", "no:cacheprovider", "."],
        cwd=folder,
        env=kept | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def test_a_missing_service_skips_and_names_what_to_install(tmp_path: Path) -> None:
    out = run_suite(tmp_path)
    assert "no-such-binary is not installed: apt-get install no-such-binary" in out
    assert "1 passed, 2 skipped, 1 xfailed" in out


def test_where_services_are_required_only_a_missing_data_set_may_skip(tmp_path: Path) -> None:
    out = run_suite(tmp_path, REQUIRE_SERVICES="1")
    assert "REQUIRE_SERVICES=1 allows no skip." in out
    assert "1 failed, 1 passed, 1 skipped, 1 xfailed" in out


@pytest.mark.parametrize("reason", ["no service here", "set GATEWAY_TEST_DATA"])
def test_a_file_that_skips_as_a_whole_follows_the_same_rule(tmp_path: Path, reason: str) -> None:
    whole = f"import pytest\npytest.skip({reason!r}, allow_module_level=True)\n"
    (tmp_path / "test_whole.py").write_text(whole)
    out = run_suite(tmp_path, REQUIRE_SERVICES="1")
    assert ("1 error" in out) is (reason == "no service here")
