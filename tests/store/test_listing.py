"""A key as it is shown: everything but its hashes."""

from __future__ import annotations

import msgspec

from gateway.access.keys import Former, KeyRecord
from gateway.model.caller import Caller
from gateway.store.listing import describe, moment, state

NOW = 1_800_000_000
CALLER = Caller("id", "search", "web", "box", "developer", frozenset({"b", "a"}), None)


RECORD = KeyRecord(id="id", digest=b"\xde\xad" * 16, seq=1, caller=CALLER, created_at=NOW)


def record(**fields: object) -> KeyRecord:
    return msgspec.structs.replace(RECORD, **fields)


def test_everything_but_the_hashes_is_shown_with_times_in_utc() -> None:
    shown = describe(record(budget="50/day", expires_at=NOW + 60, former=(Former(b"\xbe" * 32, NOW + 5),)), NOW)
    assert shown == {
        "id": "id",
        "team": "search",
        "project": "web",
        "name": "box",
        "role": "developer",
        "models": ["a", "b"],
        "agents": None,
        "budget": "50/day",
        "rpm": None,
        "tpm": None,
        "state": "rotating",
        "created_at": "2027-01-15T08:00:00Z",
        "expires_at": "2027-01-15T08:01:00Z",
        "revoked_at": None,
        "old_key_valid_until": "2027-01-15T08:00:05Z",
    }


def test_a_key_is_active_rotating_expired_or_revoked() -> None:
    assert state(record(), NOW) == "active"
    assert state(record(former=(Former(b"", NOW + 1),)), NOW) == "rotating"
    assert state(record(former=(Former(b"", NOW),)), NOW) == "active"
    assert state(record(expires_at=NOW, former=(Former(b"", NOW + 1),)), NOW) == "expired"
    assert state(record(expires_at=NOW, revoked_at=NOW), NOW) == "revoked"


def test_no_time_is_none() -> None:
    assert moment(None) is None
