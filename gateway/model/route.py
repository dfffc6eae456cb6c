"""Where a model is served: names that clients use, and the deployments behind them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect, to the first byte of the reply, between two bytes, and for everything together."""

    connect: float = 2.0
    first_byte: float = 60.0
    idle: float = 30.0
    total: float = 600.0


@dataclass(frozen=True, slots=True)
class Deployment:
    """One place that serves a model: `model` is what `provider` calls it, `*` the part that the pattern left open."""

    provider: str
    model: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Route:
    """A name that clients use, or a pattern that ends in `*`, and who serves it, in order of the configuration.

    `max_output` is the most tokens that it writes, where that is known.
    """

    name: str
    deployments: tuple[Deployment, ...]
    fallbacks: tuple[str, ...] = ()
    timeouts: Timeouts = field(default_factory=Timeouts)
    max_output: int | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One attempt that a plan allows: `model` is spelled out, `route` is the name under which it is counted."""

    provider: str
    model: str
    route: str
    timeouts: Timeouts
    max_output: int | None = None
