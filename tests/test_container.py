"""The container files, as far as they can be proven without a container engine.

The Dockerfile's steps are acted out (see rehearsal.py) and the gateway is started from the result as a user who is not
root and may write in one directory only. compose.yaml and what it mounts are read and checked against each other.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config import settings
from tests.rehearsal import Context, Rehearsal, Stage, exec_form, fingerprint, freeze, parse

ROOT = Path(__file__).parent.parent
STAGES = parse((ROOT / "Dockerfile").read_text())
MADE = ("/build", "/opt/venv", "/app", "/data", "/usr/local/bin")
USER = 65532


@pytest.fixture(scope="module")
def final() -> Stage:
    return STAGES[-1]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert isinstance(document, dict)
    return document


# --- the Dockerfile, read ---


def test_every_stage_starts_from_the_same_pinned_python() -> None:
    assert {stage.base for stage in STAGES} == {"python:3.11-slim-bookworm"}
    assert len(STAGES) > 1


def test_packages_are_installed_by_hash_and_the_installer_stays_behind(final: Stage) -> None:
    runs = [run for stage in STAGES for run in stage.all("RUN") if re.search(r"\bpip install\b", run)]
    assert len(runs) == 2
    assert all("--require-hashes" in run for run in runs)
    assert "pip install" not in " ".join(final.all("RUN"))


def test_the_image_runs_as_a_numbered_user_who_is_not_root(final: Stage) -> None:
    assert final.last("USER") == f"{USER}:{USER}"


def test_data_is_the_one_volume_and_the_gateway_is_told_so(final: Stage) -> None:
    assert final.all("VOLUME") == ["/data"]
    assert any("GATEWAY_DATA=/data" in env for env in final.all("ENV"))


def test_secrets_tests_and_history_stay_out_of_the_build() -> None:
    context = Context(ROOT)
    kept_out = [".git/config", "data/dev.key", ".venv/bin/python", "tests/conftest.py", "gateway/__pycache__/x.pyc"]
    assert [name for name in kept_out if ROOT / name in context] == []
    assert ROOT / "gateway/errors.py" in context


# --- the Dockerfile, acted out ---


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def identity() -> dict[str, Any]:
    """Arguments of Popen that drop root; nobody else can, nor needs to."""
    return {"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 else {}


def base_python() -> str:
    """A Python with venv that the image's user can start too: one under /root is closed to others."""
    wanted = "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"
    candidates = [getattr(sys, "_base_executable", sys.executable), "/usr/local/bin/python3", "/usr/bin/python3"]
    for candidate in filter(os.path.exists, candidates):
        try:
            if subprocess.run([candidate, "-c", wanted], **identity(), cwd="/", check=False).returncode == 0:
                return str(candidate)
        except PermissionError:
            continue
    pytest.skip("no Python that other users may start: apt-get install python3-venv")


@pytest.fixture(scope="module")
def image() -> Iterator[Rehearsal]:
    """The image's files, built by the Dockerfile's own lines, in a folder that every user may enter."""
    python = base_python()
    root = Path(tempfile.mkdtemp(prefix="image-"))
    root.chmod(0o755)
    (root / "usr/local/bin").mkdir(parents=True)
    (root / "usr/local/bin/python").symlink_to(python)
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "PYTHON"))}
    rehearsal = Rehearsal(root, Context(ROOT), MADE, outside | {"PATH": f"{root}/usr/local/bin:/usr/bin:/bin"})
    for stage in STAGES:
        rehearsal.build(stage)
    for folder in ("opt", "app", "usr"):
        freeze(root / folder)
    if os.geteuid() != 0:
        (root / "data").chmod(0o700)
    yield rehearsal
    subprocess.run(["chmod", "-R", "u+w", str(root)], check=True)
    shutil.rmtree(root)


def on_path(image: Rehearsal, command: str) -> str:
    """Where the image's own PATH leads; Popen itself would look on ours."""
    found = shutil.which(command, path=image.env["PATH"])
    assert found is not None
    return found


def wait_until_healthy(process: subprocess.Popen[bytes], check: list[str], image: Rehearsal) -> None:
    deadline = time.monotonic() + 30
    while subprocess.run(check, env=image.env, cwd=image.root / "app", **identity(), check=False).returncode != 0:
        assert process.poll() is None, "the gateway ended before it was healthy"
        assert time.monotonic() < deadline, "the health check did not pass within 30 s"
        time.sleep(0.1)


def ask(port: int, key: str) -> dict[str, Any]:
    body = {"model": "demo", "messages": [{"role": "user", "content": "Say hello."}]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/chat/completions",
        json.dumps(body).encode(),
        {"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        answer = json.load(reply)
    assert isinstance(answer, dict)
    return answer


@pytest.mark.timeout(240)
def test_the_image_serves_as_another_user_and_writes_in_its_data_directory_only(image: Rehearsal, final: Stage) -> None:
    port, admin_port = free_port(), free_port()
    ports = ["--port", str(port), "--admin-port", str(admin_port)]
    command = [*exec_form(final.last("ENTRYPOINT")), "serve", "--host", "127.0.0.1", *ports]
    check = [word.replace("8081", str(admin_port)) for word in exec_form(final.last("HEALTHCHECK"))]
    check[0] = on_path(image, check[0])
    before = fingerprint(image.root / "app") | fingerprint(image.root / "opt")
    process = subprocess.Popen(
        [on_path(image, command[0]), *command[1:]],
        env=image.env,
        cwd=image.root / "app",
        **identity(),
    )
    try:
        wait_until_healthy(process, check, image)
        key = (image.root / "data/dev.key").read_text().strip()
        assert ask(port, key)["choices"][0]["message"]["content"]
        process.send_signal(getattr(signal, final.last("STOPSIGNAL")))
        assert process.wait(timeout=15) == 0
    finally:
        process.kill()
        process.wait()
    assert fingerprint(image.root / "app") | fingerprint(image.root / "opt") == before
    assert subprocess.run(check, env=image.env, **identity(), capture_output=True, check=False).returncode != 0


# --- compose.yaml and what it mounts ---


def test_the_gateway_stands_beside_what_it_is_watched_and_backed_by(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"gateway", "redis", "postgres", "prometheus", "grafana"}


def test_every_image_is_pinned_by_a_tag(compose: dict[str, Any]) -> None:
    images = [service["image"] for service in compose["services"].values()]
    assert [image for image in images if not re.fullmatch(r"[\w./-]+:v?\d[\w.-]*", image)] == []


def test_every_service_says_when_it_is_healthy(compose: dict[str, Any], final: Stage) -> None:
    assert final.all("HEALTHCHECK")
    others = {name: service for name, service in compose["services"].items() if name != "gateway"}
    assert [name for name, service in others.items() if "healthcheck" not in service] == []


def test_every_mounted_file_exists_and_every_volume_is_declared(compose: dict[str, Any]) -> None:
    mounts = [mount.split(":")[0] for service in compose["services"].values() for mount in service["volumes"]]
    bound = [mount for mount in mounts if mount.startswith("./")]
    assert [mount for mount in bound if not (ROOT / mount).exists()] == []
    assert set(mounts) - set(bound) == set(compose["volumes"])


def test_no_port_is_open_to_other_machines(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_the_gateway_can_write_in_its_volume_only(compose: dict[str, Any]) -> None:
    gateway = compose["services"]["gateway"]
    assert gateway["read_only"] is True
    assert gateway["cap_drop"] == ["ALL"]
    assert "gateway:/data" in gateway["volumes"]


def test_prometheus_scrapes_a_host_that_the_admin_port_knows() -> None:
    prometheus = yaml.safe_load((ROOT / "deploy/prometheus.yml").read_text())
    targets = [target for job in prometheus["scrape_configs"] for target in job["static_configs"][0]["targets"]]
    known = yaml.safe_load((ROOT / "deploy/gateway.yaml").read_text())["server"]["admin_allowed_hosts"]
    assert "gateway:8081" in targets
    assert "gateway" in known


@pytest.mark.parametrize("environ", [{}, {"OPENAI_API_KEY": "sk-example"}], ids=["no key", "OpenAI's key"])
def test_the_mounted_configuration_loads_with_and_without_a_provider_key(
    environ: dict[str, str], tmp_path: Path
) -> None:
    loaded, _ = settings.read(ROOT / "deploy/gateway.yaml", environ, tmp_path)
    assert "demo" in loaded.models
    assert ("gpt-*" in loaded.models) is bool(environ)


def dashboards() -> list[Path]:
    return sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))


def queries(dashboard: Path) -> list[str]:
    panels = json.loads(dashboard.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


@pytest.mark.parametrize("dashboard", dashboards(), ids=lambda path: path.stem)
def test_a_dashboard_asks_only_for_metrics_that_are_documented(dashboard: Path) -> None:
    documented = set(re.findall(r"gateway_[a-z_]+", (ROOT / "docs/metrics.md").read_text()))
    asked = {name for query in queries(dashboard) for name in re.findall(r"gateway_[a-z_]+", query)}
    assert asked
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked} - documented == set()


@pytest.mark.parametrize("dashboard", dashboards(), ids=lambda path: path.stem)
def test_the_panels_of_a_dashboard_do_not_overlap(dashboard: Path) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in json.loads(dashboard.read_text())["panels"]:
        place = panel["gridPos"]
        for cell in ((x, y) for x in range(place["w"]) for y in range(place["h"])):
            spot = (place["x"] + cell[0], place["y"] + cell[1])
            assert spot[0] < 24
            assert taken.setdefault(spot, panel["title"]) == panel["title"]
