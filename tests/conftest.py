"""What any test may ask for, and the one rule about skipping.

A test that needs a service's binary or a large data set skips where it is missing and says what to install. In CI
nothing may be missing unnoticed: with REQUIRE_SERVICES=1 every skip is a failure, except of data sets, which exist only
where GATEWAY_TEST_DATA says so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from hypothesis import settings

# Enough to find what is wrong by and by; `HYPOTHESIS_PROFILE=default` looks harder.
settings.register_profile("quick", max_examples=40)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

DATA_VARIABLE = "GATEWAY_TEST_DATA"

DEBIAN_PACKAGES = {"fiu-run": "fiu-utils", "nginx": "nginx-light", "setpriv": "util-linux", "node": "nodejs"}
"""Binaries whose Debian package has another name."""

SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where Debian keeps servers; it is on root's PATH only."""


@pytest.fixture(scope="session")
def service() -> Callable[[str], Path]:
    """Gives the path of a binary, such as `service("nginx")`, or skips the test, naming the Debian package."""

    def find(binary: str) -> Path:
        found = shutil.which(binary, path=f"{os.environ.get('PATH', '')}:{SBIN}")
        if found is None:
            pytest.skip(f"{binary} is not installed: apt-get install {DEBIAN_PACKAGES.get(binary, binary)}")
        return Path(found)

    return find


@pytest.fixture(scope="session")
def data_set() -> Callable[[str], Path]:
    """Gives a path among the large data sets, such as `data_set("specs/openai.yaml.gz")`, or skips the test."""

    def find(name: str) -> Path:
        folder = os.environ.get(DATA_VARIABLE)
        if not folder or not (path := Path(folder) / name).exists():
            pytest.skip(f"{name} is among the large data sets: set {DATA_VARIABLE} to their folder")
        return path

    return find


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not hasattr(report, "wasxfail"):
        forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    forbid_skip(report)
    return report


def forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure where services are required, unless it was for want of a data set."""
    if not report.skipped or os.environ.get("REQUIRE_SERVICES") != "1":
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if DATA_VARIABLE in reason:
        return
    report.outcome = "failed"
    report.longrepr = f"{reason}\nREQUIRE_SERVICES=1 allows no skip."
