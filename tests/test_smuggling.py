"""Two requests on a connection are two requests to everybody on the way, or the connection ends.

Each request of the corpus is followed by a probe on the same connection. There is a desync where something inside the
first one is answered as a request of its own, or where the probe gets what is not its answer.
"""

from __future__ import annotations

import contextlib
import functools
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gateway_process import Gateway, drain, eventually, running, scripted

SCRIPT = "models: [tiny]\nreplies: [{text: Done.}]\n"
SMUGGLED = b"GET /v1/models/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
"""What an attacker hides; a gateway that takes it for a request answers once more."""
PROBE = b"GET /v1/models/probe HTTP/1.1\r\nHost: a\r\nX-Api-Key: @KEY@\r\nConnection: close\r\n\r\n"


def post(*headers: bytes, body: bytes = b"", version: bytes = b"1.1", target: bytes = b"/v1/chat/completions") -> bytes:
    lines = [b"POST " + target + b" HTTP/" + version, *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


HOST = b"Host: a"
CHUNKED = b"Transfer-Encoding: chunked"
LENGTH = b"Content-Length: %d" % len(SMUGGLED)
END = b"0\r\n\r\n"

REFUSED: dict[str, bytes] = {
    "length beside chunked": post(HOST, LENGTH, CHUNKED, body=END + SMUGGLED),
    "chunked beside length": post(HOST, CHUNKED, b"Content-Length: 4", body=END + SMUGGLED),
    "two lengths that differ": post(HOST, b"Content-Length: 0", LENGTH, body=SMUGGLED),
    "two lengths that agree": post(HOST, LENGTH, LENGTH, body=SMUGGLED),
    "a list of lengths": post(HOST, b"Content-Length: 0, %d" % len(SMUGGLED), body=SMUGGLED),
    "a length with a plus": post(HOST, b"Content-Length: +%d" % len(SMUGGLED), body=SMUGGLED),
    "a length with a minus": post(HOST, b"Content-Length: -1", body=SMUGGLED),
    "a length in hexadecimal": post(HOST, b"Content-Length: 0x%x" % len(SMUGGLED), body=SMUGGLED),
    "a length with a comma": post(HOST, b"Content-Length: 1,0", body=SMUGGLED),
    "a length with an underscore": post(HOST, b"Content-Length: 1_0", body=SMUGGLED),
    "an empty length": post(HOST, b"Content-Length: ", body=SMUGGLED),
    "a length beyond 64 bits": post(HOST, b"Content-Length: 18446744073709551617", body=SMUGGLED),
    "an underscore for the dash": post(HOST, b"Content_Length: %d" % len(SMUGGLED), body=SMUGGLED),
    "chunked with an underscore": post(HOST, b"Transfer_Encoding: chunked", body=END + SMUGGLED),
    "chunked twice": post(HOST, CHUNKED, CHUNKED, body=END + SMUGGLED),
    "chunked, chunked": post(HOST, b"Transfer-Encoding: chunked, chunked", body=END + SMUGGLED),
    "gzip, chunked": post(HOST, b"Transfer-Encoding: gzip, chunked", body=END + SMUGGLED),
    "chunked, identity": post(HOST, b"Transfer-Encoding: chunked, identity", body=END + SMUGGLED),
    "identity": post(HOST, b"Transfer-Encoding: identity", LENGTH, body=SMUGGLED),
    "xchunked": post(HOST, b"Transfer-Encoding: xchunked", body=END + SMUGGLED),
    "chunked in quotes": post(HOST, b'Transfer-Encoding: "chunked"', body=END + SMUGGLED),
    "chunked behind a vertical tab": post(HOST, b"Transfer-Encoding: \x0bchunked", body=END + SMUGGLED),
    "chunked before a NUL": post(HOST, b"Transfer-Encoding: chunked\0", body=END + SMUGGLED),
    "chunked on HTTP/1.0": post(HOST, CHUNKED, body=END + SMUGGLED, version=b"1.0"),
    "a space before the colon": post(HOST, b"Transfer-Encoding : chunked", body=END + SMUGGLED),
    "a tab before the colon": post(HOST, b"Content-Length\t: %d" % len(SMUGGLED), body=SMUGGLED),
    "a space before the first header": post(b" X: y", HOST, CHUNKED, body=END + SMUGGLED),
    "a folded header": post(HOST, b"Transfer-Encoding:\r\n chunked", body=END + SMUGGLED),
    "a folded value": post(HOST, b"X: y\r\n\tTransfer-Encoding: chunked", body=END + SMUGGLED),
    "a bare CR in a value": post(HOST, b"X: y\rTransfer-Encoding: chunked", body=END + SMUGGLED),
    "a bare LF in a value": post(HOST, b"X: y\n" + CHUNKED, body=END + SMUGGLED),
    "bare LF for all lines": post(HOST, CHUNKED, body=END + SMUGGLED).replace(b"\r\n", b"\n"),
    "a NUL in a name": post(HOST, b"Transfer-Encod\0ing: chunked", body=END + SMUGGLED),
    "a header without a colon": post(HOST, b"Transfer-Encoding chunked", body=END + SMUGGLED),
    "a header without a name": post(HOST, b": chunked", body=END + SMUGGLED),
    "a byte beyond ASCII in a name": post(HOST, b"Transfer-Encoding\xa0: chunked", body=END + SMUGGLED),
    "no host": post(LENGTH, body=SMUGGLED),
    "two hosts": post(HOST, b"Host: b", LENGTH, body=SMUGGLED),
    "an absolute target": post(HOST, LENGTH, body=SMUGGLED, target=b"http://b/v1/chat/completions"),
    "a target that is an authority": b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a target with a space": post(HOST, LENGTH, body=SMUGGLED, target=b"/v1/chat completions"),
    "a target with a fragment": post(HOST, LENGTH, body=SMUGGLED, target=b"/v1/models#x"),
    "a target with a backslash": post(HOST, LENGTH, body=SMUGGLED, target=b"/v1\\models"),
    "a target beyond ASCII": post(HOST, LENGTH, body=SMUGGLED, target=b"/v1/\xff"),
    "HTTP/0.9": b"GET /v1/models\r\n\r\n" + SMUGGLED,
    "HTTP/1.2 of no standard": post(HOST, LENGTH, body=SMUGGLED, version=b"1.9"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED,
    "an upgrade to HTTP/2": post(HOST, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", LENGTH, body=SMUGGLED),
    "an upgrade to WebSocket": post(HOST, b"Connection: upgrade", b"Upgrade: websocket", body=SMUGGLED),
    "a lower-case method": b"get /v1/models HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "TRACE": b"TRACE /v1/models HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a chunk size in words": post(HOST, CHUNKED, body=b"ten\r\n" + SMUGGLED),
    "a chunk size with 0x": post(HOST, CHUNKED, body=b"0x0\r\n\r\n" + SMUGGLED),
    "a chunk size with a minus": post(HOST, CHUNKED, body=b"-1\r\n\r\n" + SMUGGLED),
    "a chunk size beyond 64 bits": post(HOST, CHUNKED, body=b"10000000000000000\r\n" + SMUGGLED),
    "a chunk that is longer than it says": post(HOST, CHUNKED, body=b"1\r\nab\r\n" + END + SMUGGLED),
    "a chunk that ends in LF": post(HOST, CHUNKED, body=b"1\r\na\n" + END + SMUGGLED),
    "a chunk size that ends in LF": post(HOST, CHUNKED, body=b"1\na\r\n" + END + SMUGGLED),
    "a bare CR after the last chunk": post(HOST, CHUNKED, body=b"0\r\rx" + SMUGGLED),
    "a length among the trailers": post(HOST, CHUNKED, body=b"0\r\n" + LENGTH + b"\r\n\r\n" + SMUGGLED),
    "a NUL in a chunk extension": post(HOST, CHUNKED, body=b"1;\0\r\na\r\n" + END + SMUGGLED),
    "an LF in a chunk extension": post(HOST, CHUNKED, body=b"2;\nxx\r\n" + END + SMUGGLED),
}
"""What must be refused: the connection ends, and nothing that follows is answered."""

SERVED: dict[str, bytes] = {
    "a length": post(HOST, LENGTH, body=SMUGGLED),
    "chunked": post(HOST, CHUNKED, body=b"%x\r\n%b\r\n" % (len(SMUGGLED), SMUGGLED) + END),
    "chunked in capitals": post(HOST, b"TRANSFER-ENCODING: Chunked", body=b"1\r\na\r\n" + END),
    "chunks with leading zeros": post(HOST, CHUNKED, body=b"00001\r\na\r\n0000\r\n\r\n"),
    "chunks with extensions": post(HOST, CHUNKED, body=b'1;name="value"\r\na\r\n' + END),
    "trailers": post(HOST, CHUNKED, body=b"0\r\nHost: b\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"),
    "a length of nought": post(HOST, b"Content-Length: 0"),
    "a GET with a body": post(HOST, LENGTH, body=SMUGGLED).replace(b"POST", b"GET"),
    "a DELETE with a body": post(HOST, LENGTH, body=SMUGGLED).replace(b"POST", b"DELETE"),
    "a path that climbs": post(HOST, LENGTH, body=SMUGGLED, target=b"/v1/../admin/v1/keys"),
    "a path with an encoded line break": post(HOST, LENGTH, body=SMUGGLED, target=b"/v1/models/%0d%0aX:%20y"),
}
"""What is well formed: it is answered once, its body is its body, and the probe after it gets its own answer."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("smuggling")
    with running(folder, config=scripted(folder, SCRIPT)) as found:
        yield found


def converse(port: int, key: str, first: bytes, *, apart: bool) -> bytes:
    """All that comes back for `first` and then the probe, in one packet or in two."""
    data = [first, PROBE.replace(b"@KEY@", key.encode())]
    with socket.create_connection(("127.0.0.1", port), 1.0) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(data[0] if apart else b"".join(data))
            if apart:
                time.sleep(0.03)
                connection.sendall(data[1])
        return drain(connection)


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


@pytest.mark.parametrize("apart", [False, True], ids=["one packet", "two packets"])
@pytest.mark.parametrize("name", REFUSED)
def test_a_request_that_two_parsers_could_read_differently_ends_its_connection(
    gateway: Gateway, name: str, apart: bool
) -> None:
    answer = converse(gateway.port, gateway.key, REFUSED[name], apart=apart)
    assert b"smuggled" not in answer
    assert b"`probe`" not in answer
    assert len(statuses(answer)) <= 1, answer
    assert all(400 <= status < 500 for status in statuses(answer)), answer


@pytest.mark.parametrize("apart", [False, True], ids=["one packet", "two packets"])
@pytest.mark.parametrize("name", SERVED)
def test_a_request_that_is_well_formed_is_answered_once_and_so_is_the_next(
    gateway: Gateway, name: str, apart: bool
) -> None:
    answer = converse(gateway.port, gateway.key, SERVED[name], apart=apart)
    assert b"smuggled" not in answer
    assert len(statuses(answer)) == 2, answer
    assert b"`probe`" in answer.rpartition(b"HTTP/1.1 ")[2]


# Behind proxies that pool their connections to the gateway: there a desync would hand one client another's answer.

NGINX = """
worker_processes 1; daemon off; error_log {folder}/error.log; pid {folder}/nginx.pid;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream gateway {{ server 127.0.0.1:{gateway}; keepalive 1; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://gateway; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $host; proxy_request_buffering {buffering}; proxy_buffering off;
    }}
  }}
}}
"""

HAPROXY = """
global
  maxconn 256
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
  option http-keep-alive
  http-reuse always
frontend in
  bind 127.0.0.1:{port}
  default_backend gateway
backend gateway
  server one 127.0.0.1:{gateway} pool-max-conn 1
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def proxy(binary: Path, folder: Path, gateway: Gateway, buffering: str) -> Iterator[int]:
    """nginx or haproxy in front of the gateway, on a port that is tried again if somebody was faster."""
    for _ in range(5):
        port = free_port()
        config = folder / "proxy.conf"
        text = NGINX if binary.name == "nginx" else HAPROXY
        config.write_text(text.format(folder=folder, gateway=gateway.port, port=port, buffering=buffering))
        flags = ["-p", str(folder), "-c", str(config)] if binary.name == "nginx" else ["-db", "-f", str(config)]
        with (folder / "proxy.log").open("wb") as log:
            process = subprocess.Popen([str(binary), *flags], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            if eventually(functools.partial(_is_settled, port, process)):
                if process.poll() is None:
                    yield port
                    return
        finally:
            process.terminate()
            process.wait(10)
    pytest.fail((folder / "proxy.log").read_text())


def _is_settled(port: int, process: subprocess.Popen[bytes]) -> bool:
    return _answers(port) or process.poll() is not None


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("kind", ["nginx", "nginx, unbuffered", "haproxy"])
def test_behind_a_proxy_nobody_gets_an_answer_that_is_not_his(
    gateway: Gateway, tmp_path: Path, service: Callable[[str], Path], kind: str
) -> None:
    binary = service(kind.split(",")[0])
    with proxy(binary, tmp_path, gateway, "off" if "unbuffered" in kind else "on") as port:
        victim = b"GET /v1/models/victim HTTP/1.1\r\nHost: a\r\nX-Api-Key: @KEY@\r\nConnection: close\r\n\r\n"
        desyncs = []
        for name, first in {**REFUSED, **SERVED}.items():
            with socket.create_connection(("127.0.0.1", port), 0.3) as connection:
                with contextlib.suppress(OSError):
                    connection.sendall(first + PROBE.replace(b"@KEY@", gateway.key.encode()))
                attacker = drain(connection)
            with socket.create_connection(("127.0.0.1", port), 5) as connection:
                connection.sendall(victim.replace(b"@KEY@", gateway.key.encode()))
                answer = drain(connection)
            # A proxy may itself answer the attacker as it likes, even the hidden request: then it is one to all.
            if statuses(answer) != [404] or b"`victim`" not in answer or b"`victim`" in attacker:
                desyncs.append((name, attacker[:200], answer[:200]))
        assert desyncs == []
