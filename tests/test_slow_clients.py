"""Clients that are slow or silent cost little and hurt nobody else."""

from __future__ import annotations

import json
import resource
import selectors
import socket
import time
from pathlib import Path

import httpx
import pytest

from tests.gateway_process import Gateway, eventually, provider, proxied, running, scripted

_WARM = "{when: {contains: warm}, text: 'again ', repeat: 100, delay: {chunk: 0.2}}"
DRIP = f"models: [tiny]\nreplies: [{_WARM}, {{text: 'again ', repeat: 5000, delay: {{chunk: 0.5}}}}]\n"
FLOOD = f"models: [tiny]\nreplies: [{_WARM}, {{text: 'word ', repeat: 2000, extra: {{padding: {'x' * 4000}}}}}]\n"
"""Eight megabytes, most of them no text: more than the kernel takes for a client that does not read."""


def request(gateway: Gateway) -> bytes:
    body = json.dumps({"model": "tiny", "stream": True, "messages": [{"role": "user", "content": "x"}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {gateway.key}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def resident(gateway: Gateway) -> int:
    """Bytes of memory of the gateway's process."""
    return int(Path(f"/proc/{gateway.process.pid}/statm").read_text().split()[1]) * resource.getpagesize()


def allow_many_sockets() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def test_two_thousand_half_requests_do_not_cost_one_good_call(tmp_path: Path) -> None:
    allow_many_sockets()
    config = scripted(tmp_path, "models: [tiny]\nreplies: [{text: Done.}]\n", "  limits: {header_timeout: 3}\n")
    with running(tmp_path, config=config) as gateway:
        client = gateway.client()
        body = {"model": "tiny", "messages": [{"role": "user", "content": "x"}]}
        held = []
        try:
            for number in range(2000):
                connection = socket.create_connection(("127.0.0.1", gateway.port), 10)
                connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nX-Slow: ")
                held.append(connection)
                if number % 20 == 0:
                    assert client.post("/v1/chat/completions", json=body).status_code == 200
                    assert gateway.chat(model="tiny").status_code == 200
            for _ in range(100):
                assert client.post("/v1/chat/completions", json=body).status_code == 200
            eventually(lambda: gateway.metric('gateway_refusals_total{code="header_timeout"') == 2000, 15)
        finally:
            for connection in held:
                connection.close()
        eventually(lambda: gateway.metric("gateway_process_open_fds") < 60)


def test_clients_that_never_read_are_cut_after_write_stall_and_cost_little_memory(tmp_path: Path) -> None:
    limits = "  limits: {write_stall: 1}\n"
    with provider(tmp_path, FLOOD) as up, running(tmp_path, config=proxied(up.url, limits)) as gateway:
        _warm_up(gateway)
        before = resident(gateway)
        held, _ = open_streams(gateway, 20, read=False)
        try:
            eventually(lambda: gateway.metric("gateway_streams") == 20)
            eventually(lambda: gateway.metric("gateway_streams") == 0, 8)
        finally:
            for connection in held:
                connection.close()
        assert resident(gateway) - before < 20 * 512 * 1024
        eventually(lambda: len(gateway.logged("request", code="client_closed_request")) == 23)
        eventually(lambda: len(up.bill()) == 23)


def test_a_client_that_reads_slowly_gets_all_of_its_answer(tmp_path: Path) -> None:
    text = "models: [tiny]\nreplies: [{text: 'word ', repeat: 40000, chunk: 500}]\n"
    with running(tmp_path, config=scripted(tmp_path, text, "  limits: {write_stall: 2}\n")) as gateway:
        with gateway.client().stream(
            "POST",
            "/v1/chat/completions",
            json={"model": "tiny", "stream": True, "messages": [{"role": "user", "content": "x"}]},
        ) as reply:
            data = b""
            for piece in reply.iter_raw(16384):
                data += piece
                time.sleep(0.02)
        assert data.endswith(b"data: [DONE]\n\n")


def open_streams(gateway: Gateway, count: int, *, read: bool) -> tuple[list[socket.socket], selectors.DefaultSelector]:
    """`count` streams that have begun; those that are not read have the smallest buffers."""
    held, ready = [], selectors.DefaultSelector()
    for _ in range(count):
        connection = socket.socket()
        if not read:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", gateway.port))
        connection.sendall(request(gateway))
        connection.setblocking(False)
        if read:
            ready.register(connection, selectors.EVENT_READ)
        held.append(connection)
    return held, ready


def read_all(ready: selectors.DefaultSelector, seconds: float) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for key, _ in ready.select(0.1):
            assert isinstance(key.fileobj, socket.socket)
            assert key.fileobj.recv(65536)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("kind", "count"), [("drip", 1000), ("flood", 300)])
def test_very_many_streams_take_at_most_64_kib_each(tmp_path: Path, kind: str, count: int) -> None:
    """A flood fills the kernel's buffers too, some 3 MB a stream, so that there are fewer of them here."""
    allow_many_sockets()
    with (
        provider(tmp_path, DRIP if kind == "drip" else FLOOD) as up,
        running(tmp_path, config=proxied(up.url, "  limits: {write_stall: 300}\n")) as gateway,
    ):
        _warm_up(gateway)
        before = resident(gateway)
        held, ready = open_streams(gateway, count, read=kind == "drip")
        try:
            if kind == "drip":
                read_all(ready, 5)
            eventually(lambda: gateway.metric("gateway_streams") == count, 40)
            if kind == "drip":
                read_all(ready, 5)
            else:
                time.sleep(10)
            assert gateway.metric("gateway_streams") == count
            each = (resident(gateway) - before) / count
            print(f"{kind}: {each / 1024:.1f} KiB a stream")
            assert each <= 64 * 1024
        finally:
            ready.close()
            for connection in held:
                connection.close()
        eventually(lambda: gateway.metric("gateway_streams") == 0)


def _warm_up(gateway: Gateway) -> None:
    """What the first stream costs (imports, the tokenizer's 70 MiB) is not a cost of each."""
    for _ in range(3):
        with (
            httpx.Client(trust_env=False) as client,
            client.stream(
                "POST",
                f"{gateway.url}/v1/chat/completions",
                headers={"authorization": f"Bearer {gateway.key}"},
                json={"model": "tiny", "stream": True, "messages": [{"role": "user", "content": "warm"}]},
            ) as reply,
        ):
            next(reply.iter_raw())
    eventually(lambda: gateway.metric("gateway_streams") == 0)
    eventually(lambda: len(gateway.logged("request", usage_source="estimated")) == 3)
