"""Names to addresses, once for each connection, and only to addresses that may be dialled.

The name is resolved here and the address is what gets dialled, so a name that answers differently the second time
(DNS rebinding) gains nothing. Private, loopback, link-local and other special addresses are refused unless the
provider's `allow_private` says otherwise, IPv4 inside IPv6 included.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

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
        elif ip not in _UNICAST:
            return False
    return ip.is_global and not ip.is_multicast


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")
"""All of the global unicast space that IANA has handed out; what lies beside it (`::/96`, `fec0::/10`,
`64:ff9b:1::/48`) is some special case, and Python's own tables do not know all of them."""


class LookUp(Protocol):
    """`socket.getaddrinfo`, as far as it is used here. It may block."""

    def __call__(self, host: str, port: int, *, type: int) -> list[Any]: ...


class SystemResolver:
    """Asks the operating system, once for all who want the same name at the same time.

    A look-up may hang for half a minute, and the loop's own pool has two threads for all look-ups of the process. So
    each gets a thread of its own: a provider whose name server is silent delays nobody else, nor the process's end.
    """

    def __init__(self, look_up: LookUp = socket.getaddrinfo) -> None:
        self._look_up = look_up
        self._asked: dict[tuple[str, int], asyncio.Future[list[str]]] = {}

    async def __call__(self, host: str, port: int) -> list[str]:
        """See `Resolver`."""
        key = (host, port)
        answer = self._asked.get(key)
        if answer is None:
            loop = asyncio.get_running_loop()
            answer = loop.create_future()
            answer.add_done_callback(lambda _: self._asked.pop(key, None))
            threading.Thread(
                target=_ask, args=(self._look_up, host, port, loop, answer), daemon=True, name="dns"
            ).start()
            self._asked[key] = answer
        return await asyncio.shield(answer)


def _ask(
    look_up: LookUp, host: str, port: int, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[list[str]]
) -> None:
    found: list[str] | Exception
    try:
        entries = look_up(host, port, type=socket.SOCK_STREAM)
        found = list(dict.fromkeys(str(entry[4][0]) for entry in entries))
    except (OSError, UnicodeError) as error:
        found = error
    with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(_settle, answer, found)


def _settle(answer: asyncio.Future[list[str]], found: list[str] | Exception) -> None:
    if answer.done():
        return
    if isinstance(found, Exception):
        answer.set_exception(found)
        answer.exception()  # looked at, so that the loop does not complain if nobody waits any more
    else:
        answer.set_result(found)


async def addresses(resolver: Resolver, host: str, port: int, *, allow_private: bool) -> list[str]:
    """The addresses of `host` that may be dialled. Raises `Unreachable` if there are none."""
    try:
        found = await resolver(host, port)
    except (OSError, UnicodeError):  # a label that is empty or too long is no valid IDNA
        raise Unreachable("The provider's host name cannot be resolved.", code="upstream_dns_error") from None
    allowed = [address for address in found if allow_private or is_public(address)]
    if not allowed:
        raise Unreachable(
            "The provider's host name leads to a private address; set `allow_private: true` on the provider if that "
            "is meant.",
            code="upstream_address_refused",
        )
    return allowed
