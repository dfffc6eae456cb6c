"""Every kind of difference is named, with its amount to the nano-dollar; alone, and all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.reconcile.kinds import KINDS, ROUNDING, TITLES, UNEXPLAINED
from tests.reconcile.world import MODEL, Entry, amounts, call, compare, ledger, row


@dataclass(frozen=True)
class Seed:
    """One difference: what the ledger has on a day, what the invoice says of it, and what it is called."""

    kind: str
    entries: Callable[[int], list[Entry]]
    rows: Callable[[int], list[dict[str, str]]]
    nano: int
    days: int = 1


SEEDS = [
    Seed(
        "price_drift",
        lambda day: [call(f"drift-{day}", day, input=1_000_000)],
        lambda day: [row(day, "input", 1_000_000, 300 * 1_000_000)],
        50 * 1_000_000,
    ),
    Seed(
        "service_tier",
        lambda day: [call(f"tier-{day}", day, input=40_000, output=2_000)],
        lambda day: [
            row(day, "input", 40_000, 450 * 40_000, tier="priority"),
            row(day, "output", 2_000, 3_600 * 2_000, tier="priority"),
        ],
        200 * 40_000 + 1_600 * 2_000,
    ),
    Seed(
        "long_context",
        lambda day: [call(f"long-{day}", day, input=300_000), call(f"short-{day}", day, input=5_000)],
        lambda day: [row(day, "input", 300_000, 500 * 300_000, context="long"), row(day, "input", 5_000, 250 * 5_000)],
        250 * 300_000,
    ),
    Seed(
        "cached_reads",
        lambda day: [call(f"cached-{day}", day, input=10_000, cache_read=90_000)],
        lambda day: [row(day, "input", 100_000, 250 * 100_000)],
        225 * 90_000,
    ),
    Seed(
        "cache_writes",
        lambda day: [call(f"write-{day}", day, cache_write=7_000, cache_write_1h=1_000)],
        lambda day: [row(day, "cache write 5m", 5_000, 312 * 5_000), row(day, "cache write 1h", 3_000, 500 * 3_000)],
        (500 - 312) * 2_000,
    ),
    Seed(
        "reasoning",
        lambda day: [call(f"thought-{day}", day, output=800, reasoning=650)],
        lambda day: [row(day, "output", 1_450, 2_000 * 1_450)],
        2_000 * 650 - 2_500 * 650,
    ),
    Seed(
        "estimated",
        lambda day: [call(f"guess-{day}", day, state="estimated", input=5_000), call(f"sure-{day}", day, input=900)],
        lambda day: [row(day, "input", 5_777, 250 * 5_777)],
        250 * -123,
    ),
    Seed(
        "unknown_end",
        lambda day: [
            call(f"lost-{day}", day, state="unknown", held=4_000_000),
            call(f"kept-{day}", day, input=100, output=10),
        ],
        lambda day: [row(day, "input", 4_100, 250 * 4_100), row(day, "output", 1_010, 2_000 * 1_010)],
        250 * 4_000 + 2_000 * 1_000,
    ),
    Seed(
        "bypassed",
        lambda day: [call(f"through-{day}", day, input=100)],
        lambda day: [row(day, "input", 70_100, 250 * 70_100)],
        250 * 70_000,
    ),
    Seed(
        "not_billed",
        lambda day: [call(f"failed-{day}", day, input=3_000), call(f"fine-{day}", day, input=500)],
        lambda day: [row(day, "input", 500, 250 * 500)],
        250 * -3_000,
    ),
    Seed(
        "day_shift",
        lambda day: [call(f"evening-{day}", day, input=2_000), call(f"next-{day}", day + 1, input=600)],
        lambda day: [row(day, "input", 1_300, 250 * 1_300), row(day + 1, "input", 1_300, 250 * 1_300)],
        0,
        days=2,
    ),
    Seed(
        "missing_price",
        lambda day: [call(f"free-{day}", day, input=8_000, output=50, priced=False)],
        lambda day: [
            row(day, "input", 8_000, 250 * 8_000),
            row(day, "output", 50, 2_000 * 50),
            row(day, "web search tool calls", 3, 30_000_000, ""),
        ],
        250 * 8_000 + 2_000 * 50 + 30_000_000,
    ),
    Seed(
        "credit",
        lambda day: [],
        lambda day: [row(day, "", None, -5_000_000_000, "", type="credit", text="promotional credit")],
        -5_000_000_000,
    ),
    Seed(
        "void_billed",
        lambda day: [
            call(f"broken-{day}", day, state="void", held=900_000, answering=""),
            call(f"ok-{day}", day, input=40),
        ],
        lambda day: [row(day, "input", 1_040, 250 * 1_040)],
        250 * 1_000,
    ),
    Seed(
        "rounding",
        lambda day: [call(f"cents-{day}", day, input=1_234_567)],
        lambda day: [row(day, "input", 1_234_567, 0, amount="0.31")],
        310_000_000 - 250 * 1_234_567,
    ),
]


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.kind)
def test_each_difference_alone_is_named_with_its_amount(tmp_path: Path, seed: Seed) -> None:
    path = ledger(tmp_path / "ledger.db", seed.entries(3) or [call("one", 20, output=1)])
    rows = seed.rows(3) if seed.entries(3) else [*seed.rows(3), row(20, "output", 1, 2_000)]
    result = compare(path, rows)
    assert amounts(result) == {seed.kind: seed.nano}
    assert result.unexplained == 0
    assert all(found.sentence for found in result.findings)


def test_all_of_them_in_one_month_are_named_and_nothing_is_left(tmp_path: Path) -> None:
    days = dict(zip((seed.kind for seed in SEEDS), range(0, 30, 2), strict=True))
    path = ledger(tmp_path / "ledger.db", [entry for seed in SEEDS for entry in seed.entries(days[seed.kind])])
    result = compare(path, [line for seed in SEEDS for line in seed.rows(days[seed.kind])])
    assert len(SEEDS) >= 12
    assert amounts(result) == {seed.kind: seed.nano for seed in SEEDS}
    assert result.unexplained == 0
    assert result.residual == sum(seed.nano for seed in SEEDS)


def test_every_kind_of_the_table_is_seeded() -> None:
    assert (
        {seed.kind for seed in SEEDS} | {UNEXPLAINED}
        == {kind.name for kind in KINDS} | {ROUNDING, UNEXPLAINED}
        == set(TITLES)
    )


def test_the_order_of_the_lines_changes_nothing(tmp_path: Path) -> None:
    days = {seed.kind: 2 * place for place, seed in enumerate(SEEDS)}
    path = ledger(tmp_path / "ledger.db", [entry for seed in SEEDS for entry in seed.entries(days[seed.kind])])
    rows = [line for seed in SEEDS for line in seed.rows(days[seed.kind])]
    one, other = compare(path, rows), compare(path, rows[::-1])
    assert [(found.kind, found.day, found.meter, found.amount) for found in one.findings] == [
        (found.kind, found.day, found.meter, found.amount) for found in other.findings
    ]


def test_two_differences_of_one_cell_share_its_amount(tmp_path: Path) -> None:
    """Billed at the priority price, and more units than the ledger has: each takes its part, and no more."""
    path = ledger(tmp_path / "ledger.db", [call("a", 4, input=10_000), call("b", 4, state="estimated", input=1_000)])
    result = compare(path, [row(4, "input", 11_500, 450 * 11_500, tier="priority")])
    assert amounts(result) == {"service_tier": 200 * 11_500, "estimated": 250 * 500}
    assert result.unexplained == 0


def test_an_amount_that_no_kind_explains_is_said_to_be_unexplained(tmp_path: Path) -> None:
    path = ledger(tmp_path / "ledger.db", [call("a", 4, input=123_457)])
    result = compare(path, [row(4, "input", 123_457, 250 * 123_457 + 1_234_567)])
    assert amounts(result) == {"unexplained": 1_234_567}
    assert result.unexplained == 1_234_567


def test_the_evidence_names_calls_and_lines(tmp_path: Path) -> None:
    path = ledger(tmp_path / "ledger.db", [call(f"guess-{one}", 4, state="estimated", input=100) for one in range(9)])
    (found,) = compare(path, [row(4, "input", 950, 250 * 950)]).findings
    assert found.kind == "estimated"
    assert found.requests == tuple(f"guess-{one}" for one in range(5))
    assert found.lines == (2,)
    assert "estimated" in found.sentence and (found.model, found.meter) == (MODEL, "input")


def test_a_month_that_begins_at_another_hour_is_told_by_the_hours_around_its_end(tmp_path: Path) -> None:
    """The provider's days end some hours after those of UTC: late in October is in, early in it is not."""
    entries = [
        call("september", -1, hour=20, input=700),
        call("early", 0, hour=3, input=333),
        call("noon", 0, input=5_000),
        call("last", 30, hour=23, input=90),
        call("late", 30, hour=2, input=1_000),
        call("november", 31, hour=4, input=41),
    ]
    path = ledger(tmp_path / "ledger.db", entries)
    rows = [row(0, "input", 5_000, 250 * 5_000), row(30, "input", 1_131, 250 * 1_131)]
    assert amounts(compare(path, rows)) == {"day_shift": 250 * (41 - 333)}
