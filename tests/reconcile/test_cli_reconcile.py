"""`gateway reconcile` and `gateway close-month` as they are typed: exit statuses, formats, booking, and FOCUS."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from gateway import cli_reconcile
from gateway.ledger.retention import rotate
from gateway.pricing.table import PriceTable
from gateway.reports.books import Books
from gateway.reports.focus import Export, Grain
from gateway.reports.period import Period
from tests.reconcile.world import MONTH, call, csv_text, iso_now, ledger, row, table
from tests.reports.focus_rules import RULES, periods

NOW = iso_now("2026-11-03T09:00") / 1_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return ledger(tmp_path / "ledger.db", [call("a", 4, input=1_000_000), call("b", 5, state="estimated", output=900)])


@pytest.fixture
def invoice(tmp_path: Path) -> Path:
    """A quarter dearer, and an estimate that was 100 too low."""
    found = tmp_path / "invoice.csv"
    found.write_text(csv_text([row(4, "input", 1_000_000, 312_500_000), row(5, "output", 1_000, 2_000_000)]))
    return found


def run(path: Path, *words: str, now: float = NOW) -> Result:
    def prices(config: Path | None) -> PriceTable:
        return table()

    app = typer.Typer()
    verbs = cli_reconcile.build(lambda config: config or path, lambda: now, prices)
    app.command("reconcile")(verbs.reconcile)
    app.command("close-month")(verbs.close_month)
    return CliRunner().invoke(app, list(words))


def compare(path: Path, invoice: Path, *words: str) -> Result:
    return run(path, "reconcile", "--provider", "openai", "--invoice", str(invoice), "--month", "2026-10", *words)


def said(result: Result) -> str:
    return " ".join(result.output.replace("│", " ").split())


def test_differences_are_shown_and_exit_1(path: Path, invoice: Path) -> None:
    found = compare(path, invoice)
    assert found.exit_code == 1, found.output
    assert "Another price" in found.stdout and "Estimated rows" in found.stdout
    assert "The difference is 0.0627 USD; all of it is explained." in found.stdout


def test_json_has_the_sums_and_decimal_strings(path: Path, invoice: Path) -> None:
    found = json.loads(compare(path, invoice, "--format", "json").stdout)
    assert found["sums"] == {
        "invoice_usd": "0.3145", "ledger_usd": "0.2518", "difference_usd": "0.0627", "unexplained_usd": "0.00",
        "attempts": 2, "lines": 2,
    }  # fmt: skip
    assert [(one["kind"], one["amount_usd"]) for one in found["rows"]] == [
        ("Another price", "0.0625"),
        ("Estimated rows", "0.0002"),
    ]
    assert found["totals"]["open_usd"] == "0.0627"


def test_csv_has_a_row_for_each_difference(path: Path, invoice: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(compare(path, invoice, "--format", "csv").stdout)))
    assert [one["from"] for one in rows] == ["2026-10-05", "2026-10-06"]


@pytest.mark.parametrize(("tolerance", "status"), [("0", 1), ("0.0626", 1), ("0.0627", 0), ("1", 0)])
def test_differences_within_the_tolerance_exit_0(path: Path, invoice: Path, tolerance: str, status: int) -> None:
    assert compare(path, invoice, "--tolerance", tolerance).exit_code == status


def test_lines_that_cannot_be_read_are_named_and_the_rest_is_compared(path: Path, invoice: Path) -> None:
    invoice.write_text(invoice.read_text() + "2026-10-06,much,gpt-5-mini,output,5\n")
    found = compare(path, invoice, "--tolerance", "1")
    assert found.exit_code == 1
    assert "invoice.csv: line 4: `much` is no number" in found.stderr
    assert "1 lines of the invoice could not be read" in found.stdout and "0.3145 USD" in found.stdout


def test_a_map_names_columns_models_and_meters(path: Path, tmp_path: Path) -> None:
    invoice = tmp_path / "theirs.csv"
    invoice.write_text(
        "Day,USD,Product,Kind,N\n2026-10-05,0.25,Mini Five,in,1000000\n2026-10-06,0.0018,Mini Five,output,900\n"
    )
    names = tmp_path / "map.yaml"
    names.write_text(
        "columns: {date: Day, amount: USD, model: Product, text: Kind, quantity: N}\n"
        "models: {Mini Five: gpt-5-mini}\nmeters: {in: input, output: output}\n"
    )
    found = compare(path, invoice, "--map", str(names))
    assert found.exit_code == 0, found.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--tolerance", "-1"), "is not dollars"),
        (("--month", "2026-13"), "is no month"),
        (("--format", "xml"), "json"),
        (("--invoice-format", "pdf"), "anthropic-csv"),
        (("--kinds", "drift"), "goes with --book"),
        (("--book", "--kinds", "drift"), "there is no kind `drift`"),
        (("--map", "/nowhere.yaml"), "No such file"),
    ],
)
def test_wrong_usage_exits_2(path: Path, invoice: Path, words: tuple[str, ...], message: str) -> None:
    found = compare(path, invoice, *words)
    assert found.exit_code == 2 and message in said(found)


@pytest.mark.parametrize("words", [(), ("2026-10", "--list"), ("2026-1",)])
def test_wrong_usage_of_close_month_exits_2(path: Path, words: tuple[str, ...]) -> None:
    assert run(path, "close-month", *words).exit_code == 2


def test_an_invoice_or_a_ledger_that_is_not_there_exits_1(path: Path, invoice: Path, tmp_path: Path) -> None:
    assert "No such file" in compare(path, tmp_path / "none.csv").stderr
    missing = compare(tmp_path / "none.db", invoice)
    assert missing.exit_code == 1 and "did not answer" in missing.stderr


def test_a_provider_that_the_ledger_does_not_know_is_said(path: Path, invoice: Path) -> None:
    words = ("--provider", "opnai", "--invoice", str(invoice), "--month", "2026-10")
    assert "has no calls of `opnai` in this month; it has those of `openai`" in run(path, "reconcile", *words).stdout


def test_a_month_whose_rows_are_archived_is_not_compared(path: Path, invoice: Path) -> None:
    """All that was billed for them would seem to be past the gateway."""
    list(rotate(path, MONTH.ends, archive=None))
    found = compare(path, invoice)
    assert found.exit_code == 1 and "rows have been moved to an archive" in found.stderr


def test_a_month_is_closed_once(path: Path) -> None:
    assert run(path, "close-month", "2026-11").exit_code == 1
    found = run(path, "close-month", "2026-10")
    assert found.exit_code == 0 and found.stdout.startswith("2026-10 is closed: 2 attempts, 0.2518 USD")
    again = run(path, "close-month", "2026-10")
    assert again.exit_code == 1 and "was closed at 2026-11-03 09:00" in again.stderr


def test_an_open_month_takes_no_corrections(path: Path, invoice: Path) -> None:
    found = compare(path, invoice, "--book")
    assert found.exit_code == 1 and "Run `gateway close-month 2026-10`" in found.stderr


def test_a_broken_invoice_is_not_booked(path: Path, invoice: Path) -> None:
    run(path, "close-month", "2026-10")
    invoice.write_text(invoice.read_text() + "2026-10-06,much,gpt-5-mini,output,5\n")
    assert "Nothing was booked" in said(compare(path, invoice, "--book"))
    assert "0.00 USD in 0" in compare(path, invoice).stdout


def test_what_is_booked_is_open_no_more_and_booking_again_adds_nothing(path: Path, invoice: Path) -> None:
    run(path, "close-month", "2026-10")
    found = compare(path, invoice, "--book")
    assert found.exit_code == 0, found.output
    assert "2 corrections of 2026-10 were booked, 0.0627 USD in all." in found.stderr
    assert "Corrections of it are booked; 0.00 USD is open." in found.stdout
    again = compare(path, invoice, "--book")
    assert again.exit_code == 0 and "0 corrections of 2026-10 were booked, 0.00 USD" in again.stderr


def test_only_what_is_accepted_is_booked(path: Path, invoice: Path) -> None:
    run(path, "close-month", "2026-10")
    found = compare(path, invoice, "--book", "--kinds", "estimated")
    assert found.exit_code == 1 and "1 corrections of 2026-10 were booked, 0.0002 USD" in found.stderr


def test_the_list_shows_what_is_frozen_and_what_came_later_apart(path: Path, invoice: Path) -> None:
    run(path, "close-month", "2026-10")
    compare(path, invoice, "--book")
    ledger(path, [call("late", 9, input=40)])
    (found,) = json.loads(run(path, "close-month", "--list", "--format", "json").stdout)["rows"]
    assert {name: found[name] for name in found if name.endswith("_usd")} == {
        "frozen_usd": "0.2518", "late_usd": "0.00001", "corrections_usd": "0.0627", "total_usd": "0.31451",
    }  # fmt: skip


def exported(path: Path, grain: Grain) -> tuple[Export, list[dict[str, str]]]:
    with Books.open(path) as books:
        export = Export(books, Period(MONTH.first, MONTH.last), grain)
        return export, list(csv.DictReader(io.StringIO("".join(export.chunks()))))


def total(rows: Sequence[dict[str, str]]) -> int:
    return int(sum((Decimal(one["BilledCost"]) for one in rows), Decimal(0)).scaleb(9))


@pytest.mark.parametrize("grain", ["call", "day"])
def test_focus_has_corrections_as_rows_of_a_later_billing_period(path: Path, invoice: Path, grain: Grain) -> None:
    run(path, "close-month", "2026-10")
    compare(path, invoice, "--book")
    ledger(path, [call("late", 9, input=40)])
    export, rows = exported(path, grain)
    late = [one for one in rows if one["ChargeClass"] == "Correction" and one["ChargeCategory"] == "Usage"]
    booked = [one for one in rows if one["ChargeClass"] == "Correction" and one["ChargeCategory"] == "Adjustment"]
    frozen = [one for one in rows if not one["ChargeClass"]]
    assert (total(frozen), total(late), total(booked)) == (251_800_000, 10_000, 62_700_000)
    assert total(rows) == export.nano + export.corrected_nano == 314_510_000
    assert (export.late, export.corrections) == (1, 2)
    assert {one["BillingPeriodStart"] for one in booked + late} == {"2026-11-01T00:00:00Z"}
    assert {one["BillingPeriodStart"] for one in frozen} == {"2026-10-01T00:00:00Z"}
    assert sorted(one["ChargePeriodStart"][:10] for one in booked) == ["2026-10-05", "2026-10-06"]
    for one in rows:
        wrong = [fault for rule in RULES if rule is not periods or one in frozen for fault in rule(one)]
        assert wrong == [], one["ChargeDescription"]


def test_focus_of_a_ledger_without_closed_months_has_no_corrections(path: Path) -> None:
    export, rows = exported(path, "call")
    assert {one["ChargeClass"] for one in rows} == {""}
    assert (export.corrections, export.late, total(rows)) == (0, 0, export.nano)
