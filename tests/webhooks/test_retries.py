"""When a failed delivery is due again."""

from __future__ import annotations

import pytest

from gateway.webhooks.retries import ATTEMPTS, next_due


def test_pauses_triple_up_to_six_hours_and_end_within_a_day() -> None:
    now, pauses = 0.0, []
    for attempts in range(1, ATTEMPTS + 1):
        due = next_due(now, 0, attempts, None, 0.0)
        if due is None:
            break
        pauses.append(due - now)
        now = due
    assert pauses == [5, 15, 45, 135, 405, 1215, 3645, 10935, 21600, 21600, 21600]
    assert now == 81_200


def test_chance_takes_up_to_half_off() -> None:
    assert next_due(100, 100, 1, None, 0.999) == pytest.approx(102.5, abs=0.01)


def test_a_receivers_own_pause_goes_before_a_shorter_one_within_bounds() -> None:
    assert next_due(0, 0, 1, 60, 0.0) == 60
    assert next_due(0, 0, 4, 60, 0.0) == 135
    assert next_due(0, 0, 1, 10**8, 0.0) == 21600


def test_nothing_is_tried_a_day_later_or_too_often() -> None:
    assert next_due(86_399, 0, 3, None, 0.0) is None
    assert next_due(0, 0, ATTEMPTS, None, 0.0) is None
