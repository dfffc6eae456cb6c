"""The FOCUS export: it keeps the specification's rules, and adds up to the ledger to the nano-dollar."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.model.price import Line
from gateway.model.record import Settlement
from gateway.reports.books import Books
from gateway.reports.focus import COLUMNS, Export, Grain
from gateway.reports.focus.charges import SELECT
from gateway.reports.focus.columns import FURTHER, MANDATORY, OURS
from gateway.reports.period import Period
from tests.ledger.records import reservation, settlement, void
from tests.reports.entries import DAY, NOV_1, at, book, lines
from tests.reports.focus_rules import faults

ROOT = Path(__file__).parent.parent.parent
NOVEMBER = Period(NOV_1, NOV_1 + 29)


def exported(
    path: Path, grain: Grain = "call", period: Period = NOVEMBER, account: str | None = None
) -> tuple[list[dict[str, str]], Export]:
    with Books.open(path) as books:
        export = Export(books, period, grain, account)
        text = "".join(export.chunks())
    return list(csv.DictReader(io.StringIO(text, newline=""))), export


def billed(rows: list[dict[str, str]]) -> int:
    return int(sum((Decimal(row["BilledCost"]) for row in rows), Decimal()).scaleb(9))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.mark.parametrize("grain", ["call", "day"])
def test_every_row_keeps_every_rule_and_the_sum_is_the_ledgers(generated: Path, grain: Grain) -> None:
    rows, export = exported(generated, grain)
    assert [fault for row in rows for fault in faults(row)] == []
    with closing(sqlite3.connect(generated)) as raw:
        cost, unpriced, unknown = raw.execute(
            "SELECT SUM(cost_nano), SUM(cost_nano IS NULL AND state = 'settled'), SUM(state = 'unknown') FROM endings"
        ).fetchone()
    assert billed(rows) == export.nano == cost
    assert (export.rows, export.unpriced, export.unknown) == (len(rows), unpriced, unknown)
    assert unpriced and unknown, "the ledger has some of all"


def test_all_21_mandatory_columns_are_there_and_names_are_unique() -> None:
    assert len(set(MANDATORY)) == 21 and len(set(COLUMNS)) == len(COLUMNS)
    assert set(COLUMNS) == {*MANDATORY, *FURTHER, *OURS}
    assert all(name.startswith("x_") for name in OURS)


def test_both_grains_have_the_same_costs_by_meter_and_team(generated: Path) -> None:
    def grouped(rows: list[dict[str, str]]) -> dict[tuple[str, ...], tuple[Decimal, Decimal, int]]:
        found: dict[tuple[str, ...], tuple[Decimal, Decimal, int]] = {}
        for row in rows:
            key = (
                row["ChargePeriodStart"][:10],
                row["SubAccountId"],
                row["x_Meter"],
                row["x_State"],
                row["ListUnitPrice"],
            )
            was = found.get(key, (Decimal(), Decimal(), 0))
            more = (Decimal(row["BilledCost"]), Decimal(row["ListCost"]), int(row["x_Quantity"]))
            found[key] = (was[0] + more[0], was[1] + more[1], was[2] + more[2])
        return found

    assert grouped(exported(generated, "call")[0]) == grouped(exported(generated, "day")[0])


def test_a_call_is_a_row_for_each_meter(path: Path) -> None:
    found = (
        Line("input", 176, 250_000_000, 1_000_000, 44_000),
        Line("cache_read", 3, 37_500_000, 1_000_000, 112),  # 112.5, to the even one
        Line("output", 340, 2_000_000_000, 1_000_000, 680_000),
    )
    begun = reservation("r1", began_at=at(NOV_1 + 29, 23), tags=("env=prod", "beta"))
    book(path, [(begun, settlement(cost_nano=724_112, lines=lines(*found)))])
    rows, _ = exported(path, account="acct-7")
    assert [row["SkuId"] for row in rows] == [
        f"openai/gpt-5-mini-eu/{name}" for name in ("input", "cache_read", "output")
    ]
    row = rows[1]
    expected = {
        "BilledCost": "0.000000112",
        "EffectiveCost": "0.000000112",
        "ListCost": "0.0000001125",
        "ContractedCost": "0.0000001125",
        "PricingQuantity": "0.000003",
        "PricingUnit": "1000000 Tokens",
        "ListUnitPrice": "0.0375",
        "ContractedUnitPrice": "0.0375",
        "ConsumedQuantity": "3",
        "ConsumedUnit": "Tokens",
        "BillingAccountId": "acct-7",
        "SubAccountId": "search",
        "ProviderName": "openai",
        "BillingPeriodStart": "2026-11-01T00:00:00Z",
        "BillingPeriodEnd": "2026-12-01T00:00:00Z",
        "ChargePeriodStart": "2026-11-30T23:00:00Z",
        "ChargePeriodEnd": "2026-12-01T00:00:00Z",
        "Tags": '{"env": "prod", "beta": true}',
        "x_RequestId": "r1",
        "x_BeganAt": "2026-11-30T23:00:00.000000Z",
        "x_Estimated": "false",
    }
    assert {name: row[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("line", "unit", "quantity", "price"),
    [
        (Line("images", 2, 40_000_000_000_000, 1_000_000, 80_000_000), "Images", "2", "0.04"),
        (Line("web_searches", 3, 10_000_000_000_000, 1_000_000, 30_000_000), "Searches", "3", "0.01"),
        # 0.36 dollars an hour are 0.0001 a second
        (Line("audio_seconds", 61, 360_000_000_000_000, 3_600_000_000, 6_100_000), "Seconds", "61", "0.0001"),
        # 0.40 dollars an hour have no end in decimals for a second
        (Line("audio_seconds", 7, 400_000_000_000_000, 3_600_000_000, 777_778), "7 Seconds", "1", "0.000777778"),
        (Line("a meter of tomorrow", 5, 3, 7, 2), "5 Units", "1", "0.000000002"),
    ],
    ids=lambda value: value.meter if isinstance(value, Line) else None,
)
def test_what_is_not_tokens_has_a_price_whose_product_is_exact(
    path: Path, line: Line, unit: str, quantity: str, price: str
) -> None:
    book(path, [(reservation(began_at=at(NOV_1)), settlement(cost_nano=line.nano_usd, lines=lines(line)))])
    ((row,), _) = exported(path)
    assert (row["PricingUnit"], row["PricingQuantity"], row["ListUnitPrice"]) == (unit, quantity, price)
    assert faults(row) == [] and billed([row]) == line.nano_usd


def test_what_the_meters_do_not_explain_is_an_adjustment_so_that_the_sum_holds(path: Path) -> None:
    known = lines(Line("input", 4, 250_000_000, 1_000_000, 1_000))
    book(
        path,
        [
            (reservation("a", began_at=at(NOV_1)), settlement(cost_nano=1_500, lines=known)),
            (reservation("b", began_at=at(NOV_1)), settlement(cost_nano=70, lines=b'[["input",176,250000]]')),
            (reservation("c", began_at=at(NOV_1)), settlement(cost_nano=30, lines=b"")),
        ],
    )
    rows, export = exported(path)
    assert [(row["ChargeCategory"], row["BilledCost"]) for row in rows] == [
        ("Usage", "0.000001"),
        *(("Adjustment", text) for text in ("0.0000005", "0.00000007", "0.00000003")),
    ]
    assert export.nano == 1_600 and [fault for row in rows for fault in faults(row)] == []


def test_what_has_no_price_or_no_known_end_is_flagged_and_never_usage_for_nothing(path: Path) -> None:
    unknown = Settlement(state="unknown", ended_at=at(NOV_1))
    estimated = settlement(state="estimated", cost_nano=5, lines=lines(Line("output", 5, 1_000_000, 1_000_000, 5)))
    book(
        path,
        [
            (reservation("a", began_at=at(NOV_1)), settlement(cost_nano=None, lines=b"")),
            (reservation("b", began_at=at(NOV_1), held_nano=5_000), unknown),
            (reservation("c", began_at=at(NOV_1)), estimated),
            (reservation("d", began_at=at(NOV_1)), void()),
            (reservation("e", began_at=at(NOV_1)), None),
        ],
    )
    rows, export = exported(path)
    names = ("x_RequestId", "ChargeCategory", "BilledCost", "x_Meter", "x_Quantity")
    flags = ("x_Estimated", "x_Unpriced", "x_AtMostCost")
    assert [tuple(row[name] for name in (*names, *flags)) for row in rows] == [
        ("a", "Adjustment", "0", "input", "1200", "false", "true", ""),
        ("a", "Adjustment", "0", "output", "340", "false", "true", ""),
        ("b", "Adjustment", "0", "unknown", "0", "false", "false", "0.000005"),
        ("c", "Usage", "0.000000005", "output", "5", "true", "false", ""),
    ]
    assert (export.attempts, export.unpriced, export.unknown) == (3, 1, 1)
    assert [fault for row in rows for fault in faults(row)] == []


def test_the_ends_of_a_period_are_exact_and_a_months_charges_lie_within_it(path: Path) -> None:
    edges = [NOV_1 * DAY - 1, NOV_1 * DAY, (NOV_1 + 30) * DAY - 1, (NOV_1 + 30) * DAY]
    book(
        path, [(reservation(f"r{n}", began_at=at_), settlement(cost_nano=1, lines=b"")) for n, at_ in enumerate(edges)]
    )
    for grain in ("call", "day"):
        rows, _ = exported(path, grain)
        assert [row["ChargePeriodStart"][:10] for row in rows] == ["2026-11-01", "2026-11-30"]
        assert {row["BillingPeriodStart"] for row in rows} == {"2026-11-01T00:00:00Z"}


def test_an_empty_period_is_a_header_alone(nothing: Path) -> None:
    rows, export = exported(nothing)
    assert rows == [] and (export.rows, export.nano) == (0, 0)


def test_rows_come_in_the_order_of_an_index_so_that_nothing_is_sorted_in_memory(generated: Path) -> None:
    with Books.open(generated) as books:
        plan = " ".join(str(row[-1]) for row in books.all(f"EXPLAIN QUERY PLAN {SELECT}", (0, 1)))
    assert "reservations_by_time" in plan and "TEMP B-TREE" not in plan


def test_an_export_holds_one_batch_however_many_rows_there_are(generated: Path) -> None:
    with Books.open(generated) as books:
        sizes = [len(chunk) for chunk in Export(books, NOVEMBER).chunks()]
    assert len(sizes) > 10 and max(sizes) < 2 * 2**20


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"BilledCost": "1E-9"}, "BilledCost is no number"),
        ({"BilledCost": ""}, "BilledCost is null"),
        ({"ListCost": "5"}, "ListUnitPrice x PricingQuantity is not ListCost"),
        ({"ListUnitPrice": ""}, "ListUnitPrice is null in a usage"),
        ({"ChargePeriodEnd": "2026-12-01T01:00:00Z"}, "is not within"),
        ({"BillingPeriodStart": "2026-11-01T00:00:00+00:00"}, "BillingPeriodStart is no time"),
        ({"BillingPeriodEnd": "2027-01-01T00:00:00Z"}, "is no month"),
        ({"ChargeCategory": "usage"}, "ChargeCategory is 'usage'"),
        ({"ChargeCategory": "Adjustment"}, "ConsumedQuantity in no usage"),
        ({"PricingUnit": "tokens"}, "PricingUnit is 'tokens'"),
        ({"Tags": "[1]"}, "Tags are"),
        ({"BillingCurrency": "EUR"}, "BillingCurrency is EUR"),
    ],
)
def test_the_rules_find_what_they_are_for(generated: Path, change: dict[str, str], fault: str) -> None:
    good = next(row for row in exported(generated)[0] if row["ChargeCategory"] == "Usage")
    assert faults(good) == []
    assert any(fault in found for found in faults(good | change))


# In a process of its own, so that what is measured is the export's memory alone.
CHILD = """
import json, resource, sys, time
from pathlib import Path
from gateway.reports.books import Books
from gateway.reports.focus import Export
from gateway.reports.listing import find
from gateway.reports.period import Period
from gateway.reports.sums import total

path, period, took = Path(sys.argv[1]), Period(int(sys.argv[2]), int(sys.argv[2]) + 29), []
for _ in range(3):
    began = time.perf_counter()
    with Books.open(path) as books:
        find("spend").ask(books, period, {"by": "team,model"}, period.last)
    took.append(time.perf_counter() - began)
with Books.open(path) as books:
    export = Export(books, period, sys.argv[3])
    size = sum(len(chunk) for chunk in export.chunks())
    equal = export.nano == total(books, period, {}).cost_nano
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux
print(json.dumps({"took_s": min(took), "rss_mib": peak / 1024, "equal": equal, "attempts": export.attempts}))
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("grain", "count"), [("call", 1_000_000), ("day", 10_000_000)])
def test_millions_of_rows_are_reported_in_300_ms_and_exported_in_300_mib(
    tmp_path: Path, grain: str, count: int
) -> None:
    path = tmp_path / "ledger.db"
    fill = [sys.executable, "-m", "loadtest.ledger_rows", str(path), "--rows", str(count)]
    subprocess.run(fill, check=True, capture_output=True, cwd=ROOT)
    child = [sys.executable, "-c", CHILD, str(path), str(NOV_1), grain]
    found = json.loads(subprocess.run(child, check=True, capture_output=True, cwd=ROOT).stdout)
    path.unlink()
    assert found["equal"] and found["attempts"] > count * 0.98
    assert found["took_s"] <= 0.3
    assert found["rss_mib"] <= 300
