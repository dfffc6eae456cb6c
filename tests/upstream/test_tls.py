"""A provider that cannot prove its name is not spoken to: not a byte of the request leaves in that case."""

from __future__ import annotations

import datetime
import ssl

import pytest
import trustme

from gateway.errors import BrokenReply, Unreachable
from gateway.upstream.wire import Request
from tests.upstream.providers import OK, Line, eventually, obliging, pooling, serving
from tests.upstream.replies import JSON, head

NAME = "api.example.com"
LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def serves(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


def trusts(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    authority.configure_trust(context)
    return context


async def test_a_provider_with_a_good_certificate_is_spoken_to_by_its_name(authority: trustme.CA) -> None:
    names: list[str | None] = []
    context = serves(authority.issue_cert(NAME))
    context.sni_callback = lambda _, name, __: names.append(name)
    async with (
        serving(obliging, context) as provider,
        pooling(provider.port, host=NAME, tls=trusts(authority)) as (pool, tally),
    ):
        for _ in range(3):
            reply = await pool.send(Request("POST", "/x", b"{}"))
            assert await reply.read_all(10) == b"ok"
            reply.close()
        assert (names, len(provider.lines), tally.outcomes) == ([NAME], 1, {"ok": 1})


@pytest.mark.parametrize("case", ["expired", "another name", "self-signed", "another authority", "old protocol"])
async def test_what_cannot_be_trusted_gets_nothing(authority: trustme.CA, case: str) -> None:
    if case == "expired":
        served = serves(authority.issue_cert(NAME, not_before=LONG_AGO, not_after=LONG_AGO.replace(year=2021)))
    elif case == "another name":
        served = serves(authority.issue_cert("other.example.com"))
    elif case in ("self-signed", "another authority"):
        served = serves(trustme.CA().issue_cert(NAME))
        if case == "self-signed":
            alone = trustme.CA()
            with alone.cert_pem.tempfile() as certificate, alone.private_key_pem.tempfile() as key:
                served.load_cert_chain(certificate, key)
    else:
        served = serves(authority.issue_cert(NAME))
        served.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with pytest.warns(DeprecationWarning):
            served.maximum_version = ssl.TLSVersion.TLSv1_1
    heard: list[bytes] = []

    async def listen(line: Line) -> None:
        heard.append(await line.reader.read(1))

    async with (
        serving(listen, served) as provider,
        pooling(provider.port, host=NAME, tls=trusts(authority), headers=((b"authorization", b"k"),)) as (pool, tally),
    ):
        with pytest.raises(Unreachable) as raised:
            await pool.send(Request("POST", "/x", b"{}"))
        assert (raised.value.code, raised.value.sent) == ("upstream_tls_error", False)
        assert NAME not in raised.value.message
        assert tally.outcomes == {"tls": 1}
        await eventually(lambda: provider.open == 0)
    assert [data for data in heard if data] == []


async def test_a_provider_that_speaks_no_tls_hears_no_plain_text(authority: trustme.CA) -> None:
    heard: list[bytes] = []

    async def listen(line: Line) -> None:
        heard.append(await line.reader.read(65536))
        await line.send(OK)

    async with (
        serving(listen) as provider,
        pooling(provider.port, host=NAME, tls=trusts(authority)) as (pool, _),
    ):
        with pytest.raises(Unreachable) as raised:
            await pool.send(Request("POST", "/chat", b"secret body", [(b"x", b"secret header")]))
        assert raised.value.code == "upstream_tls_error"
    assert heard[0][:1] == b"\x16" and b"secret" not in heard[0] and b"POST" not in heard[0]


async def test_a_connection_that_died_is_replaced_over_tls_too(authority: trustme.CA) -> None:
    async def play(line: Line) -> None:
        await line.request()
        await line.send(OK)
        if line.number == 0:
            await line.request()
            line.reset()

    async with (
        serving(play, serves(authority.issue_cert(NAME))) as provider,
        pooling(provider.port, host=NAME, tls=trusts(authority)) as (pool, tally),
    ):
        for _ in range(2):
            reply = await pool.send(Request("POST", "/x", b"{}"))
            assert await reply.read_all(10) == b"ok"
            reply.close()
        assert (len(provider.lines), tally.retries) == (2, 1)


async def test_a_body_until_the_end_is_whole_where_tls_says_so(authority: trustme.CA) -> None:
    async def play(line: Line) -> None:
        await line.request()
        await line.send(head() + JSON)

    async with (
        serving(play, serves(authority.issue_cert(NAME))) as provider,
        pooling(provider.port, host=NAME, tls=trusts(authority)) as (pool, _),
    ):
        reply = await pool.send(Request("GET", "/x"))
        assert await reply.read_all(1000) == JSON
        reply.close()


async def test_a_reply_cut_short_over_tls_is_an_error(authority: trustme.CA) -> None:
    async def play(line: Line) -> None:
        await line.request()
        await line.send(head(b"Content-Length: 100") + JSON)
        line.reset()

    async with (
        serving(play, serves(authority.issue_cert(NAME))) as provider,
        pooling(provider.port, host=NAME, tls=trusts(authority)) as (pool, _),
    ):
        reply = await pool.send(Request("GET", "/x"))
        with pytest.raises(BrokenReply):
            await reply.read_all(1000)
        reply.close()
