"""Names to addresses, once for each connection, and only to addresses that may be dialled.

The name is resolved here and the address is what gets dialled, so a name that answers differently the second time
(DNS rebinding) gains nothing. Private, loopback, link-local and other special addresses are refused unless the
provider's `allow_private` says otherwise, IPv4 inside IPv6 included.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable

from gateway.errors import Unreachable

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""(host, port) -> addresses as text, best first. Raises `OSError`."""


def is_public(address: str) -> bool:
    """Whether `address` (IPv4 or IPv6, as text) belongs to the public internet."""
    ip = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, None))[1]
        if inner is not None:
            ip = inner
        elif ip in _NAT64:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.is_global and not ip.is_multicast


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


async def system_resolver(host: str, port: int) -> list[str]:
    """Ask the operating system, off the event loop."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def addresses(resolver: Resolver, host: str, port: int, *, allow_private: bool) -> list[str]:
    """The addresses of `host` that may be dialled. Raises `Unreachable` if there are none."""
    try:
        found = await resolver(host, port)
    except OSError:
        raise Unreachable("The provider's host name cannot be resolved.", code="upstream_dns_error") from None
    allowed = [address for address in found if allow_private or is_public(address)]
    if not allowed:
        raise Unreachable(
            "The provider's host name leads to a private address; set `allow_private: true` on the provider if that "
            "is meant.",
            code="upstream_address_refused",
        )
    return allowed
