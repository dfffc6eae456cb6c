"""What a result says about where it was made, and what is asked of that place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from loadtest import machine
from loadtest.machine import BenchError
from loadtest.processes import share_cores


def test_a_missing_program_is_named_by_its_debian_package() -> None:
    with pytest.raises(BenchError, match=r"missing Debian package\(s\): no-such\. Try: apt-get install no-such"):
        machine.require_programs({"sh": "dash", "no-such-program-here": "no-such"})


def test_programs_that_are_there_are_not_complained_about() -> None:
    machine.require_programs({"sh": "dash"})


def test_the_time_of_an_fsync_is_positive_and_leaves_no_file(tmp_path: Path) -> None:
    assert machine.fsync_p99_ms(tmp_path, times=3) > 0
    assert list(tmp_path.iterdir()) == []


def test_the_proxy_has_a_core_that_nobody_else_has_where_there_are_two() -> None:
    cores = share_cores()
    assert len(cores.proxy) == 1
    assert cores.drivers
    if len(os.sched_getaffinity(0)) > 1:
        assert not cores.proxy & cores.drivers
