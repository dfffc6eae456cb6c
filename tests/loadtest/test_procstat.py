"""CPU time and memory out of /proc, tried on this very process and on children made for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from loadtest import procstat

_BURNS_AND_WAITS = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True); input()"
_HAS_A_CHILD = (
    "import subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', 'print(flush=True); input()'])\n"
    "print(child.pid, flush=True)\n"
    "child.wait()"
)


def _python(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_the_cpu_time_of_this_process_is_what_the_clock_of_processes_says() -> None:
    before_s, clock_before_s = procstat.cpu_s(os.getpid()), time.process_time()
    while time.process_time() - clock_before_s < 0.1:
        sum(range(1000))
    used_s, clock_used_s = procstat.cpu_s(os.getpid()) - before_s, time.process_time() - clock_before_s
    assert used_s == pytest.approx(clock_used_s, abs=0.03)


def test_the_cpu_time_of_another_process_is_read_in_seconds() -> None:
    with _python(_BURNS_AND_WAITS) as child:
        assert child.stdout is not None
        child.stdout.readline()
        used_s = procstat.cpu_s(child.pid)
        child.communicate(b"\n")
    assert 0.15 < used_s < 5


def test_the_tree_holds_a_process_and_its_descendants_and_no_other() -> None:
    with _python(_HAS_A_CHILD) as parent:
        assert parent.stdout is not None
        grandchild = int(parent.stdout.readline())
        found = procstat.tree(parent.pid)
        with_parent, alone = procstat.rss_bytes(parent.pid), procstat.rss_bytes(grandchild)
        parent.communicate(b"\n")
    assert found == [parent.pid, grandchild]
    assert with_parent > alone > 1024 * 1024


def test_memory_that_is_touched_shows_in_bytes() -> None:
    before = procstat.rss_bytes(os.getpid())
    block = b"x" * (64 * 1024 * 1024)
    grown = procstat.rss_bytes(os.getpid()) - before
    assert grown == pytest.approx(len(block), rel=0.2)


def test_a_process_that_has_ended_has_nothing() -> None:
    with _python("") as child:
        child.communicate()
    assert procstat.tree(child.pid) == []
    assert procstat.cpu_s(child.pid) == 0
    assert procstat.rss_bytes(child.pid) == 0
