"""Starting: what is printed, what is refused, where files and ports come from, TLS, and who the client is."""

from __future__ import annotations

import shlex
import socket
import ssl
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import trustme

from tests.gateway_process import Gateway, await_ready, environment, eventually, launch, proxied, running, verb


def test_the_printed_curl_line_is_answered_and_the_printed_settings_are_those_of_a_client(
    tmp_path: Path, service: Callable[[str], Path]
) -> None:
    service("curl")
    with running(tmp_path) as gateway:
        assert f"export OPENAI_BASE_URL={gateway.url}/v1\n" in gateway.out.text
        (line,) = (line for line in gateway.out.text.splitlines() if line.startswith("curl "))
        done = subprocess.run([*shlex.split(line), "--silent", "--noproxy", "*"], capture_output=True, text=True)
        assert '"role":"assistant"' in done.stdout


def test_a_second_gateway_on_the_same_port_is_refused_with_a_sentence_that_helps(tmp_path: Path) -> None:
    with running(tmp_path / "first") as first:
        for flag, port, make in (("--port", first.port, "PORT"), ("--admin-port", first.admin_port, "ADMIN_PORT")):
            second = launch(tmp_path / "second", flag, str(port))
            assert second.ended() == 1
            assert f"127.0.0.1:{port} is in use" in second.err.text
            assert f"make run {make}=" in second.err.text
            assert "Traceback" not in second.err.text


@pytest.mark.parametrize("workers", ["1", "2"])
def test_of_two_gateways_that_start_at_the_same_moment_on_one_port_exactly_one_serves(
    tmp_path: Path, workers: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    both = [launch(tmp_path / name, "--port", port, "--workers", workers) for name in ("a", "b")]
    try:
        eventually(lambda: any(one.process.poll() is not None for one in both), 30)
        (loser,) = (one for one in both if one.process.poll() is not None)
        (winner,) = (one for one in both if one is not loser)
        assert loser.ended() == 1
        assert "is in use" in loser.err.text
        assert await_ready(winner).chat().status_code == 200
        assert winner.stop() == 0
    finally:
        for one in both:
            if one.process.poll() is None:
                one.kill()


def test_a_port_is_free_again_at_once_after_the_end_although_clients_were_connected(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        client = first.client()
        assert client.get("/v1/models").status_code == 200
        port = str(first.port)
        assert first.stop() == 0
    with running(tmp_path, "--port", port) as second:
        assert second.chat().status_code == 200


def test_an_address_of_another_machine_cannot_be_listened_on_and_that_is_said(tmp_path: Path) -> None:
    gateway = launch(tmp_path, "--host", "192.0.2.1", "--port", "18080")
    assert gateway.ended() == 1
    assert "192.0.2.1:18080 cannot be listened on" in gateway.err.text


def test_a_broken_file_ends_the_start_with_every_fault_and_its_line(tmp_path: Path) -> None:
    gateway = launch(tmp_path, config="server:\n  hots: 127.0.0.1\n  workers: none\n")
    assert gateway.ended() == 1
    assert f"{tmp_path}/gateway.yaml:2: " in gateway.err.text
    assert f"{tmp_path}/gateway.yaml:3: " in gateway.err.text
    assert gateway.out.text == ""


def test_a_blank_secret_ends_the_start(tmp_path: Path) -> None:
    config = 'providers:\n  up: {base_url: "https://api.example.com/v1", api_key: "${BLANK}"}\n'
    gateway = launch(tmp_path, config=config, extra={"BLANK": " "})
    assert gateway.ended() == 1
    assert "gateway.yaml:2: " in gateway.err.text
    assert "blank" in gateway.err.text


@pytest.mark.parametrize("part", ["cert", "key"])
def test_a_certificate_that_cannot_be_used_ends_the_start_with_a_sentence(tmp_path: Path, part: str) -> None:
    pair = _certificate(trustme.CA(), tmp_path)
    pair[part].write_text("no PEM at all\n")
    gateway = launch(tmp_path, config=f"server:\n  tls: {{cert: {pair['cert']}, key: {pair['key']}}}\n")
    assert gateway.ended() == 1
    assert "server.tls: " in gateway.err.text
    assert "Traceback" not in gateway.err.text


def test_the_file_is_the_flags_else_the_variables_else_the_one_that_lies_there(tmp_path: Path) -> None:
    def serve_models(*arguments: str, **options: dict[str, str]) -> list[str]:
        with running(tmp_path, *arguments, **options) as gateway:  # type: ignore[arg-type]
            return [model["id"] for model in gateway.client().get("/v1/models").json()["data"]]

    def file(name: str) -> str:
        path = tmp_path / f"{name}.yaml"
        path.write_text(proxied("http://127.0.0.1:9/v1", model=name))
        return str(path)

    assert serve_models() == ["demo"]
    flag, variable, _ = file("flag"), {"GATEWAY_CONFIG": file("variable")}, file("gateway")
    assert serve_models() == ["gateway"]
    assert serve_models(extra=variable) == ["variable"]
    assert serve_models("--config", flag, extra=variable) == ["flag"]


def test_everything_that_is_kept_lies_under_gateway_data_for_nobody_else_to_read(tmp_path: Path) -> None:
    elsewhere = tmp_path / "else" / "where"
    with running(tmp_path, extra={"GATEWAY_DATA": str(elsewhere)}) as gateway:
        assert gateway.chat().status_code == 200
    assert not (tmp_path / "data").exists()
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o700
    assert {path.name for path in elsewhere.iterdir()} >= {"keys.db", "pepper", "dev.key", "admin.key"}
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in elsewhere.iterdir())


def test_the_second_start_prints_the_same_keys(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        keys = (first.key, first.admin_key)
    with running(tmp_path) as second:
        assert (second.key, second.admin_key) == keys


def test_the_run_folder_is_gone_after_the_end_and_a_killed_gateways_after_the_next_start(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        (clean,) = gateway.run_dirs()
    assert not clean.exists()
    with running(tmp_path) as gateway:
        (left,) = gateway.run_dirs()
        gateway.kill()
    assert left.exists()
    with running(tmp_path):
        assert not left.exists()


def test_health_needs_no_key_and_everything_else_on_the_admin_port_is_not_on_the_data_port(tmp_path: Path) -> None:
    with running(tmp_path) as gateway, httpx.Client(trust_env=False) as client:
        assert client.get(f"{gateway.admin_url}/healthz").json()["status"] == "ok"
        assert client.get(f"{gateway.admin_url}/readyz").json()["status"] == "ready"
        assert "gateway_requests_total" in client.get(f"{gateway.admin_url}/metrics").text
        for path in ("/healthz", "/readyz", "/metrics", "/admin/v1/keys", "/console", "/v1/../metrics", "/%6detrics"):
            assert client.get(f"{gateway.url}{path}").status_code == 404, path


def _certificate(authority: trustme.CA, folder: Path) -> dict[str, Path]:
    made = authority.issue_cert("127.0.0.1", "localhost")
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    key.write_bytes(made.private_key_pem.bytes())
    return {"cert": cert, "key": key}


def _trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_both_ports_speak_tls_when_it_is_configured_and_plain_text_gets_no_answer(tmp_path: Path) -> None:
    authority = trustme.CA()
    pair = _certificate(authority, tmp_path)
    config = f"server:\n  tls: {{cert: {pair['cert']}, key: {pair['key']}}}\nproviders:\n  s: {{kind: scripted}}\n"
    config += "models:\n  demo: {deployments: [{provider: s}]}\n"
    with running(tmp_path, config=config) as gateway:
        assert gateway.url.startswith("https://")
        headers = {"authorization": f"Bearer {gateway.key}"}
        with httpx.Client(verify=_trusting(authority), headers=headers, trust_env=False) as client:
            assert client.get(f"{gateway.url}/v1/models").status_code == 200
            assert client.get(f"{gateway.admin_url}/readyz").status_code == 200
            body = {"model": "demo", "messages": [{"role": "user", "content": "hi"}], "stream": True}
            with client.stream("POST", f"{gateway.url}/v1/chat/completions", json=body) as reply:
                assert reply.read().endswith(b"data: [DONE]\n\n")
        with socket.create_connection(("127.0.0.1", gateway.port), 5) as plain:
            plain.sendall(b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n")
            assert not plain.recv(100).startswith(b"HTTP/")


def test_with_mutual_tls_only_a_client_with_a_certificate_of_the_authority_gets_in(tmp_path: Path) -> None:
    authority, clients, strangers = trustme.CA(), trustme.CA(), trustme.CA()
    pair = _certificate(authority, tmp_path)
    clients.cert_pem.write_to_path(tmp_path / "clients.pem")
    server = f"server:\n  tls: {{cert: {pair['cert']}, key: {pair['key']}, client_ca: {tmp_path}/clients.pem}}\n"
    with running(tmp_path, config=server + "  admin_tls: null\n") as gateway:

        def status(issuer: trustme.CA | None) -> int:
            context = _trusting(authority)
            if issuer is not None:
                issuer.issue_cert("client@example.com").configure_cert(context)
            with httpx.Client(verify=context, trust_env=False) as client:
                return client.get(f"{gateway.url}/v1/models").status_code

        assert status(clients) == 401  # in, and asked for a key
        for stranger in (None, strangers):
            with pytest.raises(httpx.TransportError):
                status(stranger)
        with httpx.Client(trust_env=False) as client:
            assert client.get(f"http://127.0.0.1:{gateway.admin_port}/readyz").status_code == 200
        gateway.scheme = "http"


@pytest.mark.parametrize(
    ("trusted", "sent", "logged"),
    [
        ("[]", "203.0.113.7", "127.0.0.1"),
        ("[127.0.0.1]", "203.0.113.7", "203.0.113.7"),
        ("[127.0.0.0/8, 10.0.0.0/8]", "198.51.100.1, 203.0.113.7, 10.1.2.3", "203.0.113.7"),
        ("[127.0.0.1]", "a\tb", "127.0.0.1"),
    ],
    ids=["trusts nobody", "one proxy", "two proxies, and a lie on the left", "no address"],
)
def test_the_log_shows_the_client_behind_the_proxies_that_are_trusted(
    tmp_path: Path, trusted: str, sent: str, logged: str
) -> None:
    config = f"server:\n  trusted_proxies: {trusted}\n"
    with running(tmp_path, config=config) as gateway:
        assert gateway.client().get("/v1/models", headers={"x-forwarded-for": sent}).status_code == 200
        eventually(lambda: gateway.logged("request"))
        assert gateway.logged("request")[0]["client"] == logged


def test_a_gateway_takes_nothing_of_its_environment_that_it_was_not_told(tmp_path: Path) -> None:
    assert not {name for name in environment(tmp_path) if name.endswith("_API_KEY")}
    with running(tmp_path, extra={"PORT": "1", "HOST": "192.0.2.1"}) as gateway:
        assert gateway.port != 1


def test_the_keys_are_printed_and_never_logged(tmp_path: Path) -> None:
    def secrets(gateway: Gateway) -> list[str]:
        return [gateway.key.rsplit("-", 1)[1], gateway.admin_key.rsplit("-", 1)[1]]

    with running(tmp_path) as gateway:
        gateway.chat()
        gateway.admin("GET", "/admin/v1/keys")
        gateway.stop()
        assert not any(secret in gateway.err.text for secret in secrets(gateway))


def test_checking_is_possible_while_a_gateway_runs(tmp_path: Path) -> None:
    with running(tmp_path):
        assert verb(tmp_path, "check").returncode == 0
