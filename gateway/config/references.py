"""Names in the configuration that must lead somewhere: deployments to providers, fallbacks to models.

Works on plain data, before and beside validation, so that a wrong name is reported together with whatever else is
wrong in the file. What does not have the right shape is passed over here; validation speaks of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gateway.config.words import did_you_mean
from gateway.config.yamlfile import Loc

Found = Iterator[tuple[Loc, str]]


def check(data: Mapping[str, Any]) -> Found:
    """Every name that leads nowhere: its place, and what is wrong with it."""
    providers, models = _mapping(data.get("providers")), _mapping(data.get("models"))
    for name, model in models.items():
        loc: Loc = ("models", name)
        for index, deployment in enumerate(_items(_mapping(model).get("deployments"))):
            yield from _deployment(name, _mapping(deployment), (*loc, "deployments", index), providers)
        yield from _fallbacks(name, _items(_mapping(model).get("fallbacks")), (*loc, "fallbacks"), models)
    for use, provider in _mapping(data.get("passthrough")).items():
        yield from _provider(provider, ("passthrough", use), providers)


def covers(models: Iterable[str], name: str) -> bool:
    """Whether `name` is one of `models` or fits one of the patterns among them."""
    return any(model == name or (model.endswith("*") and name.startswith(model[:-1])) for model in models)


def _deployment(name: str, deployment: Mapping[str, Any], loc: Loc, providers: Mapping[str, Any]) -> Found:
    yield from _provider(deployment.get("provider"), (*loc, "provider"), providers)
    model = deployment.get("model")
    if isinstance(model, str) and model.endswith("*") and not name.endswith("*"):
        yield (*loc, "model"), f"`{model}` needs a model name that ends in `*` too; `{name}` has nothing to put there"


def _provider(provider: Any, loc: Loc, providers: Mapping[str, Any]) -> Found:
    if isinstance(provider, str) and provider not in providers:
        yield loc, f"there is no provider `{provider}`{did_you_mean(provider, providers)}"


def _fallbacks(name: str, fallbacks: list[Any], loc: Loc, models: Mapping[str, Any]) -> Found:
    for index, fallback in enumerate(fallbacks):
        if not isinstance(fallback, str):
            continue
        here = (*loc, index)
        if fallback == name:
            yield here, f"`{name}` cannot be its own fallback"
        elif fallback.endswith("*"):
            yield here, f"`{fallback}` is a pattern; a fallback is one model"
        elif not covers(models, fallback):
            yield here, f"there is no model `{fallback}`{did_you_mean(fallback, models)}"
        elif fallback in fallbacks[:index]:
            yield here, f"`{fallback}` stands here twice"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
