"""How a gateway lives, and how it dies."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Fate:
    """When a gateway dies: the `count`th time that it reaches `point`, at the latest `after_s` after it was ready.

    Without a point it is its parent that kills it then, or tells it to end (`terminates`) and kills it `drain_s` later;
    or, with `start_s`, so long after it was begun, ready or not. `sabotage` names a promise that it is made to break.
    """

    point: str = ""
    count: int = 1
    after_s: float = 5.0
    terminates: bool = False
    drain_s: float = 0.0
    start_s: float = 0.0
    sabotage: str = ""


@dataclass(frozen=True, slots=True)
class Life:
    """How one gateway lives and dies. With two workers, each of `waits_s` ends with a worker's death, and the last with
    the supervisor's; `all_at_once`: its workers are killed with it."""

    fate: Fate = field(default_factory=Fate)
    waits_s: tuple[float, ...] = ()
    victims: tuple[int, ...] = ()
    all_at_once: bool = False

    @property
    def kills(self) -> int:
        return max(1, len(self.waits_s))
