"""The ledger's calls, attempt by attempt, the latest first; page by page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, get_args

from gateway.model.record import Attempt, State
from gateway.reports.base import TEAM, Column, Parameter, Question, Report, Table, Value, money
from gateway.reports.books import Books

_COLUMNS: Final = (
    Column("began_at", "Began (UTC)"),
    Column("request_id", "Request"),
    Column("attempt", "Attempt", "count", "number"),
    Column("kind", "Kind"),
    Column("state", "State"),
    Column("team", "Team"),
    Column("project", "Project"),
    Column("key", "Key"),
    Column("provider", "Provider"),
    Column("model", "Model"),
    Column("status", "Status", "count", "HTTP"),
    Column("input_tokens", "Input", "count", "tokens"),
    Column("output_tokens", "Output", "count", "tokens"),
    money("cost_usd", "Cost"),
    Column("latency_us", "Latency", "count", "microseconds"),
)


def _run(books: Books, question: Question) -> Table:
    # Loaded only here: the reader's library takes a quarter of a second, which listing the reports need not.
    from gateway.ledger.reader import Reader

    period, limit = question.period, question["limit"]
    reader = Reader(books.path)
    found: list[Attempt] = []
    cursor = question["cursor"]
    while len(found) < limit:
        page = reader.list(
            from_=period.begins_us,
            to=period.ends_us,
            team=question["team"],
            state=question["state"],
            limit=limit - len(found),
            cursor=cursor,
        )
        found += page.attempts
        cursor = page.cursor
        if cursor is None:
            break
    reader.close()
    return Table(
        report="requests",
        title="Requests",
        period=period,
        columns=_COLUMNS,
        rows=tuple(_row(attempt) for attempt in found),
        notes=(f"There are more: --cursor {cursor}",) if cursor else (),
        cursor=cursor,
    )


def _row(attempt: Attempt) -> tuple[Value, ...]:
    begun, ended = attempt.reservation, attempt.settlement
    return (
        moment(begun.began_at),
        begun.request_id,
        begun.attempt,
        begun.kind,
        attempt.state,
        begun.team,
        begun.project,
        begun.key_id,
        begun.provider,
        begun.model,
        ended.status if ended is not None else None,
        ended.input_tokens if ended is not None else None,
        ended.output_tokens if ended is not None else None,
        ended.cost_nano if ended is not None else None,
        ended.latency_us if ended is not None else None,
    )


def moment(micros: int) -> str:
    """`2026-11-23T12:00:00.000000Z`."""
    found = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    return found.isoformat(timespec="microseconds").replace("+00:00", "Z")


REPORT: Final = Report(
    "requests",
    "Requests",
    "The ledger's calls, attempt by attempt, the latest first.",
    (
        TEAM,
        Parameter("state", "text", "Only those in this state.", None, get_args(State)),
        Parameter("limit", "count", "So many at once.", "100"),
        Parameter("cursor", "text", "Go on after a former page."),
    ),
    _run,
)
