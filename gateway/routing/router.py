"""A model's name to the deployments that may serve it, in the order in which they are to be tried.

One deployment is drawn by weight; the others follow, heavier first, for the case that it fails before its first byte;
then those of the route's fallbacks. Names are found in a dict, patterns by the longest prefix, so the cost does not
grow with the number of models.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from gateway.errors import NotFound
from gateway.model.route import Candidate, Deployment, Route


class Routes:
    """All routes of one snapshot. A name wins over a pattern, a longer pattern over a shorter one."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, Route] = {}
        self._patterns: dict[str, Route] = {}
        for route in routes:
            if route.name.endswith("*"):
                self._patterns[route.name[:-1]] = route
            else:
                self._exact[route.name] = route
        self._lengths = sorted({len(prefix) for prefix in self._patterns}, reverse=True)
        # the usual route has one deployment and nothing to decide: its plan is made once
        self.single = {
            route.name: [_candidate(route, route.name, route.deployments[0])]
            for route in self._exact.values()
            if len(route.deployments) == 1 and not route.fallbacks
        }

    def __len__(self) -> int:
        return len(self._exact) + len(self._patterns)

    @property
    def names(self) -> list[str]:
        """The names that can be listed: patterns are not among them."""
        return list(self._exact)

    @property
    def patterns(self) -> list[str]:
        """The patterns, each with its star."""
        return [f"{prefix}*" for prefix in self._patterns]

    def find(self, model: str) -> Route | None:
        """The route that serves `model`, or None."""
        route = self._exact.get(model)
        if route is not None or not self._patterns:
            return route
        for length in self._lengths:
            if len(model) >= length and (route := self._patterns.get(model[:length])) is not None:
                return route
        return None

    def unknown(self, model: str, shown: Iterable[str]) -> NotFound:
        """What to raise for a name that nobody serves; `shown` are the names that the caller may know of.

        Comparing names is bounded: a name is short, and no more than 500 are compared.
        """
        known = list(shown)
        near = difflib.get_close_matches(model, known[:500], n=3, cutoff=0.5)
        quoted = ", ".join(f"`{name}`" for name in near or known[:10])
        others = f"There are {quoted}." if quoted else "None is served to this key."
        hint = f"Did you mean {quoted}?" if near else others
        message = f"The model `{model}` does not exist here. {hint} GET /v1/models lists all."
        return NotFound(message, code="model_not_found", param="model")


def plan(routes: Routes, route: Route, model: str, chance: float) -> list[Candidate]:
    """The attempts for `model`, first the one drawn by `chance` (0 <= chance < 1)."""
    ready = routes.single.get(route.name)
    if ready is not None:
        return ready
    candidates = [_candidate(route, model, deployment) for deployment in _order(route.deployments, chance)]
    for name in route.fallbacks:
        other = routes.find(name)
        if other is not None:
            candidates += [_candidate(other, name, deployment) for deployment in _order(other.deployments, chance)]
    return candidates


def _candidate(route: Route, model: str, deployment: Deployment) -> Candidate:
    """A star at the end of the deployment's model stands for what the star of the route's name matched."""
    name = deployment.model
    if name.endswith("*") and route.name.endswith("*"):
        name = name[:-1] + model[len(route.name) - 1 :]
    return Candidate(deployment.provider, name, route.name, route.timeouts, route.max_output)


def _order(deployments: tuple[Deployment, ...], chance: float) -> list[Deployment]:
    """The drawn one first, the rest by weight. A weight of zero takes a deployment out."""
    if len(deployments) == 1:
        return list(deployments)
    usable = [deployment for deployment in deployments if deployment.weight > 0]
    point = chance * sum(deployment.weight for deployment in usable)
    for at, deployment in enumerate(usable):
        point -= deployment.weight
        if point < 0:
            rest = usable[:at] + usable[at + 1 :]
            return [deployment, *sorted(rest, key=lambda other: -other.weight)]
    return usable
