"""The harness that kills gateways: its arithmetic, its plan, and that its judge misses nothing."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from gateway.pricing.tokens import PER_ANSWER, PER_MESSAGE, count_text
from loadtest.crash import world
from loadtest.crash.books import Charge, Row, judge, price
from loadtest.crash.plan import plan
from loadtest.crash.points import CALLING, ENDING, STARTING, WRITING

UNTOLD = price("untold", 11, 24, 0)  # as estimated: 5 words and 6 tokens of framing


def row(**fields: Any) -> Row:
    """An attempt of the model `told` that was settled at what it cost."""
    given: dict[str, Any] = {
        "attempt_id": 1,
        "request_id": "r1",
        "attempt": 1,
        "began_at": 0,
        "deployment": "told",
        "stream": 0,
        "held_nano": 10**6,
        "sent_at": 1,
        "state": "settled",
        "code": "",
        "source": "provider",
        "input_tokens": 5,
        "output_tokens": 8,
        "cache_read_tokens": 0,
        "cost_nano": 1388,
        "retries": 0,
    }
    return Row(**{**given, **fields})


def charge(**fields: Any) -> Charge:
    """The line of the bill that belongs to `row()`."""
    given: dict[str, Any] = {
        "id": "r1-1",
        "model": "told",
        "billed": True,
        "input_tokens": 5,
        "output_tokens": 8,
        "cache_read_tokens": 0,
        "completed": True,
    }
    return Charge(**{**given, **fields})


ESTIMATED = {"state": "estimated", "source": "estimated", "deployment": "untold", "input_tokens": 11}


def test_each_word_is_one_token_so_that_estimates_can_be_reckoned() -> None:
    assert [count_text("any", word) + count_text("any", f" {word}") for word in world.WORDS] == [2] * len(world.WORDS)
    assert world.FRAMING == PER_MESSAGE + PER_ANSWER


def test_a_price_is_rounded_half_even_meter_by_meter() -> None:
    # 5 x 37.5 = 187.5 -> 188; 8 x 150.003 = 1200.024 -> 1200
    assert price("told", 5, 8, 0) == 1388
    # 1 x 37.5 = 37.5 -> 38; 3 x 37.5 = 112.5 -> 112
    assert (price("told", 1, 0, 0), price("told", 3, 0, 0)) == (38, 112)
    # 106 x 250 = 26500; 907 x 25.1 = 22765.7 -> 22766; 23 x 2000.5 = 46011.5 -> 46012
    assert price("cached", 1013, 23, 907) == 26500 + 22766 + 46012


def test_books_that_agree_balance() -> None:
    rows = [
        row(),
        row(request_id="r2", state="unknown", source=None, cost_nano=None, code="process_lost"),
        row(request_id="r3", state="void", source=None, cost_nano=0),
        row(request_id="r4", **ESTIMATED, output_tokens=24, cost_nano=UNTOLD),
    ]
    bill = [
        charge(),
        charge(id="r2-1"),
        charge(id="r4-1", model="untold", output_tokens=24),
    ]
    found = judge(rows, bill, answered=["r1", "r4"])
    assert found.faults == []
    assert dict(found.states) == {"settled": 1, "unknown": 1, "void": 1, "estimated": 1}
    assert found.billed == 1388 + 1388 + price("untold", 5, 24, 0)
    assert (found.settled, found.unknown, found.estimated) == (1388, 1388, UNTOLD)
    assert (found.above, found.below, found.exact) == (6 * 1250, 0, 1)


@pytest.mark.parametrize(
    ("rows", "bill", "fault"),
    [
        ([], [charge()], "billed without a row"),
        ([row(request_id="r2")], [charge(id="r2-1"), charge(id="")], "billed without a row"),
        ([row(), row(attempt_id=2)], [charge()], "booked twice"),
        ([row(state=None)], [charge()], "without an end"),
        ([row(cost_nano=1389)], [charge()], "settled at another amount than billed"),
        ([row(cost_nano=None)], [charge()], "settled at another amount than billed"),
        ([row()], [], "settled, and no call of it in the bill"),
        ([row()], [charge(), charge()], "sent more often than the ledger says"),
        ([row(state="void", cost_nano=0, sent_at=None)], [charge(billed=False)], "in the bill, and not marked as sent"),
        ([row(state="void", cost_nano=0)], [charge()], "void, and billed"),
        ([row(state="void", cost_nano=1)], [], "void, and not free"),
        ([row(state="unknown", cost_nano=1388)], [charge()], "unknown, and at a known cost"),
        ([row(state="unknown", cost_nano=None, held_nano=1387)], [charge()], "unknown, and billed above its ceiling"),
        ([row(state="estimated")], [charge()], "estimated, and not flagged as such"),
        ([row(**ESTIMATED, cost_nano=1)], [charge(model="untold")], "estimated, and not priced as estimated"),
        (
            [row(**ESTIMATED, cost_nano=price("untold", 11, 8, 0))],
            [charge(model="untold", output_tokens=9)],
            "estimated, whole, and not what was reckoned",
        ),
        (
            [row(**ESTIMATED, code="upstream_reset", cost_nano=price("untold", 11, 8, 0))],
            [charge(model="untold", output_tokens=7, completed=False)],
            "estimated above what was reckoned",
        ),
        ([row(state="void", cost_nano=0)], [charge()], "nano-dollars are in the bill and not in the ledger: ['1388']"),
    ],
)
def test_the_judge_names_what_is_wrong(rows: list[Row], bill: list[Charge], fault: str) -> None:
    assert [one for one in judge(rows, bill).faults if fault in one]


def test_an_answer_that_was_cut_short_may_be_estimated_below_what_was_generated() -> None:
    cut = row(**ESTIMATED, code="upstream_reset", output_tokens=0, cost_nano=price("untold", 11, 0, 0))
    found = judge([cut], [charge(model="untold", output_tokens=9, completed=False)])
    assert found.faults == []
    assert (found.above, found.below, found.exact) == (6 * 1250, 90006, 0)


def test_an_attempt_that_says_it_was_sent_again_is_weighed_by_its_last_copy() -> None:
    found = judge([row(retries=1)], [charge(output_tokens=0), charge()])
    assert found.faults == []
    assert (found.settled, found.resent, found.billed) == (1388, 188, 1576)


@pytest.mark.parametrize("rows", [[], [row(state="void", cost_nano=0)]])
def test_a_call_that_was_answered_has_an_attempt_that_costs(rows: list[Row]) -> None:
    assert judge(rows, [], answered=["r1"]).faults == ["1 answered, and nothing but void in the ledger: ['r1']"]


def test_a_plan_has_so_many_kills_and_names_every_point() -> None:
    lives = plan(Random(1), 200)
    assert sum(life.kills for life in lives) == 200
    points = {life.fate.point for life in lives if not life.waits_s}
    assert points == {*STARTING, *CALLING, *WRITING, *ENDING, ""}
    assert any(life.waits_s for life in lives) and any(life.fate.start_s for life in lives)


def test_the_same_seed_makes_the_same_plan() -> None:
    assert plan(Random("7/0"), 60) == plan(Random("7/0"), 60) != plan(Random("7/1"), 60)
