"""New files are taken up whole or not at all, by three ways, on every worker, under the feet of running calls."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.gateway_process import Gateway, eventually, running, scripted, verb

SCRIPT = """
models: ["*"]
replies:
  - when: {contains: slow}
    text: "one two three four five six seven eight nine ten"
    delay: {chunk: 0.1}
  - text: "This is the first script."
"""


def file(gateway: Gateway) -> Path:
    return gateway.folder / "gateway.yaml"


def write(path: Path, text: str) -> None:
    """Replace a file as a whole, as careful editors do."""
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.rename(path)


def models(gateway: Gateway) -> list[str]:
    headers = {"authorization": f"Bearer {gateway.key}"}
    with httpx.Client(base_url=gateway.url, headers=headers, trust_env=False) as client:
        return [model["id"] for model in client.get("/v1/models").json()["data"]]


def everywhere(gateway: Gateway, wanted: list[str]) -> Callable[[], bool]:
    """Whether all of forty connections, which both workers get their share of, see these models."""

    def holds() -> bool:
        return all(models(gateway) == wanted for _ in range(40))

    return holds


def by_signal(gateway: Gateway) -> None:
    gateway.send(signal.SIGHUP)


def by_admin_port(gateway: Gateway) -> None:
    report = gateway.admin("POST", "/admin/v1/reload")
    assert report.json()["outcome"] in ("ok", "unchanged")


def by_verb(gateway: Gateway) -> None:
    config = file(gateway).read_text().replace("server:\n", f"server:\n  admin_port: {gateway.admin_port}\n", 1)
    (gateway.folder / "copy.yaml").write_text(config)
    done = verb(gateway.folder, "reload", "--config", "copy.yaml")
    assert done.returncode == 0, done.stderr


def by_itself(gateway: Gateway) -> None:
    """The change of the file is all."""


@pytest.mark.parametrize("how", [by_signal, by_admin_port, by_verb, by_itself])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_new_model_is_served_by_every_worker_without_a_restart(
    tmp_path: Path, workers: str, how: Callable[[Gateway], None]
) -> None:
    with running(tmp_path, "--workers", workers, config=scripted(tmp_path, SCRIPT)) as gateway:
        pids = gateway.children()
        assert models(gateway) == ["tiny"]
        write(file(gateway), scripted(tmp_path, SCRIPT, model="other"))
        how(gateway)
        eventually(everywhere(gateway, ["other"]), within_s=5)
        assert gateway.chat(model="other").status_code == 200
        assert gateway.chat(model="tiny").json()["error"]["code"] == "model_not_found"
        assert gateway.children() == pids
        assert gateway.metric("gateway_config_reload_failing") == 0


def test_a_new_provider_is_called_without_a_restart(tmp_path: Path) -> None:
    with running(tmp_path, config=scripted(tmp_path, SCRIPT)) as gateway:
        text = scripted(tmp_path, SCRIPT) + "  added: {deployments: [{provider: new}]}\n"
        write(
            file(gateway),
            text.replace("providers:\n", "providers:\n  new: {kind: scripted}\n").replace(
                "{provider: new}", "{provider: new, model: demo}"
            ),
        )
        eventually(lambda: models(gateway) == ["tiny", "added"] or models(gateway) == ["added", "tiny"])
        assert gateway.chat(model="added").headers["x-gateway-provider"] == "new"


def test_a_script_that_changes_is_played_anew(tmp_path: Path) -> None:
    with running(tmp_path, config=scripted(tmp_path, SCRIPT)) as gateway:
        assert "first script" in gateway.chat(model="tiny").text
        write(tmp_path / "script.yaml", SCRIPT.replace("first", "second"))
        eventually(lambda: "second script" in gateway.chat(model="tiny").text)


def test_a_call_in_flight_keeps_the_view_that_it_began_with(tmp_path: Path) -> None:
    with running(tmp_path, config=scripted(tmp_path, SCRIPT)) as gateway:
        found: list[bytes] = []
        thread = threading.Thread(target=lambda: found.append(gateway.chat("slow", model="tiny", stream=True).content))
        thread.start()
        eventually(lambda: gateway.metric("gateway_streams") == 1)
        write(file(gateway), scripted(tmp_path, "models: [other]\nreplies: [{text: x}]", model="other", file="b.yaml"))
        eventually(lambda: models(gateway) == ["other"])
        assert gateway.metric("gateway_streams") == 1
        thread.join()
        assert found[0].endswith(b"data: [DONE]\n\n")
        assert b'"error"' not in found[0]


def test_a_broken_file_changes_nothing_and_shows_everywhere_until_it_is_mended(tmp_path: Path) -> None:
    good = scripted(tmp_path, SCRIPT)
    with running(tmp_path, config=good) as gateway:
        write(file(gateway), good + "nonsense: 1\n")
        eventually(lambda: gateway.metric("gateway_config_reload_failing") == 1)
        line = len(good.splitlines()) + 1
        report = gateway.admin("GET", "/readyz")
        assert report.status_code == 200
        assert f"gateway.yaml:{line}: " in report.json()["warnings"]["config"]
        eventually(lambda: gateway.logged("config_reload_failed"))
        assert f":{line}: " in gateway.logged("config_reload_failed")[0]["faults"][0]
        refused = gateway.admin("POST", "/admin/v1/reload")
        assert refused.status_code == 400
        assert refused.json()["faults"][0]["line"] == line
        assert gateway.chat(model="tiny").status_code == 200
        write(file(gateway), good)
        eventually(lambda: gateway.metric("gateway_config_reload_failing") == 0)
        assert gateway.admin("GET", "/readyz").json()["warnings"] == {}


def test_a_file_that_is_gone_for_a_moment_is_a_fault_and_no_end(tmp_path: Path) -> None:
    good = scripted(tmp_path, SCRIPT)
    with running(tmp_path, config=good) as gateway:
        file(gateway).unlink()
        eventually(lambda: gateway.metric("gateway_config_reload_failing") == 1)
        assert gateway.chat(model="tiny").status_code == 200
        write(file(gateway), scripted(tmp_path, SCRIPT, model="back"))
        eventually(lambda: models(gateway) == ["back"])


def test_a_change_in_the_moment_of_the_start_is_not_missed(tmp_path: Path) -> None:
    """The file is written anew all the while the gateway starts; what it says last must be what is served."""
    stop = threading.Event()
    path = tmp_path / "gateway.yaml"
    text = scripted(tmp_path, SCRIPT)

    def rewrite() -> None:
        number = 0
        while not stop.wait(0.01):
            number += 1
            write(path, text.replace("  tiny:", f"  m{number}:"))

    thread = threading.Thread(target=rewrite)
    thread.start()
    try:
        with running(tmp_path, config=text) as gateway:
            stop.set()
            thread.join()
            last = path.read_text().splitlines()[-1].strip().partition(":")[0]
            eventually(lambda: models(gateway) == [last])
    finally:
        stop.set()
        thread.join()


def mutated(text: str, draw: random.Random) -> str:
    """`text` with a few bytes cut, doubled or swapped for others; half the time it is whole."""
    if draw.random() < 0.5:
        return text.replace("weight: 1", f"weight: {draw.randrange(1, 9)}")
    for _ in range(draw.randrange(1, 6)):
        at = draw.randrange(len(text))
        size = draw.randrange(1, 20)
        text = draw.choice(
            (
                text[:at] + text[at + size :],
                text[:at] + text[at : at + size] * 2 + text[at + size :],
                text[:at] + draw.choice("\x00\t{}[]:&*!%@`\"'é") + text[at:],
            )
        )
    return text


@pytest.mark.parametrize("workers", ["1", "2"])
def test_two_hundred_mutated_files_under_traffic_fail_no_call(tmp_path: Path, workers: str) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    good = scripted(tmp_path, SCRIPT).replace("model: tiny}", "model: tiny, weight: 1}")
    failed: list[str] = []
    calls = 0
    stop = threading.Event()
    with running(tmp_path, "--workers", workers, config=good) as gateway:

        def load() -> None:
            nonlocal calls
            while not stop.is_set():
                try:
                    reply = gateway.chat(model="tiny")
                    calls += 1
                    if reply.status_code != 200:
                        failed.append(reply.text)
                except httpx.TransportError as error:
                    failed.append(repr(error))

        threads = [threading.Thread(target=load) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(200):
            text = mutated(good, draw)
            while _takes_the_model_away(text, good):
                text = mutated(good, draw)
            file(gateway).write_bytes(text.encode(errors="replace"))  # in place: a reader may see half of it
            with contextlib.suppress(ProcessLookupError):
                os.kill(gateway.process.pid, signal.SIGHUP)
            time.sleep(draw.choice((0.01, 0.01, 0.01, 0.15)))
        write(file(gateway), good + "nonsense: 1\n")
        eventually(lambda: gateway.metric("gateway_config_reload_failing") == 1)
        write(file(gateway), good)
        eventually(lambda: gateway.metric("gateway_config_reload_failing") == 0)
        stop.set()
        for thread in threads:
            thread.join()
        assert failed == []
        assert calls > 50
        assert gateway.metric('gateway_config_reloads_total{outcome="failed"') >= 1
        assert gateway.logged("config_reload_failed")
        assert not gateway.logged("background_work_ended")
        assert not gateway.logged("config_reload_broke")


def _takes_the_model_away(text: str, good: str) -> bool:
    """Whether a mutation would be a proper file that serves something else: then calls fail rightly."""
    return text != good and good.partition("providers:")[2].partition("weight")[0] not in text
