"""What the ledger keeps of one attempt: what is known before the provider is dialled, and how it ended.

A call is one or more attempts: the first, retries, fallbacks, hedges and shadows. Each has its own reservation and its
own end, because each may cost money. Times are microseconds since the Unix epoch (UTC); money is integer nano-dollars,
and `None` means that there is no price, which is not the same as zero.

The members stand in the order of the ledger's columns, so that a row is made without naming each of them.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from gateway.model.usage import Source

AttemptKind = Literal["first", "retry", "fallback", "hedge", "shadow"]
Terminal = Literal["settled", "estimated", "void", "unknown"]
"""`settled`: the provider's own count. `estimated`: ours. `void`: costs nothing. `unknown`: sent, and then nobody was
left to say."""
State = Literal["reserved", "sent", "settled", "estimated", "void", "unknown"]


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, before it is dialled.

    `attempt` counts from 1 within the request. `model` is what the caller asked for, `deployment` what the provider
    calls it. `held_nano` is the most that it may cost, `digest` the snapshot under which it runs. Text that does not
    apply is empty.
    """

    request_id: str
    attempt: int
    kind: AttemptKind = "first"
    began_at: int
    endpoint: str
    stream: bool = False
    key_id: str = ""
    team: str = ""
    project: str = ""
    user: str = ""
    session: str = ""
    agent: str = ""
    tags: tuple[str, ...] = ()
    provider: str
    deployment: str
    model: str
    prompt_id: str = ""
    prompt_version: str = ""
    digest: str = ""
    held_nano: int | None = None


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """How one attempt ended.

    `status` is the provider's HTTP status, 0 if none came; `code` is ours if it failed. Token counts overlap as those
    of `Usage` do; `source` says who counted, and is `None` where nothing was to be counted. `more_tokens` is a JSON
    object of further meters by name (audio, images), `lines` the JSON list of the priced meters; both are empty where
    there are none. `price_source`, `price_version` and `price_date` name the table that gave the unit prices.
    `latency_us` counts from the dial to the last byte, `first_token_us` from the dial to the first; `retries` counts
    the times that this attempt was sent again on a fresh connection.
    """

    state: Terminal
    ended_at: int
    status: int = 0
    code: str = msgspec.field(default="")
    source: Source | None = None
    answering_model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    more_tokens: bytes = b""
    cost_nano: int | None = None
    lines: bytes = b""
    price_source: str = ""
    price_version: str = ""
    price_date: str = ""
    latency_us: int | None = None
    first_token_us: int | None = None
    retries: int = 0


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt as the ledger shows it: `state` is the latest, `settlement` is there once it has ended."""

    id: int
    state: State
    reservation: Reservation
    sent_at: int | None = None
    settlement: Settlement | None = None
