"""The folder that one running gateway's processes share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.telemetry.rundir import RunDir


def test_it_is_private_and_gone_after_closing(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    assert run.path.parent == tmp_path
    assert run.path.stat().st_mode & 0o777 == 0o700
    run.close()
    assert list(tmp_path.iterdir()) == []


def test_it_is_made_in_the_first_place_that_can_have_it(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "missing", tmp_path)
    assert run.path.parent == tmp_path
    run.close()


def test_without_a_place_it_says_why(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RunDir(tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        RunDir()


def test_what_a_killed_gateway_left_is_removed_and_a_living_ones_folder_stays(tmp_path: Path) -> None:
    living, dead = RunDir(tmp_path), RunDir(tmp_path)
    os.close(dead._lock)  # as the system does for a killed process
    foreign = tmp_path / f"gateway-{os.getuid()}-foreign"
    foreign.mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "owner.lock").touch()
    link = tmp_path / f"gateway-{os.getuid()}-link"
    link.symlink_to(tmp_path / "target")

    new = RunDir(tmp_path)
    assert not dead.path.exists()
    assert living.path.exists() and foreign.exists() and link.exists()
    living.close()
    new.close()
