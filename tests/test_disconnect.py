"""A client that leaves stops its provider, is booked as 499, and leaves nothing behind."""

from __future__ import annotations

import json
import socket
import struct
import time
from pathlib import Path

import pytest

from tests.gateway_process import Gateway, eventually, provider, proxied, running

SCRIPT = """
models: [tiny]
replies:
  - when: {contains: late}
    text: "A very long time later."
    delay: {first: 30}
  - text: "again "
    repeat: 1000
    delay: {first: 0.05, chunk: 0.05}
"""
RESET = struct.pack("ii", 1, 0)


def begin(gateway: Gateway, content: str, *, stream: bool) -> socket.socket:
    """A chat that has been sent; the caller leaves."""
    body = json.dumps({"model": "tiny", "stream": stream, "messages": [{"role": "user", "content": content}]}).encode()
    connection = socket.create_connection(("127.0.0.1", gateway.port), 10)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {gateway.key}\r\n"
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


@pytest.mark.parametrize("manner", ["closes", "resets"])
@pytest.mark.parametrize("content", ["late", "mid-stream", "late, not streamed"])
def test_a_client_that_leaves_stops_the_provider_within_a_second_and_is_booked(
    tmp_path: Path, content: str, manner: str
) -> None:
    with provider(tmp_path, SCRIPT) as up, running(tmp_path, config=proxied(up.url)) as gateway:
        connection = begin(gateway, content, stream="not streamed" not in content)
        if content == "mid-stream":
            received = b""
            while received.count(b"data: ") < 5:
                received += connection.recv(65536)
        else:
            eventually(lambda: gateway.metric("gateway_in_flight_requests") == 1)
            time.sleep(0.3)
        left_at = time.time()
        if manner == "resets":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.close()
        (bill,) = eventually(up.bill)
        assert bill["completed"] is False
        assert bill["at"] - left_at < 1
        (line,) = eventually(lambda: gateway.logged("request"))
        assert line["code"] == "client_closed_request"
        if content == "mid-stream":
            assert line["output_tokens"] >= 4
            assert line["usage_source"] == "estimated"
        else:
            assert line["status"] == 499
        assert gateway.metric("gateway_client_disconnects_total") == 1
        assert gateway.metric("gateway_in_flight_requests") == 0
        assert gateway.metric("gateway_streams") == 0


def test_a_hundred_clients_that_leave_at_all_times_are_all_booked_and_leave_no_descriptor(tmp_path: Path) -> None:
    with provider(tmp_path, SCRIPT) as up, running(tmp_path, config=proxied(up.url)) as gateway:
        gateway.chat(model="tiny", content="x", max_tokens=3)
        before = gateway.metric("gateway_process_open_fds")
        for number in range(100):
            connection = begin(gateway, "x", stream=True)
            time.sleep(number / 1000)
            connection.close()
        eventually(lambda: len(gateway.logged("request")) == 101)
        eventually(lambda: gateway.metric("gateway_in_flight_requests") == 0)
        eventually(lambda: gateway.metric("gateway_process_open_fds") <= before + 1)


def test_a_client_that_leaves_in_the_middle_of_its_body_is_booked_and_reaches_no_provider(tmp_path: Path) -> None:
    with provider(tmp_path, SCRIPT) as up, running(tmp_path, config=proxied(up.url)) as gateway:
        with socket.create_connection(("127.0.0.1", gateway.port), 10) as connection:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {gateway.key}\r\n"
            connection.sendall(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
            eventually(lambda: gateway.metric("gateway_in_flight_requests") == 1)
        (line,) = eventually(lambda: gateway.logged("request"))
        assert line["status"] == 499
        assert up.bill() == []
