"""`${NAME}` is text from the environment, once."""

from __future__ import annotations

import pytest

from gateway.config.variables import fill

ENVIRON = {"KEY": "sk-1", "EMPTY": "", "NESTED": "${KEY}", "PORT": "80"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${KEY}", "sk-1"),
        ("a${KEY}b${PORT}", "ask-1b80"),
        ("${EMPTY}", ""),
        ("${NESTED}", "${KEY}"),
        ("$${KEY}", "${KEY}"),
        ("$KEY and $", "$KEY and $"),
        ("${MISSING} ${KEY}", "${MISSING} sk-1"),
    ],
)
def test_variables_are_replaced_once(text: str, expected: str) -> None:
    assert fill(text, ENVIRON).data == expected


def test_missing_and_unreadable_variables_are_reported_by_place() -> None:
    filled = fill({"a": ["${NO}-${KEY}-${NEITHER}", {"b": "${NOT-A-NAME}"}], "c": 3, "d": "${open"}, ENVIRON)
    assert filled.unset == {("a", 0): ("NO", "NEITHER")}
    assert filled.broken == {("a", 1, "b"): "${NOT-A-NAME}", ("d",): "${open"}


def test_keys_and_other_scalars_are_left_alone() -> None:
    data = {"${KEY}": 1, "list": [None, True, 2.5]}
    assert fill(data, ENVIRON).data == data
