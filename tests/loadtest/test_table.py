"""The tables that people read: the README's, and the terminal's."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from loadtest import table
from tests.loadtest import scripted


def test_the_markdown_table_has_a_column_for_each_peer_and_each_ratio() -> None:
    head, rule, *_ = table.markdown(scripted.result()).splitlines()
    assert (
        head == "|  | no proxy | nginx | gateway | starlette + httpx | gateway / nginx | gateway / starlette + httpx |"
    )
    assert rule.count("---") == 7


@pytest.mark.parametrize(
    "row",
    [
        "| CPU per request, us | - | 15.0 | 75.0 | 1,500.0 | 5.00 | 1/20 |",
        "| CPU per SSE chunk, us | - | 3.8 | 18.8 | 375.0 | 5.00 | 1/20 |",
        "| Requests per second, one worker | 45,000 | 45,000 | 11,250 | 450 | 1/4.0 | 25.00 |",
        "| Added p99 at 500 rps, ms | - | 0.10 | 0.50 | 20.00 | 5.00 | 1/40 |",
        "| Memory per slow stream, KiB | - | 16.0 | 30.0 | 50.0 | 1.88 | 0.60 |",
    ],
)
def test_a_row_has_its_unit_the_medians_and_the_ratios(row: str) -> None:
    assert row in table.markdown(scripted.result()).splitlines()


def test_the_markdown_says_when_where_and_what_to_mind() -> None:
    text = table.markdown(scripted.result())
    assert "Measured on 2026-11-23 at commit abc1234, 2 cores of Test CPU, Python 3.11.0" in text
    assert "Note: nginx was idle." in text


def test_the_terminal_shows_spreads_growth_and_verdicts() -> None:
    out = io.StringIO()
    console = Console(file=out, width=200)
    for one in table.terminal(scripted.result()):
        console.print(one)
    shown = out.getvalue()
    assert "75.0 (50.0-100.0)" in shown
    assert "100,000 keys, 10 models" in shown
    assert "pass" in shown and "FAIL" in shown
