"""Reports with figures that can be checked by hand."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import InvalidRequest
from gateway.model.price import Line
from gateway.model.record import Reservation, Settlement
from gateway.reports.base import Table
from gateway.reports.books import Books
from gateway.reports.listing import find
from gateway.reports.period import Period
from tests.ledger.records import reservation, settlement, void
from tests.reports.entries import NOV_1, TODAY, at, book, call, lines

USD = 1_000_000_000
NOVEMBER = Period(NOV_1, NOV_1 + 29)


def ask(path: Path, name: str, period: Period = NOVEMBER, today: int = TODAY, **texts: str) -> Table:
    with Books.open(path) as books:
        return find(name).ask(books, period, texts, today)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def test_movers_compare_with_as_many_days_before(path: Path) -> None:
    book(
        path,
        [
            call(NOV_1 - 3, 5 * USD, team="left"),
            call(NOV_1 - 1, 2 * USD, team="grew"),
            call(NOV_1 - 1, 4 * USD, team="same"),
            call(NOV_1 + 1, 3 * USD, team="grew"),
            call(NOV_1 + 1, 4 * USD, team="same"),
            call(NOV_1 + 1, 1 * USD, team="new"),
            call(NOV_1 - 9, 9 * USD, team="long ago"),
        ],
    )
    table = ask(path, "movers", Period(NOV_1, NOV_1 + 4), by="team")
    assert table.rows == (
        ("left", 5 * USD, 0, -5 * USD, Decimal(-1)),
        ("grew", 2 * USD, 3 * USD, 1 * USD, Decimal("0.5")),
        ("new", 0, 1 * USD, 1 * USD, None),
    )
    assert table.totals == ("Total", 11 * USD, 8 * USD, -3 * USD, Decimal(-3) / 11)


def test_unit_economics_count_requests_and_sessions_once_however_many_attempts(path: Path) -> None:
    first = reservation("r1", began_at=at(NOV_1), session="s1")
    book(
        path,
        [
            (first, settlement(cost_nano=10, lines=b"")),
            (reservation("r1", began_at=at(NOV_1), session="s1", attempt=2, kind="retry"), settlement(cost_nano=20)),
            (reservation("r2", began_at=at(NOV_1), session="s2"), settlement(cost_nano=3)),
            (reservation("r3", began_at=at(NOV_1), session=""), settlement(cost_nano=1)),
            (reservation("r4", began_at=at(NOV_1), session=""), void()),
        ],
    )
    ((requests, answers, sessions, cost, each, thousand, session, _),) = ask(path, "unit-economics").rows
    assert (requests, answers, sessions, cost) == (4, 4, 2, 34)
    assert (each, thousand, session) == (8, 8500, 16)  # 8.5 and 16.5 go to the even one


def test_an_unpriced_answer_shows_as_unpriced_and_its_cost_as_absent_not_zero(path: Path) -> None:
    unknown = Settlement(state="unknown", ended_at=at(NOV_1))
    estimated = settlement(state="estimated", source="estimated", cost_nano=25, lines=b"")
    book(
        path,
        [
            call(NOV_1, None),
            call(NOV_1, 75, 2),
            (reservation("e", began_at=at(NOV_1)), estimated),
            (reservation("u", began_at=at(NOV_1), held_nano=900), unknown),
        ],
    )
    (row,) = ask(path, "unpriced").rows
    assert row[2:] == (3, 1, Decimal(1) / 3, 1, Decimal(1) / 3, 100, 25, Decimal("0.25"), 1, 900)
    assert any("1 answers have no price" in note for note in ask(path, "spend").notes)
    assert any("at most 0.0000009 USD" in note for note in ask(path, "spend").notes)


def test_prompt_versions_stand_in_the_order_of_numbers_with_their_change(path: Path) -> None:
    book(
        path,
        [
            call(NOV_1, 100, prompt_id="a", prompt_version="9"),
            call(NOV_1, 150, prompt_id="a", prompt_version="10"),
            call(NOV_1, 50, 2, prompt_id="a", prompt_version="10"),
            call(NOV_1, 7, prompt_id="b", prompt_version="1"),
            call(NOV_1, 5, prompt_id="", prompt_version=""),
        ],
    )
    rows = ask(path, "prompt-versions").rows
    assert [(row[0], row[1], row[5], row[6], row[7]) for row in rows] == [
        ("a", "9", 100, 100_000, None),
        ("a", "10", 200, 100_000, Decimal(0)),
        ("b", "1", 7, 7_000, None),
    ]
    assert len(ask(path, "prompt-versions", prompt="b").rows) == 1


def test_a_teams_statement_adds_up_and_all_teams_to_the_total(path: Path) -> None:
    book(
        path,
        [
            call(NOV_1, 10, team="a", project="x"),
            call(NOV_1 + 1, 5, team="a", project="y"),
            call(NOV_1, 1, team="b", project="x"),
        ],
    )
    table = ask(path, "chargeback")
    assert [(row[0], row[1], row[8]) for row in table.rows] == [
        *(("a", "x", 10), ("a", "y", 5), ("a", "(sum)", 15)),
        *(("b", "x", 1), ("b", "(sum)", 1)),
    ]
    assert table.totals is not None and table.totals[8] == 16
    only = ask(path, "chargeback", team="a").totals
    assert only is not None and only[8] == 15


def test_cache_savings_are_the_difference_of_the_calls_own_rates(path: Path) -> None:
    plain = Line("input", 1000, 2_000_000_000, 1_000_000, 2_000_000)
    read = Line("cache_read", 500, 200_000_000, 1_000_000, 100_000)
    written = Line("cache_write", 400, 2_500_000_000, 1_000_000, 1_000_000)

    def begun(name: str) -> Reservation:
        return reservation(name, began_at=at(NOV_1))

    def ended(reads: int, writes: int, **more: Any) -> Settlement:
        return settlement(cache_read_tokens=reads, cache_write_tokens=writes, **more)

    book(
        path,
        [
            (begun("a"), ended(500, 400, cost_nano=3_100_000, lines=lines(plain, read, written))),
            (begun("b"), ended(500, 0, cost_nano=100_000, lines=lines(read))),
            (begun("c"), ended(30, 0, cost_nano=None, lines=b"")),
        ],
    )
    (row,) = ask(path, "cache-savings").rows
    # 500 x (2000 - 200) nano-dollars, 400 x (2500 - 2000); of the second call there is nothing to compare with, and the
    # third has no price
    assert row[2:] == (3, 1030, 400, 900_000, 200_000, 700_000, 530)


def test_requests_are_listed_latest_first_by_pages_in_any_state(path: Path) -> None:
    book(path, [call(NOV_1, 5, number) for number in range(3)] + [(reservation("open", began_at=at(NOV_1 + 1)), None)])
    first = ask(path, "requests", limit="2")
    assert [(row[1], row[4], row[13]) for row in first.rows] == [("open", "sent", None), ("req_20758_2", "settled", 5)]
    assert first.cursor is not None
    rest = ask(path, "requests", limit="2", cursor=first.cursor)
    assert [row[1] for row in rest.rows] == ["req_20758_1", "req_20758_0"] and rest.cursor is None


def test_a_budget_burns_day_by_day_and_is_forecast_with_an_interval(path: Path) -> None:
    history = [call(day, (10 if day % 7 < 5 else 4) * USD) for day in range(TODAY - 28, TODAY)]
    book(path, [*history, call(TODAY, 1 * USD)])
    table = ask(path, "budget-burn", Period(NOV_1, TODAY), budget="200")
    assert [row[1] for row in table.rows] == ["actual"] * 22 + ["forecast"] * 8
    assert table.period.last == NOV_1 + 29
    # Every weekday has cost the same each week: the forecast is exact, and the interval has no width.
    spent = sum(10 if day % 7 < 5 else 4 for day in range(NOV_1, NOV_1 + 30)) * USD
    assert table.rows[-1][3:] == (spent, spent, spent, 200 * USD - spent)
    assert "used up on" in table.notes[1]
    assert [row[3] for row in table.rows] == sorted(int(row[3]) for row in table.rows if isinstance(row[3], int))


def test_today_counts_as_at_least_what_it_has_cost_already(path: Path) -> None:
    book(path, [*(call(day, 1 * USD) for day in range(TODAY - 14, TODAY)), call(TODAY, 50 * USD)])
    table = ask(path, "budget-burn", Period(NOV_1, TODAY))
    assert table.rows[22][2] == 50 * USD
    assert all(isinstance(low, int) and low >= 64 * USD for low in (row[4] for row in table.rows[22:]))


def test_thirteen_days_are_too_few_for_a_forecast_and_the_report_says_so(path: Path) -> None:
    book(path, [call(day, USD) for day in range(TODAY - 13, TODAY)])
    table = ask(path, "budget-burn", Period(NOV_1, TODAY))
    assert {row[1] for row in table.rows} == {"actual", "so far"}
    assert table.notes[0] == "13 whole days of history are too few for a forecast; it takes 14."


@pytest.mark.parametrize("level", ["90", "0", "1", "0.99999999999999999999"])
def test_a_certainty_that_is_none_is_refused(path: Path, level: str) -> None:
    book(path, [call(NOV_1, 1)])
    with pytest.raises(InvalidRequest, match=r"write 0\.9"):
        ask(path, "budget-burn", level=level)


def test_a_period_that_is_to_come_begins_with_nothing_spent(path: Path) -> None:
    book(path, [call(day, 2 * USD) for day in range(TODAY - 28, TODAY + 1)])
    table = ask(path, "budget-burn", Period(NOV_1 + 30, NOV_1 + 60), budget="50")
    assert [row[3] for row in table.rows] == [2 * USD * day for day in range(1, 32)]
    assert "used up on 2026-12-26" in table.notes[1]


def test_of_a_period_that_is_over_it_is_said_whether_the_budget_lasted(path: Path) -> None:
    book(path, [call(day, 2 * USD) for day in range(NOV_1, NOV_1 + 10)])
    over = Period(NOV_1, NOV_1 + 9)
    assert ask(path, "budget-burn", over, budget="11").notes[0] == "The budget was used up on 2026-11-06."
    assert ask(path, "budget-burn", over, budget="20").notes[0] == "The budget was not used up by 2026-11-10."


def test_an_unpriced_answer_makes_nothing_look_cheap(path: Path) -> None:
    priced, unpriced = (call(NOV_1, nano, at, prompt_id="a") for at, nano in enumerate((100, None)))
    book(path, [priced, unpriced, call(NOV_1, None, 3, prompt_id="b")])
    (first, second) = ask(path, "prompt-versions").rows
    assert (first[5], first[6], first[8]) == (100, 100_000, 1)
    assert (second[5], second[6], second[8]) == (0, None, 1)
    units = ask(path, "unit-economics", by="prompt")
    assert [(row[-3], row[-1]) for row in units.rows] == [(100_000, 1), (None, 1)]
    assert any("at least that" in note for note in units.notes)


def test_an_odd_day_is_found_and_a_usual_weekend_is_not(path: Path) -> None:
    noise = [0, 3, 1, 4, 2]
    usual = [
        call(day, (100 + noise[day % 5]) * USD if day % 7 < 5 else (20 + noise[day % 5]) * USD)
        for day in range(TODAY - 42, TODAY)
        if day != TODAY - 6
    ]
    book(path, [*usual, call(TODAY - 6, 190 * USD)])
    table = ask(path, "anomalies")
    assert [(row[0], row[1]) for row in table.rows] == [("search", "2026-11-17")]
    assert table.rows[0][2] == 190 * USD


def test_a_series_that_is_too_short_is_not_judged_and_counted(path: Path) -> None:
    book(path, [call(day, USD) for day in range(TODAY - 20, TODAY)])
    table = ask(path, "anomalies")
    assert table.rows == () and "1 of 1 series are shorter than 21 days" in table.notes[1]
