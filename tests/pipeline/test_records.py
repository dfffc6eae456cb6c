"""What a call leaves behind: one line and one count, whatever became of it, and nothing that anybody said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gateway.errors import BrokenReply, Unreachable
from tests.pipeline.test_bytes import DONE, ROLE, STOP, TEXT
from tests.pipeline.world import CONFIG, MULTIPART, SSE, Answer, World, form

SECRET = "canary-7f3a"
Act = Callable[[World], Coroutine[Any, Any, Answer]]


def broken(world: World) -> Coroutine[Any, Any, Answer]:
    world.canned(ROLE, BrokenReply("cut"), headers=SSE)
    return world.chat(content=SECRET, sent={"stream": True})


def failing(world: World) -> Coroutine[Any, Any, Answer]:
    world.canned(b'{"error":{"message":"' + SECRET.encode() + b'"}}', status=500)
    return world.chat(content=SECRET)


def unreachable(world: World) -> Coroutine[Any, Any, Answer]:
    world.canned(Unreachable("No."), status=0)
    return world.chat(content=SECRET)


def left(world: World) -> Coroutine[Any, Any, Answer]:
    world.canned(ROLE, None, headers=SSE)
    return world.chat(content=SECRET, sent={"stream": True}, leave_after=1)


CALLS: dict[str, tuple[Act, int]] = {
    "answered": (lambda world: world.chat(content=SECRET), 200),
    "streamed": (lambda world: world.chat(content=SECRET, sent={"stream": True}), 200),
    "uploaded": (
        lambda world: world.post("/audio/transcriptions", form(("model", "m"), ("file", SECRET)), headers=MULTIPART),
        200,
    ),
    "listed": (lambda world: world.call("GET", "/v1/models"), 200),
    "files listed": (lambda world: world.call("GET", f"/v1/files?after={SECRET}"), 200),
    "replayed": (lambda world: world.chat(content=SECRET, headers=[("idempotency-key", SECRET)]), 200),
    "refused": (lambda world: world.post("/chat/completions", SECRET.encode()), 400),
    "unknown model": (lambda world: world.chat(SECRET), 404),
    "unknown path": (lambda world: world.call("POST", f"/v1/{SECRET}"), 404),
    "without a key": (lambda world: world.chat(content=SECRET, key=None), 401),
    "with a bad key": (lambda world: world.chat(key=SECRET), 401),
    "wrong method": (lambda world: world.call("PATCH", f"/v1/models/{SECRET}"), 405),
    "failed": (failing, 500),
    "unreachable": (unreachable, 502),
    "broken": (broken, 200),
    "left": (left, 499),
}


def counted(world: World) -> float:
    """All requests, whatever their labels."""
    return sum(child.value for child in world.runtime.metrics.requests._children.values())


@pytest.mark.parametrize("kind", CALLS)
async def test_every_call_leaves_one_line_and_one_count(
    world: World, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    act, status = CALLS[kind]
    answer = await act(world)
    assert world.line["status"] == status and counted(world) == 1
    assert world.line["duration_s"] > 0 and len(world.line["trace_id"]) == 32
    if answer.status:
        assert answer.header("x-request-id") == world.line["request_id"]
    printed = capsys.readouterr()
    for text in (str(world.log.lines), printed.out, printed.err):
        assert SECRET not in text and world.key not in text
    for family in (world.runtime.metrics.requests, world.runtime.metrics.tokens, world.runtime.metrics.refusals):
        assert not any(SECRET in value for labels in family._children for value in labels)


async def test_an_explicit_zero_stays_zero(world: World) -> None:
    world.canned(b'{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":0,"completion_tokens":0}}')
    await world.chat()
    line = world.line
    assert (line["input_tokens"], line["output_tokens"], line["usage_source"]) == (0, 0, "provider")


@pytest.mark.parametrize("usage", [b"null", b"{}", b'{"prompt_tokens":null}', b'"none"'])
async def test_usage_that_says_nothing_is_estimated(world: World, usage: bytes) -> None:
    world.canned(b'{"choices":[{"message":{"content":"hello world"}}],"usage":' + usage + b"}")
    await world.chat(content="hello")
    line = world.line
    assert (line["input_tokens"], line["output_tokens"], line["usage_source"]) == (3 + 3 + 1, 2, "estimated")


async def test_negative_usage_counts_nothing(world: World) -> None:
    world.canned(b'{"choices":[],"usage":{"prompt_tokens":-5,"completion_tokens":2}}')
    await world.chat()
    assert (world.line["input_tokens"], world.line["output_tokens"]) == (0, 2)


async def test_a_stream_without_usage_is_estimated(world: World) -> None:
    world.canned(ROLE, TEXT, STOP, DONE, headers=SSE)
    await world.chat(sent={"stream": True})
    assert world.line["usage_source"] == "estimated" and world.line["output_tokens"] > 1


async def test_tokens_are_counted_by_kind(world: World) -> None:
    world.canned(
        b'{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":'
        b'{"cached_tokens":4,"cache_write_tokens":2},"completion_tokens_details":{"reasoning_tokens":3}}}'
    )
    await world.chat()
    tokens = world.runtime.metrics.tokens
    found = {
        kind: tokens.labels(model="m", kind=kind, source="provider").value
        for kind in ("input", "output", "cache_read", "cache_write", "reasoning")
    }
    assert found == {"input": 10, "output": 5, "cache_read": 4, "cache_write": 2, "reasoning": 3}


async def test_a_huge_answer_is_counted_without_holding_up_others(world: World) -> None:
    piece = TEXT.replace("Grüß 🙂".encode(), b"word " * 2000)
    world.canned(ROLE, *[piece] * 40, STOP, DONE, headers=SSE)
    await world.chat(sent={"stream": True})
    assert world.line["output_tokens"] == pytest.approx(80_000, rel=0.01)


async def test_time_at_a_provider_that_failed_is_not_the_gateway_s(world: World) -> None:
    provider = world.canned(b"{}", status=500)
    send = provider.send

    async def slow(request: Any) -> Any:
        await asyncio.sleep(0.1)
        return await send(request)

    provider.send = slow  # type: ignore[method-assign]
    answer = await world.chat("fallback")
    assert answer.status == 200 and float(answer.header("x-gateway-overhead-ms") or "") < 80
    assert world.line["upstream_s"] > 0.09
    assert world.runtime.metrics.upstream_errors.labels(provider="p", kind="status_5xx").value == 1


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("::ffff:10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.7", "10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7:1234"], "198.51.100.7"),
        ("10.0.0.1", ["[2001:db8::1]:1234"], "2001:db8::1"),
        ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7, _hidden, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
    ],
)
async def test_a_proxy_is_believed_only_if_it_is_trusted(
    tmp_path: Any, peer: str, forwarded: list[str], client: str
) -> None:
    world = World(tmp_path, CONFIG + 'server: {trusted_proxies: ["10.0.0.0/8"]}\n')
    try:
        headers = [("x-forwarded-for", value) for value in forwarded]
        await world.call("GET", "/v1/models", headers=headers, peer=(peer, 1))
        assert world.line["client"] == client
    finally:
        await world.close()


async def test_a_server_that_names_no_peer_is_no_fault(world: World) -> None:
    assert (await world.call("GET", "/v1/models", peer=None)).status == 200
