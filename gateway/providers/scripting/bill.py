"""The provider's own books: one JSON line a call, to hold against the gateway's ledger."""

from __future__ import annotations

import orjson

from gateway.providers.scripting.play import Play, Send


def line(play: Play, last: Send | None, bytes_sent: int, *, completed: bool, at_s: float) -> bytes:
    """One line for a call that ended at `at_s` (Unix time), newline included.

    `last` is the last step that was sent, `bytes_sent` counts body bytes. `billed` is false for what costs nothing:
    errors, listings, uploads.
    """
    account = play.account
    usage = account.usage
    output = 0
    if usage is not None:
        output = usage.output_tokens
        if account.streamed and not completed:
            output = last.output_tokens if last is not None else 0
    record = {
        "at": round(at_s, 6),
        "request_id": account.request_id,
        "client_request_id": account.client_request_id,
        "reply_id": account.reply_id or None,
        "endpoint": account.endpoint,
        "model": account.model or None,
        "status": play.status,
        "billed": usage is not None,
        "input_tokens": usage.input_tokens if usage is not None else 0,
        "output_tokens": output,
        "cache_read_tokens": usage.cache_read_tokens if usage is not None else 0,
        "cache_write_tokens": usage.cache_write_tokens if usage is not None else 0,
        "reasoning_tokens": min(usage.reasoning_tokens, output) if usage is not None else 0,
        "bytes_sent": bytes_sent,
        "completed": completed,
    }
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
