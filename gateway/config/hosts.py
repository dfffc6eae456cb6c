"""What the text of a host says by itself, without asking DNS."""

from __future__ import annotations

from gateway.upstream.resolve import is_public

_INTERNAL = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".svc")


def is_private(host: str) -> bool:
    """Whether `host` certainly is this machine or a private address. What other names lead to is seen when dialling."""
    try:
        return not is_public(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_internal(host: str) -> bool:
    """Whether `host` is private or has the look of a name inside one's own network."""
    return is_private(host) or host.endswith(_INTERNAL) or ("." not in host and ":" not in host)
