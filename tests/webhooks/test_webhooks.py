"""Delivery: against a receiver on a real socket, over a real outbox."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import ssl
import stat
import time
from pathlib import Path

import pytest
import structlog
import trustme

from gateway.webhooks import Endpoint, Webhooks
from gateway.webhooks import webhooks as module
from gateway.webhooks.outbox import Outbox
from gateway.webhooks.retries import ATTEMPTS
from tests.upstream.providers import serving
from tests.webhooks.conftest import (
    NOW,
    SECRET,
    Clock,
    Make,
    Receiver,
    Tally,
    answer,
    endpoint,
    event,
    expected_signature,
    receiving,
    turned,
)


def rows(url: str) -> list[tuple[str, str, int]]:
    box = Outbox(url)
    try:
        return [(one.state, str(one.outcome), one.attempts) for one in box.find(("pending", "delivered", "failed"))]
    finally:
        box.close()


async def test_an_event_arrives_signed_and_once(make: Make, tally: Tally) -> None:
    async with receiving() as receiver:
        webhooks = make(endpoint(receiver.port, headers=((b"x-token", b"abc"),)))
        assert webhooks.emit(event())
        await turned(webhooks, times=3)
    ((headers, body),) = receiver.requests
    assert headers["webhook-id"] == event().id
    assert headers["webhook-timestamp"] == str(int(NOW))
    assert headers["webhook-signature"] == expected_signature(SECRET, headers, body)
    assert (headers["content-type"], headers["x-token"]) == ("application/json", "abc")
    assert body == event().body()
    assert (tally.types["calls.unpriced"], dict(tally.outcomes), dict(tally.ends)) == (1, {"ok": 1}, {"delivered": 1})


async def test_while_a_secret_is_replaced_both_sign(make: Make) -> None:
    async with receiving() as receiver:
        webhooks = make(endpoint(receiver.port, secrets=(b"n" * 32, SECRET)))
        webhooks.emit(event())
        await turned(webhooks)
    ((headers, body),) = receiver.requests
    expected = [expected_signature(one, headers, body) for one in (b"n" * 32, SECRET)]
    assert headers["webhook-signature"].split(" ") == expected


async def test_a_failure_is_tried_again_with_the_same_id_and_a_new_timestamp(
    make: Make, clock: Clock, url: str
) -> None:
    async with receiving(answer(500), answer(204)) as receiver:
        webhooks = make(endpoint(receiver.port))
        webhooks.emit(event())
        await turned(webhooks, times=2)
        assert len(receiver.requests) == 1
        assert webhooks.state().warnings == {
            f"http://127.0.0.1:{receiver.port}/...": "deliveries fail: server_error 500"
        }
        clock.now += 5
        await turned(webhooks)
    (first, _), (second, body) = receiver.requests
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) == int(NOW) + 5
    assert second["webhook-signature"] == expected_signature(SECRET, second, body)
    assert rows(url) == [("delivered", "ok", 2)]
    assert webhooks.state().warnings == {}


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(302, "Location: http://127.0.0.1:1/\r\n"), "redirect"),
        (answer(404), "client_error"),
        (answer(503, "Retry-After: 600\r\n"), "server_error"),
        (b"SSH-2.0-x\r\n", "broken"),
        (None, "timeout"),
    ],
    ids=["redirect", "404", "503", "no HTTP", "silence"],
)
async def test_whatever_is_not_2xx_is_a_failure(make: Make, tally: Tally, reply: bytes | None, outcome: str) -> None:
    async with receiving(reply) as receiver:
        webhooks = make(endpoint(receiver.port, timeout_s=0.3))
        webhooks.emit(event())
        await turned(webhooks)
    assert dict(tally.outcomes) == {outcome: 1}
    assert len(receiver.requests) == 1


async def test_a_receiver_that_asks_for_a_pause_gets_it(make: Make, clock: Clock) -> None:
    async with receiving(answer(429, "Retry-After: 600\r\n"), answer(200)) as receiver:
        webhooks = make(endpoint(receiver.port))
        webhooks.emit(event())
        await turned(webhooks)
        clock.now += 599
        await turned(webhooks)
        assert len(receiver.requests) == 1
        clock.now += 1
        await turned(webhooks)
        assert len(receiver.requests) == 2


async def test_a_delivery_is_given_up_after_all_attempts(make: Make, clock: Clock, tally: Tally, url: str) -> None:
    async with receiving(answer(500)) as receiver:
        webhooks = make(endpoint(receiver.port))
        webhooks.emit(event())
        for _ in range(2 * ATTEMPTS):
            await turned(webhooks)
            clock.now += 21_600
    # the pauses here are longer than asked for, so that the day is over first
    assert 3 <= len(receiver.requests) <= ATTEMPTS
    assert rows(url)[0][0] == "failed"
    assert tally.ends["failed"] == 1


async def test_gone_disables_the_endpoint_until_it_is_enabled(make: Make, url: str) -> None:
    async with receiving(answer(410)) as receiver:
        webhooks = make(endpoint(receiver.port))
        webhooks.emit(event())
        await turned(webhooks)
        webhooks.emit(event("other"))
        await turned(webhooks, times=2)
        assert len(receiver.requests) == 1
        assert "disabled" in webhooks.state().warnings[f"http://127.0.0.1:{receiver.port}/..."]
        assert rows(url) == [("failed", "gone", 1)]
        receiver.answers = [answer(200)]
        box = Outbox(url)
        box.enable(endpoint(receiver.port).id)
        box.close()
        webhooks.emit(event("third"))
        await turned(webhooks)
    assert [body["data"]["model"] for body in receiver.bodies()] == ["m", "third"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
async def test_a_private_address_is_refused_unless_it_is_allowed(make: Make, tally: Tally, host: str) -> None:
    async with receiving() as receiver:
        webhooks = make(Endpoint(f"http://{host}:{receiver.port}/", (SECRET,), timeout_s=2.0))
        webhooks.emit(event())
        await turned(webhooks)
    assert receiver.requests == []
    assert dict(tally.outcomes) == {"address_refused": 1}


async def test_a_certificate_that_nobody_vouches_for_is_not_believed(make: Make, tally: Tally) -> None:
    receiver = Receiver([answer(204)])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with serving(receiver.play, context) as provider:
        webhooks = make(Endpoint(f"https://127.0.0.1:{provider.port}/", (SECRET,), allow_private=True))
        webhooks.emit(event())
        await turned(webhooks)
    assert receiver.requests == []
    assert dict(tally.outcomes) == {"tls": 1}


async def test_a_port_that_nobody_listens_on_is_a_failure_to_try_again(make: Make, tally: Tally, url: str) -> None:
    async with receiving() as receiver:
        port = receiver.port
    webhooks = make(endpoint(port))
    webhooks.emit(event())
    await turned(webhooks)
    assert dict(tally.outcomes) == {"refused": 1}
    assert rows(url) == [("pending", "refused", 1)]


async def test_each_endpoint_gets_what_it_asked_for_and_a_silent_one_delays_no_other(make: Make) -> None:
    async with receiving(None) as silent, receiving() as quick, receiving() as other:
        webhooks = make(
            endpoint(silent.port),
            endpoint(quick.port, events=("calls.*",)),
            endpoint(other.port, events=("budget.*",)),
        )
        for number in range(10):
            webhooks.emit(event(str(number)))
        began = time.monotonic()
        while len(quick.requests) < 10:
            webhooks._look_at = 0.0
            await webhooks.turn()
            await asyncio.sleep(0.01)
        assert time.monotonic() - began < 1.5  # the silent one takes 2 s an attempt
    assert len(silent.requests) <= 4
    assert other.requests == []


async def test_emitting_never_waits_and_drops_when_the_queue_is_full(make: Make, tally: Tally) -> None:
    async with receiving() as receiver:
        webhooks = make(endpoint(receiver.port))
        taken = [webhooks.emit(event(str(number))) for number in range(module.QUEUE + 5)]
    assert taken.count(True) == module.QUEUE
    assert tally.ends == {"dropped": 5}
    assert webhooks.state().dropped == 5


async def test_an_endpoint_has_room_for_so_many_that_wait(url: str) -> None:
    box = Outbox(url, room=2)
    to = [endpoint(1)]
    assert box.add([event("a"), event("b")], to, NOW) == []
    assert [one.id for one in box.add([event("a"), event("c")], to, NOW)] == [event("a").id, event("c").id]
    assert len(box.find()) == 2
    box.close()


async def test_without_endpoints_nothing_is_made_or_kept(make: Make) -> None:
    webhooks = make()
    assert not webhooks.emit(event())
    await turned(webhooks)
    assert webhooks._outbox is None


async def test_what_is_seen_again_is_told_once_also_after_a_restart(make: Make, tally: Tally) -> None:
    async with receiving() as receiver:
        for webhooks in (make(endpoint(receiver.port)), make(endpoint(receiver.port))):
            webhooks.emit(event())
            webhooks.emit(event(now=NOW + 7))
            await turned(webhooks, times=2)
    assert len(receiver.requests) == 1
    assert tally.types["calls.unpriced"] == 2


async def test_an_endpoint_that_a_reload_adds_hears_of_what_still_holds_and_no_other_twice(make: Make) -> None:
    async with receiving() as first, receiving() as second:
        webhooks = make(endpoint(first.port))
        webhooks.emit(event())
        await turned(webhooks)
        webhooks.use([endpoint(first.port), endpoint(second.port)])
        webhooks.emit(event(now=NOW + 7))
        await turned(webhooks)
        assert (len(first.requests), len(second.requests)) == (1, 1)
        webhooks.use([endpoint(second.port, secrets=(b"n" * 32,))])
        webhooks.emit(event("new"))
        await turned(webhooks)
    assert len(first.requests) == 1
    headers, body = second.requests[1]
    assert headers["webhook-signature"] == expected_signature(b"n" * 32, headers, body)


async def test_what_cannot_be_written_is_sent_from_memory_and_not_again_once_it_can(
    make: Make, tally: Tally, tmp_path: Path
) -> None:
    place = tmp_path / "later"
    place.write_text("a file where a folder should be")
    async with receiving() as receiver:
        webhooks = make(endpoint(receiver.port), at=f"sqlite:///{place}/webhooks.db")
        webhooks.emit(event())
        await webhooks.turn()
        assert len(receiver.requests) == 1
        assert "cannot be made" in webhooks.state().warnings["outbox"]
        place.unlink()
        await turned(webhooks, times=2)
        assert webhooks.state().warnings == {}
        assert webhooks.state().queued == 0
    assert len(receiver.requests) == 1
    assert rows(f"sqlite:///{place}/webhooks.db") == [("delivered", "ok", 1)]


async def test_closing_writes_down_what_is_queued_and_leaves_attempts_to_the_next(make: Make, url: str) -> None:
    async with receiving(None, answer(200)) as receiver:
        webhooks = make(endpoint(receiver.port, timeout_s=30.0))
        webhooks.emit(event("slow"))
        await webhooks.turn()
        await receiver.arrived(1)
        webhooks.emit(event("queued"))
        began = time.monotonic()
        await webhooks.close(0.2)
        assert time.monotonic() - began < 1.5
        assert [one[0] for one in rows(url)] == ["pending", "pending"]
        successor = make(endpoint(receiver.port, timeout_s=30.0))
        await turned(successor)  # at once: the claim was given back
    assert sorted(body["data"]["model"] for body in receiver.bodies()) == ["queued", "slow", "slow"]


async def test_it_runs_by_itself(url: str) -> None:
    async with receiving() as receiver:
        webhooks = Webhooks(url, [endpoint(receiver.port)])
        running = asyncio.create_task(webhooks.run())
        webhooks.emit(event(now=time.time()))
        await receiver.arrived(1)
        running.cancel()
        await webhooks.close()


async def test_old_events_are_forgotten_and_those_that_wait_are_not(make: Make, clock: Clock, url: str) -> None:
    async with receiving(answer(204), answer(500)) as receiver:
        webhooks = make(endpoint(receiver.port))
        webhooks.emit(event("arrives"))
        await turned(webhooks)
        webhooks.emit(event("waits"))
        await turned(webhooks)
    box = Outbox(url)
    assert (box.purge(NOW + 39 * 86_400), box.purge(NOW + 41 * 86_400)) == (0, 1)
    assert [one.state for one in box.find(("pending", "delivered", "failed"))] == ["pending"]
    box.close()


async def test_neither_secrets_nor_addresses_are_written_down_shown_or_logged(make: Make, url: str) -> None:
    token = "verytoken"
    with structlog.testing.capture_logs() as logs:
        async with receiving(answer(500)) as receiver:
            one = Endpoint(
                f"http://127.0.0.1:{receiver.port}/{token}?key={token}",
                (SECRET,),
                allow_private=True,
                headers=((b"authorization", token.encode()),),
            )
            webhooks = make(one)
            webhooks.emit(event())
            await turned(webhooks)
    assert logs
    shown = f"{one!r} {webhooks!r} {webhooks._senders!r} {webhooks.state()} {logs}"
    file = Path(url.removeprefix("sqlite:///"))
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    dump = "\n".join(sqlite3.connect(file).iterdump())
    for secret in (token, SECRET.decode()):
        assert secret not in shown
        assert secret not in dump
