"""Reports on the admin port: who may see what, formats, and the ledger's calls."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.testclient import TestClient

from gateway.api.reports import PERMISSIONS, Reports
from gateway.errors import GatewayError
from gateway.model.caller import ROLES, Caller, Role
from gateway.model.price import Line
from gateway.reports.formats import FORMATS
from tests.ledger.records import reservation, settlement
from tests.reports.entries import NOV_1, TODAY, at, book, lines, prices


def said(request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)
    return JSONResponse({"error": {"message": error.message, "code": error.code, "param": error.param}}, error.status)


def caller(request: Request) -> Caller:
    role: Role = next(role for role in ROLES if role == request.headers["x-role"])
    return Caller("k", request.headers.get("x-team", "search"), "", "", role)


def client(path: Path) -> TestClient:
    routes = Reports(path, prices, lambda: TODAY * 86400.0, caller).routes()
    app = Starlette(routes=routes, exception_handlers={GatewayError: said})
    return TestClient(app, headers={"x-role": "admin"})


@pytest.fixture
def admin(generated: Path) -> Iterator[TestClient]:
    with client(generated) as opened:
        yield opened


@pytest.fixture
def few(tmp_path: Path) -> Iterator[TestClient]:
    """Three calls of two teams, one of them a retry."""
    path = tmp_path / "ledger.db"
    priced = lines(Line("output", 5, 1_000_000, 1_000_000, 5))
    book(
        path,
        [
            (reservation("r1", began_at=at(NOV_1)), settlement(cost_nano=5, lines=priced)),
            (reservation("r1", began_at=at(NOV_1) + 1, attempt=2, kind="retry"), settlement(cost_nano=7, lines=b"")),
            (reservation("r2", began_at=at(NOV_1 + 1), team="ops"), settlement(cost_nano=None, lines=b"")),
        ],
    )
    with client(path) as opened:
        yield opened


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("address", "permission"),
    [
        ("/admin/v1/reports", "reports:read"),
        ("/admin/v1/reports/spend", "reports:read"),
        ("/admin/v1/reports/focus", "reports:read"),
        ("/admin/v1/requests", "requests:read"),
    ],
)
def test_only_roles_with_the_permission_get_in(admin: TestClient, role: Role, address: str, permission: str) -> None:
    reply = admin.get(address, headers={"x-role": role})
    assert reply.status_code == (200 if role in PERMISSIONS[permission] else 403)
    if reply.status_code == 403:
        assert reply.json()["error"]["code"] == "role_not_allowed"


def test_the_list_names_every_report_with_its_parameters(admin: TestClient) -> None:
    found = {one["name"]: one for one in admin.get("/admin/v1/reports").json()["data"]}
    assert "team" in found["spend"]["parameters"][0]["choices"]


def test_a_report_takes_dates_and_its_own_parameters(admin: TestClient) -> None:
    found = admin.get("/admin/v1/reports/spend?from=2026-11&to=2026-11&by=model&limit=2").json()
    assert len(found["rows"]) == 3 and found["rows"][2]["model"] == "(others)"
    assert found["totals"]["attempts"] == 6000


@pytest.mark.parametrize("shape", list(FORMATS))
def test_every_format_comes_with_its_media_type(admin: TestClient, shape: str) -> None:
    reply = admin.get(f"/admin/v1/reports/chargeback?format={shape}")
    assert reply.headers["content-type"] == FORMATS[shape].media_type  # type: ignore[index]
    assert ("attachment" in reply.headers.get("content-disposition", "")) == (shape in ("csv", "xlsx"))


@pytest.mark.parametrize(
    ("address", "status", "param"),
    [
        ("reports/spent", 404, None),
        ("reports/spend?by=teem", 400, "by"),
        ("reports/spend?bye=team", 400, "bye"),
        ("reports/spend?from=x", 400, "from"),
        ("reports/spend?format=pdf", 400, "format"),
        ("reports/spend?by=team&by=model", 400, None),
        ("reports/focus?version=9", 400, "version"),
        ("reports/focus?by=team", 400, "by"),
        ("requests?state=done", 400, "state"),
        ("requests?limit=-1", 400, "limit"),
        ("requests?from=11T", 400, "from"),
        ("requests?cursor=x", 400, "cursor"),
        ("requests/none", 404, None),
    ],
)
def test_what_is_asked_wrong_is_said(admin: TestClient, address: str, status: int, param: str | None) -> None:
    reply = admin.get(f"/admin/v1/{address}")
    assert (reply.status_code, reply.json()["error"]["param"]) == (status, param)


def test_a_report_is_repriced_at_the_table_in_force(admin: TestClient) -> None:
    found = admin.get("/admin/v1/reports/spend?from=2026-11&to=2026-11&by=model&reprice=2026-12-01").json()
    (mini,) = [row for row in found["rows"] if row["model"] == "gpt-5-mini"]
    assert 0.19 < float(mini["difference_usd"]) / float(mini["cost_usd"]) < 0.21
    assert admin.get("/admin/v1/reports/spend?reprice=soon").status_code == 400


def test_the_focus_export_is_streamed_as_csv(admin: TestClient) -> None:
    reply = admin.get("/admin/v1/reports/focus?from=2026-11&to=2026-11&grain=day")
    rows = list(csv.DictReader(io.StringIO(reply.text)))
    assert len(rows) > 1000 and {row["BillingCurrency"] for row in rows} == {"USD"}


def test_a_ledger_that_does_not_answer_is_503_before_a_byte_of_the_export(tmp_path: Path) -> None:
    with client(tmp_path / "none.db") as opened:
        assert opened.get("/admin/v1/reports/focus").status_code == 503
        assert opened.get("/admin/v1/reports/spend").status_code == 503


def test_a_call_shows_its_attempts_its_meters_and_exact_money(few: TestClient) -> None:
    found = few.get("/admin/v1/requests/r1").json()
    assert (found["state"], found["cost_usd"]) == ("settled", "0.000000012")
    assert [one["kind"] for one in found["attempts"]] == ["first", "retry"]
    assert found["attempts"][0]["price"] == [
        {"meter": "output", "quantity": 5, "rate": 1_000_000, "per": 1_000_000, "cost_usd": "0.000000005"}
    ]
    assert few.get("/admin/v1/requests/r2").json()["cost_usd"] is None


def test_the_list_has_pages_and_filters(few: TestClient) -> None:
    first = few.get("/admin/v1/requests?limit=1").json()
    assert [one["request_id"] for one in first["data"]] == ["r2"]
    rest = few.get("/admin/v1/requests", params={"cursor": first["cursor"]}).json()
    assert [one["attempt"] for one in rest["data"]] == [2, 1] and rest["cursor"] is None
    for query, count in (
        ("to=2026-11-01", 2),
        ("from=2026-11-02", 1),
        ("from=2026-11-01T12:00:01Z", 1),
        ("team=ops", 1),
    ):
        assert len(few.get(f"/admin/v1/requests?{query}").json()["data"]) == count, query


def test_a_developer_sees_the_own_teams_calls_and_no_others(few: TestClient) -> None:
    developer = {"x-role": "developer", "x-team": "ops"}
    assert [one["team"] for one in few.get("/admin/v1/requests", headers=developer).json()["data"]] == ["ops"]
    assert few.get("/admin/v1/requests?team=search", headers=developer).status_code == 403
    assert few.get("/admin/v1/requests/r1", headers=developer).status_code == 404
    assert few.get("/admin/v1/requests/r2", headers=developer).status_code == 200
