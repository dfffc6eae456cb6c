"""From rounds to medians, ratios and verdicts, and to a file and back."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from loadtest import report
from tests.loadtest import scripted


def test_a_figure_is_the_median_of_the_rounds_with_the_lowest_and_highest() -> None:
    metrics = scripted.result()["peers"]["gateway"]["metrics"]
    assert metrics["cpu_us_per_request"] == {"median": 75.0, "low": 50.0, "high": 100.0}


def test_a_ratio_is_taken_within_each_round_so_that_a_slow_round_does_not_move_it() -> None:
    ratios = scripted.result()["ratios"]
    assert ratios["nginx"]["cpu_us_per_request"] == {"median": 5.0, "low": 5.0, "high": 5.0}
    assert ratios["naive"]["cpu_us_per_request"]["median"] == pytest.approx(1 / 20)
    assert ratios["nginx"]["rps"]["median"] == pytest.approx(1 / 4)


def test_added_latency_is_what_comes_on_top_of_the_same_round_without_a_proxy() -> None:
    metrics = scripted.result()["peers"]["gateway"]["metrics"]
    assert metrics["added_p99_ms_at_500"]["median"] == pytest.approx(0.5)


def test_without_a_proxy_there_is_no_added_latency_and_no_cpu() -> None:
    assert list(scripted.result()["peers"]["direct"]["metrics"]) == ["rps"]


def test_memory_is_measured_once_and_reported_all_the_same() -> None:
    metrics = scripted.result()["peers"]["gateway"]["metrics"]
    assert metrics["kib_per_unread_stream"]["median"] == 40


@pytest.mark.parametrize(
    ("title", "passed"),
    [
        ("CPU per request over nginx", True),
        ("CPU per request over the naive proxy", True),
        ("CPU per SSE chunk over nginx", False),
        ("requests per second over nginx", True),
        ("added p99 at 500 rps less two fsyncs' p99, ms", True),
        ("KiB per slow stream", True),
        ("KiB per unread stream", True),
        ("CPU per request, many keys over few", False),
        ("CPU per request, many models over few", True),
    ],
)
def test_each_target_is_judged(title: str, passed: bool) -> None:
    judged = {judgement["title"]: judgement["passed"] for judgement in scripted.result()["targets"]}
    assert judged[title] is passed


def test_what_was_not_measured_is_neither_passed_nor_failed() -> None:
    without = {name: rounds for name, rounds in scripted.rounds().items() if name in ("direct", "nginx")}
    result = report.assemble(
        without, {}, settings=scripted.SETTINGS, machine=scripted.MACHINE, at=scripted.AT, commit="abc", notes=[]
    )
    assert {judgement["passed"] for judgement in result["targets"]} == {None}


def test_a_run_that_left_somebody_out_does_not_take_the_place_of_a_full_one(tmp_path: Path) -> None:
    without = {name: rounds for name, rounds in scripted.rounds().items() if name != "naive"}
    result = report.assemble(
        without, {}, settings=scripted.SETTINGS, machine=scripted.MACHINE, at=scripted.AT, commit="abc", notes=[]
    )
    assert report.write(result, tmp_path).name == "2026-11-23-abc-partial.json"


def test_a_result_is_written_under_its_date_and_commit_and_read_back(tmp_path: Path) -> None:
    path = report.write(scripted.result(), tmp_path / "results")
    assert path.name == "2026-11-23-abc1234.json"
    assert json.loads(path.read_text()) == scripted.result()
    assert report.newest(tmp_path / "results") == scripted.result()


def test_the_newest_is_the_latest_full_run_and_a_quick_one_only_where_there_is_no_other(tmp_path: Path) -> None:
    assert report.newest(tmp_path) is None
    quick = scripted.result(commit="quick", at=scripted.AT + timedelta(days=2))
    quick["kind"] = "quick"
    report.write(quick, tmp_path)
    newest = report.newest(tmp_path)
    assert newest is not None and newest["commit"] == "quick"
    for commit, days in (("older", 0), ("newer", 1)):
        report.write(scripted.result(commit=commit, at=scripted.AT + timedelta(days=days)), tmp_path)
    newest = report.newest(tmp_path)
    assert newest is not None and newest["commit"] == "newer"


def test_a_figure_within_the_noise_is_no_yardstick() -> None:
    close = scripted.rounds()
    close["nginx"] = [scripted.one_round(cpu_us=10, rps=60_000, p99_ms=0.21, memory_kib=16)] * 2
    result = report.assemble(
        close, {}, settings=scripted.SETTINGS, machine=scripted.MACHINE, at=scripted.AT, commit="abc", notes=[]
    )
    assert "added_p99_ms_at_500" not in result["ratios"]["nginx"]
    assert "cpu_us_per_request" in result["ratios"]["nginx"]


def test_the_rps_of_a_round_in_which_a_peer_was_held_up_are_left_out() -> None:
    held_up = scripted.rounds()
    held_up["nginx"][1] = scripted.one_round(cpu_us=20, rps=8_000, p99_ms=0.5, busy=0.4)
    result = report.assemble(
        held_up, {}, settings=scripted.SETTINGS, machine=scripted.MACHINE, at=scripted.AT, commit="abc", notes=[]
    )
    assert result["peers"]["nginx"]["metrics"]["rps"] == {"median": 60_000, "low": 60_000, "high": 60_000}
    assert result["ratios"]["nginx"]["rps"]["median"] == pytest.approx(1 / 4)
