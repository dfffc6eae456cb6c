"""From what is said to how it happens: headers, framing, pauses, and at last the fault."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random

from msgspec.structs import replace

from gateway.providers.scripting.faults import broken
from gateway.providers.scripting.play import Account, Answer, Framing, Headers, Play, Send
from gateway.providers.scripting.script import Delay, Range, Reply, Wire

_LINE_ENDS = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}
_COMMENT = b": keep-alive\n\n"
_NO_DELAY = Delay()


def stage(answer: Answer, reply: Reply, account: Account, random: Random) -> Play:
    """The play of `answer` under the terms of `reply`; `random` draws the delays that are ranges."""
    wire = reply.wire
    parts = _written(answer, wire)
    steps = _timed(parts, answer.tokens, reply.delay, random)
    default: Framing = "chunked" if answer.is_stream or len(parts) > 1 else "length"
    play = Play(
        answer.status,
        _headers(answer, reply, account),
        steps,
        account,
        head_delay_s=_drawn(reply.delay.head, random),
        framing=wire.framing or default,
        declared=sum(map(len, parts)),
        interim=wire.interim,
        trailers=tuple((name.lower().encode(), value.encode("latin-1")) for name, value in wire.trailers.items()),
        keep_alive=wire.keep_alive,
    )
    if reply.fault is not None:
        play = broken(play, steps, reply.fault)
    return replace(play, steps=_split(play.steps, wire.split)) if wire.split is not None else play


def _written(answer: Answer, wire: Wire) -> tuple[bytes, ...]:
    """The parts as the script wants its events written."""
    if not answer.is_stream or (wire.line_end == "lf" and not wire.comments):
        return answer.parts
    comment = _COMMENT if wire.comments else b""
    return tuple((comment + part).replace(b"\n", _LINE_ENDS[wire.line_end]) for part in answer.parts)


def _timed(parts: tuple[bytes, ...], tokens: tuple[int, ...], delay: Delay, random: Random) -> tuple[Send, ...]:
    counts = tokens or (0,) * len(parts)
    if delay is _NO_DELAY or delay == _NO_DELAY:
        return tuple(Send(part, 0.0, count) for part, count in zip(parts, counts, strict=True))
    return tuple(
        Send(part, _drawn(delay.first if index == 0 else delay.chunk, random), count)
        for index, (part, count) in enumerate(zip(parts, counts, strict=True))
    )


def _drawn(seconds: Range, random: Random) -> float:
    low, high = seconds
    return low if low == high else random.uniform(low, high)


def _split(steps: Iterable[Send], size: int) -> Iterator[Send]:
    for step in steps:
        for start in range(0, len(step.data), size):
            yield Send(step.data[start : start + size], 0.0 if start else step.after_s, step.output_tokens)


def _headers(answer: Answer, reply: Reply, account: Account) -> Headers:
    headers = {b"content-type": answer.content_type.encode("latin-1"), b"x-request-id": account.request_id.encode()}
    headers.update(answer.headers)
    for name, value in reply.headers.items():
        headers[name.lower().encode()] = value.encode("latin-1")
    return tuple(headers.items())
