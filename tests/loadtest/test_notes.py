"""What a reader is told before believing a figure."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest.notes import notes
from tests.loadtest.scripted import one_round


def _round(**changes: dict[str, Any]) -> dict[str, Any]:
    one = one_round(cpu_us=10, rps=1000, p99_ms=1, memory_kib=20)
    for group, fields in changes.items():
        one[group] = {**one[group], **fields}
    return one


def test_a_run_without_trouble_has_no_notes() -> None:
    assert notes({"nginx": [_round(), {**_round(), "memory": None}]}) == []


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"saturation": {"busy": 0.7}}, "p was held up in 1 of 1 rounds (70% busy): their rps are left out"),
        ({"saturation": {"failed": 1200}}, "p failed 1,200 requests under saturation"),
        (
            {"chunk": {"reads_per_chunk": 0.5}},
            "chunks of p arrived several at a time: its cost per chunk is too low",
        ),
        ({"chunk": {"failed": 3}}, "p failed 3 streams"),
        ({"memory": {"slow": {"opened": 100, "asked": 1000}}}, "p opened 100 of 1,000 slow streams"),
        ({"memory": {"unread": {"opened": 0, "asked": 1000}}}, "p opened 0 of 1,000 unread streams"),
    ],
)
def test_each_trouble_is_named(changes: dict[str, dict[str, Any]], note: str) -> None:
    assert notes({"p": [_round(**changes)]}) == [note]


def test_requests_that_failed_or_never_ended_are_named_by_their_rate() -> None:
    one = _round()
    one["latency"]["500"].update(failed=2, unfinished=10)
    assert notes({"p": [one, _round()]}) == ["p at 500 rps: 2 failed and 10 unfinished of 4,000"]


def test_a_generator_that_was_late_is_named() -> None:
    one = _round()
    one["latency"]["500"].update(lag_p99_ms=5.0)
    assert notes({"p": [one, _round()], "q": [_round(), _round()]}) == [
        "the machine was not quiet: in 1 of 4 runs the generator itself sent late (p99 up to 5.0 ms), "
        "so that added latencies are too high"
    ]
