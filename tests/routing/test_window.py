"""A sum over the last seconds, against one that keeps everything."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.window import Window

STEPS = st.lists(st.tuples(st.floats(0, 8), st.integers(1, 9)), max_size=40)


@given(STEPS)
def test_everything_of_the_span_is_counted_and_nothing_older_than_a_slice_more(steps: list[tuple[float, int]]) -> None:
    window, now, added = Window(10.0, 10), 1000.0, []
    for pause, amount in steps:
        now += pause
        window.add(now, amount)
        added.append((now, amount))
        within = sum(amount for at, amount in added if at > now - 10.0)
        about = sum(amount for at, amount in added if at > now - 11.0 - 1e-6)
        assert within <= window.total(now) <= about


@given(STEPS, st.integers(0, 30))
def test_after_the_time_that_it_tells_there_is_room(steps: list[tuple[float, int]], room: int) -> None:
    window, now = Window(10.0, 10), 1000.0
    for pause, amount in steps:
        now += pause
        window.add(now, amount)
    left = window.left_s(now, room)
    assert 0 <= left <= 11 and (left == 0) == (window.total(now) <= room)
    if left > 0.01:
        assert window.total(now + left - 0.01) > room
    assert window.total(now + left + 0.001) <= room


def test_it_forgets() -> None:
    window = Window(10.0, 10)
    assert window.total(5.0) == 0
    window.add(5.0, 7)
    assert [window.total(5.0 + later) for later in (0, 9.9, 11.0, 1e6)] == [7, 7, 0, 0]


def test_what_is_known_later_corrects_its_own_time() -> None:
    window = Window(10.0, 10)
    window.add(50.0, 100)
    window.add(58.0, 7)
    window.add(50.0, -60)
    assert (window.total(58.0), window.total(61.0)) == (47, 7)
    window.add(50.0, -40)  # it is out of the window, and so is what was to be corrected
    assert window.total(61.0) == 7


def test_a_clock_that_went_back_does_no_harm() -> None:
    window = Window(10.0, 10)
    window.add(50.0, 1)
    window.add(20.0, 1)
    assert (window.total(20.0), window.total(50.0), window.total(61.0)) == (1, 1, 0)


def test_clearing_it_empties_it() -> None:
    window = Window()
    window.add(1.0)
    window.clear()
    assert window.total(1.0) == 0 and window.left_s(1.0, 0) == 0
