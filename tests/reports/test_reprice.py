"""Repricing: what was booked stays, and what stands beside it is what each call would cost, to the nano-dollar."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import InvalidRequest
from gateway.model.price import Line
from gateway.model.record import Reservation, Settlement
from gateway.model.usage import Usage
from gateway.pricing.catalogue import bundled
from gateway.pricing.contracts import Book
from gateway.pricing.cost import meter
from gateway.pricing.table import PriceTable
from gateway.reports.base import Table
from gateway.reports.books import Books
from gateway.reports.listing import find
from gateway.reports.period import Period
from gateway.reports.reprice import REPRICE
from gateway.reports.sums import total
from tests.ledger.records import reservation, settlement, void
from tests.reports.entries import NOV_1, TODAY, at, book, lines, prices

NOVEMBER = Period(NOV_1, NOV_1 + 29)
SAME, DEARER = "2026-11-15", "2026-12-01"
REPRICED = ("spend", "chargeback", "unit-economics", "prompt-versions")


def ask(path: Path, name: str = "spend", table: PriceTable | None = None, **texts: str) -> Table:
    with Books.open(path) as books:
        return find(name).ask(books, NOVEMBER, texts, TODAY, lambda: table or prices())


def figures(table: Table, *, total: bool = False) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """By the names in front: cost, repriced, difference, unpriced then."""
    names = [column.name for column in table.columns]
    wanted = [names.index(name) for name in ("cost_usd", "repriced_usd", "difference_usd", "unpriced_then")]
    texts = [at for at, column in enumerate(table.columns) if column.kind == "text"]
    rows = [table.totals] if total else table.rows
    return {tuple(row[at] for at in texts): tuple(row[at] for at in wanted) for row in rows if row is not None}


def call(
    name: str, *, deployment: str = "long", provider: str = "acme", **ended: Any
) -> tuple[Reservation, Settlement]:
    counts = {"cache_read_tokens": 0, "cache_write_tokens": 0, "reasoning_tokens": 0, "more_tokens": b"", "lines": b""}
    begun = reservation(name, began_at=at(NOV_1), provider=provider, deployment=deployment)
    return begun, settlement(**{**counts, "input_tokens": 0, "output_tokens": 0, "cost_nano": 0, **ended})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def half_even(tokens: int, rate: str) -> int:
    return int((Decimal(tokens) * Decimal(rate) * 1000).quantize(Decimal(1), ROUND_HALF_EVEN))


@pytest.mark.parametrize("by", ["team,model", "", "user", "hour", "answering,day"])
def test_at_the_same_prices_every_row_costs_what_was_booked_for_it(generated: Path, by: str) -> None:
    table = ask(generated, by=by, reprice=SAME)
    found = figures(table)
    assert {difference for _, _, difference, _ in found.values()} == {0}
    assert {unpriced for *_, unpriced in found.values()} == {0}
    with closing(sqlite3.connect(generated)) as raw:
        (cost,) = raw.execute("SELECT SUM(cost_nano) FROM endings").fetchone()
    assert sum(booked for booked, *_ in found.values()) == cost
    # What had no price when it was booked has one that day, so the sum is more, by what the note says.
    assert sum(again for _, again, *_ in found.values()) > cost
    assert any("no price when they were booked would cost" in note for note in table.notes)


def test_at_other_prices_each_meter_of_each_call_is_rounded_once(generated: Path) -> None:
    table = ask(generated, by="model", reprice=DEARER)
    found = figures(table)
    expected = 0
    with closing(sqlite3.connect(generated)) as raw:
        rows = raw.execute(
            "SELECT input_tokens, cache_read_tokens, output_tokens FROM endings JOIN reservations USING (attempt_id)"
            " WHERE model = 'gpt-5-mini' AND state IN ('settled', 'estimated')"
        ).fetchall()
    for fresh, cached, made in rows:
        expected += half_even(fresh - cached, "0.3") + half_even(cached, "0.03") + half_even(made, "2.4")
    assert found["gpt-5-mini",][1] == expected
    assert found["gpt-5",][2] == 0  # its price has not changed


def test_what_has_no_price_that_day_says_so_and_is_not_in_the_difference(generated: Path) -> None:
    table = ask(generated, by="model", reprice=DEARER)
    cost, again, difference, unpriced = figures(table)["claude-haiku",]
    assert (again, difference) == (0, 0) and cost > 0 and unpriced > 1000
    ((whole, all_again, all_difference, all_unpriced),) = figures(table, total=True).values()
    assert all_unpriced == unpriced
    (gone,) = [note for note in table.notes if "have no price on that day" in note]
    (new,) = [note for note in table.notes if "had no price when they were booked" in note]
    nano = [int(Decimal(text.split(" USD")[0].split()[-1]).scaleb(9)) for text in (gone, new)]
    assert nano[0] == cost and whole + all_difference - nano[0] + nano[1] == all_again


@pytest.mark.parametrize("name", REPRICED)
def test_what_was_booked_is_the_same_with_and_without(generated: Path, name: str) -> None:
    plain, beside = ask(generated, name), ask(generated, name, reprice="today")
    width = len(plain.columns)
    assert beside.columns[:width] == plain.columns
    assert [row[:width] for row in beside.rows] == list(plain.rows)
    assert REPRICE in find(name).parameters


@pytest.mark.parametrize("name", REPRICED)
def test_the_reports_agree_with_one_another(generated: Path, name: str) -> None:
    by = {"by": "team"} if name == "unit-economics" else {}
    table = ask(generated, name, None, reprice=DEARER, **by)
    found = figures(table)
    if name == "chargeback":
        found = {names: numbers for names, numbers in found.items() if names[1] == "(sum)"}
    with Books.open(generated) as books:
        booked = total(books, NOVEMBER, {}).cost_nano
    if name != "prompt-versions":  # it leaves out calls without a managed prompt
        ((_, again, difference, unpriced),) = figures(ask(generated, by="day", reprice=DEARER), total=True).values()
        summed = tuple(sum(numbers) for numbers in zip(*found.values(), strict=True))
        assert summed == (booked, again, difference, unpriced)
    thousand = [column.name for column in table.columns].count("repriced_usd_per_1k_answers")
    assert thousand == (name in ("unit-economics", "prompt-versions"))


def test_a_level_of_long_context_is_a_matter_of_one_call(path: Path) -> None:
    book(path, [call("a", input_tokens=1000), call("b", input_tokens=1001), call("c", input_tokens=600)])
    assert figures(ask(path, by="team", reprice=SAME))["search",] == (0, 1_000_000 + 2_002_000 + 600_000, 3_602_000, 0)


def test_other_meters_units_fees_and_tiers_are_priced_too(path: Path) -> None:
    searches = lines(Line("web_searches", 2, 20_000_000_000_000, 1_000_000, 40_000_000))
    book(
        path,
        [
            call("fee", deployment="tools", input_tokens=10),
            call("audio", deployment="tools", input_tokens=10, more_tokens=b'{"input_audio_tokens":4}'),
            call("units", deployment="tools", input_tokens=10, lines=searches),
            call("tier", deployment="tools", input_tokens=10, more_tokens=b'{"service_tier":"priority"}'),
        ],
    )
    nano = [10_010_000, 10_006_000 + 28_000, 50_010_000, 90_000]
    assert figures(ask(path, by="endpoint", reprice=SAME))["/v1/chat/completions",][1] == sum(nano)


def test_only_answers_are_repriced_and_what_nobody_counted_stays_unpriced(path: Path) -> None:
    begun = reservation("v", began_at=at(NOV_1), provider="acme", deployment="long")
    nobody = Settlement(state="settled", ended_at=at(NOV_1), cost_nano=None)
    book(
        path,
        [
            call("kept", input_tokens=100, cost_nano=7),
            call("none", deployment="elsewhere", input_tokens=100, cost_nano=5),
            call("wrong", input_tokens=1, cache_read_tokens=2, cost_nano=None),
            call("free", deployment="", input_tokens=0, source=None),
            (begun, void(input_tokens=100)),
            (reservation("u", began_at=at(NOV_1)), Settlement(state="unknown", ended_at=at(NOV_1))),
            (reservation("n", began_at=at(NOV_1), provider="acme", deployment="long"), nobody),
        ],
    )
    table = ask(path, by="team", reprice=SAME)
    assert figures(table)["search",] == (12, 100_000, 99_993, 3)
    assert any("3 answers, booked at 0.000000005 USD, have no price on that day" in note for note in table.notes)


def test_a_call_with_two_tags_is_under_both_and_once_in_the_total(path: Path) -> None:
    begun, ended = call("a", input_tokens=100)
    again = reservation("b", began_at=at(NOV_1), provider="acme", deployment="long", tags=("x", "x"))
    book(path, [(begun, ended), (again, ended)])
    table = ask(path, by="tag,team", reprice=SAME)
    assert {names[0]: numbers[1] for names, numbers in figures(table).items()} == {
        "beta": 100_000,
        "größer": 100_000,
        "x": 100_000,
    }
    assert table.totals is not None and table.totals[0] == "Total, each call once"
    assert [numbers[1] for numbers in figures(table, total=True).values()] == [200_000]


def test_prices_that_hold_for_hours_are_those_of_the_hour_of_the_call(path: Path) -> None:
    table = PriceTable(Book(), Book(), bundled(), {"deepseek": "deepseek"})
    day = datetime(2025, 8, 1, tzinfo=UTC)  # then its prices differed by the hour
    calls = []
    for hour in (0, 5, 12, 16, 16, 17, 23):
        _, ended = call(f"h{hour}", provider="deepseek", deployment="deepseek-chat", input_tokens=1_000_003)
        calls.append(
            (reservation(f"{hour}", began_at=at(NOV_1, hour), provider="deepseek", deployment="deepseek-chat"), ended)
        )
    book(path, calls)
    expected = {}
    for hour in (0, 5, 12, 16, 17, 23):
        rates = table.rates("deepseek", "deepseek-chat", day + timedelta(hours=hour))
        expected[f"2026-11-01T{hour:02d}:00Z",] = meter(rates, Usage(1_000_003)).nano_usd
    found = {
        names: numbers[1] for names, numbers in figures(ask(path, table=table, by="hour", reprice="2025-08-01")).items()
    }
    expected["2026-11-01T16:00Z",] = 2 * (expected["2026-11-01T16:00Z",] or 0)
    assert found == expected and len(set(found.values())) > 2


def test_a_limit_folds_both_and_the_whole_stays(generated: Path) -> None:
    every, few = ask(generated, by="team", reprice=DEARER), ask(generated, by="team", reprice=DEARER, limit="3")
    assert few.totals == every.totals
    rest = [numbers for names, numbers in figures(every).items() if (names[0],) not in figures(few)]
    assert figures(few)["(others)",] == tuple(sum(numbers) for numbers in zip(*rest, strict=True))


def test_rows_that_were_moved_out_are_said_to_be_missing(path: Path) -> None:
    book(path, [call("a", input_tokens=100, cost_nano=7)])
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE marks SET number = ? WHERE name = 'kept_from'", (at(NOV_1 + 3),))
        raw.execute("DELETE FROM endings")
        raw.execute("DELETE FROM reservations")
        raw.commit()
    notes = ask(path, by="team", reprice=SAME).notes
    assert any("0.000000007 USD of what was booked is in rows that were moved out" in note for note in notes)
    assert any("moved out of the ledger" in note for note in notes)


def test_without_prices_it_is_refused(generated: Path) -> None:
    with Books.open(generated) as books, pytest.raises(InvalidRequest, match="no prices"):
        find("spend").ask(books, NOVEMBER, {"reprice": "today"}, TODAY)


def test_who_reads_is_told_how_far_it_is(generated: Path) -> None:
    told: list[int] = []
    with Books.open(generated) as books:
        books.told = told.append
        find("spend").ask(books, NOVEMBER, {"reprice": "today"}, TODAY, prices)
    assert told == [1000, 2000, 3000, 4000, 5000, 6000]
