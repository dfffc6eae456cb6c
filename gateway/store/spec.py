"""What a new key is to be, checked before anything is written. Pure; the clock comes in as an argument."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, Literal

from gateway.errors import InvalidRequest
from gateway.model.caller import ROLES, Role

_BUDGET: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)/(day|month)")
_DURATION: Final = re.compile(r"([0-9]{1,9})([smhdw])")
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_NAME_LIMIT: Final = 128  # characters
_COUNT_LIMIT: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Budget:
    """Dollars that a key may spend in each day or month (UTC)."""

    usd: Decimal
    per: Literal["day", "month"]


@dataclass(frozen=True, slots=True)
class KeySpec:
    """A key to be made. `None` means no limit; `expires_at` is epoch seconds; `models` and `agents` may end in `*`.

    Raises `InvalidRequest`, with the field in `param`, if something in it cannot be.
    """

    team: str
    project: str = "default"
    name: str = ""
    role: Role = "developer"
    models: frozenset[str] | None = None
    agents: frozenset[str] | None = None
    budget: str | None = None
    rpm: int | None = None
    tpm: int | None = None
    expires_at: int | None = None

    def __post_init__(self) -> None:
        _check_name("team", self.team)
        _check_name("project", self.project)
        if self.name:
            _check_name("name", self.name)
        if self.role not in ROLES:
            raise _wrong("role", f"{self.role!a} is no role; the roles are {', '.join(ROLES)}")
        _check_patterns("models", self.models)
        _check_patterns("agents", self.agents)
        if self.budget is not None:
            parse_budget(self.budget)
        _check_count("rpm", self.rpm)
        _check_count("tpm", self.tpm)


def parse_budget(text: str) -> Budget:
    """`50/day` or `1200.50/month`: dollars, a slash, the period. Raises `InvalidRequest`."""
    found = _BUDGET.fullmatch(text)
    if found is None:
        raise _wrong(
            "budget", f"{text[:40]!a} is no budget; write dollars a day or a month, as 50/day or 1200.50/month"
        )
    return Budget(Decimal(found[1]), "day" if found[2] == "day" else "month")


def parse_duration(text: str, param: str) -> int:
    """Seconds in `45s`, `90m`, `24h`, `30d` or `2w`. Raises `InvalidRequest` for the parameter `param`."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise _wrong(param, f"{text[:40]!a} is no duration; write a number and s, m, h, d or w, as 24h or 30d")
    return int(found[1]) * _UNIT_S[found[2]]


def parse_expiry(text: str, now: int) -> int:
    """The moment (epoch seconds) that `2027-01-31`, `2027-01-31T18:00+01:00` or `30d` means.

    A day is its first moment in UTC; a time without a zone is UTC. Raises `InvalidRequest` unless it lies ahead.
    """
    if _DURATION.fullmatch(text):
        at = now + parse_duration(text, "expires")
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise _wrong("expires", f"{text[:40]!a} is neither a date, as 2027-01-31, nor a duration, as 30d") from None
        at = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    if at <= now:
        raise _wrong("expires", f"{text[:40]!a} has passed; name a moment that lies ahead")
    return at


def _check_name(field: str, value: str) -> None:
    # What is not printable would end up in logs, tables and file names.
    if not value or value != value.strip() or not value.isprintable() or len(value) > _NAME_LIMIT:
        raise _wrong(field, f"1 to {_NAME_LIMIT} printable characters are needed, without blanks around them")


def _check_patterns(field: str, values: frozenset[str] | None) -> None:
    if values is None:
        return
    if not values:
        raise _wrong(field, "an empty list allows nothing; name at least one, or leave it out to allow all")
    for value in values:
        _check_name(field, value)
        if "*" in value[:-1] or "," in value:
            raise _wrong(field, f"{value!a} cannot be: a * may stand at the end only, and a comma separates names")


def _check_count(field: str, value: int | None) -> None:
    if value is not None and not 1 <= value <= _COUNT_LIMIT:
        raise _wrong(field, f"a number from 1 to {_COUNT_LIMIT} is needed")


def _wrong(param: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"{param}: {message}.", code="invalid_key_settings", param=param)
