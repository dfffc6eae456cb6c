"""What is told, as JSON; and what makes two events the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.limits.windows import NEVER
from gateway.webhooks.events import (
    Event,
    budget_event,
    calls_unpriced,
    ledger_recovered,
    ledger_unavailable,
    prices_stale,
)
from tests.webhooks.conftest import NOW

DAY: dict[str, Any] = {
    "id": "team:retail usd/day",
    "kind": "usd",
    "cap": 50 * 10**9,
    "spent": 40_120_000_000,
    "held": 10**9,
    "warn_at": 0.8,
    "starts": 1_795_392_000,
    "ends": 1_795_478_400,
}


def warning(now: float = NOW, **more: Any) -> Event:
    return budget_event("budget.warning", now, **DAY | more)


def test_a_warning_tells_the_budget_with_dollars_as_decimal_strings() -> None:
    assert json.loads(warning().body()) == {
        "id": warning().id,
        "type": "budget.warning",
        "created": "2026-11-23T10:00:00Z",
        "data": {
            "scope": "team:retail",
            "limit": "usd/day",
            "unit": "usd",
            "cap": "50.00",
            "spent": "40.12",
            "held": "1.00",
            "warn_at": 0.8,
            "starts_at": "2026-11-23T00:00:00Z",
            "resets_at": "2026-11-24T00:00:00Z",
        },
    }


def test_an_id_follows_from_what_happened_and_not_from_who_saw_it_when() -> None:
    assert warning().key == "budget.warning:team:retail usd/day:2026-11-23:50.00"
    assert warning().id == warning(NOW + 60, spent=49 * 10**9, held=0).id
    assert warning().id.startswith("evt_") and len(warning().id) == 36


def test_the_next_window_a_changed_cap_and_a_refusal_are_told_anew() -> None:
    others = [
        warning(starts=DAY["ends"], ends=DAY["ends"] + 86_400),
        warning(cap=60 * 10**9),
        budget_event("budget.exceeded", NOW, **DAY),
    ]
    assert len({one.id for one in (warning(), *others)}) == 4


def test_a_rate_is_told_once_an_hour_in_counts() -> None:
    rate: dict[str, Any] = {
        "id": "key:k1 rpm",
        "kind": "rpm",
        "cap": 60,
        "spent": 0,
        "held": 55,
        "starts": 0,
        "ends": NEVER,
    }
    assert warning(**rate).id == warning(NOW + 3599, **rate).id != warning(NOW + 3600, **rate).id
    data = json.loads(warning(**rate).body())["data"]
    assert (data["unit"], data["cap"], data["held"], data["resets_at"]) == ("requests", 60, 55, None)


def test_a_budget_without_windows_is_told_once_for_good() -> None:
    total = warning(id="team:retail usd/total", starts=0, ends=NEVER)
    assert total.keep_until == NEVER
    assert ":total:" in total.key
    assert warning().keep_until > DAY["ends"]


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (
            prices_stale(NOW, "genai-prices", "2026-08-01", 114),
            {"source": "genai-prices", "dated": "2026-08-01", "age_days": 114},
        ),
        (
            ledger_unavailable(NOW, NOW - 2, "the disk is full"),
            {"since": "2026-11-23T09:59:58Z", "error": "the disk is full", "seconds": None},
        ),
        (ledger_recovered(NOW, NOW - 62), {"since": "2026-11-23T09:58:58Z", "error": None, "seconds": 62}),
        (calls_unpriced(NOW, "local", "tiny"), {"provider": "local", "model": "tiny"}),
    ],
    ids=lambda one: one.type if isinstance(one, Event) else "",
)
def test_every_other_event_tells_its_own(event: Event, data: dict[str, Any]) -> None:
    assert json.loads(event.body())["data"] == data
    assert event.keep_until > NOW + 6 * 86_400


def test_workers_that_notice_one_outage_make_one_event() -> None:
    assert ledger_unavailable(NOW, NOW, "a").id == ledger_unavailable(NOW + 9, NOW + 3, "b").id
