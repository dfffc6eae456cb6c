"""The configuration as data, reshaped: short forms written out before it is read, absent providers taken out after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.config import presets
from gateway.config.references import covers


def write_out(data: Any, server: Mapping[str, object]) -> Any:
    """`data` with what its short forms imply, and with `server` laid over that section.

    An empty section is as good as none; a provider's kind is `openai` if it does not say; a preset fills in what
    is left to it; a deployment without a model asks for the name it stands under. What has the wrong shape stays as it
    is, for validation to speak of.
    """
    if data is None:
        data = {}
    if not isinstance(data, dict):
        return data
    shaped = {key: value for key, value in data.items() if value is not None}
    if server and isinstance(shaped.get("server", {}), dict):
        shaped["server"] = {**shaped.get("server", {}), **server}
    if isinstance(shaped.get("providers"), dict):
        shaped["providers"] = {name: _provider(provider) for name, provider in shaped["providers"].items()}
    if isinstance(shaped.get("models"), dict):
        shaped["models"] = {name: _model(name, model) for name, model in shaped["models"].items()}
    return shaped


def prune(data: dict[str, Any], left_out: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """`data` (valid) without the providers in `left_out` (name -> reason) and all that leads to them; warnings."""
    if not left_out:
        return data, []
    warnings = [f"provider `{name}` is left out: {reason}" for name, reason in left_out.items()]
    models = {name: _without(model, left_out) for name, model in data.get("models", {}).items()}
    idle = {name for name, model in models.items() if not any(map(_weight, model["deployments"]))}
    warnings += [f"model `{name}` is left out: none of its providers is there" for name in models if name in idle]
    models = {name: model for name, model in models.items() if name not in idle}
    for name, model in models.items():
        gone = [fallback for fallback in model.get("fallbacks", ()) if not covers(models, fallback)]
        if gone:
            model["fallbacks"] = [fallback for fallback in model["fallbacks"] if fallback not in gone]
            warnings.append(f"model `{name}` goes without its fallback {', '.join(gone)}")
    uses = data.get("passthrough", {})
    lost = [use for use, name in uses.items() if name in left_out]
    warnings += [f"`passthrough.{use}` is left out: its provider `{uses[use]}` is not there" for use in lost]
    return {
        **data,
        "providers": {name: value for name, value in data["providers"].items() if name not in left_out},
        "models": models,
        "passthrough": {use: name for use, name in uses.items() if use not in lost},
    }, warnings


def _without(model: dict[str, Any], left_out: Mapping[str, str]) -> dict[str, Any]:
    return {**model, "deployments": [one for one in model["deployments"] if one["provider"] not in left_out]}


def _weight(deployment: dict[str, Any]) -> float:
    return float(deployment.get("weight", 1))


def _provider(provider: Any) -> Any:
    if not isinstance(provider, dict):
        return provider
    return {"kind": "openai", **presets.fill(provider)}


def _model(name: str, model: Any) -> Any:
    if not isinstance(model, dict) or not isinstance(model.get("deployments"), list):
        return model
    return {**model, "deployments": [_deployment(name, one) for one in model["deployments"]]}


def _deployment(name: str, deployment: Any) -> Any:
    if not isinstance(deployment, dict):
        return deployment
    return {"model": name, **deployment}
