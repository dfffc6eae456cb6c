"""The end of a gateway: unready first, streams to their end, the rest told and booked, and an exit in time."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway_process import Gateway, eventually, provider, proxied, running, scripted

SCRIPT = """
models: [tiny]
replies:
  - when: {contains: short}
    text: "one two three four five six seven eight nine ten"
    delay: {first: 0.1, chunk: 0.1}
  - when: {contains: soon}
    text: "Here."
    delay: {first: 1.5}
  - when: {contains: late}
    text: "never"
    delay: {first: 50}
  - text: "again "
    repeat: 1000
    delay: {first: 0.05, chunk: 0.1}
"""


class Stream:
    """A chat that is being streamed in a thread."""

    def __init__(self, gateway: Gateway, content: str, *, stream: bool = True) -> None:
        self.data = b""
        self.status = 0
        self.error: Exception | None = None
        self.headers = httpx.Headers()
        self._gateway = gateway
        self._body = {"model": "tiny", "stream": stream, "messages": [{"role": "user", "content": content}]}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        headers = {"authorization": f"Bearer {self._gateway.key}"}
        url = f"{self._gateway.url}/v1/chat/completions"
        try:
            with (
                httpx.Client(timeout=30, trust_env=False) as client,
                client.stream("POST", url, json=self._body, headers=headers) as reply,
            ):
                self.status, self.headers = reply.status_code, reply.headers
                for data in reply.iter_raw():
                    self.data += data
        except httpx.TransportError as error:
            self.error = error

    def started(self) -> Stream:
        eventually(lambda: self.data)
        return self

    def ended(self, within_s: float = 15) -> Stream:
        self._thread.join(within_s)
        assert not self._thread.is_alive()
        return self


def shutdown(delay: float = 0, grace: float = 20) -> str:
    return f"  shutdown: {{delay: {delay}, grace: {grace}}}\n"


def booked(gateway: Gateway) -> list[dict[str, Any]]:
    return gateway.logged("request")


def test_a_stream_that_has_begun_reaches_its_end_and_the_gateway_ends_after_it(tmp_path: Path) -> None:
    with running(tmp_path, config=scripted(tmp_path, SCRIPT, shutdown())) as gateway:
        streams = [Stream(gateway, "short").started() for _ in range(10)]
        gateway.send()
        assert gateway.ended() == 0
        for stream in streams:
            assert stream.ended().data.endswith(b"data: [DONE]\n\n")
        assert [line["status"] for line in booked(gateway)] == [200] * 10
        assert gateway.logged("stopped")


def test_an_answer_that_is_not_streamed_is_waited_for_too(tmp_path: Path) -> None:
    with running(tmp_path, config=scripted(tmp_path, SCRIPT, shutdown())) as gateway:
        call = Stream(gateway, "soon", stream=False)
        eventually(lambda: gateway.metric("gateway_in_flight_requests") == 1)
        gateway.send()
        assert gateway.ended() == 0
        assert json.loads(call.ended().data)["choices"]
        assert call.headers["connection"] == "close"


def test_it_is_unready_at_once_and_still_accepts_until_the_delay_has_passed(tmp_path: Path) -> None:
    with running(tmp_path, config=scripted(tmp_path, SCRIPT, shutdown(delay=1.0))) as gateway:
        assert gateway.admin("GET", "/readyz").status_code == 200
        gateway.send()
        report = eventually(lambda: (reply := gateway.admin("GET", "/readyz")).status_code == 503 and reply.json())
        assert report["not_ready"] == {"process": "shutting down"}
        assert gateway.chat("short", model="tiny").status_code == 200
        assert gateway.admin("GET", "/healthz").status_code == 200
        assert gateway.ended() == 0


def test_while_it_drains_new_connections_are_refused_and_idle_ones_closed_but_the_admin_port_answers(
    tmp_path: Path,
) -> None:
    with running(tmp_path, config=scripted(tmp_path, SCRIPT, shutdown())) as gateway:
        stream = Stream(gateway, "short").started()
        with socket.create_connection(("127.0.0.1", gateway.port), 5) as idle:
            idle.sendall(b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n")
            assert idle.recv(65536).startswith(b"HTTP/1.1 401 ")
            gateway.send()
            idle.settimeout(3)
            assert idle.recv(65536) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", gateway.port), 5).close()
        assert gateway.admin("GET", "/readyz").status_code == 503
        assert gateway.metric("gateway_streams") == 1
        stream.ended()
        assert gateway.ended() == 0


def test_beyond_the_grace_a_stream_ends_with_an_error_that_says_why_and_is_booked(tmp_path: Path) -> None:
    with (
        provider(tmp_path, SCRIPT) as up,
        running(tmp_path, config=proxied(up.url, shutdown(grace=0.5))) as gateway,
    ):
        streams = [Stream(gateway, "long").started() for _ in range(20)]
        waiting = Stream(gateway, "late")
        eventually(lambda: gateway.metric("gateway_in_flight_requests") == 21)
        began = time.monotonic()
        gateway.send()
        assert gateway.ended() == 0
        assert time.monotonic() - began < 4
        for stream in streams:
            assert stream.ended().error is None
            last = stream.data.rstrip().rsplit(b"\n", 1)[-1].removeprefix(b"data: ")
            assert json.loads(last)["error"]["code"] == "unavailable"
            assert b"[DONE]" not in stream.data
        assert waiting.ended().status == 503
        assert json.loads(waiting.data)["error"]["code"] == "unavailable"
        assert len(booked(gateway)) == 21
        assert {line["code"] for line in booked(gateway)} == {"unavailable"}
        eventually(lambda: len(up.bill()) == 21)  # the provider was told, too
        assert not any(line["completed"] for line in up.bill())


def test_a_client_that_does_not_read_its_last_event_does_not_hold_up_the_end(tmp_path: Path) -> None:
    flood = "models: [tiny]\nreplies:\n  - {text: 'word ', repeat: 3000000, chunk: 1000}\n"
    with running(tmp_path, config=scripted(tmp_path, flood, shutdown(grace=0.5))) as gateway:
        body = json.dumps({"model": "tiny", "stream": True, "messages": [{"role": "user", "content": "x"}]}).encode()
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", gateway.port))
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {gateway.key}\r\n"
            deaf.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            eventually(lambda: gateway.metric("gateway_streams") == 1)
            time.sleep(0.3)
            began = time.monotonic()
            gateway.send()
            assert gateway.ended() == 0
            assert time.monotonic() - began < 5
        assert len(booked(gateway)) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_signal_ends_the_waiting(tmp_path: Path, number: signal.Signals, workers: str) -> None:
    config = scripted(tmp_path, SCRIPT, shutdown(grace=50))
    with running(tmp_path, "--workers", workers, config=config) as gateway:
        stream = Stream(gateway, "long").started()
        gateway.send(number)
        time.sleep(0.5)
        assert gateway.process.poll() is None
        gateway.send(number)
        assert gateway.ended(8) == 0
        assert b'"code":"unavailable"' in stream.ended().data


def test_a_second_signal_ends_the_delay_too(tmp_path: Path) -> None:
    with running(tmp_path, config=scripted(tmp_path, SCRIPT, shutdown(delay=50))) as gateway:
        gateway.send()
        eventually(lambda: gateway.logged("draining"))
        gateway.send()
        assert gateway.ended(8) == 0


def test_a_worker_that_also_gets_the_supervisors_signal_does_not_take_it_for_a_second_one(tmp_path: Path) -> None:
    """A terminal sends SIGINT to the whole group, a service manager SIGTERM to all processes of a service."""
    with running(tmp_path, "--workers", "2", config=scripted(tmp_path, SCRIPT, shutdown())) as gateway:
        stream = Stream(gateway, "short").started()
        for worker in gateway.children():
            os.kill(worker, signal.SIGINT)
            os.kill(worker, signal.SIGTERM)
        gateway.send(signal.SIGTERM)
        assert gateway.ended() == 0
        assert stream.ended().data.endswith(b"data: [DONE]\n\n")
