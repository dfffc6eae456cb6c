"""Records with every member filled in, and a clock, for the tests of the ledger."""

from __future__ import annotations

import time
from typing import Any

from gateway.model.record import Reservation, Settlement

NOON = 1_795_435_200_000_000
"""2026-11-23T12:00:00Z in microseconds."""
DAY = 86_400_000_000


def micros() -> int:
    return time.time_ns() // 1000


def reservation(request_id: str = "req_1", **changes: Any) -> Reservation:
    members: dict[str, Any] = {
        "request_id": request_id,
        "attempt": 1,
        "kind": "first",
        "began_at": NOON,
        "endpoint": "/v1/chat/completions",
        "stream": True,
        "key_id": "k1",
        "team": "search",
        "project": "web",
        "user": "u-7",
        "session": "s-1",
        "agent": "scout",
        "tags": ("beta", "größer"),
        "provider": "openai",
        "deployment": "gpt-5-mini-eu",
        "model": "gpt-5-mini",
        "prompt_id": "support/answer",
        "prompt_version": "3",
        "digest": "0f34",
        "held_nano": 5_000_000,
    }
    return Reservation(**{**members, **changes})


def settlement(**changes: Any) -> Settlement:
    members: dict[str, Any] = {
        "state": "settled",
        "ended_at": NOON + 1_500_000,
        "status": 200,
        "code": "",
        "source": "provider",
        "answering_model": "gpt-5-mini-2026-08-07",
        "input_tokens": 1200,
        "output_tokens": 340,
        "cache_read_tokens": 1024,
        "cache_write_tokens": 16,
        "reasoning_tokens": 100,
        "more_tokens": b'{"audio_input":12}',
        "cost_nano": 773_600,
        "lines": b'[["input",176,250000],["output",340,2000000]]',
        "price_source": "genai-prices",
        "price_version": "0.2.3",
        "price_date": "2026-11-01",
        "latency_us": 1_400_000,
        "first_token_us": 300_000,
        "retries": 1,
    }
    return Settlement(**{**members, **changes})


def void(**changes: Any) -> Settlement:
    return Settlement(**{"state": "void", "ended_at": NOON, "cost_nano": 0, **changes})
