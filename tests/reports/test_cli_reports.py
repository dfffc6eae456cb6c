"""`gateway report`: every report is a verb, what is typed wrong is usage, an export is whole or not there."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway import cli_reports
from gateway.errors import ConfigError, Fault
from gateway.pricing.table import PriceTable
from gateway.reports.listing import reports
from tests.reports.entries import TODAY, prices


def run(path: Path, *words: str) -> Result:
    app = cli_reports.build(lambda config: config or path, lambda config: prices(), lambda: TODAY * 86400.0)
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize("name", list(reports()))
def test_every_report_is_a_verb_with_its_parameters(generated: Path, name: str) -> None:
    shown = run(generated, name, "--from", "2026-11", "--to", "2026-11", "--format", "json")
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["report"] == name
    helped = run(generated, name, "--help").output
    for parameter in reports()[name].parameters:
        assert f"--{parameter.name}" in helped


def test_the_documented_words_work(generated: Path) -> None:
    by = "team,project,key,model,provider,prompt"
    words = ("spend", "--from", "2026-11-01", "--to", "2026-11-30", "--by", by, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(run(generated, *words).stdout)))
    assert list(rows[0])[:6] == by.split(",")


def test_repriced_are_the_prices_of_today_or_of_the_day_that_is_named(generated: Path) -> None:
    for words, day in ((("--reprice",), "2026-11-23"), (("--reprice-at", "2026-12-01"), "2026-12-01")):
        found = json.loads(run(generated, "spend", "--by", "model", "--format", "json", *words).stdout)
        assert [column["title"] for column in found["columns"][-3:-2]] == [f"At prices of {day}"]
        assert (found["totals"]["unpriced_then"] > 0) == (day == "2026-12-01")


def test_prices_are_asked_for_only_where_a_report_reprices(generated: Path) -> None:
    def none(config: Path | None) -> PriceTable:
        raise ConfigError([Fault("prices.yaml", 7, "unknown key")])

    app = cli_reports.build(lambda config: generated, none, lambda: TODAY * 86400.0)
    assert CliRunner().invoke(app, ["spend"]).exit_code == 0
    found = CliRunner().invoke(app, ["spend", "--reprice"])
    assert found.exit_code == 1 and "prices.yaml:7: unknown key" in found.stderr


def test_without_dates_it_is_this_month_until_today(generated: Path) -> None:
    found = json.loads(run(generated, "spend", "--format", "json").stdout)
    assert (found["from"], found["to"]) == ("2026-11-01", "2026-11-23")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("spend", "--by", "teem"), "did you mean `team`"),
        (("spend", "--from", "yesterday"), "is no date"),
        (("spend", "--from", "2026-12", "--to", "2026-11"), "is after"),
        (("spend", "--limit", "0"), "whole number"),
        (("spend", "--from", "1969-12-31"), "is not between 1970-01-01 and 2199-12-31"),
        (("movers", "--from", "2026-01", "--to", "2200-01"), "is not between 1970-01-01 and 2199-12-31"),
        (("spend", "--reprice-at", "yesterday"), "is no date"),
        (("movers", "--reprice"), "No such option"),
        (("requests", "--state", "done"), "it is one of"),
        (("requests", "--cursor", "x"), "not one that a former page gave"),
        (("spent",), "No such command"),
        (("focus", "--version", "1.0"), "1.2"),
        (("spend", "--format", "pdf"), "xlsx"),
    ],
)
def test_wrong_usage_exits_2_and_says_what_would_be_right(
    generated: Path, words: tuple[str, ...], message: str
) -> None:
    found = run(generated, *words)
    assert found.exit_code == 2
    assert message in " ".join(found.output.replace("│", " ").split())


def test_a_ledger_that_is_not_there_exits_1_with_a_sentence(tmp_path: Path) -> None:
    found = run(tmp_path / "none.db", "spend")
    assert (found.exit_code, found.stdout) == (1, "") and "did not answer" in found.stderr


def test_a_fault_in_the_configuration_exits_1_with_file_and_line(tmp_path: Path) -> None:
    def broken(config: Path | None) -> Path:
        raise ConfigError([Fault("gateway.yaml", 3, "unknown key")])

    found = CliRunner().invoke(cli_reports.build(broken, lambda config: prices()), ["spend"])
    assert found.exit_code == 1 and "gateway.yaml:3: unknown key" in found.stderr


@pytest.mark.parametrize("shape", ["table", "csv", "json", "xlsx", "html"])
def test_a_file_is_the_same_as_what_is_printed(generated: Path, tmp_path: Path, shape: str) -> None:
    out = tmp_path / "report"
    assert run(generated, "spend", "--format", shape, "--out", str(out)).exit_code == 0
    assert out.read_bytes() == run(generated, "spend", "--format", shape).stdout_bytes
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    if shape == "xlsx":
        assert zipfile.is_zipfile(out)


def test_a_place_that_cannot_be_written_exits_1_and_names_it(generated: Path, tmp_path: Path) -> None:
    found = run(generated, "focus", "--out", str(tmp_path / "no" / "f.csv"))
    assert found.exit_code == 1 and "f.csv: No such file" in found.stderr


@pytest.mark.parametrize("grain", ["call", "day"])
def test_focus_writes_a_whole_file_and_says_what_it_adds_up_to(generated: Path, tmp_path: Path, grain: str) -> None:
    out = tmp_path / "f.csv"
    words = ("--version", "1.2", "--from", "2026-11-01", "--to", "2026-11-30", "--grain", grain, "--out", str(out))
    found = run(generated, "focus", *words)
    assert found.exit_code == 0, found.output
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert found.stderr.startswith(f"{len(rows)} rows of ") and "without a price" in found.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["f.csv"]
