"""Killed gateways lose no money, and the harness that says so notices one that does.

It runs as a command, because it forks gateways from a process of its own, in which nothing else has been loaded.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loadtest.crash.points import CALLING, ENDING, STARTING, WRITING

ROOT = Path(__file__).parents[2]
SEED = 20261123


def killed(folder: Path, kills: int, *options: str, timeout_s: float = 50.0) -> dict[str, Any]:
    """What the harness found. Its words go to standard output, for whoever looks into a failure."""
    out = folder / "result.json"
    told = ("--kills", str(kills), "--seed", str(SEED), "--folder", str(folder), "--out", str(out), *options)
    command = [sys.executable, "-m", "loadtest.kill_gateway", *told]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout_s)
    print(done.stdout, done.stderr)
    found: dict[str, Any] = json.loads(out.read_text())
    assert done.returncode == bool(found["faults"])
    return found


def test_kills_at_named_points_and_at_random_leave_the_books_whole(tmp_path: Path) -> None:
    found = killed(tmp_path, 10, "--gateways", "1")
    assert found["faults"] == []
    assert (found["kills"], found["seed"]) == (10, SEED)
    assert found["in_doubt"] > 0, "no kill hit a call in flight: this would show nothing"
    assert found["nano_usd"]["settled"] > 0 and found["nano_usd"]["estimated"] > 0 and found["budgets"] > 0


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_thousand_kills_leave_the_books_whole(tmp_path: Path) -> None:
    found = killed(tmp_path, 1000, timeout_s=2300)
    assert found["faults"] == []
    assert found["kills"] == 1000
    others = {"drain", "start", "random time", "one of two workers", "supervisor", "supervisor and workers"}
    assert set(found["by_point"]) == {*STARTING, *CALLING, *WRITING, *ENDING, *others}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sabotage", "fault"),
    [
        ("hasty", "billed without a row"),
        ("unmarked", "void, and billed"),
        ("dear", "settled at another amount than billed"),
    ],
)
def test_a_gateway_that_breaks_a_promise_is_noticed(tmp_path: Path, sabotage: str, fault: str) -> None:
    found = killed(tmp_path, 40, "--sabotage", sabotage)
    assert [one for one in found["faults"] if fault in one]


@pytest.mark.slow
def test_a_call_that_a_connection_sent_again_says_so(tmp_path: Path) -> None:
    """A provider that hangs up in silence on a used connection may have billed the first copy."""
    found = killed(tmp_path, 20, "--hang-ups")
    assert found["faults"] == []
    assert found["nano_usd"]["resent"] > 0
