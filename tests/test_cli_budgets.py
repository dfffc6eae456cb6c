"""`gateway budgets`: what is typed, what is printed, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from gateway import cli_budgets
from gateway.errors import ConfigError, Fault
from gateway.store.leases import BudgetState

NOW = 1_800_014_400.0
DAY = BudgetState("team:retail usd/day", "usd", 1_799_971_200, 1_800_057_600, 50 * 10**9, 12_500_000_000, 10**9, 0, 7)
OLD = BudgetState("team:retail usd/day", "usd", 1_799_884_800, 1_799_971_200, 50 * 10**9, 10**9, 0, 0, 0)
RPM = BudgetState("key:k1 rpm", "rpm", 0, 2**62, 60, 0, 12, 0, 0)


def run(*words: str, found: tuple[BudgetState, ...] = (RPM, OLD, DAY)) -> Result:
    def read(config: Path | None) -> tuple[tuple[BudgetState, ...], float]:
        if config is not None:
            raise ConfigError([Fault("broken.yaml", 3, "no such setting")])
        return found, NOW

    app = typer.Typer()
    app.add_typer(cli_budgets.build(read))
    app.command("other")(lambda: None)
    return CliRunner().invoke(app, ["budgets", *words])


@pytest.mark.parametrize("words", [[], ["list"]])
def test_the_table_shows_what_is_spent_held_and_left_of_each_current_window(words: list[str]) -> None:
    result = run(*words)
    assert result.exit_code == 0, result.output
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["SCOPE", "LIMIT", "CAP", "SPENT", "HELD", "LEFT", "RESETS"],
        ["key:k1", "rpm", "60", "12", "48", "each", "minute"],
        ["team:retail", "usd/day", "$50.00", "$12.50", "$1.00", "$36.50", "2027-01-16T00:00:00Z"],
    ]


def test_json_holds_dollars_as_decimal_strings() -> None:
    found = json.loads(run("--format", "json").stdout)
    assert found[1] == {
        "scope": "team:retail",
        "limit": "usd/day",
        "unit": "usd",
        "cap": "50.00",
        "spent": "12.50",
        "held": "1.00",
        "left": "36.50",
        "overrun": "0.00",
        "lost": "0.000000007",
        "starts_at": "2027-01-15T00:00:00Z",
        "resets_at": "2027-01-16T00:00:00Z",
    }


def test_windows_that_have_ended_are_listed_when_asked_for() -> None:
    assert len(json.loads(run("list", "--all", "--format", "json").stdout)) == 3


def test_without_any_call_it_says_so() -> None:
    assert run(found=()).stdout == "No call has fallen under a budget yet.\n"


def test_a_broken_configuration_is_told_with_its_line(tmp_path: Path) -> None:
    result = run("--config", str(tmp_path))
    assert (result.exit_code, result.stderr) == (1, "broken.yaml:3: no such setting\n")
