"""The mock upstream over a real socket: what it answers, how it is steered, and that it stops for who does not read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from loadtest import traffic
from loadtest.mock_upstream import UNARY_BODY, serve

_STREAM = {"model": "m", "messages": [], "stream": True}


@pytest.fixture
async def port() -> AsyncIterator[int]:
    server = await serve("127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def _post(body: bytes, head: str | None = None) -> bytes:
    framing = f"Content-Length: {len(body)}" if head is None else head
    return f"POST /v1/chat/completions HTTP/1.1\r\nHost: mock\r\n{framing}\r\n\r\n".encode() + body


async def _talk(port: int, *messages: bytes, until: bytes) -> bytes:
    """Send the pieces one by one and read until `until` has come as often as there are requests in them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for message in messages:
        writer.write(message)
        await writer.drain()
        await asyncio.sleep(0.005)
    received = await asyncio.wait_for(reader.readuntil(until), 5)
    writer.close()
    await writer.wait_closed()
    return received


def _events(received: bytes) -> list[Any]:
    """The JSON of each event, and the text of the one that is none."""
    data = [line.removeprefix(b"data: ") for line in received.split(b"\r\n") if line.startswith(b"data: ")]
    return [one.strip().decode() if one.startswith(b"[") else orjson.loads(one) for one in data]


async def test_a_chat_gets_one_json_reply_of_about_a_kilobyte_with_usage(port: int) -> None:
    received = await _talk(port, traffic.request(port, "key", traffic.unary_body()), until=UNARY_BODY)
    reply = orjson.loads(UNARY_BODY)
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"content-length: {len(UNARY_BODY)}".encode() in received
    assert 900 < len(UNARY_BODY) < 1200
    assert reply["usage"] == {"prompt_tokens": 412, "completion_tokens": 180, "total_tokens": 592}


async def test_a_request_cut_anywhere_is_answered_once_it_is_whole(port: int) -> None:
    request = traffic.request(port, "key", traffic.unary_body())
    pieces = [request[start : start + 400] for start in range(0, len(request), 400)]
    assert (await _talk(port, *pieces, until=UNARY_BODY)).count(b"HTTP/1.1 200 OK") == 1


async def test_two_requests_in_one_piece_get_two_replies_on_one_connection(port: int) -> None:
    request = traffic.request(port, "key", traffic.unary_body())
    assert (await _talk(port, request + request, until=UNARY_BODY + b"HTTP/1.1 200 OK")).count(b"200 OK") == 2


async def test_a_stream_has_as_many_content_chunks_as_max_tokens_says_and_ends_like_openais(port: int) -> None:
    received = await _talk(port, _post(orjson.dumps({**_STREAM, "max_tokens": 3})), until=b"0\r\n\r\n")
    events = _events(received)
    assert [event["choices"][0]["delta"] for event in events[:-2]] == [
        {"role": "assistant", "content": ""},
        {"content": " word"},
        {"content": " word"},
        {"content": " word"},
    ]
    assert events[-2]["choices"][0]["finish_reason"] == "stop"
    assert events[-1] == "[DONE]"


async def test_usage_comes_in_a_chunk_of_its_own_where_it_was_asked_for(port: int) -> None:
    body = orjson.dumps({**_STREAM, "max_tokens": 1, "stream_options": {"include_usage": True}})
    usage = _events(await _talk(port, _post(body), until=b"0\r\n\r\n"))[-2]
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 592


async def test_chunks_come_at_the_interval_that_user_names(port: int) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await _talk(port, _post(traffic.stream_body(10, 20)), until=b"0\r\n\r\n")
    assert 0.2 <= loop.time() - began < 1


async def test_a_request_that_follows_a_stream_is_answered_after_it(port: int) -> None:
    stream = _post(orjson.dumps({**_STREAM, "max_tokens": 2}))
    received = await _talk(port, stream + _post(b'{"model":"m"}'), until=UNARY_BODY)
    assert received.index(b"[DONE]") < received.index(UNARY_BODY)


async def test_a_flood_stops_for_who_does_not_read_and_ends_whole_once_read(port: int) -> None:
    chunks = 4096  # 17 MB: far more than the sockets between hold
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(_post(traffic.flood_body(chunks)))
    await asyncio.sleep(0.1)
    needle = b'"content":"Whoever'
    content, tail = 0, b""
    while not tail.endswith(b"0\r\n\r\n"):
        data = tail + await asyncio.wait_for(reader.read(65536), 5)
        content += data.count(needle)
        tail = data[1 - len(needle) :]  # one byte too short to hold it whole
    writer.close()
    await writer.wait_closed()
    assert content == chunks


async def test_a_body_in_chunks_is_refused_with_411(port: int) -> None:
    received = await _talk(port, _post(b"0\r\n\r\n", head="Transfer-Encoding: chunked"), until=b'Content-Length"}}')
    assert received.startswith(b"HTTP/1.1 411 ")


async def test_a_stream_asked_for_in_broken_json_is_refused_with_400(port: int) -> None:
    received = await _talk(port, _post(b'{"stream": true'), until=b"}}")
    assert received.startswith(b"HTTP/1.1 400 ")


async def test_a_request_without_a_body_gets_the_list_of_models(port: int) -> None:
    received = await _talk(port, b"GET /v1/models HTTP/1.1\r\nHost: mock\r\n\r\n", until=b"]}")
    assert b'"id":"bench-model"' in received
