"""What a request's framing must be before anybody reads its meaning: one idea of its target, host and length.

Smuggling lives where two parsers differ. llhttp settles most of it (two Content-Length, Content-Length beside
Transfer-Encoding, bare CR, folded headers); what it lets pass and some other proxy may read differently is refused
here. Source: RFC 9112, sections 3.2, 6.1, 6.3 and 11.2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{0,5})?")

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case."""


def fault(method: bytes, target: bytes, version: str, headers: Headers) -> str | None:
    """What is wrong with a request's head, as a sentence; None if nothing is."""
    if version not in ("1.1", "1.0"):
        return "The request must be HTTP/1.1."
    if not target.startswith(b"/"):
        return "The request target must be a path, such as /v1/chat/completions."
    if not target.isascii() or b"#" in target or b"\\" in target:
        return "The request target holds characters that a URL must escape."
    names = [name for name, _ in headers]
    if names.count(b"host") != 1:
        return "The request must have exactly one Host header."
    joined = b"".join(names)
    if b"_" in joined:
        return "Header names must not hold underscores."
    if method in (b"CONNECT", b"TRACE"):
        return "The method is not supported."
    if b"transfer-encoding" in joined:
        return _transfer_fault(version, headers, names)
    if names.count(b"content-length") > 1:
        return "The request must not have two Content-Length headers."
    return None


def _transfer_fault(version: str, headers: Headers, names: list[bytes]) -> str | None:
    if version != "1.1":
        return "Transfer-Encoding needs HTTP/1.1."
    if b"content-length" in names:
        return "The request must not have both Content-Length and Transfer-Encoding."
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if len(codings) != 1 or codings[0].strip().lower() != b"chunked":
        return "The only Transfer-Encoding that is taken is chunked, once."
    return None


def host_name(host: bytes) -> str:
    """The name in a Host header, lower case, without its port; empty if it is malformed."""
    found = _HOST.fullmatch(host.decode("latin-1").strip().lower())
    return found[1].rstrip(".") if found is not None else ""


class Hosts:
    """A list of hosts that may be asked for: names, `*.example.com`, or `*` for any that is well formed."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._any = "*" in allowed
        self._names = frozenset(name for name in allowed if "*" not in name)
        self._suffixes = tuple(name[1:] for name in allowed if name.startswith("*."))
        self._seen: dict[bytes, bool] = {}

    def allows(self, host: bytes) -> bool:
        """Whether a Host header may be served. Answers are kept, up to a bound: there are few true ones."""
        known = self._seen.get(host)
        if known is None:
            known = self._judge(host)
            if len(self._seen) < 1000:
                self._seen[host] = known
        return known

    def _judge(self, host: bytes) -> bool:
        name = host_name(host)
        return bool(name) and (self._any or name in self._names or name.endswith(self._suffixes or ("\0",)))
