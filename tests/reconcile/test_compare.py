"""Comparing: amounts always add up, invoices without quantities or names are compared as far as they go."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.ledger.corrections import Correction
from gateway.reconcile import Result
from tests.reconcile.world import MODEL, amounts, call, compare, ledger, row, table

METERS = ("input", "cache_read", "output")
PRICE = {"input": 250, "cache_read": 25, "output": 2_000}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def test_an_invoice_that_agrees_has_no_difference(path: Path) -> None:
    ledger(path, [call(f"c{one}", one % 7, input=100 + one, cache_read=one, output=9) for one in range(50)])
    rows = []
    for day in range(7):
        ones = [one for one in range(50) if one % 7 == day]
        sums = {"input": sum(100 + one for one in ones), "cache_read": sum(ones), "output": 9 * len(ones)}
        rows += [row(day, meter, quantity, PRICE[meter] * quantity) for meter, quantity in sums.items()]
    result = compare(path, rows)
    assert (result.findings, result.residual, result.attempts) == ((), 0, 50)
    assert not result.beyond(0)


def bare(day: int, meter: str, nano: int, model: str = MODEL, **more: str) -> dict[str, str]:
    return row(day, meter, None, nano, model, **more)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (bare(4, "input", 250 * 41_237), {}),
        (bare(4, "input", 450 * 41_237, tier="priority"), {"service_tier": 200 * 41_237}),
        (bare(4, "input", 450 * 41_237), {"service_tier": 200 * 41_237}),
        (bare(4, "input", 500 * 41_237, context="long"), {"long_context": 250 * 41_237}),
        (bare(4, "input", 270 * 41_237), {"price_drift": 20 * 41_237}),
        (bare(4, "input", 25 * 41_237), {"cached_reads": -225 * 41_237}),
        (bare(4, "input", 250 * 50_001), {"bypassed": 250 * (50_001 - 41_237)}),
        (bare(4, "input", 250 * 41_000), {"not_billed": 250 * -237}),
        (bare(4, "input", 0, amount="0.01"), {"rounding": 10_000_000 - 250 * 41_237}),
        (bare(5, "input", 250 * 41_237), {"day_shift": 0}),
    ],
    ids=["agrees", "tier", "tier unnamed", "long", "drift", "cached", "more units", "fewer", "cents", "other day"],
)  # fmt: skip
def test_lines_without_a_quantity_are_compared_by_their_amounts(
    path: Path, line: dict[str, str], expected: dict[str, int]
) -> None:
    result = compare(ledger(path, [call("a", 4, input=41_237)]), [line])
    assert amounts(result) == expected
    assert result.unexplained == 0


def monthly(meter: str, quantity: int, nano: int) -> dict[str, str]:
    return row(0, meter, quantity, nano) | {"date": "2026-10"}


@pytest.mark.parametrize("name", ["gpt-5-mini", "GPT 5 mini", "gpt-5-mini-2026-08-07", "gpt-5-mini-latest"])
def test_a_model_is_the_same_by_its_deployments_name_and_without_its_date(path: Path, name: str) -> None:
    result = compare(ledger(path, [call("a", 4, input=100)]), [row(4, "input", 100, 25_000, name)])
    assert result.findings == ()


def test_models_that_only_differ_by_date_are_told_apart_where_the_invoice_does(path: Path) -> None:
    entries = [call("a", 4, answering="m-2026-01-01", input=100), call("b", 4, answering="m-2026-02-02", input=7)]
    result = compare(
        ledger(path, entries), [row(4, "input", 100, 25_000, "m-2026-01-01"), row(4, "input", 7, 1_750, "m-2026-02-02")]
    )
    assert result.findings == ()


def test_models_that_only_differ_by_date_are_added_up_where_the_invoice_does_not(path: Path) -> None:
    entries = [call("a", 4, answering="m-2026-01-01", input=100), call("b", 4, answering="m-2026-02-02", input=7)]
    assert compare(ledger(path, entries), [row(4, "input", 107, 26_750, "M")]).findings == ()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([bare(4, "", 250 * 100 + 2_000 * 10, ""), bare(5, "", 250 * 60, "")], {}),
        ([bare(4, "", 250 * 100 + 2_000 * 10), bare(5, "", 250 * 60)], {}),
        ([bare(4, "", 250 * 100 + 2_000 * 10, "")], {"not_billed": -250 * 60}),
        ([bare(4, "", 45_000 + 12_345_678, ""), bare(5, "", 250 * 60, "")], {"unexplained": 12_345_678}),
        ([{**bare(4, "", 250 * 160 + 2_000 * 10, ""), "date": "2026-10"}], {}),
        ([monthly("input", 160, 250 * 160), monthly("output", 10, 20_000)], {}),
    ],
    ids=["by day", "by model", "a day missing", "too much", "one sum", "by month"],
)  # fmt: skip
def test_an_invoice_is_compared_as_finely_as_it_is(
    path: Path, rows: list[dict[str, str]], expected: dict[str, int]
) -> None:
    ledger(path, [call("a", 4, input=100, output=10), call("b", 5, input=60)])
    assert amounts(compare(path, rows)) == expected


def test_calls_of_other_providers_and_months_are_no_part_of_it(path: Path) -> None:
    ledger(path, [call("a", 4, input=100), call("b", 4, provider="azure", input=9), call("c", -1, input=5)])
    result = compare(path, [row(4, "input", 100, 25_000), row(-20, "input", 5, 1_250)])
    assert (result.findings, result.invoice, result.attempts) == ((), 25_000, 1)


def test_neighbouring_days_are_no_part_of_a_whole_month(path: Path) -> None:
    ledger(path, [call("a", 4, input=160), call("before", -1, input=9), call("after", 31, input=5)])
    result = compare(path, [monthly("input", 160, 250 * 160)])
    assert (result.findings, result.ledger) == ((), 250 * 160)


def test_a_lost_attempt_explains_no_more_than_its_ceiling(path: Path) -> None:
    ledger(path, [call("lost", 4, state="unknown", held=1_000_000, answering=""), call("a", 4, input=10)])
    result = compare(path, [row(4, "input", 10_010, 250 * 10_010)])
    assert amounts(result) == {"unknown_end": 1_000_000, "bypassed": 250 * 6_000}


def test_an_estimate_explains_at_most_as_much_again(path: Path) -> None:
    ledger(path, [call("guess", 4, state="estimated", input=100)])
    assert amounts(compare(path, [row(4, "input", 500, 125_000)])) == {"estimated": 25_000, "bypassed": 75_000}


def test_reasoning_that_is_counted_twice_is_named(path: Path) -> None:
    ledger(path, [call("a", 4, output=1_000, thought=640)])
    assert amounts(compare(path, [row(4, "output", 1_640, 2_000 * 1_640)])) == {"reasoning": 2_000 * 640}


def test_a_tier_that_no_list_knows_is_what_the_invoice_says(path: Path) -> None:
    result = compare(ledger(path, [call("a", 4, input=1_000)]), [row(4, "input", 1_000, 613_777, tier="turbo")])
    assert amounts(result) == {"service_tier": 613_777 - 250_000}


def test_what_was_booked_here_at_a_tier_and_billed_at_the_standard_price_is_a_tier(path: Path) -> None:
    ledger(path, [call("a", 4, rates={"input": 125}, input=1_000)])
    assert amounts(compare(path, [row(4, "input", 1_000, 250_000)])) == {"service_tier": 125_000}


def test_two_tiers_of_a_day_go_each_to_its_own_rows(path: Path) -> None:
    ledger(path, [call("a", 4, rates={"input": 125}, input=1_000), call("b", 4, input=300)])
    rows = [row(4, "input", 1_000, 125_000, tier="batch"), row(4, "input", 300, 75_000)]
    assert compare(path, rows).findings == ()


def test_prices_of_the_day_are_asked_for(path: Path) -> None:
    """The list's price of batches has changed within the month: the tier is known by that of its day."""
    rows = [
        {
            "provider": "openai",
            "model": "gpt-5-mini",
            "from": day,
            "service_tier": tier,
            "usd_per_million": {"input": usd},
        }
        for day, tier, usd in (
            ("2026-01-01", "standard", "0.25"),
            ("2026-01-01", "batch", "0.125"),
            ("2026-10-10", "batch", "0.1"),
        )
    ]
    ledger(path, [call("a", 4, input=1_000), call("b", 20, input=1_000)])
    lines = [row(4, "input", 1_000, 125_000), row(20, "input", 1_000, 100_000)]
    assert amounts(compare(path, lines, prices=table(rows))) == {"service_tier": -125_000 - 150_000}


def corrections(result: Result) -> list[Correction]:
    return [
        Correction(
            month="2026-10", booked_at=0, provider="openai", day=found.day, model=found.model, meter=found.meter,
            kind=found.kind, nano=found.open, reason="", invoice="", invoice_digest="",
        )
        for found in result.findings
    ]  # fmt: skip


def test_what_was_booked_is_not_open_any_more(path: Path) -> None:
    ledger(path, [call("a", 4, input=1_000)])
    rows = [row(4, "input", 1_500, 300 * 1_500)]
    first = compare(path, rows)
    again = compare(path, rows, booked=corrections(first))
    assert amounts(again) == amounts(first) and first.beyond(0)
    assert all(found.open == 0 for found in again.findings) and not again.beyond(0)


def test_what_was_booked_and_is_billed_no_more_is_open_the_other_way(path: Path) -> None:
    ledger(path, [call("a", 4, input=1_000)])
    booked = corrections(compare(path, [row(4, "input", 1_000, 300_000)]))
    (found,) = compare(path, [row(4, "input", 1_000, 250_000)], booked=booked).findings
    assert (found.kind, found.amount, found.booked, found.open) == ("price_drift", 0, 50_000, -50_000)


QUANTITY = st.integers(0, 5_000_000)
DAY = st.integers(-1, 31)
STATE = st.sampled_from(["settled", "estimated", "unknown", "void"])
TIER = st.sampled_from(["", "batch", "priority", "odd"])
CALLS = st.lists(
    st.tuples(DAY, STATE, st.booleans(), QUANTITY, QUANTITY, QUANTITY),
    min_size=1, max_size=12,
)  # fmt: skip
LINES = st.lists(
    st.tuples(
        DAY, st.sampled_from([*METERS, "cache_write", "reasoning", "pages", ""]), st.sampled_from([MODEL, "other", ""]),
        st.none() | QUANTITY, st.integers(-(10**9), 10**12), TIER, st.booleans(), st.booleans(),
    ),
    max_size=20,
)  # fmt: skip


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CALLS, LINES)
def test_the_findings_are_the_difference_whatever_was_billed(
    tmp_path_factory: pytest.TempPathFactory,
    calls: list[tuple[int, str, bool, int, int, int]],
    lines: list[tuple[int, str, str, int | None, int, str, bool, bool]],
) -> None:
    """`reconcile` itself asserts that the sums are exact; here also that nothing is said twice."""
    path = tmp_path_factory.mktemp("any") / "ledger.db"
    ledger(path, [
        call(f"c{at}", day, state=state, priced=priced, input=one, cache_read=two, output=three)
        for at, (day, state, priced, one, two, three) in enumerate(calls)
    ])  # fmt: skip
    rows = [
        row(day, meter, quantity, nano, model, tier=tier, context="long" if is_long else "")
        for day, meter, model, quantity, nano, tier, is_long, _ in lines
    ]
    for line, (*_, is_monthly) in zip(rows, lines, strict=True):
        line["date"] = line["date"][: 7 if is_monthly else 10]
    result = compare(path, rows)
    assert result.residual == sum(found.amount for found in result.findings)
    named = [(found.kind, found.day, found.model, found.meter) for found in result.findings]
    assert len(named) == len(set(named))
