"""A real gateway for tests: its own process, data folder and ports, started, waited for, and stopped in any case."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parent.parent
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
"""What a gateway sees of this process's environment: nothing that names a provider, a gateway or a proxy."""

START_S = 40.0


def environment(data_dir: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a gateway or of one of its verbs."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "GATEWAY_DATA": str(data_dir), **(extra or {})}


def verb(
    folder: Path, *arguments: str, extra: Mapping[str, str] | None = None, timeout_s: float = 40.0
) -> subprocess.CompletedProcess[str]:
    """Run `gateway <arguments>` in `folder` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=folder,
        env=environment(folder / "data", extra),
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


def eventually(holds: Callable[[], Any], within_s: float = 10.0, every_s: float = 0.02) -> Any:
    """What `holds` returns once it is true; fails the test if that takes longer than `within_s`."""
    ends = time.monotonic() + within_s
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > ends:
            pytest.fail(f"not so within {within_s} s: {getattr(holds, '__name__', holds)}")
        time.sleep(every_s)


class _Output:
    """Reads a pipe to its end in a thread, so that the process never waits for us."""

    def __init__(self, pipe: Any) -> None:
        self.text = ""
        self._pipe = pipe
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while data := os.read(self._pipe.fileno(), 65536):
            self.text += data.decode()

    def close(self) -> None:
        self._thread.join(5)
        self._pipe.close()


@dataclass
class Gateway:
    """A gateway that is ready. `port` and `admin_port` are those that the system chose."""

    process: subprocess.Popen[bytes]
    folder: Path
    extra: Mapping[str, str]
    out: _Output
    err: _Output
    port: int = 0
    admin_port: int = 0
    key: str = ""
    admin_key: str = ""
    scheme: str = "http"
    clients: list[httpx.Client] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The data port."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def admin_url(self) -> str:
        """The admin port."""
        return f"{self.scheme}://127.0.0.1:{self.admin_port}"

    def client(self, **options: Any) -> httpx.Client:
        """A client of the data port that has the development key; closed with the gateway."""
        headers = {"authorization": f"Bearer {self.key}"}
        made = httpx.Client(base_url=self.url, headers=headers, timeout=20, trust_env=False, **options)
        self.clients.append(made)
        return made

    def admin(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One call on the admin port, on a connection of its own, so that any worker may get it."""
        headers = {"authorization": f"Bearer {self.admin_key}"}
        with httpx.Client(base_url=self.admin_url, headers=headers, timeout=20, trust_env=False) as client:
            return client.request(method, path, **options)

    def chat(self, content: str = "hi", model: str = "demo", **body: Any) -> httpx.Response:
        """One chat on a connection of its own."""
        message = {"model": model, "messages": [{"role": "user", "content": content}], **body}
        with httpx.Client(base_url=self.url, timeout=20, trust_env=False) as client:
            return client.post("/v1/chat/completions", json=message, headers={"authorization": f"Bearer {self.key}"})

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels; `name` may hold some: `gateway_requests_total{status="200"`."""
        found = 0.0
        name, _, labels = name.partition("{")
        for line in self.admin("GET", "/metrics").text.splitlines():
            if line.split("{")[0].split(" ")[0] == name and all(one in line for one in labels.split(",")):
                found += float(line.rsplit(" ", 1)[1])
        return found

    def lines(self) -> list[dict[str, Any]]:
        """Every line of the log so far; one that is no JSON object fails the test."""
        whole = self.err.text[: self.err.text.rfind("\n") + 1]
        return [json.loads(line) for line in whole.splitlines()]

    def logged(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """The lines of one event whose fields are these."""
        return [
            line
            for line in self.lines()
            if line.get("event") == event and all(line.get(name) == value for name, value in fields.items())
        ]

    def children(self) -> list[int]:
        """The process ids of the workers under a supervisor."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def run_dirs(self) -> list[Path]:
        """The run folders that this gateway's processes have open."""
        found = set()
        for pid in [self.process.pid, *self.children()]:
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if "/gateway-" in (target := os.readlink(descriptor)) and target.startswith("/dev/shm/"):
                        found.add(Path(target).parent)
        return sorted(found)

    def send(self, number: signal.Signals = signal.SIGTERM) -> None:
        """A signal to the process that was started."""
        self.process.send_signal(number)

    def stop(self, timeout_s: float = 20.0) -> int:
        """SIGTERM, and the exit status; a gateway that does not end is killed, and fails the test."""
        for client in self.clients:
            client.close()
        self.clients.clear()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.ended(timeout_s)

    def ended(self, timeout_s: float = 20.0) -> int:
        """The exit status, once the process has ended by itself."""
        try:
            status = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"the gateway did not end within {timeout_s} s; its log:\n{self.err.text[-4000:]}")
        self.out.close()
        self.err.close()
        return status

    def kill(self) -> None:
        """SIGKILL to it and its workers."""
        with contextlib.suppress(OSError):
            for pid in self.children():
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()


def launch(folder: Path, *arguments: str, config: str | None = None, extra: Mapping[str, str] | None = None) -> Gateway:
    """Start `gateway serve` on ports that the system chooses, without waiting for it.

    It is asked for port 0 unless `arguments` or `config` say otherwise, so no port is chosen before it is bound.
    """
    folder.mkdir(parents=True, exist_ok=True)
    words = list(arguments)
    if config is not None:
        (folder / "gateway.yaml").write_text(config)
        words += ["--config", str(folder / "gateway.yaml")]
    for flag in ("--port", "--admin-port"):
        if flag not in words:
            words += [flag, "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve", *words],
        cwd=folder,
        env=environment(folder / "data", extra),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    return Gateway(process, folder, extra or {}, _Output(process.stdout), _Output(process.stderr))


def await_ready(gateway: Gateway) -> Gateway:
    """Wait until it has printed how it is reached, and read that."""

    def is_announced() -> bool:
        return ("curl " in gateway.out.text and gateway.out.text.endswith("\n")) or gateway.process.poll() is not None

    eventually(is_announced, START_S)
    text = gateway.out.text
    base = re.search(r"OPENAI_BASE_URL=(https?)://\S+:(\d+)/v1", text)
    console = re.search(r"Console: https?://\S+?:(\d+)/console   admin key: (\S+)", text)
    key = re.search(r"OPENAI_API_KEY=(\S+)", text)
    if base is None or console is None or key is None:
        pytest.fail(f"the gateway did not start:\n{text}\n{gateway.err.text}")
    gateway.scheme, gateway.port = base[1], int(base[2])
    gateway.admin_port, gateway.admin_key, gateway.key = int(console[1]), console[2], key[1]
    return gateway


@contextlib.contextmanager
def running(
    folder: Path, *arguments: str, config: str | None = None, extra: Mapping[str, str] | None = None
) -> Iterator[Gateway]:
    """A gateway that is ready; it is gone at the end, and whatever it logged was whole lines."""
    gateway = launch(folder, *arguments, config=config, extra=extra)
    try:
        yield await_ready(gateway)
        if gateway.process.poll() is None:
            assert gateway.stop() == 0
        gateway.lines()
    finally:
        for client in gateway.clients:
            client.close()
        if gateway.process.poll() is None:
            gateway.kill()
        gateway.out.close()
        gateway.err.close()


@dataclass(frozen=True)
class Provider:
    """A scripted provider in a process of its own."""

    port: int
    bill_file: Path

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def bill(self) -> list[dict[str, Any]]:
        """What it has charged for so far, in order of the ends."""
        text = self.bill_file.read_text() if self.bill_file.exists() else ""
        return [json.loads(line) for line in text.splitlines()]


@contextlib.contextmanager
def provider(folder: Path, script: str) -> Iterator[Provider]:
    """`gateway provider` playing `script`."""
    (folder / "script.yaml").write_text(script)
    bill = folder / "bill.jsonl"
    command = [sys.executable, "-m", "gateway", "provider", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--script", str(folder / "script.yaml"), "--bill", str(bill)],
        cwd=folder,
        env=environment(folder / "data"),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    output = _Output(process.stderr)
    try:
        eventually(lambda: output.text.endswith("\n") or process.poll() is not None, START_S)
        found = re.search(r"at http://127\.0\.0\.1:(\d+)/v1", output.text)
        assert found is not None, output.text
        yield Provider(int(found[1]), bill)
    finally:
        process.kill()
        process.wait()
        output.close()


def proxied(provider_url: str, server: str = "", model: str = "tiny") -> str:
    """A configuration that serves one model from one provider; `server` is more YAML for that section."""
    return f"""
server:
  host: 127.0.0.1
{server}
providers:
  up: {{kind: openai, base_url: "{provider_url}", api_key: none, allow_private: true}}
models:
  {model}: {{deployments: [{{provider: up, model: {model}}}]}}
"""


def scripted(folder: Path, script: str, server: str = "", model: str = "tiny", file: str = "script.yaml") -> str:
    """A configuration that serves one model from a script that is played in the gateway itself."""
    (folder / file).write_text(script)
    return f"""
server:
  host: 127.0.0.1
{server}
providers:
  up: {{kind: scripted, script: {folder / file}}}
models:
  {model}: {{deployments: [{{provider: up, model: {model}}}]}}
"""


def raw(port: int, data: bytes, *, timeout_s: float = 10.0, end: bool = False) -> bytes:
    """Send bytes on a new connection, and read until the other side closes or says nothing for `timeout_s`."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(data)
            if end:
                connection.shutdown(socket.SHUT_WR)
        return drain(connection)


def drain(connection: socket.socket) -> bytes:
    """What comes until the other side closes, resets or falls silent."""
    found = b""
    with contextlib.suppress(OSError):
        while data := connection.recv(65536):
            found += data
    return found
