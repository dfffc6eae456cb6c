"""Budgets that worker processes share: never overshot, spent to the last, and found again after a kill."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.limits.bank import Key, Report
from gateway.store.leases import BudgetState, Leases, list_budgets

CHILD = Path(__file__).with_name("lease_child.py")
ROOT = CHILD.parent.parent.parent
CAP = 1_000_000
KEY: Key = ("team:retail usd/total", 0)
NOW = 1_800_000_000.0


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/budgets.db"


def report(bank: Leases, *, spent: int = 0, returned: int = 0, free: int = 0, slot: int = 1, **more: int) -> Report:
    return Report(KEY, "usd", CAP, 2**62, slot, spent, more.get("over", 0), returned, free, False)


def state(url: str) -> BudgetState:
    (found,) = list_budgets(url)
    return found


@contextmanager
def children(folder: Path, count: int, units: int, calls: int, end: str) -> Iterator[list[subprocess.Popen[str]]]:
    words = [sys.executable, str(CHILD), str(folder), str(units), str(calls), end]
    started = [
        subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}
        )
        for _ in range(count)
    ]
    try:
        for child in started:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in started:
            tell(child)
        yield started
    finally:
        for child in started:
            child.kill()
            child.communicate()


def tell(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def admitted(child: subprocess.Popen[str]) -> int:
    assert child.stdout is not None
    return int(child.stdout.readline())


def test_500_calls_at_once_in_each_of_4_processes_stop_at_the_cap(tmp_path: Path, url: str) -> None:
    with children(tmp_path, 4, 997, 500, "wait") as crew:
        let_in = sum(admitted(child) for child in crew)
        assert CAP * 0.95 <= let_in <= CAP
        for child in crew:
            child.kill()
            child.wait()
    Leases(url).close()
    found = state(url)
    assert (found.spent, found.held, found.lost) == (let_in, 0, let_in), "what the killed held may be billed"


def test_nothing_stays_held_when_all_have_settled(tmp_path: Path, url: str) -> None:
    with children(tmp_path, 4, 997, 500, "settle") as crew:
        spent = sum(admitted(child) for child in crew)
        for child in crew:
            assert child.wait(20) == 0
    found = state(url)
    assert CAP * 0.95 <= spent <= CAP
    assert (found.spent, found.held, found.lost, found.overrun) == (spent, 0, 0, 0)


def test_a_report_told_twice_counts_once(url: str) -> None:
    bank = Leases(url, clock=lambda: NOW)
    slot = bank.draw_slot()
    bank.exchange(NOW, [report(bank, slot=slot)], [[(KEY, 500)]])
    told = report(bank, slot=slot, spent=200, returned=100)
    first, second = (bank.exchange(NOW, [told], []).standings[KEY] for _ in range(2))
    assert first == second
    assert first.spent == 200
    bank.close()


def test_of_a_dead_workers_lease_only_what_it_used_stays_spent(url: str) -> None:
    dead, alive = Leases(url, clock=lambda: NOW), Leases(url, clock=lambda: NOW)
    slot = dead.draw_slot()
    dead.exchange(NOW, [report(dead, slot=slot)], [[(KEY, 900_000)]])
    dead.mark(slot, 1234)
    asked = [report(alive, slot=alive.draw_slot())]
    assert alive.exchange(NOW, asked, [[(KEY, 500_000)]]).answers == [KEY]
    dead.close()
    assert alive.exchange(NOW + 1, asked, [[(KEY, 998_766)]]).answers == [None]
    assert (state(url).spent, state(url).lost) == (1234, 1234)
    alive.close()


def test_a_lease_without_a_mark_counts_as_spent_whole(url: str) -> None:
    dead = Leases(url, clock=lambda: NOW)
    dead.exchange(NOW, [report(dead, slot=0)], [[(KEY, CAP)]])
    dead.close()
    Leases(url, clock=lambda: NOW).close()
    assert (state(url).spent, state(url).held, state(url).lost) == (CAP, 0, CAP)


def test_a_lower_cap_grants_nothing_until_it_has_been_reached_from_above(url: str) -> None:
    bank = Leases(url, clock=lambda: NOW)
    slot = bank.draw_slot()
    bank.exchange(NOW, [report(bank, slot=slot)], [[(KEY, 600)]])
    lower = Report(KEY, "usd", 500, 2**62, slot, 600, 0, 0, 0, False)
    assert bank.exchange(NOW, [lower], [[(KEY, 1)]]).answers == [KEY]
    bank.close()
