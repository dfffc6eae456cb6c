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
        ({"saturation": {"busy": 0.7}}, "p was 70% busy at most when saturated: its rps are those of what drove it"),
        ({"saturation": {"failed": 1200}}, "p failed 1,200 requests under saturation"),
        (
            {"chunk": {"reads_per_chunk": 0.5}},
            "chunks of p arrived several at a time: its cost per chunk is too low",
        ),
        ({"chunk": {"failed": 3}}, "p failed 3 streams"),
        ({"memory": {"opened_drip": 100}}, "p opened 100 of 1,000 drip streams"),
        ({"memory": {"opened_unread": 0}}, "p opened 0 of 1,000 unread streams"),
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
    assert notes({"p": [one]}) == ["the generator itself was late at 500 rps beside p: its latencies are too high"]
