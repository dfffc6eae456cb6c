"""Only the public internet is dialled unless the configuration says otherwise; what was checked is what is dialled."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from gateway.errors import Unreachable
from gateway.upstream.resolve import SystemResolver, addresses, is_public
from gateway.upstream.wire import Request
from tests.upstream.providers import OK, Line, obliging, pooling, serving

REFUSED = """
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1 172.31.255.255 192.0.2.1
192.168.0.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255
:: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:10.0.0.1 ::ffff:0.0.0.0 ::ffff:169.254.169.254
64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b::10.0.0.1 64:ff9b:1::1 2002:7f00:1:: 2002:a9fe:a9fe::1
2001:0:4136:e378:8000:63bf:80ff:fffe 2001:db8::1 100::1 fe80::1 fe80::1%eth0 fe80::1%25eth0 fec0::1 fc00::1
fd00:ec2::254 ff02::1 4000::1 5f00::1
""".split()
ALLOWED = "1.1.1.1 8.8.8.8 2606:4700::1111 2a00:1450::1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1".split()


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_is_not_of_the_public_internet(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ALLOWED)
def test_an_address_of_the_public_internet(address: str) -> None:
    assert is_public(address)


HOSTS = ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "::1", "::ffff:127.0.0.1", "localhost"]


@pytest.mark.parametrize("host", HOSTS)
async def test_this_machine_is_refused_however_it_is_spelled(host: str) -> None:
    async with serving(obliging) as provider:
        async with pooling(provider.port, host=host, resolver=SystemResolver(), allow_private=False) as (pool, tally):
            with pytest.raises(Unreachable) as raised:
                await pool.send(Request("GET", "/x"))
            assert raised.value.code == "upstream_address_refused"
            assert tally.outcomes == {"address_refused": 1}
        assert provider.lines == []


async def test_a_provider_may_be_allowed_to_be_private() -> None:
    async with (
        serving(obliging) as provider,
        pooling(provider.port, host="localhost", resolver=SystemResolver()) as (pool, _),
    ):
        reply = await pool.send(Request("GET", "/x"))
        assert await reply.read_all(10) == b"ok"
        reply.close()


async def test_of_several_addresses_only_the_public_ones_are_left() -> None:
    async def mixed(host: str, port: int) -> list[str]:
        return ["10.0.0.1", "8.8.8.8", "::1", "1.1.1.1"]

    assert await addresses(mixed, "x", 1, allow_private=False) == ["8.8.8.8", "1.1.1.1"]
    assert len(await addresses(mixed, "x", 1, allow_private=True)) == 4


async def test_a_name_that_answers_differently_the_second_time_gains_nothing() -> None:
    """It is asked once a connection, and the answer that was checked is the one that is dialled."""
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) > 1 else ["127.0.0.2"]

    async with (
        serving(obliging) as provider,
        pooling(provider.port, host="rebind.example", resolver=rebinding) as (pool, _),
    ):
        with pytest.raises(Unreachable):  # nothing listens on 127.0.0.2, and nothing else is tried
            await pool.send(Request("GET", "/x"))
        assert (asked, provider.lines) == (["rebind.example"], [])


async def test_a_second_answer_that_is_private_is_refused() -> None:
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])

    async def rebinding(host: str, port: int) -> list[str]:
        return next(answers)

    async with pooling(1, host="rebind.example", resolver=rebinding, allow_private=False) as (pool, tally):
        for _ in range(2):
            with pytest.raises(Unreachable) as raised:
                await pool.send(Request("GET", "/x"))
            assert raised.value.code == "upstream_address_refused"
        assert tally.outcomes == {"address_refused": 2}


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 64 + ".example"])
async def test_a_name_that_does_not_exist(host: str) -> None:
    async with pooling(1, host=host, resolver=SystemResolver()) as (pool, tally):
        with pytest.raises(Unreachable) as raised:
            await pool.send(Request("GET", "/x"))
        assert (raised.value.code, raised.value.sent) == ("upstream_dns_error", False)
        assert host not in raised.value.message, "where a provider is served is not told to callers"
        assert tally.outcomes == {"dns": 1}


async def test_the_next_address_is_tried_where_the_first_refuses() -> None:
    async def two(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    async with serving(obliging) as provider, pooling(provider.port, resolver=two) as (pool, tally):
        reply = await pool.send(Request("GET", "/x"))
        assert await reply.read_all(10) == b"ok"
        reply.close()
        assert tally.outcomes == {"ok": 1}


class Silent:
    """A name server that does not answer until it is let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.let = threading.Event()

    def __call__(self, host: str, port: int, *, type: int) -> list[Any]:
        """See `resolve.LookUp`."""
        self.asked.append(host)
        self.let.wait(5)
        return socket.getaddrinfo("127.0.0.1", port, type=type)


async def test_a_name_is_asked_for_once_by_all_who_want_it_at_the_same_time() -> None:
    server = Silent()
    resolver = SystemResolver(server)
    calls = [asyncio.ensure_future(resolver("slow.example", 80)) for _ in range(200)]
    await asyncio.sleep(0.02)
    calls[0].cancel()
    server.let.set()
    assert await asyncio.gather(*calls[1:]) == [["127.0.0.1"]] * 199
    assert server.asked == ["slow.example"]
    await resolver("slow.example", 80)
    assert len(server.asked) == 2, "an answer is not kept: that is the name server's business"


async def test_silent_name_servers_delay_no_other_provider() -> None:
    server = Silent()
    resolvers = [SystemResolver(server) for _ in range(20)]
    calls = [asyncio.ensure_future(one(f"{at}.example", 80)) for at, one in enumerate(resolvers)]
    await asyncio.sleep(0.02)
    async with asyncio.timeout(1):
        assert await SystemResolver()("127.0.0.1", 80) == ["127.0.0.1"]
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    server.let.set()


async def test_a_key_goes_to_its_own_origin_only() -> None:
    """A provider that redirects gets its redirect read, not followed."""
    heads: list[bytes] = []

    async def other(line: Line) -> None:
        heads.append(await line.request())
        await line.send(OK)

    async with serving(other) as elsewhere:

        async def redirecting(line: Line) -> None:
            while await line.request():
                where = b"Location: http://127.0.0.1:%d/\r\n" % elsewhere.port
                await line.send(b"HTTP/1.1 307 Temporary Redirect\r\n" + where + b"Content-Length: 0\r\n\r\n")

        key = ((b"authorization", b"Bearer secret"),)
        async with serving(redirecting) as provider, pooling(provider.port, headers=key) as (pool, _):
            reply = await pool.send(Request("POST", "/x", b"{}"))
            assert (reply.status, await reply.read_all(10)) == (307, b"")
            reply.close()
            assert "secret" not in repr(pool)
        assert heads == []
