"""Several workers: one address, one set of numbers, one life together."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
import time
from pathlib import Path

import httpx

from tests.gateway_process import Gateway, eventually, running, scripted, verb

SCRIPT = """
models: [tiny]
replies:
  - when: {contains: short}
    text: "one two three four five six seven eight nine ten"
    delay: {first: 0.1, chunk: 0.1}
  - text: "Done."
"""


def asked_workers(gateway: Gateway, tries: int = 40) -> set[int]:
    return {gateway.admin("GET", "/readyz").json()["worker"] for _ in range(tries)}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_connections_are_spread_over_the_workers_and_every_call_is_counted_once(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "2", config=scripted(tmp_path, SCRIPT)) as gateway:
        assert asked_workers(gateway) == {0, 1}
        for _ in range(40):
            assert gateway.chat(model="tiny").status_code == 200
        assert gateway.metric('gateway_requests_total{status="200"') == 40
        assert gateway.metric("gateway_workers") == 2


def test_no_number_goes_down_when_a_worker_is_killed_and_another_takes_its_place(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "2", config=scripted(tmp_path, SCRIPT)) as gateway:
        for _ in range(30):
            gateway.chat(model="tiny")
        seen = [gateway.metric("gateway_requests_total")]
        killed = gateway.children()[0]
        os.kill(killed, signal.SIGKILL)

        def count() -> bool:
            with contextlib.suppress(httpx.TransportError):
                seen.append(gateway.metric("gateway_requests_total"))
            return killed not in gateway.children() and len(gateway.children()) == 2

        eventually(count)

        def is_complete() -> bool:
            with contextlib.suppress(httpx.TransportError):
                seen.append(gateway.metric("gateway_requests_total"))
                return gateway.metric("gateway_workers") == 2 and asked_workers(gateway, 10) == {0, 1}
            return False

        eventually(is_complete)
        assert seen == sorted(seen)
        assert seen[0] == 30
        assert gateway.metric("gateway_worker_restarts_total") == 1
        for _ in range(10):
            assert gateway.chat(model="tiny").status_code == 200
        assert gateway.metric("gateway_requests_total") == 40
        (died,) = gateway.logged("worker_died")
        assert died["status"] == -signal.SIGKILL


def test_workers_that_die_again_and_again_are_started_after_growing_pauses(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "2", config=scripted(tmp_path, SCRIPT)) as gateway:
        for _ in range(3):
            before = gateway.children()
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            eventually(functools.partial(_are_replaced, gateway, before), within_s=15)
        pauses = [line["pause_s"] for line in gateway.logged("worker_died", index=0)]
        assert pauses == sorted(pauses)
        assert pauses[0] < pauses[-1]
        eventually(lambda: _chats(gateway), 15)


def _are_replaced(gateway: Gateway, before: list[int]) -> bool:
    now = gateway.children()
    return len(now) == 2 and not set(now) & set(before)


def _chats(gateway: Gateway) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return gateway.chat(model="tiny").status_code == 200
    return False


def test_sigterm_while_a_successor_is_due_or_starting_ends_everything(tmp_path: Path) -> None:
    for wait_s in (0.0, 0.15, 0.4):
        with running(tmp_path, "--workers", "2", config=scripted(tmp_path, SCRIPT)) as gateway:
            os.kill(gateway.children()[1], signal.SIGKILL)
            time.sleep(wait_s)
            gateway.send()
            assert gateway.ended(10) == 0


def test_sighup_while_workers_start_kills_none_of_them(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "2", config=scripted(tmp_path, SCRIPT)) as gateway:
        first = set(gateway.children())
        os.kill(min(first), signal.SIGKILL)
        for _ in range(20):
            gateway.send(signal.SIGHUP)
            time.sleep(0.05)
        eventually(lambda: asked_workers(gateway, 20) == {0, 1})
        assert len(gateway.logged("worker_died")) == 1


def test_sigterm_to_the_supervisor_lets_the_streams_of_all_workers_finish(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "2", config=scripted(tmp_path, SCRIPT)) as gateway:
        found: list[bytes] = []

        def stream() -> None:
            found.append(gateway.chat("short", model="tiny", stream=True).content)

        threads = [threading.Thread(target=stream) for _ in range(12)]
        for thread in threads:
            thread.start()
        eventually(lambda: gateway.metric("gateway_streams") == 12)
        (run_dir,) = gateway.run_dirs()
        gateway.send()
        assert gateway.ended() == 0
        for thread in threads:
            thread.join()
        assert all(data.endswith(b"data: [DONE]\n\n") for data in found)
        assert not run_dir.exists()
        assert len(gateway.logged("stopped")) == 2


def test_workers_do_not_outlive_a_supervisor_that_was_killed_but_finish_their_streams(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "2", config=scripted(tmp_path, SCRIPT)) as gateway:
        workers = gateway.children()
        found: list[bytes] = []
        thread = threading.Thread(target=lambda: found.append(gateway.chat("short", model="tiny", stream=True).content))
        thread.start()
        eventually(lambda: gateway.metric("gateway_streams") == 1)
        gateway.process.kill()
        gateway.process.wait()
        eventually(lambda: not any(is_alive(pid) for pid in workers))
        thread.join()
        assert found[0].endswith(b"data: [DONE]\n\n")


def test_workers_that_are_still_starting_do_not_outlive_it_either(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "2", config=scripted(tmp_path, SCRIPT)) as gateway:
        before = gateway.children()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        fresh = eventually(lambda: len(now := gateway.children()) == 2 and not set(now) & set(before) and now)
        gateway.process.kill()
        gateway.process.wait()
        eventually(lambda: not any(is_alive(pid) for pid in fresh))


def test_a_revoked_key_is_refused_by_every_worker_within_a_second(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "2", config=scripted(tmp_path, SCRIPT)) as gateway:
        made = gateway.admin("POST", "/admin/v1/keys", json={"team": "search"}).json()
        gateway.key = made["key"]
        eventually(lambda: all(gateway.chat(model="tiny").status_code == 200 for _ in range(10)), 1.5)
        assert gateway.admin("DELETE", f"/admin/v1/keys/{made['id']}").status_code == 200
        revoked_at = time.monotonic()
        while time.monotonic() < revoked_at + 1:
            gateway.chat(model="tiny")
        replies = [gateway.chat(model="tiny") for _ in range(20)]
        assert {reply.json()["error"]["code"] for reply in replies} == {"revoked_api_key"}


def test_a_key_that_is_revoked_on_the_command_line_is_refused_within_a_second_too(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "2", config=scripted(tmp_path, SCRIPT)) as gateway:
        assert verb(tmp_path, "keys", "revoke", gateway.key).returncode == 0
        time.sleep(1)
        assert {gateway.chat(model="tiny").status_code for _ in range(20)} == {401}


def test_a_rotated_key_works_beside_its_successor_until_the_overlap_ends_on_every_worker(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "2", config=scripted(tmp_path, SCRIPT)) as gateway:
        made = gateway.admin("POST", "/admin/v1/keys", json={"team": "search"}).json()
        rotated = gateway.admin("POST", f"/admin/v1/keys/{made['id']}/rotate", json={"overlap": "3s"}).json()
        time.sleep(1)
        for key in (made["key"], rotated["key"]):
            gateway.key = key
            assert {gateway.chat(model="tiny").status_code for _ in range(10)} == {200}
        time.sleep(3)
        gateway.key = made["key"]
        assert {gateway.chat(model="tiny").json()["error"]["code"] for _ in range(10)} == {"expired_api_key"}
        gateway.key = rotated["key"]
        assert {gateway.chat(model="tiny").status_code for _ in range(10)} == {200}


def test_lines_of_the_log_stay_whole_though_workers_and_supervisor_share_one_pipe(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "2", config=scripted(tmp_path, SCRIPT)) as gateway:
        stop = threading.Event()

        def load() -> None:
            with httpx.Client(base_url=gateway.url, trust_env=False) as client:
                while not stop.is_set():
                    client.get("/v1/models", headers={"authorization": f"Bearer {gateway.key}"})

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(10):
            gateway.send(signal.SIGHUP)
            time.sleep(0.1)
        stop.set()
        for thread in threads:
            thread.join()
        eventually(lambda: len(gateway.logged("request")) == gateway.metric("gateway_requests_total"))
