"""What the overview gathers."""

from __future__ import annotations

from dataclasses import fields

from gateway.access.keys import KeyRecord, KeyRing
from gateway.console.overview import MOST_ROWS, KeyRow, key_table
from gateway.model.caller import Caller

NOW = 1_800_000_000


def record(number: int, *, revoked_at: int | None = None) -> KeyRecord:
    key_id = f"{number:016d}"
    caller = Caller(key_id, "search", "default", f"key {number}", "developer")
    return KeyRecord(key_id, number.to_bytes(32, "big"), number, caller, NOW + number, revoked_at=revoked_at)


def test_of_many_keys_the_newest_are_shown_and_all_are_counted() -> None:
    records = [record(number, revoked_at=NOW if number < 10 else None) for number in range(MOST_ROWS + 50)]
    table = key_table(KeyRing(b"p" * 32, records), NOW)
    assert (len(table.rows), table.count) == (MOST_ROWS, MOST_ROWS + 50)
    assert table.rows[0].name == f"key {MOST_ROWS + 49}"
    assert table.states == {"active": MOST_ROWS + 40, "revoked": 10}


def test_a_row_has_no_place_for_a_hash() -> None:
    assert {field.name for field in fields(KeyRow)} == {
        "id", "team", "project", "name", "role", "state", "created_at", "expires_at",
    }  # fmt: skip
