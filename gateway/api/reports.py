"""Reports and the ledger's calls, on the admin port.

`PERMISSIONS` says whose role may do what; a developer sees the calls of their own team and no other's. The ledger is
read in a thread. Nothing here has a payload.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gateway.errors import Forbidden, InvalidRequest, NotFound
from gateway.ledger import Reader
from gateway.model.caller import Caller
from gateway.model.record import Attempt, State
from gateway.pricing.table import PriceTable
from gateway.reports.base import Parameter, Table
from gateway.reports.books import Books
from gateway.reports.focus import GRAINS, VERSIONS, Export
from gateway.reports.formats import FORMATS, NAMES
from gateway.reports.lines import lines_of
from gateway.reports.listing import find, reports
from gateway.reports.period import DAY_US, day_of, moment_of, period_of
from gateway.reports.sums import dollars

PERMISSIONS: Final[Mapping[str, frozenset[str]]] = {
    "reports:read": frozenset({"admin", "auditor", "finance"}),
    "requests:read": frozenset({"admin", "auditor", "finance", "developer"}),
}

_FORMAT: Final = Parameter("format", "text", "How to write it.", "json", NAMES)
_VERSION: Final = Parameter("version", "text", "Of FOCUS.", VERSIONS[-1], VERSIONS)
_GRAIN: Final = Parameter("grain", "text", "What a row is.", GRAINS[0], GRAINS)
_LIMIT: Final = Parameter("limit", "count", "So many at once.", "100")
_STATE: Final = Parameter("state", "text", "Only those in this state.", None, get_args(State))

Handler = Callable[[Request, Caller], Awaitable[Response]]


class Reports:
    """The handlers. `ledger` is its file, `prices` gives the table that is in force, `clock` Unix time in seconds;
    `caller` raises `Unauthenticated`."""

    def __init__(
        self,
        ledger: Path,
        prices: Callable[[], PriceTable],
        clock: Callable[[], float],
        caller: Callable[[Request], Caller],
    ) -> None:
        self._ledger = ledger
        self._prices = prices
        self._clock = clock
        self._caller = caller

    def routes(self) -> list[Route]:
        """What to mount on the admin port."""
        return [
            Route("/admin/v1/reports", self._may("reports:read", self._list), methods=["GET"]),
            Route("/admin/v1/reports/focus", self._may("reports:read", self._focus), methods=["GET"]),
            Route("/admin/v1/reports/{name}", self._may("reports:read", self._report), methods=["GET"]),
            Route("/admin/v1/requests", self._may("requests:read", self._requests), methods=["GET"]),
            Route("/admin/v1/requests/{id}", self._may("requests:read", self._request), methods=["GET"]),
        ]

    def _may(self, permission: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        allowed = PERMISSIONS[permission]

        async def checked(request: Request) -> Response:
            caller = self._caller(request)
            if caller.role not in allowed:
                raise Forbidden(
                    f"The role `{caller.role}` may not do this; it needs one of: {', '.join(sorted(allowed))}.",
                    code="role_not_allowed",
                )
            return await handler(request, caller)

        return checked

    async def _list(self, request: Request, caller: Caller) -> Response:
        """The reports that there are, with their parameters."""
        return _json({"data": [_described(name) for name in reports()]})

    async def _report(self, request: Request, caller: Caller) -> Response:
        """One report."""
        report = find(request.path_params["name"])
        asked = _query(request)
        period = period_of(asked.pop("from", None), asked.pop("to", None), self._today())
        shape = FORMATS[_one(_FORMAT, asked)]
        report.parse(asked)

        def ask() -> bytes:
            with Books.open(self._ledger) as books:
                table: Table = report.ask(books, period, asked, self._today(), self._prices)
            return shape.write(table)

        written = await run_in_threadpool(ask)
        headers = {} if shape.suffix == "json" else _attachment(f"{report.name}-{period}.{shape.suffix}", shape.suffix)
        return Response(written, media_type=shape.media_type, headers=headers)

    async def _focus(self, request: Request, caller: Caller) -> Response:
        """The FOCUS export, streamed as CSV."""
        asked = _query(request)
        period = period_of(asked.pop("from", None), asked.pop("to", None), self._today())
        _one(_VERSION, asked)
        grain, account = _one(_GRAIN, asked), asked.pop("account", None)
        _no_more(asked)

        def opened() -> Iterator[str]:
            with Books.open(self._ledger) as books:
                yield from Export(books, period, grain, account).chunks()

        chunks = opened()
        first = await run_in_threadpool(next, chunks)  # a ledger that does not answer is an error, not a short file
        headers = _attachment(f"focus-{period}.csv", "csv")
        return StreamingResponse(_after(first, chunks), media_type="text/csv; charset=utf-8", headers=headers)

    async def _requests(self, request: Request, caller: Caller) -> Response:
        """The ledger's calls, the latest first."""
        asked = _query(request)
        own = caller.team if caller.role == "developer" else None
        team = asked.pop("team", own)
        if own is not None and team != own:
            raise Forbidden(f"A developer sees the calls of their own team, {own}.", code="role_not_allowed")
        begins, ends = _times(asked)
        limit, state = _one(_LIMIT, asked), _one(_STATE, asked)
        cursor = asked.pop("cursor", None)
        _no_more(asked)
        reader = Reader(self._ledger)
        page = await run_in_threadpool(
            lambda: reader.list(from_=begins, to=ends, team=team, state=state, limit=limit, cursor=cursor)
        )
        return _json({"data": [shown(attempt) for attempt in page.attempts], "cursor": page.cursor})

    async def _request(self, request: Request, caller: Caller) -> Response:
        """One call, attempt by attempt."""
        request_id = request.path_params["id"]
        attempts = await run_in_threadpool(Reader(self._ledger).request, request_id)
        if caller.role == "developer":
            attempts = tuple(one for one in attempts if one.reservation.team == caller.team)
        if not attempts:
            raise NotFound(f"The ledger has no request `{request_id}`, or not one that this key may see.")
        costs = [one.settlement.cost_nano if one.settlement is not None else None for one in attempts]
        known = [cost for cost in costs if cost is not None]
        return _json(
            {
                "request_id": request_id,
                "state": attempts[-1].state,
                "cost_usd": dollars(sum(known)) if len(known) == len(costs) else None,
                "attempts": [shown(attempt) for attempt in attempts],
            }
        )

    def _today(self) -> int:
        return int(self._clock()) // 86400


def shown(attempt: Attempt) -> dict[str, Any]:
    """An attempt as JSON: the ledger's words; money as decimal dollars, null where it is not known."""
    begun, ended = attempt.reservation, attempt.settlement
    found: dict[str, Any] = {"id": str(attempt.id), "state": attempt.state}
    found |= {name: getattr(begun, name) for name in begun.__struct_fields__ if name != "held_nano"}
    found["at_most_usd"] = None if begun.held_nano is None else dollars(begun.held_nano)
    found["sent_at"] = attempt.sent_at
    if ended is None:
        return found
    left_out = {"state", "cost_nano", "lines", "more_tokens"}
    found |= {name: getattr(ended, name) for name in ended.__struct_fields__ if name not in left_out}
    found["more_tokens"] = orjson.loads(ended.more_tokens) if ended.more_tokens else {}
    found["cost_usd"] = None if ended.cost_nano is None else dollars(ended.cost_nano)
    found["price"] = [
        {
            "meter": one.meter,
            "quantity": one.quantity,
            "rate": one.rate,
            "per": one.per,
            "cost_usd": dollars(one.nano_usd),
        }
        for one in lines_of(ended.lines.decode())
    ]
    return found


def _described(name: str) -> dict[str, Any]:
    report = find(name)
    parameters = [
        {"name": one.name, "kind": one.kind, "help": one.help, "default": one.default, "choices": list(one.choices)}
        for one in report.parameters
    ]
    return {"name": name, "title": report.title, "summary": report.summary, "parameters": parameters}


def _query(request: Request) -> dict[str, str]:
    """The query's parameters. Raises `InvalidRequest` for one that is given twice."""
    pairs = request.query_params.multi_items()
    found = dict(pairs)
    if len(found) < len(pairs):
        raise InvalidRequest("A parameter is given twice; give a list with commas.")
    return found


def _one(parameter: Parameter, asked: dict[str, str]) -> Any:
    text = asked.pop(parameter.name, parameter.default)
    return None if text is None else parameter.parse(text)


def _no_more(asked: Mapping[str, str]) -> None:
    for name in asked:
        raise InvalidRequest(f"{name}: there is no such parameter here.", param=name)


def _times(asked: dict[str, str]) -> tuple[int | None, int | None]:
    """Microseconds: a time as it is, a day or a month as a whole."""
    begins, ends = asked.pop("from", None), asked.pop("to", None)
    return (
        None if begins is None else _time(begins, "from"),
        None if ends is None else _time(ends, "to"),
    )


def _time(text: str, param: str) -> int:
    if "T" in text:
        try:
            return moment_of(text)
        except (ValueError, OverflowError):
            raise InvalidRequest(f"{param}: `{text}` is no time; write 2026-11-23T12:00:00Z.", param=param) from None
    is_end = param == "to"
    return (day_of(text, param=param, last=is_end) + is_end) * DAY_US


def _attachment(name: str, suffix: str) -> dict[str, str]:
    if suffix in ("html", "txt"):
        return {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
    return {"content-disposition": f'attachment; filename="{name.replace(" ", "-")}"'}


def _after(first: str, chunks: Iterator[str]) -> Iterator[str]:
    yield first
    yield from chunks


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
