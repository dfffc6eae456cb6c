"""Listing and sums."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import InvalidRequest, Unavailable
from gateway.ledger import Ledger, Reader
from tests.ledger.records import DAY, NOON, reservation, settlement, void

TODAY = NOON // DAY


async def _fill(ledger: Ledger) -> None:
    """Ten attempts a second apart: every third is of team `ops`; 0 settles, 1 is void, 2 is sent, 3 is reserved."""
    for number in range(10):
        team = "ops" if number % 3 == 0 else "search"
        ticket = ledger.reserve(reservation(f"req_{number}", began_at=NOON + number * 1_000_000, team=team))
        await ticket
        match number % 4:
            case 0:
                ticket.settle(settlement())
            case 1:
                ticket.settle(void())
            case 2:
                ticket.sent(NOON + number * 1_000_000 + 5)
    await ledger.reserve(reservation("last", began_at=NOON - DAY))  # durable: so is all before it


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, "last"]),
        ({"limit": 3}, [9, 8, 7]),
        ({"team": "ops"}, [9, 6, 3, 0]),
        ({"from_": NOON + 8_000_000}, [9, 8]),
        ({"to": NOON + 1_000_000}, [0, "last"]),
        ({"from_": NOON, "to": NOON + 2_000_000}, [1, 0]),
        ({"state": "settled"}, [8, 4, 0]),
        ({"state": "void"}, [9, 5, 1]),
        ({"state": "sent"}, [6, 2]),
        ({"state": "reserved"}, [7, 3, "last"]),
        ({"state": "settled", "team": "ops"}, [0]),
        ({"state": "unknown"}, []),
    ],
    ids=str,
)
async def test_attempts_are_listed_latest_first(
    ledger: Ledger, reader: Reader, asked: dict[str, object], expected: list[object]
) -> None:
    await _fill(ledger)
    page = reader.list(**asked)  # type: ignore[arg-type]
    names = [attempt.reservation.request_id.removeprefix("req_") for attempt in page.attempts]
    assert names == [str(name) for name in expected]


async def test_pages_follow_one_another_without_gap_or_repetition(ledger: Ledger, reader: Reader) -> None:
    for _ in range(5):
        await ledger.reserve(reservation("same moment"))
    seen: list[int] = []
    cursor = None
    pages = 0
    while pages == 0 or cursor is not None:
        page = reader.list(limit=2, cursor=cursor)
        seen += [attempt.id for attempt in page.attempts]
        cursor = page.cursor
        pages += 1
    assert (pages, len(set(seen)), seen) == (3, 5, sorted(seen, reverse=True))


@pytest.mark.parametrize("cursor", ["", "x", "1", "1.x", "1.2.3"])
async def test_a_cursor_that_no_page_gave_is_refused(ledger: Ledger, reader: Reader, cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        reader.list(cursor=cursor)


async def test_sums_are_grouped_by_what_is_asked(ledger: Ledger, reader: Reader) -> None:
    await _fill(ledger)
    by_team = {row["team"]: row for row in reader.sums(from_day=TODAY, to_day=TODAY + 1, by=["team"])}
    assert (by_team["ops"]["attempts"], by_team["ops"]["cost_nano"]) == (2, 773_600)
    assert (by_team["search"]["attempts"], by_team["search"]["cost_nano"]) == (4, 2 * 773_600)
    assert by_team["search"]["input_tokens"] == 2400
    assert reader.sums(from_day=TODAY + 1, to_day=TODAY + 9, by=["team"]) == ()


async def test_an_attempt_counts_on_the_day_on_which_it_began(ledger: Ledger, reader: Reader) -> None:
    midnight = (TODAY + 1) * DAY
    ticket = ledger.reserve(reservation(began_at=midnight - 1))
    await ticket
    ticket.settle(settlement(ended_at=midnight + 1))
    await ledger.close()
    assert [row["day"] for row in reader.sums(from_day=0, to_day=10**6, by=["day"])] == [TODAY]


def test_a_ledger_that_is_not_there_is_unavailable_and_not_made(path: Path, reader: Reader) -> None:
    with pytest.raises(Unavailable) as refused:
        reader.depth()
    assert refused.value.code == "ledger_unavailable"
    assert not path.exists()
