"""The verbs of the command line: what they print, as text and as JSON, and the exit status that scripts rely on."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gateway_process import environment, eventually, proxied, running, verb

BROKEN = "server:\n  hots: 127.0.0.1\n"


def write(folder: Path, text: str) -> str:
    (folder / "gateway.yaml").write_text(text)
    return str(folder / "gateway.yaml")


def test_check_says_in_a_line_that_nothing_is_wrong(tmp_path: Path) -> None:
    done = verb(tmp_path, "check", "--config", write(tmp_path, proxied("http://127.0.0.1:9/v1")))
    assert (done.returncode, done.stderr) == (0, "")
    assert "no faults; 1 models" in done.stdout


def test_check_lists_faults_on_standard_error_with_file_and_line(tmp_path: Path) -> None:
    done = verb(tmp_path, "check", "--config", write(tmp_path, BROKEN))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{tmp_path}/gateway.yaml:2: ")
    assert "did you mean `host`?" in done.stderr


def test_check_as_json_is_one_object_whether_or_not_there_are_faults(tmp_path: Path) -> None:
    good = verb(tmp_path, "check", "--format", "json", "--config", write(tmp_path, proxied("http://127.0.0.1:9/v1")))
    assert (good.returncode, json.loads(good.stdout)["ok"]) == (0, True)
    bad = verb(tmp_path, "check", "--format", "json", "--config", write(tmp_path, BROKEN))
    assert bad.returncode == 1
    (fault,) = json.loads(bad.stdout)["faults"]
    assert (fault["file"], fault["line"]) == (f"{tmp_path}/gateway.yaml", 2)


@pytest.mark.parametrize("word", ["check", "serve", "reload"])
def test_a_file_that_is_not_there_is_a_fault_and_no_traceback(tmp_path: Path, word: str) -> None:
    done = verb(tmp_path, word, "--config", "nowhere.yaml")
    assert done.returncode == 1
    assert "nowhere.yaml: there is no such file" in done.stderr


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"\0", b"a: &a [*a, *a]\n", b"- 1\n", b"server: !!python/object:os.system {}"]
)
def test_a_file_that_is_no_yaml_or_no_mapping_is_a_fault_and_no_traceback(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "gateway.yaml").write_bytes(content)
    done = verb(tmp_path, "check")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "gateway.yaml" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["nothing"],
        ["serve", "--port", "many"],
        ["serve", "--nothing"],
        ["check", "--format", "xml"],
        ["keys", "create"],
        ["keys", "nothing"],
        ["provider", "--port", "x"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_status_2(tmp_path: Path, words: list[str]) -> None:
    done = verb(tmp_path, *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["--port", "70000"], ["--workers", "0"], ["--host", "a b"], ["--admin-port", "-1"]])
def test_a_setting_of_the_command_line_that_cannot_be_is_a_fault_that_names_it(
    tmp_path: Path, words: list[str]
) -> None:
    done = verb(tmp_path, "serve", *words)
    assert done.returncode == 1
    assert words[0].strip("-").replace("-", "_") in done.stderr
    assert "Traceback" not in done.stderr


def test_plugins_lists_the_kinds_of_providers_and_where_they_are(tmp_path: Path) -> None:
    text = verb(tmp_path, "plugins")
    assert text.returncode == 0
    found = json.loads(verb(tmp_path, "plugins", "--format", "json").stdout)
    assert {one["name"] for one in found} >= {"openai", "scripted"}
    assert all(one["name"] in text.stdout and one["module"] in text.stdout for one in found)


def test_keys_are_made_listed_rotated_and_revoked_beside_a_running_gateway(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:

        def status(key: str) -> int:
            gateway.key = key
            return gateway.chat().status_code

        made = json.loads(verb(tmp_path, "keys", "create", "--team", "search", "--format", "json").stdout)
        eventually(lambda: status(made["key"]) == 200, 1.5)
        listed = json.loads(verb(tmp_path, "keys", "list", "--format", "json").stdout)
        assert made["id"] in [key["id"] for key in listed]
        words = ("keys", "rotate", made["id"], "--overlap", "0s", "--format", "json")
        rotated = json.loads(verb(tmp_path, *words).stdout)
        eventually(lambda: (status(made["key"]), status(rotated["key"])) == (401, 200), 1.5)
        assert verb(tmp_path, "keys", "revoke", made["id"]).returncode == 0
        eventually(lambda: status(rotated["key"]) == 401, 1.5)
        assert verb(tmp_path, "keys", "rotate", made["id"]).returncode == 1


def test_reload_without_a_gateway_says_that_nobody_answers(tmp_path: Path) -> None:
    with running(tmp_path):
        pass  # which leaves an admin key behind
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    done = verb(tmp_path, "reload", "--config", write(tmp_path, f"server: {{admin_port: {port}}}\n"))
    assert done.returncode == 1
    assert f"no gateway answers at http://127.0.0.1:{port}/" in done.stderr


def test_reload_before_any_start_says_that_there_is_no_admin_key(tmp_path: Path) -> None:
    done = verb(tmp_path, "reload")
    assert done.returncode == 1
    assert "has a gateway run here?" in done.stderr


def test_the_provider_runs_until_it_is_told_to_stop(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway", "provider", "--port", "0", "--bill", str(tmp_path / "bill.jsonl")]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(tmp_path), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "The scripted provider serves demo at http://127.0.0.1:" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    process.stderr.close()


def test_the_provider_says_what_is_wrong_with_its_port_and_its_script(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = str(held.getsockname()[1])
        taken = verb(tmp_path, "provider", "--port", port)
    assert (taken.returncode, "Traceback" in taken.stderr) == (1, False)
    assert port in taken.stderr
    (tmp_path / "script.yaml").write_text("models: [a]\nreplies: [{texd: hi}]\n")
    broken = verb(tmp_path, "provider", "--script", "script.yaml")
    assert (broken.returncode, "Traceback" in broken.stderr) == (1, False)
    assert "script.yaml:2: " in broken.stderr


def test_help_is_printed_quickly_and_lists_every_verb(tmp_path: Path) -> None:
    done = verb(tmp_path, "--help")
    assert done.returncode == 0
    for word in ("serve", "check", "reload", "plugins", "provider", "keys"):
        assert word in done.stdout
    assert "worker " not in done.stdout
