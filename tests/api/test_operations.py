"""The admin port of a real gateway: who may do what, and that it takes effect."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.api.openapi import OPERATIONS
from gateway.api.operation import Operation
from gateway.api.operations import MAX_BODY, MAY
from gateway.model.caller import ROLES
from tests.gateway_process import Gateway, eventually, running

CONFIG = """
server: {host: 127.0.0.1}
providers: {near: {kind: scripted}}
models: {demo: {deployments: [{provider: near}]}}
"""
KEYS = "/admin/v1/keys"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("operations"), config=CONFIG) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def role_keys(gateway: Gateway) -> dict[str, str]:
    """A key of every role, known to the gateway."""
    keys: dict[str, str] = {role: make(gateway, role=role)["key"] for role in ROLES}

    def are_known() -> bool:
        return all(send(gateway, key, "GET", "/admin/v1/reload").status_code == 200 for key in keys.values())

    eventually(are_known, 1.0)
    return keys


def make(gateway: Gateway, **wanted: object) -> dict[str, Any]:
    made = gateway.admin("POST", KEYS, json={"team": "test", **wanted})
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json()
    return found


def send(gateway: Gateway, key: str | None, method: str, path: str, **options: Any) -> httpx.Response:
    """A call of the admin port with any key, or none."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=gateway.admin_url, trust_env=False, timeout=20) as client:
        return client.request(method, path, headers=headers, **options)


def models(gateway: Gateway, key: str) -> httpx.Response:
    """A call of the data port."""
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=20) as client:
        return client.get("/v1/models", headers={"authorization": f"Bearer {key}"})


def code(reply: httpx.Response) -> str:
    return str(reply.json()["error"]["code"])


def filled(operation: Operation) -> str:
    """Its path, on a key that does not exist."""
    return operation.path.replace("{id}", "0" * 16)


# --- who may


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.permission], ids=lambda one: one.id)
def test_each_operation_is_for_its_roles_only(
    gateway: Gateway, role_keys: dict[str, str], operation: Operation
) -> None:
    assert operation.permission is not None
    for role, key in role_keys.items():
        reply = send(gateway, key, operation.method, filled(operation))
        if role in MAY[operation.permission]:
            assert reply.status_code not in (401, 403), role
        else:
            assert (reply.status_code, code(reply)) == (403, "role_not_allowed"), role
            assert "it needs one of: admin" in reply.json()["error"]["message"]


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.permission], ids=lambda one: one.id)
def test_nothing_but_health_metrics_and_the_form_answers_without_a_key(gateway: Gateway, operation: Operation) -> None:
    reply = send(gateway, None, operation.method, filled(operation))
    assert (reply.status_code, code(reply)) == (401, "missing_api_key")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_health_and_metrics_need_no_key(gateway: Gateway, path: str) -> None:
    assert send(gateway, None, "GET", path).status_code == 200


def test_a_developer_may_not_make_keys(gateway: Gateway, role_keys: dict[str, str]) -> None:
    before = len(gateway.admin("GET", KEYS).json()["data"])
    reply = send(gateway, role_keys["developer"], "POST", KEYS, json={"team": "mine", "role": "admin"})
    assert (reply.status_code, code(reply)) == (403, "role_not_allowed")
    assert len(gateway.admin("GET", KEYS).json()["data"]) == before


# --- keys


def test_a_new_key_works_on_the_data_port_within_a_second(gateway: Gateway) -> None:
    key = make(gateway)["key"]
    eventually(lambda: models(gateway, key).status_code == 200, 1.0)


def test_a_key_is_listed_with_its_team_and_without_its_secret(gateway: Gateway) -> None:
    made = make(gateway, team="listed", models=["demo", "x*"], rpm=7, expires="30d")
    reply = gateway.admin("GET", KEYS, params={"team": "listed"})
    (found,) = reply.json()["data"]
    assert found == {name: value for name, value in made.items() if name != "key"}
    assert made["key"] not in reply.text
    assert found["models"] == ["demo", "x*"] and found["rpm"] == 7


def test_a_rotation_keeps_the_old_secret_for_its_overlap_and_no_longer(gateway: Gateway) -> None:
    made = make(gateway)
    eventually(lambda: models(gateway, made["key"]).status_code == 200, 1.0)
    rotated = gateway.admin("POST", f"{KEYS}/{made['id']}/rotate", json={"overlap": "2s"}).json()
    assert rotated["id"] == made["id"] and rotated["key"] != made["key"]
    assert rotated["state"] == "rotating"
    eventually(lambda: models(gateway, rotated["key"]).status_code == 200, 1.0)
    assert models(gateway, made["key"]).status_code == 200
    eventually(lambda: models(gateway, made["key"]).status_code == 401, 4.0)
    assert code(models(gateway, made["key"])) == "expired_api_key"
    assert models(gateway, rotated["key"]).status_code == 200


@pytest.mark.parametrize(("method", "suffix"), [("POST", "/revoke"), ("DELETE", "")])
def test_a_revoked_key_is_refused_within_a_second(gateway: Gateway, method: str, suffix: str) -> None:
    made = make(gateway)
    eventually(lambda: models(gateway, made["key"]).status_code == 200, 1.0)
    revoked = gateway.admin(method, f"{KEYS}/{made['id']}{suffix}")
    assert revoked.json()["state"] == "revoked"
    at = time.monotonic()
    eventually(lambda: models(gateway, made["key"]).status_code == 401, 1.0)
    assert time.monotonic() - at < 1.0
    assert code(models(gateway, made["key"])) == "revoked_api_key"
    again = gateway.admin(method, f"{KEYS}/{made['id']}{suffix}")
    assert again.json() == revoked.json()


@pytest.mark.parametrize(
    ("body", "expected", "says"),
    [
        pytest.param(b'{"team": "a", "budgit": "5/day"}', "invalid_type", "budgit", id="an unknown field"),
        pytest.param(b'{"team": "a", "id": "mine"}', "invalid_type", "id", id="a field that is not theirs to set"),
        pytest.param(b"{}", "invalid_type", "team", id="no team"),
        pytest.param(b'{"team": "a", "rpm": "many"}', "invalid_type", "rpm", id="a wrong type"),
        pytest.param(b'{"team": "a", "role": "root"}', "invalid_type", "role", id="no such role"),
        pytest.param(b'{"team": "a", "budget": "5"}', "invalid_key_settings", "dollars a day", id="no budget"),
        pytest.param(b'{"team": "a", "expires": "2001-01-01"}', "invalid_key_settings", "has passed", id="the past"),
        pytest.param(b"{", "invalid_json", "JSON", id="no JSON"),
        pytest.param(b"\xff", "invalid_json", "JSON", id="no text"),
    ],
)
def test_a_body_that_cannot_be_is_refused_with_what_would_be_right(
    gateway: Gateway, body: bytes, expected: str, says: str
) -> None:
    reply = gateway.admin("POST", KEYS, content=body)
    assert (reply.status_code, code(reply)) == (400, expected)
    assert says in reply.json()["error"]["message"]


def test_a_body_over_the_limit_is_refused(gateway: Gateway) -> None:
    reply = gateway.admin("POST", KEYS, content=b" " * (MAX_BODY + 1))
    assert (reply.status_code, code(reply)) == (413, "body_too_large")


@pytest.mark.parametrize(("method", "suffix"), [("POST", "/revoke"), ("POST", "/rotate"), ("DELETE", "")])
def test_a_key_that_does_not_exist_is_not_found(gateway: Gateway, method: str, suffix: str) -> None:
    reply = gateway.admin(method, f"{KEYS}/{'0' * 16}{suffix}")
    assert (reply.status_code, code(reply)) == (404, "key_not_found")


def test_a_revoked_key_cannot_be_rotated_back_to_life(gateway: Gateway) -> None:
    made = make(gateway)
    gateway.admin("DELETE", f"{KEYS}/{made['id']}")
    reply = gateway.admin("POST", f"{KEYS}/{made['id']}/rotate")
    assert (reply.status_code, code(reply)) == (409, "key_ended")


# --- configuration


def test_the_providers_are_listed_with_their_models(gateway: Gateway) -> None:
    assert gateway.admin("GET", "/admin/v1/providers").json() == {
        "data": [{"name": "near", "kind": "scripted", "base_url": None, "models": ["demo"]}]
    }


def test_a_broken_file_changes_nothing_and_says_where_it_is_broken(tmp_path: Path) -> None:
    with running(tmp_path, config=CONFIG) as gateway:
        digest = gateway.admin("GET", "/readyz").json()["config"]
        file = gateway.folder / "gateway.yaml"
        broken = CONFIG + "modles: {}\n"
        file.write_text(broken)
        reply = gateway.admin("POST", "/admin/v1/reload")
        report = reply.json()
        assert (reply.status_code, report["outcome"], report["config"]) == (400, "failed", digest)
        (fault,) = report["faults"]
        assert (Path(fault["file"]).name, fault["line"]) == ("gateway.yaml", len(broken.splitlines()))
        assert "`modles`" in fault["message"] and "models" in fault["message"]

        ready = gateway.admin("GET", "/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
        assert "modles" in ready.json()["warnings"]["config"]
        assert gateway.metric("gateway_config_reload_failing") == 1
        assert gateway.chat().status_code == 200

        file.write_text(CONFIG.replace("models: {demo", "models: {other"))
        assert gateway.admin("POST", "/admin/v1/reload").status_code == 200
        assert gateway.admin("GET", "/readyz").json()["warnings"] == {}
        assert gateway.metric("gateway_config_reload_failing") == 0
        assert gateway.chat(model="demo").status_code == 404
        assert gateway.admin("GET", "/admin/v1/reload").json()["config"] != digest


# --- the port itself


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
def test_the_metrics_are_what_prometheus_reads(gateway: Gateway, accept: str) -> None:
    assert gateway.chat().status_code == 200
    reply = gateway.admin("GET", "/metrics", headers={"accept": accept})
    assert reply.headers["content-type"].startswith(accept.partition(";")[0])
    if accept == "text/plain":
        found = {family.name: family for family in text_string_to_metric_families(reply.text)}
        answered = [one.value for one in found["gateway_requests"].samples if one.labels["status"] == "200"]
        assert sum(answered) >= 1
    else:
        assert reply.text.endswith("# EOF\n")


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.id)
def test_only_health_answers_to_a_host_that_is_not_known(gateway: Gateway, operation: Operation) -> None:
    with httpx.Client(base_url=gateway.admin_url, trust_env=False, timeout=20) as client:
        reply = client.request(operation.method, filled(operation), headers={"host": "rebound.example"})
    assert reply.status_code == (200 if operation.path in ("/healthz", "/readyz") else 421)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.id)
def test_no_path_of_the_admin_port_is_on_the_data_port(gateway: Gateway, operation: Operation) -> None:
    headers = {"authorization": f"Bearer {gateway.admin_key}"}
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=20) as client:
        reply = client.request(operation.method, filled(operation), headers=headers)
    assert (reply.status_code, code(reply)) == (404, "path_not_found")


def test_no_path_of_the_data_port_is_on_the_admin_port(gateway: Gateway) -> None:
    for method, path in (("POST", "/v1/chat/completions"), ("GET", "/v1/models")):
        assert gateway.admin(method, path).status_code == 404


def test_a_method_that_a_path_does_not_have_is_told_with_those_it_has(gateway: Gateway) -> None:
    reply = gateway.admin("PUT", KEYS)
    assert (reply.status_code, code(reply)) == (405, "method_not_allowed")
    assert reply.headers["allow"] == "GET, HEAD, POST"
