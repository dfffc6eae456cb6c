"""Requests that nobody should send, by the thousand: a seeded corpus to hurl at a gateway.

Every request is one of a few kinds with drawn details: framing, JSON, types, sizes, keys, paths. The same seed
gives the same requests, so that a failure can be played again:
`python -m loadtest.malformed --port N --key K --seed S`.
None of them may get a status of 500 or above, and none may leave anything behind.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator

PATIENCE_S = 0.03
"""Seconds for the beginning of an answer; then the connection is closed for writing, as nobody waits for the rest."""
READ_S = 5.0
"""Seconds for its end."""

_JUNK = "\x00\x01\t\r\n\x7f\x80\xff:;,=%/\\\"'{}[]<>ABCabc012 "
_PATHS = (
    *("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/moderations", "/v1/rerank"),
    *("/v1/images/generations", "/v1/audio/speech", "/v1/audio/transcriptions", "/v1/files", "/v1/batches"),
)
_GOOD = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}


class Corpus:
    """Draws requests. `key` is a good one, so that what is behind the check of the key is met too."""

    def __init__(self, seed: int, key: str, model: str = "demo") -> None:
        self._draw = random.Random(seed)
        self._key = key
        self._good = {**_GOOD, "model": model}
        self._kinds: tuple[Callable[[], bytes], ...] = (
            *(self._framing, self._head, self._json, self._types, self._size, self._credential, self._path),
            *(self._form, self._noise, self._cut),
        )

    def requests(self, count: int) -> Iterator[tuple[str, bytes]]:
        """`count` requests, each with the name of its kind."""
        for _ in range(count):
            make = self._draw.choice(self._kinds)
            yield make.__name__.strip("_"), make()

    # What requests are made of

    def _junk(self, most: int = 40) -> bytes:
        return "".join(self._draw.choices(_JUNK, k=self._draw.randrange(1, most))).encode("latin-1")

    def _post(self, body: bytes, *headers: bytes, path: str | None = None, key: bool = True) -> bytes:
        lines = [b"POST " + (path or "/v1/chat/completions").encode("latin-1") + b" HTTP/1.1", b"Host: gateway"]
        if key:
            lines.append(b"Authorization: Bearer " + self._key.encode())
        if not any(line.lower().startswith((b"content-length", b"transfer-encoding")) for line in headers):
            lines.append(b"Content-Length: %d" % len(body))
        return b"\r\n".join([*lines, *headers]) + b"\r\n\r\n" + body

    def _body(self) -> bytes:
        return json.dumps(self._good).encode()

    def _value(self, depth: int = 0) -> object:
        plain: tuple[object, ...] = (
            None,
            True,
            0,
            -1,
            1.5,
            1e308,
            10**30,
            "",
            "x",
            "\ud800",
            "\x00",
            [],
            {},
            "9" * 400,
        )
        if depth > 3 or self._draw.random() < 0.7:
            return self._draw.choice(plain)
        if self._draw.random() < 0.5:
            return [self._value(depth + 1) for _ in range(self._draw.randrange(4))]
        return {self._draw.choice(("role", "content", "type", "", "\x00")): self._value(depth + 1) for _ in range(3)}

    # The kinds

    def _framing(self) -> bytes:
        body, draw = self._body(), self._draw
        headers = draw.choice((
            [b"Content-Length: %d" % (len(body) + draw.randrange(1, 99))],
            [b"Content-Length: " + draw.choice((b"", b"-1", b"+5", b"0x5", b"5, 5", b"1e3", b"9" * 30))],
            [b"Content-Length: 5", b"Content-Length: 6"],
            [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
            [b"Transfer-Encoding: " + draw.choice((b"gzip", b"chunked, chunked", b"identity", b"xchunked", b""))],
        ))  # fmt: skip
        if draw.random() < 0.4:
            sizes = (b"x", b"-1", b"ffffffffffffffffff", b"5;" + self._junk(), b"5", b"%x" % len(body), b"")
            body = (
                draw.choice(sizes) + draw.choice((b"\r\n", b"\n", b"\r")) + body + draw.choice((b"", b"\r\n0\r\n\r\n"))
            )
            headers = [b"Transfer-Encoding: chunked"]
        return self._post(body, *headers)

    def _head(self) -> bytes:
        draw = self._draw
        line = draw.choice((
            self._junk() + b": x",
            b"X-Junk: " + self._junk(),
            b"X-Long: " + b"x" * draw.choice((100, 10_000, 40_000, 70_000)),
            b"Host: other",
            b"Content_Type: x",
            b" folded: x",
            b"Traceparent: " + self._junk(),
            b"Idempotency-Key: " + self._junk(300),
            b"Content-Encoding: " + draw.choice((b"gzip", b"br", b"identity, gzip")),
            b"Expect: " + draw.choice((b"100-continue", b"200-ok")),
            b"X-Forwarded-For: " + self._junk(),
            b"\r\n".join(b"X-%d: y" % number for number in range(draw.choice((10, 300, 3000)))),
        ))  # fmt: skip
        return self._post(self._body(), line)

    def _json(self) -> bytes:
        body, draw = self._body(), self._draw
        at = draw.randrange(len(body))
        return self._post(draw.choice((
            body[:at],
            body[:at] + self._junk(8) + body[at:],
            b"\xff\xfe" + body,
            b"[" * draw.choice((10, 1000, 100_000)),
            b'{"a":' * draw.choice((10, 1000, 50_000)) + b"1" + b"}" * 10,
            b"",
            b"null",
            b'"model"',
            b"[1, 2]",
            b"NaN",
            b'{"model": "demo", "model": "other", "messages": []}',
            b'{"model": "demo", "messages": ' + b"9" * 5000 + b"}",
        )))  # fmt: skip

    def _types(self) -> bytes:
        body = dict(self._good)
        for _ in range(self._draw.randrange(1, 4)):
            names = ("model", "messages", "stream", "stream_options", "tools", "n", "input", "prompt", "user", "\x00")
            body[self._draw.choice(names)] = self._value()  # type: ignore[assignment]
        return self._post(json.dumps(body).encode(), path=self._draw.choice(_PATHS))

    def _size(self) -> bytes:
        declared = self._draw.choice((10**6, 10**9, 10**12, 10**18, 10**19))
        return self._post(b"x" * self._draw.choice((0, 1000, 100_000)), b"Content-Length: %d" % declared)

    def _credential(self) -> bytes:
        draw, key = self._draw, self._key.encode()
        line = draw.choice((
            b"Authorization: Bearer",
            b"Authorization: Basic " + self._junk(),
            b"Authorization: Bearer " + key[: draw.randrange(len(key))],
            b"Authorization: Bearer " + key + b"x",
            b"Authorization: Bearer " + self._junk(200),
            b"Authorization: Bearer ' OR 1=1 --",
            b"X-Api-Key: " + b"k" * 20_000,
            b"X-Api-Key: " + key + b"\r\nAuthorization: Bearer other",
            b"X-Goog-Api-Key: " + self._junk(),
        ))  # fmt: skip
        return self._post(self._body(), line, key=False)

    def _path(self) -> bytes:
        draw = self._draw
        path = draw.choice((
            "/", "//", "/v1", "/v1/", "/v1//chat/completions", "/v1/chat/completions/", "/v1/../etc/passwd",
            "/v1/models/" + "%00" * 10, "/v1/models/%ff%fe", "/v1/models/%zz", "/v1/files/../../x/content",
            "/v1/files/" + "x" * 5000, "/v1/batches/%2e%2e/cancel", "/v1/nothing", "*", "http://other/v1/models",
            "/v1/models?" + "a=b&" * 500, "/metrics", "/admin/v1/keys", "/v1/files?limit=x&after=%00&order=;drop",
            self._junk().decode("latin-1"),
        ))  # fmt: skip
        method = draw.choice((b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"HEAD", b"BREW", b"TRACE"))
        return self._post(self._body(), path=path).replace(b"POST", method, 1)

    def _form(self) -> bytes:
        draw = self._draw
        boundary = draw.choice((b"b", b"", b"b" * 300, b'"b', b"a b"))
        parts = b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (
            draw.choice((b"model", b"file", b"", b"model\0", b"m" * 9000)),
            draw.choice((b"demo", b"", b"x" * 70_000, self._junk())),
        )
        tail = draw.choice((b"--b--\r\n", b"", b"--b", b"--b\r\n\r\n", self._junk()))
        path = draw.choice(("/v1/audio/transcriptions", "/v1/files", "/v1/images/edits"))
        return self._post(parts * draw.randrange(4) + tail, b"Content-Type: multipart/form-data; boundary=" + boundary,
                          path=path)  # fmt: skip

    def _noise(self) -> bytes:
        draw = self._draw
        return draw.choice((
            self._junk(400),
            draw.randbytes(draw.randrange(1, 3000)),
            b"\r\n" * 50,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + draw.randbytes(200),  # TLS, to a port without it
        ))  # fmt: skip

    def _cut(self) -> bytes:
        whole = self._post(self._body())
        return whole[: self._draw.randrange(1, len(whole))]


def hurl(port: int, data: bytes) -> bytes:
    """All that comes back for one request on a connection of its own. Raises `TimeoutError` if nothing ends it."""
    with socket.create_connection(("127.0.0.1", port), READ_S) as connection:
        answer = b""
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
            connection.settimeout(PATIENCE_S)
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(65536)
            connection.settimeout(READ_S)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                answer += piece
        return answer


def status(answer: bytes) -> int:
    """The status of the last answer that is no interim one; 0 if there is none."""
    found = 0
    for line in answer.split(b"HTTP/1.1 ")[1:]:
        if line[:3].isdigit() and line[:1] != b"1":
            found = int(line[:3])
    return found


def run(port: int, key: str, seed: int, count: int, model: str = "demo") -> tuple[Counter[int], list[str]]:
    """Hurl `count` requests: how often each status came, and what got 500 or above or no end."""
    seen: Counter[int] = Counter()
    bad: list[str] = []
    for kind, data in Corpus(seed, key, model).requests(count):
        try:
            answer = hurl(port, data)
        except TimeoutError:
            bad.append(f"{kind}: no end of {data[:300]!r}")
            continue
        seen[status(answer)] += 1
        if status(answer) >= 500:
            bad.append(f"{kind}: {answer[:200]!r} to {data[:300]!r}")
    return seen, bad


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Hurl malformed requests at a gateway on this machine.")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--key", required=True)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    seen, bad = run(asked.port, asked.key, asked.seed, asked.count, asked.model)
    print(" ".join(f"{code or 'none'}:{times}" for code, times in sorted(seen.items())))
    for line in bad[:20]:
        print(line)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
