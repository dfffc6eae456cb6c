"""What a call may be sent to: deployments with their weights and places, and the rules that take some of them out.

Residency is a promise to a team: a deployment whose region is not known is not in an allowed region. It holds for every
attempt, fallbacks, hedges and shadows included, and never yields to availability.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.routing.choice import Left


@dataclass(frozen=True, slots=True)
class Option:
    """One deployment of a name. `model` as the configuration has it, a `*` at its end included.

    Lower `priority` goes first; the others are for when it cannot. `region` is where it runs, empty if not said.
    """

    provider: str
    model: str
    weight: float = 1.0
    priority: int = 0
    region: str = ""
    labels: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        """`openai/gpt-5-mini`: the name under which its health is kept."""
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True)
class Residency:
    """Where a team's calls may go; None: anywhere."""

    regions: frozenset[str] | None = None
    providers: frozenset[str] | None = None

    def refuses(self, option: Option) -> Left | None:
        """Why `option` may not be used, or None."""
        if self.providers is not None and option.provider not in self.providers:
            return "provider"
        if self.regions is not None and option.region not in self.regions:
            return "region"
        return None

    def narrowed(self, other: Residency) -> Residency:
        """What both allow: a team's terms and a key's."""
        return Residency(_both(self.regions, other.regions), _both(self.providers, other.providers))


@dataclass(frozen=True, slots=True)
class TagRule:
    """What a tag of a call does: `only` these, never these (`avoid`), or these before others (`prefer`).

    `tag` may end in `*`. `targets` are labels or providers.
    """

    tag: str
    action: Literal["only", "avoid", "prefer"]
    targets: frozenset[str]

    def fits(self, tags: Sequence[str]) -> bool:
        """Whether a call with `tags` falls under it."""
        if self.tag.endswith("*"):
            return any(tag.startswith(self.tag[:-1]) for tag in tags)
        return self.tag in tags

    def names(self, option: Option) -> bool:
        """Whether `option` is among its targets."""
        return option.provider in self.targets or not self.targets.isdisjoint(option.labels)


ANYWHERE = Residency()


def excluded(option: Option, residency: Residency, rules: Iterable[TagRule]) -> Left | None:
    """Why `option` may not serve this call, whatever its health; `rules` are those that the call falls under."""
    if (found := residency.refuses(option)) is not None:
        return found
    for rule in rules:
        if rule.action != "prefer" and rule.names(option) == (rule.action == "avoid"):
            return "tag_rule"
    return None


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other
