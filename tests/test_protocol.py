"""The bounds of the data port, on real sockets: heads, bodies, trailers, and how a refused client gets its answer."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway_process import Gateway, drain, eventually, raw, running, scripted

SCRIPT = "models: [tiny]\nreplies: [{text: Done.}]\n"
LIMITS = "  limits: {max_header_bytes: 4096, header_timeout: 1, keep_alive: 1.5, max_body_bytes: 100000}\n"
BODY = b'{"model":"tiny","messages":[{"role":"user","content":"hi"}]}'


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("protocol")
    with running(folder, config=scripted(folder, SCRIPT, LIMITS)) as found:
        yield found


def post(gateway: Gateway, *headers: bytes, body: bytes = BODY, length: bool = True) -> bytes:
    """A good chat, with more headers if need be."""
    lines = [b"POST /v1/chat/completions HTTP/1.1", b"Host: a", b"Authorization: Bearer " + gateway.key.encode()]
    if length:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, *headers]) + b"\r\n\r\n" + body


def code(answer: bytes) -> tuple[int, str]:
    """Status and code of one whole error."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["code"]


@pytest.mark.parametrize("piece", [1_000_000, 1000], ids=["in one piece", "in many"])
@pytest.mark.parametrize("size", [5_000, 60_000, 1_000_000])
def test_a_head_over_the_limit_gets_431_however_it_arrives_and_the_client_can_read_it(
    gateway: Gateway, size: int, piece: int
) -> None:
    data = post(gateway, b"X-Padding: " + b"x" * size)
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as connection:
        with contextlib.suppress(OSError):
            for at in range(0, len(data), piece):
                connection.sendall(data[at : at + piece])
        answer = drain(connection)
    assert code(answer) == (431, "headers_too_large")
    assert b"connection: close" in answer


def test_a_head_just_under_the_limit_is_served(gateway: Gateway) -> None:
    data = post(gateway, b"X-Padding: " + b"x" * 3500, b"Connection: close")
    assert raw(gateway.port, data).startswith(b"HTTP/1.1 200 ")


def test_a_large_body_in_the_same_packet_as_its_head_does_not_count_as_head(gateway: Gateway) -> None:
    body = BODY.replace(b"hi", b"x" * 50_000)
    assert raw(gateway.port, post(gateway, b"Connection: close", body=body)).startswith(b"HTTP/1.1 200 ")


def test_half_a_head_gets_408_in_time(gateway: Gateway) -> None:
    began = time.monotonic()
    answer = raw(gateway.port, b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n")
    assert code(answer) == (408, "header_timeout")
    assert time.monotonic() - began < 3


def test_a_head_that_trickles_gets_408_although_bytes_keep_coming(gateway: Gateway) -> None:
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as connection:
        for byte in post(gateway):
            try:
                connection.send(bytes([byte]))
            except OSError:
                break
            time.sleep(0.05)
            if time.monotonic() - began > 2:
                break
        assert code(drain(connection)) == (408, "header_timeout")


def test_a_connection_that_never_says_anything_is_closed_without_a_word(gateway: Gateway) -> None:
    assert raw(gateway.port, b"") == b""


def test_an_idle_connection_is_closed_after_keep_alive_and_not_before(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as connection:
        for _ in range(2):
            connection.sendall(post(gateway))
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            time.sleep(1.1)
        began = time.monotonic()
        assert drain(connection) == b""
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_over_the_limit_gets_413_which_a_client_that_keeps_sending_can_read(
    gateway: Gateway, framing: str
) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + gateway.key.encode() + b"\r\n"
    size = 8_000_000
    head += b"Content-Length: %d\r\n\r\n" % size if framing == "length" else b"Transfer-Encoding: chunked\r\n\r\n"
    block = b"x" * 100_000
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as connection:
        connection.sendall(head)
        for _ in range(size // len(block)):
            connection.sendall(block if framing == "length" else b"%x\r\n%b\r\n" % (len(block), block))
        if framing == "chunked":
            connection.sendall(b"0\r\n\r\n")
        connection.settimeout(5)
        answer = connection.recv(65536)
        assert code(answer) == (413, "body_too_large")
        connection.sendall(post(gateway, b"Connection: close"))  # the connection is still good for another call
        assert drain(connection).startswith(b"HTTP/1.1 200 ")


def test_a_declared_length_over_the_limit_is_refused_before_the_body(gateway: Gateway) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + gateway.key.encode()
    with socket.create_connection(("127.0.0.1", gateway.port), 5) as connection:
        connection.sendall(head + b"\r\nContent-Length: 999999999999\r\n\r\n")
        assert code(connection.recv(65536)) == (413, "body_too_large")


def test_a_trailer_is_never_taken_for_a_header(gateway: Gateway) -> None:
    """It arrives in one packet with the head, so that the application has not run before it is parsed."""
    chunk = b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY)
    for trailer in (b"Authorization: Bearer " + gateway.key.encode(), b"X-Api-Key: gw-x", b"Host: evil"):
        head = (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        assert code(raw(gateway.port, head + chunk + trailer + b"\r\n\r\n")) == (401, "missing_api_key")
    good = post(gateway, b"Transfer-Encoding: chunked", b"Connection: close", body=b"", length=False)
    answer = raw(gateway.port, good + chunk + b"Idempotency-Key: \r\nX-Api-Key: other\r\nX-T: 1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_endless_trailers_and_chunk_extensions_are_cut_off(gateway: Gateway) -> None:
    for start in (b"0\r\nX-Trailer: ", b"1;"):
        with socket.create_connection(("127.0.0.1", gateway.port), 10) as connection:
            connection.sendall(post(gateway, b"Transfer-Encoding: chunked", body=b"", length=False) + start)
            ends = time.monotonic() + 5
            with pytest.raises(OSError):
                while time.monotonic() < ends:
                    connection.sendall(b"x" * 10_000)
                    time.sleep(0.01)


def test_one_byte_chunks_are_served(gateway: Gateway) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"
    data = post(gateway, b"Transfer-Encoding: chunked", b"Connection: close", body=b"", length=False) + chunks
    assert raw(gateway.port, data).startswith(b"HTTP/1.1 200 ")


def test_a_request_with_expect_gets_its_continue_and_is_the_last_on_its_connection(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), 5) as connection:
        data = post(gateway, b"Expect: 100-continue")
        connection.sendall(data[: -len(BODY)])
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert b"connection: close" in drain(connection)


def test_a_request_that_is_refused_instead_of_continued_leaves_no_doubt_about_what_follows(gateway: Gateway) -> None:
    """Its client need not send the body; read on, the next request would be taken for it."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 500\r\n\r\n"
    answer = raw(gateway.port, head + post(gateway))
    assert answer.count(b"HTTP/1.1 ") == 1
    assert code(answer) == (401, "missing_api_key")


def test_refusals_before_a_request_is_one_are_counted_and_not_logged(gateway: Gateway) -> None:
    before = gateway.metric('gateway_refusals_total{code="malformed_http"')
    time.sleep(0.3)  # what earlier tests have logged is written by then
    size = len(gateway.err.text)
    for _ in range(50):
        assert code(raw(gateway.port, b"NONSENSE\r\n\r\n")) == (400, "malformed_http")
    assert gateway.metric('gateway_refusals_total{code="malformed_http"') == before + 50
    time.sleep(0.3)
    assert len(gateway.err.text) == size


def test_pipelined_requests_are_answered_in_their_order(gateway: Gateway) -> None:
    models = b"GET /v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + gateway.key.encode() + b"\r\n"
    answer = raw(gateway.port, post(gateway) + models + b"\r\n" + models + b"Connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 ") == 3
    assert answer.index(b"chat.completion") < answer.index(b'"list"')


def test_a_head_request_and_a_websocket_upgrade_get_plain_answers(gateway: Gateway) -> None:
    upgrade = b"GET /v1/realtime HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert code(raw(gateway.port, upgrade)) == (400, "malformed_http")
    head = raw(gateway.port, b"HEAD /v1/models HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert head.endswith(b"\r\n\r\n")


def test_nothing_of_all_this_leaves_a_connection_behind(gateway: Gateway) -> None:
    before = gateway.metric("gateway_process_open_fds")
    for number in range(50):
        raw(gateway.port, (b"GET ", b"NONSENSE\r\n\r\n", b"\0" * 5000, post(gateway, b"Connection: close"))[number % 4],
            timeout_s=0.01)  # fmt: skip
    eventually(lambda: gateway.metric("gateway_process_open_fds") <= before, 6)


def test_a_body_that_trickles_is_given_up(tmp_path: Path) -> None:
    config = scripted(tmp_path, SCRIPT, "  limits: {body_min_rate: 1000}\n")
    with running(tmp_path, config=config) as slow:
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", slow.port), 30) as connection:
            connection.sendall(post(slow, body=b"", length=False)[:-2] + b"Content-Length: 100000\r\n\r\n")
            with contextlib.suppress(OSError):
                while time.monotonic() - began < 20:
                    connection.sendall(b" ")
                    time.sleep(0.1)
        assert 9 < time.monotonic() - began < 14
        (line,) = eventually(lambda: slow.logged("request"))
        assert line["status"] == 499
