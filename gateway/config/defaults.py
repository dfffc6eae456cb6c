"""What runs without a gateway.yaml: the scripted provider's `demo`, and every preset whose key is in the environment.

A provider's own names are served as they are (`gpt-*`, `claude-*`); every name it has is also there under
`<preset>/*`, so that two providers with the same name for a model can both be reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.config.presets import PRESETS, Preset

OWN_KEY_PREFIX = "gw-"


def document(environ: Mapping[str, str]) -> dict[str, Any]:
    """The configuration as if it had been read from a file. Keys stay `${VARIABLE}`: nothing here holds a secret."""
    found = {name: preset for name, preset in PRESETS.items() if _has_key(preset, environ)}
    providers: dict[str, Any] = {"scripted": {"kind": "scripted"}}
    models: dict[str, Any] = {"demo": _served_by("scripted", "demo")}
    for name, preset in found.items():
        providers[name] = {"kind": "openai", "preset": name}
        models |= {pattern: _served_by(name, pattern) for pattern in preset.models}
        models[f"{name}/*"] = _served_by(name, "*")
    files = "openai" if "openai" in found else "scripted"
    return {"providers": providers, "models": models, "passthrough": {"default": files}}


def _served_by(provider: str, model: str) -> dict[str, Any]:
    return {"deployments": [{"provider": provider, "model": model}]}


def _has_key(preset: Preset, environ: Mapping[str, str]) -> bool:
    """Whether the environment has a key for it. A key of this gateway is none: applications set the same variables."""
    value = environ.get(preset.env, "").strip() if preset.env else ""
    return bool(value) and not value.startswith(OWN_KEY_PREFIX)
