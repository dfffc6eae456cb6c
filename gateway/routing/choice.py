"""What routing decided about one call, and why: kept in the call's record, in words of a closed set."""

from __future__ import annotations

from typing import Literal

import msgspec

Taken = Literal[
    "only",
    "weight",
    "latency",
    "cost",
    "busy",
    "affinity",
    "explore",
    "tag",
    "next",
    "priority",
    "fallback",
    "retry",
    "hedge",
    "shadow",
]
"""Why a deployment was tried: it is the only one, was drawn by weight, answers fastest, costs least, has the fewest
calls, holds the session, is measured anew, is preferred for a tag; it follows one that failed, in the same group, in
the next group by priority, under another name; or it is the same again, a second leg, a copy nobody waits for."""

Left = Literal["region", "provider", "tag_rule", "circuit_open", "cooling", "key_limit", "full"]
"""Why one was not: where it runs or who runs it is not allowed to this team, a rule of a tag excludes it, its breaker
is open, it asked for a rest, none of its keys has room, it has all the calls that it may have at once."""

Reason = Taken | Left
Detail = str | int | float


class Choice(msgspec.Struct, frozen=True, omit_defaults=True):
    """One deployment that was considered. `rank` counts the attempts from 1; 0: it was passed over.

    `model` is what the provider calls it, `route` the name under which it was found. `details` are numbers and words
    that the reason rests on, such as `{"cause": "timeout"}`, `{"cost_nano": 1200}`, `{"after_s": 0.8}`.
    """

    provider: str
    model: str
    route: str
    rank: int
    reason: Reason
    details: dict[str, Detail] = {}


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Choice]).decode


def encode(choices: list[Choice]) -> bytes:
    """As it stands in the record: a JSON list, in the order in which things were decided."""
    return _encode(choices)


def decode(data: bytes) -> list[Choice]:
    """The same, read back. Raises `msgspec.DecodeError`."""
    return _decode(data)
