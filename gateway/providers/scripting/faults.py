"""Faults: a play that was whole, broken where the script says. Nothing here waits or sends; plays are rewritten."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import assert_never

from msgspec.structs import replace

from gateway.providers.scripting.chat import DONE
from gateway.providers.scripting.play import Play, Send
from gateway.providers.scripting.refusals import error_body
from gateway.providers.scripting.script import (
    BadEvent,
    Cut,
    Drip,
    ErrorEvent,
    Fault,
    GzipBomb,
    HugeHead,
    Plain,
    Stop,
    WrongLength,
)

MIB = 1 << 20
HUGE_EVENT = MIB + 64
_HUGE = b'data: {"id":"huge","object":"chat.completion.chunk","choices":[],"padding":"' + b"x" * HUGE_EVENT + b'"}\n\n'
_BAD_EVENTS = {
    "json": b'data: {"id":"chatcmpl-broken","object":"chat.completion.chunk","choices":[{"index":0,"del\n\n',
    "utf8": b'data: {"choices":[{"index":0,"delta":{"content":"\xff\xfe\xc3"},"finish_reason":null}]}\n\n',
    "huge": _HUGE,
}


def broken(play: Play, steps: Sequence[Send], fault: Fault) -> Play:
    """`play`, whose steps are `steps`, with `fault`."""
    match fault:
        case Stop():
            return _stopped(play, steps, fault)
        case Cut():
            before, _ = _cut(steps, fault.after_chunks, fault.after_bytes)
            if fault.kind == "bad_chunk":
                return replace(play, steps=before, framing="chunked", ending="bad_chunk")
            return replace(play, steps=before, declared=_size(before))
        case Drip():
            before, rest = _cut(steps, fault.after_chunks, fault.after_bytes)
            return replace(play, steps=chain(before, _drops(rest, fault.bytes, fault.every)))
        case BadEvent():
            before, rest = _cut(steps, fault.after_chunks, None)
            return _longer(play, before, Send(_BAD_EVENTS[fault.how], 0.0, _tokens(before)), rest)
        case ErrorEvent():
            before, _ = _cut(steps, fault.after_chunks, None)
            event = b"data: " + error_body(fault.message, "server_error", None, None) + b"\n\n"
            return _longer(play, before, Send(event, 0.0, _tokens(before)), ())
        case WrongLength():
            ending = "close" if fault.by > 0 else play.ending
            said = max(0, _size(steps) + fault.by)
            return replace(play, steps=steps, framing="length", declared=said, ending=ending)
        case HugeHead():
            return replace(play, head="huge", head_bytes=fault.bytes)
        case GzipBomb():
            return _bomb(play, steps, fault.expands_to)
        case Plain():
            if fault.kind == "bad_head":
                return replace(play, head="garbage", steps=(), ending="close")
            kept = tuple(step for step in steps if step.data.strip() != DONE.strip())
            return replace(play, steps=kept, declared=_size(kept))
        case _:
            assert_never(fault)


def _stopped(play: Play, steps: Sequence[Send], fault: Stop) -> Play:
    ending = "close" if fault.kind == "close_early" else fault.kind
    if fault.before_head:
        return replace(play, steps=(), head="none", ending=ending)
    before, _ = _cut(steps, fault.after_chunks, fault.after_bytes)
    return replace(play, steps=before, ending=ending)


def _cut(steps: Sequence[Send], chunks: int | None, size: int | None) -> tuple[tuple[Send, ...], tuple[Send, ...]]:
    """`steps` in two, after so many chunks or so many bytes; at the very start if neither is given."""
    if size is None:
        at = chunks or 0
        return tuple(steps[:at]), tuple(steps[at:])
    for at, step in enumerate(steps):
        if size < len(step.data):
            before = _tokens(steps[:at])
            head = (Send(step.data[:size], step.after_s, before),) if size else ()
            tail = Send(step.data[size:], 0.0 if size else step.after_s, step.output_tokens)
            return (*steps[:at], *head), (tail, *steps[at + 1 :])
        size -= len(step.data)
    return tuple(steps), ()


def _size(steps: Sequence[Send]) -> int:
    return sum(len(step.data) for step in steps)


def _tokens(steps: Sequence[Send]) -> int:
    return steps[-1].output_tokens if steps else 0


def _longer(play: Play, before: Sequence[Send], extra: Send, rest: Sequence[Send]) -> Play:
    steps = (*before, extra, *rest)
    return replace(play, steps=steps, declared=_size(steps))


def _drops(rest: Sequence[Send], size: int, every_s: float) -> Iterator[Send]:
    for step in rest:
        for start in range(0, len(step.data), size):
            yield Send(step.data[start : start + size], every_s, step.output_tokens)


def _bomb(play: Play, steps: Sequence[Send], expands_to: int) -> Play:
    body = b"".join(step.data for step in steps)
    is_events = any(value.startswith(b"text/event-stream") for name, value in play.headers if name == b"content-type")
    before, after = (b":", b"\n\n") if is_events else (b"", b"")
    return replace(
        play,
        steps=_gzipped(before, expands_to, after + body, _tokens(steps)),
        headers=(*play.headers, (b"content-encoding", b"gzip")),
        framing="chunked",
    )


def _gzipped(before: bytes, spaces: int, after: bytes, output_tokens: int) -> Iterator[Send]:
    """A gzip stream of `before`, so many spaces, and `after`.

    A full flush forgets what was before it, so the block that stands for 1 MiB of spaces is made once and repeated:
    2 GiB cost no more than their checksum.
    """
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    checksum = zlib.crc32(before)
    yield Send(
        b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + deflate.compress(before) + deflate.flush(zlib.Z_FULL_FLUSH),
        0.0,
        output_tokens,
    )
    blank = b" " * MIB
    block = deflate.compress(blank) + deflate.flush(zlib.Z_FULL_FLUSH)
    for _ in range(spaces // MIB):
        checksum = zlib.crc32(blank, checksum)
        yield Send(block, 0.0, output_tokens)
    tail = b" " * (spaces % MIB) + after
    checksum = zlib.crc32(tail, checksum)
    size = (len(before) + spaces + len(after)) & 0xFFFFFFFF
    end = deflate.compress(tail) + deflate.flush() + checksum.to_bytes(4, "little") + size.to_bytes(4, "little")
    yield Send(end, 0.0, output_tokens)
