"""The requests that every peer gets: whole HTTP/1.1 messages as bytes, built once, the same for each generator."""

from __future__ import annotations

import orjson

MODEL = "bench-model"
_QUESTION = "Summarise the following report in three sentences and name the two largest risks that it mentions. "
# Brings the body to about 2 KB, the size of a short chat with a system prompt.
_HISTORY = [
    {"role": "system", "content": "You are a careful assistant. " + "Answer briefly and only from the context. " * 12},
    {"role": "user", "content": _QUESTION + "Revenue rose, costs rose faster, and the outlook is unclear. " * 8},
    {"role": "assistant", "content": "Revenue and costs both rose; the main risks are margins and demand. " * 5},
    {"role": "user", "content": "Now say it again for a reader who has one minute. " * 4},
]


def unary_body(model: str = MODEL) -> bytes:
    """A chat of about 2 KB that wants one JSON reply."""
    return orjson.dumps({"model": model, "messages": _HISTORY, "temperature": 0.2, "max_tokens": 256})


def stream_body(chunks: int, interval_ms: float) -> bytes:
    """A chat that wants `chunks` content chunks, `interval_ms` milliseconds apart."""
    steering = {"max_tokens": chunks, "user": f"interval_ms={interval_ms:g}"}
    return orjson.dumps({"model": MODEL, "messages": _HISTORY, "stream": True, **steering})


def flood_body(chunks: int) -> bytes:
    """A chat that wants `chunks` chunks of 4 KiB as fast as they can be had."""
    steering = {"max_tokens": chunks, "user": "flood"}
    return orjson.dumps({"model": MODEL, "messages": _HISTORY, "stream": True, **steering})


def request(port: int, key: str, body: bytes) -> bytes:
    """One POST to /v1/chat/completions, with the headers that an OpenAI client sends."""
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\n"
        f"host: 127.0.0.1:{port}\r\n"
        f"authorization: Bearer {key}\r\n"
        "content-type: application/json\r\n"
        "accept: application/json\r\n"
        "user-agent: OpenAI/Python 3.54.0\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body
