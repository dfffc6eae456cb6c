"""Who is at the other end: the address behind the proxies that the configuration trusts.

Source of the rule: MDN, X-Forwarded-For, "selecting an IP address": the list is read from the right, and the first
address that is not a trusted proxy's is the client's; what stands left of it anybody may have written.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from gateway.api.asgi import Scope

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_address(scope: Scope, trusted: Sequence[Network]) -> str:
    """The client's address as text; empty where the server does not say."""
    peer = scope.get("client")
    address: str = peer[0] if peer else ""
    if not trusted or not _is_trusted(address, trusted):
        return address
    for entry in reversed(_forwarded(scope).decode("latin-1").split(",")):
        found = _address(entry.strip())
        if found is None:
            break
        address = found
        if not _is_trusted(address, trusted):
            break
    return address


def _forwarded(scope: Scope) -> bytes:
    """X-Forwarded-For: several headers are one list, in their order, since a proxy may add one of its own."""
    return b",".join([value for name, value in scope["headers"] if name == b"x-forwarded-for"])


def _address(entry: str) -> str | None:
    """An entry as an address: with or without a port, IPv6 with or without brackets."""
    if entry.startswith("["):
        entry = entry[1:].partition("]")[0]
    elif entry.count(":") == 1:
        entry = entry.partition(":")[0]
    try:
        return str(ipaddress.ip_address(entry))
    except ValueError:
        return None


def _is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped  # how a socket for both families names an IPv4 peer
    return any(ip in network for network in trusted)
