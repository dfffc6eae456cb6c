"""The document of the admin port is true: of OpenAPI 3.1, of every route, and of the replies that come."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from starlette.routing import Route

from gateway.api.openapi import OPERATIONS, NewKey, Rotation, document
from gateway.api.operation import Operation
from gateway.api.operations import MAY
from gateway.app import AdminPort
from gateway.config.loader import Loader
from gateway.runtime import Process, Runtime
from gateway.telemetry.sink import Sink
from tests.gateway_process import Gateway, running

DOCUMENT = document(MAY, "1.2.3")


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of each operation."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "$ref":
                yield inner
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


@pytest.fixture
async def routes(tmp_path: Path) -> set[tuple[str, str]]:
    """Method and path of every route of the admin port, the console's included."""
    loader = Loader(None, {}, tmp_path / "data", {})
    sink = Sink(2)
    runtime = Runtime(Process(0, 1, tmp_path, tmp_path / "data"), loader, loader.load(), sink, "json")
    try:
        found = AdminPort(runtime)._app.routes  # the real composition, so that nothing is mounted beside it
    finally:
        await runtime.close()
        sink.close()
    assert all(isinstance(route, Route) for route in found)
    return {
        (method, route.path)
        for route in found
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"  # comes with every GET
    }


def test_every_route_of_the_admin_port_is_in_it_and_nothing_else(routes: set[tuple[str, str]]) -> None:
    assert {(method, path) for method, path, _ in operations()} == routes


def test_it_has_the_shape_of_openapi_3_1() -> None:
    assert re.fullmatch(r"3\.1\.\d+", DOCUMENT["openapi"])
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids))
    for _, path, operation in operations():
        declared = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
        assert declared == set(re.findall(r"\{(\w+)\}", path))
        assert all(re.fullmatch(r"[1-5]\d\d", status) for status in operation["responses"])
        assert all(reply["description"] for reply in operation["responses"].values())
        used = {name for requirement in operation["security"] for name in requirement}
        assert used <= DOCUMENT["components"]["securitySchemes"].keys()


def test_every_reference_leads_to_a_schema() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for reference in references(DOCUMENT):
        assert reference.startswith("#/components/schemas/")
        assert reference.rpartition("/")[2] in schemas


def test_every_schema_is_a_json_schema_and_its_name_is_public() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert not name.startswith("_")
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.permission], ids=lambda one: one.id)
def test_each_operation_that_needs_a_key_shows_its_permission_and_roles(operation: Operation) -> None:
    shown = DOCUMENT["paths"][operation.path][operation.method.lower()]
    assert operation.permission is not None
    assert shown["x-roles"] == sorted(MAY[operation.permission])
    assert f"`{operation.permission}`" in shown["description"]
    assert shown["security"] == [{"key": []}]
    assert {"401", "403"} <= shown["responses"].keys()


def test_every_permission_is_used() -> None:
    assert {operation.permission for operation in OPERATIONS} - {None} == MAY.keys()


@pytest.mark.parametrize("shape", [NewKey, Rotation])
def test_a_body_with_an_unknown_field_is_no_instance_of_its_schema(shape: type) -> None:
    schema = DOCUMENT["components"]["schemas"][shape.__name__]
    assert schema["additionalProperties"] is False


# --- held against a gateway that runs


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("openapi")) as gateway:
        yield gateway


def assert_described(method: str, path: str, status: int, body: dict[str, Any]) -> None:
    """The reply fits its schema, and has no field that the schema does not name."""
    schema = DOCUMENT["paths"][path][method.lower()]["responses"][str(status)]["content"]["application/json"]["schema"]
    root = {**schema, "components": DOCUMENT["components"]}
    jsonschema_rs.validator_for(root).validate(body)
    name = schema["$ref"].rpartition("/")[2]
    assert body.keys() == DOCUMENT["components"]["schemas"][name]["properties"].keys()


def test_the_gateway_serves_it_to_whoever_has_a_key(gateway: Gateway) -> None:
    served = gateway.admin("GET", "/openapi.json").json()
    assert served["paths"] == DOCUMENT["paths"]


def test_every_reply_is_as_described(gateway: Gateway) -> None:
    made = gateway.admin("POST", "/admin/v1/keys", json={"team": "a", "models": ["x*"], "budget": "5/day"})
    assert_described("POST", "/admin/v1/keys", 201, made.json())
    place = f"/admin/v1/keys/{made.json()['id']}"
    rotated = gateway.admin("POST", f"{place}/rotate", json={"overlap": "1h"})
    assert_described("POST", "/admin/v1/keys/{id}/rotate", 200, rotated.json())
    assert_described("POST", "/admin/v1/keys/{id}/revoke", 200, gateway.admin("POST", f"{place}/revoke").json())
    assert_described("DELETE", "/admin/v1/keys/{id}", 200, gateway.admin("DELETE", place).json())
    conflict = gateway.admin("POST", f"{place}/rotate")
    assert_described("POST", "/admin/v1/keys/{id}/rotate", 409, conflict.json())
    administration = [f"/admin/v1/{name}" for name in ("keys", "providers", "reload", "budgets")]
    for path in (*administration, "/healthz", "/readyz"):
        assert_described("GET", path, 200, gateway.admin("GET", path).json())
    assert_described("POST", "/admin/v1/reload", 200, gateway.admin("POST", "/admin/v1/reload").json())
    for path in ("/admin/v1/reports", "/admin/v1/requests"):
        assert_described("GET", path, 200, gateway.admin("GET", path).json())
    called = gateway.chat().headers["x-request-id"]
    found = gateway.admin("GET", f"/admin/v1/requests/{called}").json()
    assert_described("GET", "/admin/v1/requests/{id}", 200, found)
    refused = gateway.admin("POST", "/admin/v1/keys", json={"team": 1})
    assert_described("POST", "/admin/v1/keys", 400, refused.json())
