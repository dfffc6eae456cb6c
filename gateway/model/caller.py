"""Who asks: what a key says about the one who holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["admin", "developer", "prompt-author", "finance", "auditor"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of one key. `models` and `agents` are what it may use; `None` means all."""

    key_id: str
    team: str
    project: str
    name: str
    role: Role
    models: frozenset[str] | None = None
    agents: frozenset[str] | None = None
