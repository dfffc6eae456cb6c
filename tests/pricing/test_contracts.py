"""`prices.yaml`: what it may say, which row wins on which day, and every fault with its line."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from gateway.config.yamlfile import load
from gateway.pricing.contracts import MAX_ROWS, parse
from tests.pricing.sheets import book, read

ROOT = Path(__file__).parents[2]
DAY = date(2026, 6, 1)
ROW = '- {provider: stub, model: "tiny*", from: 2026-01-01, usd_per_million: {input: 1.00, output: 4.00}'


def found(
    text: str, model: str = "m", day: date = DAY, tier: str = "standard", region: str | None = None
) -> int | None:
    """The input rate of the row that is found in `text` for `p`, in dollars per million."""
    row = book(text).find("p", model, day, tier, region)
    return None if row is None else row.levels[-1].prices["input"] // 10**9


def priced(model: str, first: str, usd: int, more: str = "") -> str:
    return f'- {{provider: p, model: "{model}", from: {first}, usd_per_million: {{input: {usd}}}{more}}}\n'


def test_the_documented_row_is_read_exactly() -> None:
    text = (
        '- {provider: stub, model: "tiny*", from: 2026-01-01, usd_per_million: '
        "{input: 1.00, cache_read: 0.10, cache_write: 1.25, output: 4.00}, usd_per_request: 0}"
    )
    row = book(text).find("stub", "tiny-2", DAY, "standard")
    assert row is not None
    assert row.levels[0].prices == {
        "input": 1_000_000_000,
        "cache_read": 100_000_000,
        "cache_write": 1_250_000_000,
        "output": 4_000_000_000,
        "requests": 0,
    }
    assert (row.source.origin, row.source.where, row.source.date) == ("contract", "prices.yaml:1", date(2026, 1, 1))


def test_the_example_file_has_no_fault() -> None:
    document = load(ROOT / "prices.example.yaml")
    rows, faults = parse(document.data, "prices.example.yaml", document.line)
    assert faults == []
    assert len(rows.rows) == len(document.data)


@pytest.mark.parametrize(
    ("day", "usd"),
    [("2025-12-31", None), ("2026-01-01", 1), ("2026-03-01", 2), ("2026-03-31", 2), ("2026-04-01", 1)],
)
def test_the_latest_row_that_has_begun_and_not_ended_wins(day: str, usd: int | None) -> None:
    text = priced("m", "2026-01-01", 1) + priced("m", "2026-03-01", 2, ", to: 2026-03-31")
    assert found(text, day=date.fromisoformat(day)) == usd


@pytest.mark.parametrize(("model", "usd"), [("m", 3), ("m-large", 2), ("mini", 1), ("other", None)])
def test_the_row_that_names_the_model_most_closely_wins(model: str, usd: int | None) -> None:
    text = priced("m*", "2026-05-01", 1) + priced("m-*", "2026-01-01", 2) + priced("m", "2025-01-01", 3)
    assert found(text, model) == usd


@pytest.mark.parametrize(("region", "usd"), [(None, 1), ("eu", 2), ("us", 1)])
def test_a_row_of_a_region_prices_that_region_only_and_wins_there(region: str | None, usd: int) -> None:
    text = priced("m", "2026-01-01", 1) + priced("m", "2025-01-01", 2, ", region: eu")
    assert found(text, region=region) == usd


@pytest.mark.parametrize(("tier", "usd"), [("standard", 1), ("batch", 2), ("flex", None)])
def test_a_row_without_a_tier_prices_standard_calls_only(tier: str, usd: int | None) -> None:
    text = priced("m", "2026-01-01", 1) + priced("m", "2026-01-01", 2, ", service_tier: batch")
    assert found(text, tier=tier) == usd


def test_a_row_of_any_tier_gives_way_to_that_of_the_tier() -> None:
    text = priced("m", "2026-01-01", 1, ', service_tier: "*"') + priced("m", "2026-01-01", 2, ", service_tier: batch")
    assert [found(text, tier=tier) for tier in ("standard", "flex", "batch")] == [1, 1, 2]


@pytest.mark.parametrize(("day", "usd"), [("2026-06-05", 1), ("2026-06-06", 2), ("2026-06-07", 2), ("2026-06-08", 1)])
def test_a_row_of_some_days_of_the_week_prices_those(day: str, usd: int) -> None:
    text = priced("m", "2026-01-01", 1) + priced("m", "2026-01-01", 2, ", days: [sat, sun]")
    assert found(text, day=date.fromisoformat(day)) == usd


def test_a_long_context_step_keeps_what_it_does_not_name() -> None:
    text = priced("m", "2026-01-01", 1, ", long_context: [{above: 200000, usd_per_million: {output: 5}}]")
    row = book(text).find("p", "m", DAY, "standard")
    assert row is not None
    assert [(level.above, level.input, level.output) for level in row.levels] == [
        (200_000, 10**9, 5 * 10**9),
        (-1, 10**9, None),
    ]


@pytest.mark.parametrize(
    ("unit", "meter", "expected"),
    [
        ("images: 0.04", "images", 4 * 10**13),
        ("input_audio_minutes: 0.006", "input_audio_seconds", 36 * 10**13),
        ("audio_hours: 0.04", "audio_seconds", 4 * 10**13),
        ("audio_seconds: 0.0001", "audio_seconds", 36 * 10**13),
    ],
)
def test_what_is_not_tokens_is_priced_by_the_unit(unit: str, meter: str, expected: int) -> None:
    row = book(f"- {{provider: p, model: m, from: 2026-01-01, usd_per_unit: {{{unit}}}}}").find(
        "p", "m", DAY, "standard"
    )
    assert row is not None
    assert row.levels[0].prices == {meter: expected}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("0.1", 100_000_000),
        ("1.25", 1_250_000_000),
        ("0.000000001", 1),
        ('"0.123456789"', 123_456_789),
        ("3", 3 * 10**9),
    ],
)
def test_a_price_arrives_as_it_was_written(written: str, expected: int) -> None:
    row = book(ROW.replace("1.00", written) + "}").find("stub", "tiny", DAY, "standard")
    assert row is not None
    assert row.levels[0].input == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (ROW.replace("stub", "stubb"), "there is no provider `stubb`; did you mean `stub`?"),
        (ROW.replace("tiny*", "ti*ny"), "in `ti*ny` only the last character may be `*`"),
        (ROW.replace("input", "imput"), "unknown meter `imput`; did you mean `input`?"),
        (ROW.replace("from", "form"), "unknown key `form`; did you mean `from`?"),
        (ROW.replace("from: 2026-01-01, ", ""), "a price needs `from`, the day from which it holds"),
        (ROW.replace("2026-01-01", "soon"), "`from` should be a day such as 2026-01-31, not `soon`"),
        (ROW.replace("1.00", "-1"), "`input`: -1 is not an amount of dollars between 0 and 1,000,000,000"),
        (ROW.replace("1.00", "cheap"), "`input` should be an amount of dollars, not `cheap`"),
        (ROW.replace("1.00", "true"), "`input` should be an amount of dollars, not `True`"),
        (ROW.replace("1.00", ".inf"), "`input` should be an amount of dollars, not `inf`"),
        (ROW.replace("1.00", "0.0000000001"), "`input`: 1E-10 is no whole number of nano-dollars per million tokens"),
        (ROW.replace("1.00", "0.18000000000000002"), "`input`: put a price of more than 15 digits in quotes"),
        (ROW + ", to: 2025-01-01", "`to` (2025-01-01) is before `from` (2026-01-01)"),
        (ROW + ", service_tier: batsch", "should be one of standard, flex, batch, priority, fast or `*`, not `batsch`"),
        (ROW + ", days: [sunday]", "`days` should be a list of mon, tue, wed, thu, fri, sat, sun, not `['sunday']`"),
        (ROW + ", long_context: [{above: many}]", "`above` should be a number of input tokens, not `many`"),
        (ROW + ", long_context: [{above: 1}, {above: 1}]", "`above: 1` stands there twice"),
        (
            ROW + ", usd_per_unit: {audio_hours: 1, audio_seconds: 1}",
            "`audio_seconds` prices audio_seconds a second time",
        ),
        (
            ROW.replace("usd_per_million: {input: 1.00, output: 4.00}", "note: x"),
            "prices nothing: give `usd_per_million`",
        ),
    ],
)
def test_a_fault_names_its_line_and_what_would_be_right(line: str, message: str) -> None:
    rows, faults = read(f"# a comment\n{line}}}\n", providers=["stub"])
    assert rows.rows == ()
    assert [(fault.file, fault.line) for fault in faults] == [("prices.yaml", 2)] * len(faults)
    assert any(message in fault.message for fault in faults), faults


def test_every_fault_is_told_and_the_good_rows_stay() -> None:
    rows, faults = read(f"{ROW}}}\n- 3\n{ROW.replace('tiny', 'big').replace('input', 'in')}}}\n- {{provider: p}}\n")
    assert [row.model for row in rows.rows] == ["tiny*"]
    assert {fault.line for fault in faults} == {2, 3, 4}


def test_two_rows_of_the_same_day_are_a_fault_that_names_both() -> None:
    _, faults = read(f"{ROW}}}\n{ROW}}}\n")
    assert [str(fault) for fault in faults] == [
        "prices.yaml:2: `stub` `tiny*` has a price from 2026-01-01 already (first: line 1)"
    ]


@pytest.mark.parametrize("text", ["", "[]"])
def test_an_empty_file_has_no_prices_and_no_fault(text: str) -> None:
    rows, faults = read(text)
    assert (rows.rows, faults) == ((), [])


def test_what_is_no_list_or_too_long_a_one_is_refused() -> None:
    assert "should be a list of prices" in read("provider: stub")[1][0].message
    _, faults = parse([{}] * (MAX_ROWS + 1), "prices.yaml", lambda _: None)
    assert "10,000 is the most" in faults[0].message
