"""The part of the admin port's OpenAPI document about money: budgets, reports and the ledger's calls."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from gateway.api.operation import Operation

Dollars = Annotated[str, Meta(description="Exact decimal dollars.", examples=["12.50"])]


class Budget(msgspec.Struct):
    """One budget's window. Amounts of `usd` are decimal strings, those of rates and seats are counts."""

    scope: Annotated[str, Meta(examples=["team:retail"])]
    limit: Annotated[str, Meta(examples=["usd/month"])]
    unit: str
    cap: str | int
    spent: str | int
    held: Annotated[str | int, Meta(description="Leased to workers: held by calls, or theirs to spare for a moment.")]
    left: str | int
    starts_at: str | None
    resets_at: str | None
    overrun: Annotated[str, Meta(description="Billed beyond what was held; of `usd` only.")] | None = None
    lost: Annotated[str, Meta(description="Held by workers that died, and spent for all one knows.")] | None = None


class Budgets(msgspec.Struct):
    """Those that a call fell under; windows that have ended are left out unless `all=1`."""

    data: list[Budget]


class ReportParameter(msgspec.Struct):
    """What a report may be asked for."""

    name: str
    kind: str
    help: str
    default: str | None
    choices: list[str]


class ReportKind(msgspec.Struct):
    """One report that is installed."""

    name: str
    title: str
    summary: str
    parameters: list[ReportParameter]


class ReportKinds(msgspec.Struct):
    """All of them."""

    data: list[ReportKind]


class RequestPage(msgspec.Struct):
    """Attempts, the latest first; `cursor` asks for the next page, null at the end."""

    data: list[dict[str, Any]]
    cursor: str | None


class LedgerRequest(msgspec.Struct):
    """One call, attempt by attempt. `cost_usd` is null while an attempt is open or has no price."""

    request_id: str
    state: str
    cost_usd: Dollars | None
    attempts: list[dict[str, Any]]


_PERIOD: Final = (("from", "A day, or a month: 2026-11-01, 2026-11; UTC."), ("to", "The last one, included."))

OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "GET",
        "/admin/v1/budgets",
        "listBudgets",
        "What is spent, held and left of every budget",
        {200: ("As of now, all workers together.", Budgets)},
        permission="budgets:read",
        query=(("all", "`1` for the windows that have ended, too."),),
    ),
    Operation(
        "GET",
        "/admin/v1/reports",
        "listReports",
        "The reports that there are",
        {200: ("With their parameters.", ReportKinds)},
        permission="reports:read",
    ),
    Operation(
        "GET",
        "/admin/v1/reports/{name}",
        "report",
        "One report, in the format that `format` asks for",
        {200: ("JSON, a table, CSV, a workbook or a page.", "application/json")},
        permission="reports:read",
        query=(*_PERIOD, ("format", "table, csv, json, xlsx or html; the report's own parameters besides.")),
        errors=(400, 404),
    ),
    Operation(
        "GET",
        "/admin/v1/reports/focus",
        "focus",
        "The FOCUS export, streamed",
        {200: ("FOCUS 1.2.", "text/csv")},
        permission="reports:read",
        query=(*_PERIOD, ("version", "Of FOCUS."), ("grain", "call or day."), ("account", "The billing account.")),
        errors=(400,),
    ),
    Operation(
        "GET",
        "/admin/v1/requests",
        "listRequests",
        "The ledger's calls, the latest first",
        {200: ("One page.", RequestPage)},
        permission="requests:read",
        query=(
            ("from", "A time or a day."),
            ("to", "A time or a day."),
            ("team", "Only this team's; a developer's own if not given."),
            ("state", "Only those in this state."),
            ("limit", "So many at once."),
            ("cursor", "A former page's."),
        ),
        errors=(400,),
    ),
    Operation(
        "GET",
        "/admin/v1/requests/{id}",
        "getRequest",
        "One call, attempt by attempt",
        {200: ("As the ledger has it.", LedgerRequest)},
        permission="requests:read",
        errors=(404,),
    ),
)

STRUCTS: Final = (Budget, Budgets, ReportParameter, ReportKind, ReportKinds, RequestPage, LedgerRequest)
