"""What is started for a measurement is waited for, explained when it fails, and ended whole."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest import procstat
from loadtest.machine import BenchError
from loadtest.processes import Child, free_port, start, wait_until_ready

_ALL = frozenset(os.sched_getaffinity(0))
_PARENT = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"


@pytest.fixture
def children() -> Iterator[list[Child]]:
    started: list[Child] = []
    yield started
    for child in started:
        child.stop()


def _start(children: list[Child], folder: Path, *command: str) -> Child:
    child = start("tried", command, _ALL, folder, {})
    children.append(child)
    return child


def test_a_server_is_ready_once_it_answers(children: list[Child], tmp_path: Path) -> None:
    port = free_port()
    child = _start(children, tmp_path, sys.executable, "-m", "loadtest.mock_upstream", "--port", str(port))
    wait_until_ready(child, f"http://127.0.0.1:{port}/", patience_s=20)
    assert child.alive


def test_one_that_ends_while_starting_is_quoted(children: list[Child], tmp_path: Path) -> None:
    child = _start(children, tmp_path, sys.executable, "-c", "raise SystemExit('no such thing')")
    with pytest.raises(BenchError, match="tried ended while starting:\nno such thing"):
        wait_until_ready(child, f"http://127.0.0.1:{free_port()}/", patience_s=20)


def test_one_that_never_answers_is_given_up(children: list[Child], tmp_path: Path) -> None:
    child = _start(children, tmp_path, sys.executable, "-c", "import time; time.sleep(60)")
    with pytest.raises(BenchError, match=r"tried was not ready at .* after 0\.2 s"):
        wait_until_ready(child, f"http://127.0.0.1:{free_port()}/", patience_s=0.2)


def test_its_descendants_end_with_it(children: list[Child], tmp_path: Path) -> None:
    child = _start(children, tmp_path, sys.executable, "-c", _PARENT)
    deadline = time.monotonic() + 10
    while len(family := procstat.tree(child.pid)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    child.stop()
    child.stop()  # again: harmless
    # Who adopts the orphan may be slow to bury it; what is dead has no memory.
    while any(map(procstat.rss_bytes, family)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(family) == 2
    assert not child.alive
    assert [procstat.rss_bytes(member) for member in family] == [0, 0]


def test_a_child_runs_on_the_cores_it_was_given_and_this_process_keeps_its_own(
    children: list[Child], tmp_path: Path
) -> None:
    one = frozenset([max(_ALL)])
    child = start("tried", [sys.executable, "-c", "import time; time.sleep(60)"], one, tmp_path, {})
    children.append(child)
    assert os.sched_getaffinity(child.pid) == one
    assert os.sched_getaffinity(0) == _ALL
