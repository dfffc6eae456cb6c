"""A key as people and programs are shown it: all that is kept of it except its hashes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from gateway.access.keys import KeyRecord

State = Literal["active", "rotating", "expired", "revoked"]


def state(record: KeyRecord, now: int) -> State:
    """What a key is at `now` (epoch seconds); `rotating` is active, with an old secret that still works."""
    if record.revoked_at is not None:
        return "revoked"
    if record.expires_at is not None and now >= record.expires_at:
        return "expired"
    return "active" if old_until(record, now) is None else "rotating"


def old_until(record: KeyRecord, now: int) -> int | None:
    """When the last of the secrets that rotations replaced ends (epoch seconds); `None` if none works any more."""
    ends = [old.valid_until for old in record.former if old.valid_until > now]
    return max(ends) if ends else None


def describe(record: KeyRecord, now: int) -> dict[str, object]:
    """A key as JSON shows it: times in ISO 8601, UTC; null where there is no limit."""
    caller = record.caller
    return {
        "id": record.id,
        "team": caller.team,
        "project": caller.project,
        "name": caller.name,
        "role": caller.role,
        "models": _sorted(caller.models),
        "agents": _sorted(caller.agents),
        "budget": record.budget,
        "rpm": record.rpm,
        "tpm": record.tpm,
        "state": state(record, now),
        "created_at": moment(record.created_at),
        "expires_at": moment(record.expires_at),
        "revoked_at": moment(record.revoked_at),
        "old_key_valid_until": moment(old_until(record, now)),
    }


def moment(at: int | None) -> str | None:
    """Epoch seconds as `2027-01-31T00:00:00Z`."""
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _sorted(names: frozenset[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)
