"""The scripted provider as a server: what is on the wire, byte for byte, whole and broken."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import orjson
import pytest
from pydantic import BaseModel

from gateway import standalone
from gateway.errors import ConfigError
from gateway.providers.scripting import builtin, loads
from gateway.standalone import Standalone, serve
from gateway.standalone.connection import MAX_HEAD

SCRIPT = """
models: [m]
replies:
  - {when: {contains: hang early}, text: a, fault: {kind: hang, before_head: true}}
  - {when: {contains: hang}, text: a b c, fault: {kind: hang, after_chunks: 2}}
  - {when: {contains: rst early}, text: a, fault: {kind: reset, before_head: true}}
  - {when: {contains: rst large}, text: "0123456789abcdef", repeat: 100000, fault: {kind: reset, after_bytes: 1500000}}
  - {when: {contains: rst}, text: a b c, fault: {kind: reset, after_bytes: 100}}
  - {when: {contains: early}, text: a b c, fault: {kind: close_early, after_bytes: 100}}
  - {when: {contains: cut}, text: a b c, fault: {kind: truncate, after_bytes: 100}}
  - {when: {contains: bad chunk}, text: a b c, fault: {kind: bad_chunk, after_chunks: 1}}
  - {when: {contains: too long}, text: a b c, fault: {kind: wrong_length, by: 10}}
  - {when: {contains: too short}, text: a b c, fault: {kind: wrong_length, by: -10}}
  - {when: {contains: bad head}, text: a, fault: {kind: bad_head}}
  - {when: {contains: huge head}, text: a, fault: {kind: huge_head, bytes: 300000}}
  - {when: {contains: drip}, text: a, fault: {kind: drip, bytes: 50, every: 0.01}}
  - {when: {contains: bomb}, text: a, fault: {kind: gzip_bomb, expands_to: 3000000}}
  - {when: {contains: odd}, text: a b, wire: {framing: chunked, interim: [103], trailers: {X-Sum: "1"}}}
  - {when: {contains: until the end}, text: a b, wire: {framing: close}}
  - {when: {contains: goodbye}, text: a b, wire: {keep_alive: false}}
  - {when: {contains: slow}, text: a b c d e f g h, delay: {chunk: 0.05}}
  - {when: {contains: later}, text: a, delay: {head: 0.2}}
  - {when: {contains: flood}, text: "0123456789abcdef", repeat: 1000000, chunk: 100000}
  - {when: {contains: nothing}, text: a, status: 204}
  - text: "you said {{ question }}"
"""


@asynccontextmanager
async def serving(bill: Path | None = None, script: str = SCRIPT) -> AsyncIterator[Standalone]:
    served = await serve(loads(script), "127.0.0.1", 0, bill)
    try:
        yield served
    finally:
        await served.aclose()
        assert not served.connections


@pytest.fixture
async def server() -> AsyncIterator[Standalone]:
    async with serving() as served:
        yield served


class Client:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def until_closed(self) -> bytes:
        """All bytes until the server closes; a reset raises."""
        return await asyncio.wait_for(self.reader.read(), 5)

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)

    async def reply(self) -> bytes:
        """One reply with a length: its body."""
        length = re.search(rb"content-length: (\d+)", await self.head())
        assert length is not None
        return await asyncio.wait_for(self.reader.readexactly(int(length.group(1))), 5)


@asynccontextmanager
async def connected(server: Standalone, data: bytes = b"") -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(data)
        yield Client(reader, writer)
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            pass


def request(question: str, *, stream: bool = False, version: str = "1.1", headers: str = "") -> bytes:
    body = orjson.dumps({"model": "m", "stream": stream, "messages": [{"role": "user", "content": question}]})
    head = f"POST /v1/chat/completions HTTP/{version}\r\nhost: x\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


def unchunked(data: bytes) -> bytes:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        body, data = body + data[:length], data[length + 2 :]
    return body


async def raw(server: Standalone, question: str, **more: Any) -> bytes:
    """Everything that comes until the server closes."""
    async with connected(server, request(question, **more)) as client:
        return await client.until_closed()


async def before_a_reset(server: Standalone, question: str, *, pause_s: float = 0.0) -> bytes:
    """Everything that comes before a reset, which must come. Not by asyncio's streams: those drop what is unread."""

    def receive() -> bytes:
        with socket.create_connection(("127.0.0.1", server.port), 5) as client:
            client.sendall(request(question))
            time.sleep(pause_s)
            return received_before_a_reset(client)

    return await asyncio.to_thread(receive)


def received_before_a_reset(client: socket.socket) -> bytes:
    got = b""
    with pytest.raises(ConnectionResetError):
        while piece := client.recv(1 << 16):
            got += piece
    return got


def bills(path: Path) -> list[Any]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


async def settled(path: Path, count: int) -> list[Any]:
    for _ in range(200):
        if len(bills(path)) >= count:
            return bills(path)
        await asyncio.sleep(0.01)
    raise AssertionError(f"only {len(bills(path))} bills")


async def test_a_connection_serves_many_requests(server: Standalone) -> None:
    async with connected(server) as client:
        for number in range(3):
            client.writer.write(request(f"number {number}"))
            assert f"you said number {number}".encode() in await client.reply()
    assert server.player.played == 3


async def test_requests_sent_ahead_are_answered_in_order(server: Standalone) -> None:
    ahead = b"".join(request("later" if number == 0 else f"<{number}>") for number in range(300))
    async with connected(server, ahead) as client:
        answers = [await client.reply() for _ in range(300)]
    assert all(f"<{number}>".encode() in answers[number] for number in range(1, 300))


async def test_a_stream_is_chunked_event_by_event(server: Standalone) -> None:
    async with connected(server, request("a b", stream=True)) as client:
        assert b"transfer-encoding: chunked\r\n" in await client.head()
        data = await client.reader.readuntil(b"\r\n0\r\n\r\n")
    events = unchunked(data)
    assert events.endswith(b"data: [DONE]\n\n") and events.count(b"data: ") == 7


async def test_a_request_may_come_byte_by_byte(server: Standalone) -> None:
    async with connected(server) as client:
        for byte in request("drops"):
            client.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert b"you said drops" in await client.reply()


async def test_a_request_may_be_chunked(server: Standalone) -> None:
    head, _, body = request("pieces").partition(b"\r\n\r\n")
    head = re.sub(rb"content-length: \d+", b"transfer-encoding: chunked", head)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(body[at : at + 9]), body[at : at + 9]) for at in range(0, len(body), 9))
    async with connected(server, head + b"\r\n\r\n" + chunks + b"0\r\n\r\n") as client:
        assert b"you said pieces" in await client.reply()


async def test_a_client_that_expects_100_continue_gets_it_before_it_sends(server: Standalone) -> None:
    head, _, body = request("wait", headers="expect: 100-continue\r\n").partition(b"\r\n\r\n")
    async with connected(server, head + b"\r\n\r\n") as client:
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.writer.write(body)
        assert b"you said wait" in await client.reply()


async def test_an_old_client_is_told_the_end_by_the_end(server: Standalone) -> None:
    head, _, body = (await raw(server, "a b", stream=True, version="1.0")).partition(b"\r\n\r\n")
    assert b"chunked" not in head and b"connection: close" in head
    assert body.startswith(b"data: ") and body.endswith(b"data: [DONE]\n\n")


async def test_a_client_may_ask_to_close(server: Standalone) -> None:
    assert b"connection: close\r\n" in await raw(server, "x", headers="connection: close\r\n")


async def test_head_and_204_have_no_body(server: Standalone) -> None:
    async with connected(server, b"HEAD /v1/models HTTP/1.1\r\nhost: x\r\n\r\n" + request("nothing")) as client:
        assert (await client.head()).startswith(b"HTTP/1.1 405 ")
        assert (await client.head()).startswith(b"HTTP/1.1 204 No Content")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00", 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: nine\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx-big: " + b"x" * (MAX_HEAD + 1), 431),
    ],
)
async def test_what_is_no_request_is_refused(server: Standalone, data: bytes, status: int) -> None:
    async with connected(server, data) as client:
        assert (await client.head()).startswith(b"HTTP/1.1 %d " % status)


async def test_silence_lasts_until_the_client_leaves(server: Standalone) -> None:
    for question in ("hang", "hang early"):
        async with connected(server, request(question, stream=True)) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.reader.readexactly(1 << 20), 0.05)
            got = bytes(client.reader._buffer)  # type: ignore[attr-defined]  # what came before the silence
            assert got.count(b"data: ") == (0 if "early" in question else 2)


async def test_a_reset_comes_after_exactly_what_the_script_says(server: Standalone) -> None:
    head, _, body = (await before_a_reset(server, "rst")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK") and len(body) == 100


async def test_a_reset_before_the_head_says_nothing(server: Standalone) -> None:
    assert await before_a_reset(server, "rst early") == b""


async def test_a_reset_waits_until_a_slow_client_has_what_comes_before(server: Standalone) -> None:
    data = await before_a_reset(server, "rst large", pause_s=0.1)
    assert len(data.partition(b"\r\n\r\n")[2]) == 1_500_000


async def test_an_early_end_is_a_clean_close(server: Standalone) -> None:
    head, _, body = (await raw(server, "early")).partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    assert length is not None and int(length.group(1)) > len(body) == 100


async def test_a_truncated_body_has_its_own_length(server: Standalone) -> None:
    async with connected(server, request("cut") + request("next")) as client:
        assert len(await client.reply()) == 100
        assert b"you said next" in await client.reply()


async def test_a_bad_chunk_has_no_size(server: Standalone) -> None:
    data = (await raw(server, "bad chunk", stream=True)).partition(b"\r\n\r\n")[2]
    assert data.endswith(b"not-a-size\r\nnor a chunk\r\n") and data.count(b"data: ") == 1


async def test_lengths_are_wrong_by_what_the_script_says(server: Standalone) -> None:
    head, _, body = (await raw(server, "too long")).partition(b"\r\n\r\n")
    assert b"content-length: %d\r\n" % (len(body) + 10) in head + b"\r\n"
    async with connected(server, request("too short")) as client:
        cut = await client.reply()
        assert orjson.loads(cut + await client.reader.readexactly(10))["object"] == "chat.completion"


async def test_heads_can_be_garbage_or_huge(server: Standalone) -> None:
    assert (await raw(server, "bad head")).startswith(b"HTTP/9.9")
    async with connected(server, request("huge head")) as client:
        await client.reader.readuntil(b"x-padding: ")
        assert len((await client.reader.readexactly(300_000)).strip(b"x")) == 0


async def test_a_drip_takes_its_time(server: Standalone) -> None:
    began = time.monotonic()
    async with connected(server, request("drip")) as client:
        body = await client.reply()
    assert time.monotonic() - began >= 0.009 * (len(body) // 50)


async def test_a_gzip_bomb_explodes_into_the_answer(server: Standalone) -> None:
    async with connected(server, request("bomb")) as client:
        assert b"content-encoding: gzip" in await client.head()
        packed = unchunked(await client.reader.readuntil(b"\r\n0\r\n\r\n"))
    body = gzip.decompress(packed)
    assert len(body) > 3_000_000 > 100 * len(packed) and orjson.loads(body)["object"] == "chat.completion"


async def test_odd_framing_is_as_the_script_says(server: Standalone) -> None:
    async with connected(server, request("odd")) as client:
        assert (await client.head()).startswith(b"HTTP/1.1 103 Early Hints")
        assert b"trailer: x-sum\r\n" in await client.head()
        assert (await client.reader.readuntil(b"\r\n\r\n")).endswith(b"}\r\n0\r\nx-sum: 1\r\n\r\n")
    head = (await raw(server, "until the end")).partition(b"\r\n\r\n")[0]
    assert b"content-length" not in head and b"chunked" not in head
    assert b"connection: close" in await raw(server, "goodbye")


async def test_every_request_is_booked(tmp_path: Path) -> None:
    bill = tmp_path / "bill.jsonl"
    async with serving(bill) as server:
        async with connected(server, request("one two", headers="x-request-id: mine\r\n")) as client:
            body = await client.reply()
            client.writer.write(b"GET /v1/nothing HTTP/1.1\r\nhost: x\r\n\r\n")
            await client.reply()
        first, second = await settled(bill, 2)
    assert first["reply_id"] == orjson.loads(body)["id"]
    assert (first["client_request_id"], first["model"], first["endpoint"]) == ("mine", "m", "chat")
    assert (first["input_tokens"], first["output_tokens"], first["bytes_sent"]) == (2, 4, len(body))
    assert first["billed"] and first["completed"]
    assert (second["status"], second["billed"]) == (404, False)


async def test_a_client_that_leaves_pays_for_what_was_sent(tmp_path: Path) -> None:
    bill = tmp_path / "bill.jsonl"
    async with serving(bill) as server:
        async with connected(server, request("slow", stream=True)) as client:
            for _ in range(4):
                await client.reader.readuntil(b"\n\n")
        (line,) = await settled(bill, 1)
    assert not line["completed"] and 2 <= line["output_tokens"] < 8


async def test_a_client_that_does_not_read_stops_the_stream(tmp_path: Path) -> None:
    bill = tmp_path / "bill.jsonl"
    async with serving(bill) as server:
        async with connected(server, request("flood", stream=True)) as client:
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # asyncio streams have no other way
            await asyncio.sleep(0.2)
            (connection,) = server.connections
            assert connection.transport.get_write_buffer_size() < 1 << 20
        (line,) = await settled(bill, 1)
    assert not line["completed"] and line["bytes_sent"] < 16_000_000


async def test_closing_books_what_was_at_work(tmp_path: Path) -> None:
    bill = tmp_path / "bill.jsonl"
    async with serving(bill) as server, connected(server, request("hang", stream=True)) as client:
        await client.reader.readuntil(b"\n\n")
        await server.aclose()
        assert [line["completed"] for line in bills(bill)] == [False]


async def test_hundreds_of_clients_wait_at_once(server: Standalone) -> None:
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(raw(server, "later", headers="connection: close\r\n")) for _ in range(300)]
    assert all(task.result().startswith(b"HTTP/1.1 200 OK") for task in tasks)
    assert time.monotonic() - began < 10


async def test_a_port_that_is_taken_is_an_error(server: Standalone) -> None:
    with pytest.raises(OSError):
        await serve(builtin(), "127.0.0.1", server.port)


async def test_it_says_where_it_is(server: Standalone) -> None:
    assert server.url == f"http://127.0.0.1:{server.port}/v1"
    assert "0 connections" in repr(server)


class Answer(BaseModel):
    """A shape to be promised."""

    name: str
    size: int


async def test_openais_own_client_is_content() -> None:
    served = await serve(builtin(), "127.0.0.1", 0)
    messages: Any = [{"role": "user", "content": "Hello, please call alpha_tool"}]
    tools: Any = [{"type": "function", "function": {"name": "alpha_tool", "parameters": {"type": "object"}}}]
    async with openai.AsyncOpenAI(base_url=served.url, api_key="sk-any", max_retries=0) as client:
        chat = client.chat.completions
        said = (await chat.create(model="demo", messages=messages)).choices[0].message.content
        async with chat.stream(model="demo", messages=messages, stream_options={"include_usage": True}) as stream:
            final = await stream.get_final_completion()
        assert final.choices[0].message.content == said
        assert final.usage is not None and final.usage.completion_tokens > 5
        async with chat.stream(model="demo", messages=messages, tools=tools) as stream:
            called = (await stream.get_final_completion()).choices[0].message.tool_calls
        assert called is not None and called[0].function.name == "alpha_tool"
        parsed = (await chat.parse(model="demo", messages=messages, response_format=Answer)).choices[0].message.parsed
        assert parsed == Answer(name="name", size=0)
        embedding = (await client.embeddings.create(model="demo", input="x", dimensions=7)).data[0].embedding
        assert len(embedding) == 7
        file = await client.files.create(file=("a.jsonl", io.BytesIO(b"{}")), purpose="batch")
        batch = await client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        assert (await client.batches.cancel(batch.id)).status == "cancelling"
        assert (await client.files.content(file.id)).content == b"{}"
        assert [model.id async for model in client.models.list()] == ["demo"]
        assert (await client.audio.transcriptions.create(model="demo", file=("a.wav", b"x"))).text
        with pytest.raises(openai.NotFoundError):
            await chat.create(model="nope", messages=messages)
    await served.aclose()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_serves_until_it_is_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "s.yaml").write_text(SCRIPT)
    port = free_port()
    call = (
        "from pathlib import Path; from gateway import standalone; "
        f"standalone.run('127.0.0.1', {port}, Path('s.yaml'), Path('bill.jsonl'))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", call],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(standalone.__file__).parents[2])},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process.stderr as errors, process:
        assert errors.readline() == f"The scripted provider serves m at http://127.0.0.1:{port}/v1\n"
        with socket.create_connection(("127.0.0.1", port), 5) as client:
            client.sendall(request("rst"))
            assert len(received_before_a_reset(client).partition(b"\r\n\r\n")[2]) == 100
        process.send_signal(number)
        assert process.wait(10) == 0
        assert errors.read() == ""
    assert [line["completed"] for line in bills(tmp_path / "bill.jsonl")] == [False]


def test_a_broken_script_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("model: m")
    with pytest.raises(ConfigError, match="unknown key; did you mean `model"):
        standalone.run("127.0.0.1", 0, tmp_path / "s.yaml")
