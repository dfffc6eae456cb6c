"""Two sets of books of one stretch of calls, the gateway's ledger and the provider's bill, laid side by side.

A bill's line names the attempt that it is for, `<x-request-id>-<attempt>`, because the gateway tells the provider so.
Prices are those of `PRICES`: nano-dollars a token, small enough to add up by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from gateway.ledger import Reader
from gateway.model.record import Attempt
from gateway.store.leases import BudgetState, list_budgets
from tests.gateway_process import Gateway, Provider, eventually

INPUT, CACHE_READ, CACHE_WRITE, OUTPUT = 1_000, 100, 1_250, 4_000
"""Nano-dollars a token."""

PRICES = """\
- {provider: "up", model: "tiny*", from: 2026-01-01, usd_per_million: {input: 1.00, cache_read: 0.10, cache_write: 1.25, output: 4.00}}
- {provider: "mute", model: "tiny*", from: 2026-01-01, usd_per_million: {input: 1.00, cache_read: 0.10, cache_write: 1.25, output: 4.00}}
"""  # noqa: E501

FOR_ONE_WORD = 7
"""Tokens that the gateway estimates for a chat of one message of one word: 3 to prime, 3 for the message, the word."""

Line = dict[str, Any]


def written(folder: Path, up: Provider, *, models: str = "", server: str = "", more: str = "") -> str:
    """A configuration with prices: `tiny` at `up`, and `tiny-untold` at the same provider, never asked for usage.

    `models`, `server` and `more` are more YAML: of these sections, and sections of their own.
    """
    (folder / "prices.yaml").write_text(PRICES)
    return f"""
server:
  host: 127.0.0.1
{server}
providers:
  up: {{kind: openai, base_url: "{up.url}", api_key: none, allow_private: true}}
  mute: {{kind: openai, base_url: "{up.url}", api_key: none, allow_private: true, ask_stream_usage: false}}
models:
  tiny: {{deployments: [{{provider: up, model: tiny}}]}}
  tiny-untold: {{deployments: [{{provider: mute, model: tiny}}]}}
{models}
prices: {{path: "{folder / "prices.yaml"}"}}
{more}
"""


def owed(line: Line) -> int:
    """What a line of the bill comes to, in nano-dollars."""
    read, wrote = line["cache_read_tokens"], line["cache_write_tokens"]
    fresh = line["input_tokens"] - read - wrote
    return int(fresh * INPUT + read * CACHE_READ + wrote * CACHE_WRITE + line["output_tokens"] * OUTPUT)


class Books:
    """The ledger of a gateway whose data is in `data`, and the bill of its provider."""

    def __init__(self, data: Path, up: Provider) -> None:
        self._path = data / "ledger.db"
        self._budgets = f"sqlite:///{data / 'budgets.db'}"
        self._up = up

    @classmethod
    def of(cls, gateway: Gateway, up: Provider) -> Books:
        """Those of a gateway whose data is where it usually is."""
        return cls(gateway.folder / "data", up)

    def attempts(self) -> list[Attempt]:
        """Every row of the ledger, the first first."""
        found: list[Attempt] = []
        cursor = None
        with closing(Reader(self._path)) as reader:
            while True:
                page = reader.list(limit=1000, cursor=cursor)
                found += page.attempts
                cursor = page.cursor
                if cursor is None:
                    return found[::-1]

    def request(self, request_id: str) -> tuple[Attempt, ...]:
        """The attempts of one call, once all of them have ended."""

        def ended() -> tuple[Attempt, ...]:
            with closing(Reader(self._path)) as reader:
                found = reader.request(request_id)
            return found if found and all(attempt.settlement is not None for attempt in found) else ()

        rows: tuple[Attempt, ...] = eventually(ended, 5)
        return rows

    def of_user(self, user: str) -> list[Attempt]:
        """The attempts that a user's calls made."""
        return [attempt for attempt in self.attempts() if attempt.reservation.user == user]

    def bill(self) -> dict[str, Line]:
        """What is billed, by attempt: two lines for one attempt fail the test."""
        lines = [line for line in self._up.bill() if line["billed"]]
        twice = [name for name, times in Counter(line["client_request_id"] for line in lines).items() if times > 1]
        assert twice == [], "the provider was asked twice under one name"
        return {line["client_request_id"]: line for line in lines}

    def closed(self, *, calls: int | None = None, within_s: float = 10.0) -> dict[str, Attempt]:
        """Every attempt by its name, once all have ended and, if given, there are those of so many calls."""

        def done() -> bool:
            found = self.attempts()
            return all(one.settlement is not None for one in found) and (
                calls is None or len({one.reservation.request_id for one in found}) >= calls
            )

        eventually(done, within_s, 0.1)
        return {name(attempt): attempt for attempt in self.attempts()}

    def pairs(self) -> Iterator[tuple[Attempt, Line]]:
        """Each attempt that is not void with its line of the bill; one without the other fails the test."""
        attempts = self.closed()
        bill = self.bill()
        paid = {called for called, attempt in attempts.items() if attempt.state != "void"}
        assert set(bill) <= set(attempts), "billed and not in the ledger"
        assert set(bill) <= paid, "billed and booked as void"
        for called in bill:
            yield attempts[called], bill[called]

    def budgets(self) -> dict[str, BudgetState]:
        """The budgets as the workers share them, by name."""
        return {budget.id: budget for budget in list_budgets(self._budgets)}

    def idle(self, *names: str, within_s: float = 8.0) -> dict[str, BudgetState]:
        """The budgets, once nothing is held in any that is named, or in any at all."""

        def is_idle() -> bool:
            found = self.budgets()
            return all(one.held == 0 for called, one in found.items() if not names or called in names)

        eventually(is_idle, within_s, 0.1)
        return self.budgets()


def name(attempt: Attempt) -> str:
    """What a provider is told of an attempt."""
    return f"{attempt.reservation.request_id}-{attempt.reservation.attempt}"


def check_equal(attempt: Attempt, line: Line) -> None:
    """The attempt is booked with exactly what the provider bills."""
    ended = attempt.settlement
    assert ended is not None
    assert (ended.input_tokens, ended.output_tokens) == (line["input_tokens"], line["output_tokens"])
    assert (ended.cache_read_tokens, ended.cache_write_tokens) == (
        line["cache_read_tokens"],
        line["cache_write_tokens"],
    )
    assert ended.cost_nano == owed(line)


def most_at_once(attempts: list[Attempt]) -> int:
    """The most that was spent and held together at any moment, in nano-dollars: the sum that a cap bounds.

    An attempt counts with its ceiling from when it was sent (it may have waited for its hold before), and with its cost
    from when it ended.
    """
    steps: list[tuple[int, int]] = []
    for attempt in attempts:
        if attempt.sent_at is None:
            continue
        held = attempt.reservation.held_nano or 0
        steps.append((attempt.sent_at, held))
        if attempt.settlement is not None:
            steps.append((attempt.settlement.ended_at, (attempt.settlement.cost_nano or 0) - held))
    most = now = 0
    for _, change in sorted(steps):
        now += change
        most = max(most, now)
    return most
