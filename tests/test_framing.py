"""Requests whose framing two parsers might read differently are refused: raw heads, through the parser in use."""

from __future__ import annotations

import httptools
import pytest

from gateway import framing

GOOD = b"Host: a\r\n"


class Head:
    """What httptools makes of a head, as the server's protocol collects it."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.fault: str | None = "incomplete"
        self.parser = httptools.HttpRequestParser(self)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version()
        self.fault = framing.fault(self.parser.get_method(), self.url, version, self.headers)


def judge(raw: bytes) -> str | None:
    """Why a head is refused, by the parser or by us; None if it is taken."""
    head = Head()
    try:
        head.parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        return head.fault or "upgrade"
    except httptools.HttpParserError as error:
        return str(error) or "malformed"
    return head.fault


def post(headers: bytes, line: bytes = b"POST /v1/x HTTP/1.1") -> bytes:
    return line + b"\r\n" + headers + b"\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        post(GOOD),
        post(GOOD + b"Content-Length: 5\r\n"),
        post(GOOD + b"Transfer-Encoding: chunked\r\n"),
        post(GOOD + b"Transfer-Encoding: Chunked\r\n"),
        post(GOOD, b"GET /v1/models?a=b%20c HTTP/1.1"),
        post(GOOD, b"GET / HTTP/1.0"),
        post(GOOD + b"Expect: 100-continue\r\nContent-Length: 5\r\n"),
    ],
)
def test_a_plain_head_is_taken(raw: bytes) -> None:
    assert judge(raw) is None


@pytest.mark.parametrize(
    "raw",
    [
        post(b""),
        post(b"Host: a\r\nHost: a\r\n"),
        post(b"Host: a\r\nHost: b\r\n"),
        post(GOOD + b"Content-Length: 5\r\nContent-Length: 6\r\n"),
        post(GOOD + b"Content-Length: 5\r\nContent-Length: 5\r\n"),
        post(GOOD + b"Content-Length: +5\r\n"),
        post(GOOD + b"Content-Length: -5\r\n"),
        post(GOOD + b"Content-Length: 5, 5\r\n"),
        post(GOOD + b"Content-Length: 0x5\r\n"),
        post(GOOD + b"Content-Length: 99999999999999999999999\r\n"),
        post(GOOD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        post(GOOD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        post(GOOD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        post(GOOD + b"Transfer-Encoding: chunked, identity\r\n"),
        post(GOOD + b"Transfer-Encoding: gzip, chunked\r\n"),
        post(GOOD + b"Transfer-Encoding: xchunked\r\n"),
        post(GOOD + b"Transfer-Encoding: identity\r\n"),
        post(GOOD + b"Transfer-Encoding:\r\n"),
        post(GOOD + b"Transfer-Encoding : chunked\r\n"),
        post(GOOD + b"Transfer_Encoding: chunked\r\n"),
        post(GOOD + b"Content_Length: 5\r\n"),
        post(GOOD + b"X-Custom_Header: 5\r\n"),
        post(GOOD + b"Transfer-Encoding: chunked\r\n", b"POST / HTTP/1.0"),
        post(GOOD, b"POST http://evil/v1/x HTTP/1.1"),
        post(GOOD, b"POST //evil\\x HTTP/1.1"),
        post(GOOD, b"POST /a#b HTTP/1.1"),
        post(GOOD, b"OPTIONS * HTTP/1.1"),
        post(GOOD, b"CONNECT a:80 HTTP/1.1"),
        post(GOOD, b"TRACE / HTTP/1.1"),
        post(GOOD + b"Transfer-Encoding: chunked\r\n", b"TRACE / HTTP/1.1"),
        post(GOOD, b"POST /\xc3\xa9 HTTP/1.1"),
        post(GOOD, b"POST /a b HTTP/1.1"),
        post(GOOD, b"POST / HTTP/3.0"),
        post(GOOD, b"POST /"),
        post(GOOD + b" folded: x\r\n"),
        post(GOOD + b"X: a\r\n\tb\r\n"),
        post(GOOD + b"X\0: a\r\n"),
        post(GOOD + b"X: a\0b\r\n"),
        post(GOOD + b"no colon\r\n"),
        post(GOOD + b": empty\r\n"),
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_a_head_in_doubt_is_refused(raw: bytes) -> None:
    assert judge(raw)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (b"a.test", "a.test"),
        (b"A.Test:80", "a.test"),
        (b"a.test.", "a.test"),
        (b" a.test ", "a.test"),
        (b"a_b", "a_b"),
        (b"127.0.0.1:8080", "127.0.0.1"),
        (b"[::1]", "[::1]"),
        (b"[::1]:80", "[::1]"),
        (b"a:", "a"),
        *[(bad, "") for bad in (b"", b":80", b"a:b", b"a:80:80", b"a:123456", b"a b", b"a/b", b"a@b", b"[::1", b"::1")],
        *[(bad, "") for bad in (b"x]", b"[]", b"[a]b", b"a,b", b"\xc3\xa9", b"a\0", b"a\r\nb", b"[::1]x:80")],
    ],
)
def test_the_name_in_a_host_header_is_read_or_refused(host: bytes, name: str) -> None:
    assert framing.host_name(host) == name


@pytest.mark.parametrize(
    ("allowed", "host", "is_allowed"),
    [
        (["*"], b"anything", True),
        (["*"], b"", False),
        (["*"], b"a/b", False),
        (["a.test"], b"a.test:1", True),
        (["a.test"], b"b.a.test", False),
        (["*.a.test"], b"b.a.test", True),
        (["*.a.test"], b"c.b.a.test", True),
        (["*.a.test"], b"a.test", False),
        (["*.a.test"], b"evila.test", False),
        (["[::1]"], b"[::1]:8080", True),
        (["a.test"], b"a.test.evil", False),
    ],
)
def test_hosts_are_served_by_name_or_suffix(allowed: list[str], host: bytes, is_allowed: bool) -> None:
    hosts = framing.Hosts(allowed)
    assert hosts.allows(host) is is_allowed is hosts.allows(host)


def test_answers_about_hosts_are_kept_up_to_a_bound() -> None:
    hosts = framing.Hosts(["*"])
    for at in range(2000):
        assert hosts.allows(b"h%d" % at)
    assert len(hosts._seen) == 1000
