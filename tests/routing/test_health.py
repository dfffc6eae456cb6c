"""What is known of deployments, and what is forgotten after a reload."""

from __future__ import annotations

from gateway.routing.breaker import Terms
from gateway.routing.health import Board


def test_it_is_made_when_it_is_first_asked_for() -> None:
    board = Board(Terms(consecutive=1))
    assert board.of("a/m") is board.of("a/m") and board.of("a/m").breaker.terms.consecutive == 1
    assert repr(board.of("a/m")) == "<Health closed, 0 in flight>"


def test_a_rest_is_never_shortened() -> None:
    health = Board().of("a/m")
    health.cool(20.0)
    health.cool(10.0)
    assert (health.blocked(19.0), health.wait_s(15.0), health.blocked(20.0)) == ("cooling", 5.0, None)


def test_the_longer_of_a_rest_and_an_open_breaker_counts() -> None:
    health = Board(Terms(consecutive=1, open_s=2.0)).of("a/m")
    health.breaker.failed(0, 10.0)
    assert (health.blocked(11.0), health.wait_s(11.0)) == ("circuit_open", 1.0)
    health.cool(15.0)
    assert (health.blocked(11.0), health.wait_s(11.0)) == ("cooling", 4.0)


def test_a_reload_forgets_what_is_gone_but_not_what_still_runs() -> None:
    board = Board()
    for id in ("a/m", "b/m", "c/m"):
        board.of(id)
    board.of("b/m").in_flight = 1
    board.keep({"a/m"})
    assert set(board.known) == {"a/m", "b/m"}
