"""The `model_list` of a LiteLLM file as our `providers` and `models`.

LiteLLM lists deployments, several under one name, each with its server and key; here a server with a key is a provider
with a name, and models point to it. Weights are what LiteLLM's own draw goes by: `weight` where any deployment of the
name has one, else `rpm`, else `tpm` (https://docs.litellm.ai/docs/routing, "simple-shuffle").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.config.litellm_providers import Made, provider_of, text_of
from gateway.config.references import covers
from gateway.config.yamlfile import Loc

Note = Callable[[Loc, str], None]

_OWN: Final = frozenset(("model", "weight", "rpm", "tpm", "timeout", "stream_timeout", "custom_llm_provider"))
_HARMLESS: Final = frozenset(("id", "mode", "version", "description", "db_model", "created_at", "updated_at"))
_WHY: Final[Mapping[str, str]] = {
    "order": "not carried over: this version has weights, and no priorities within a name",
    "tags": "not carried over: this version has no routing by tag",
    "max_retries": "not carried over: a call that fails goes to its next deployment, then to its fallbacks",
    "num_retries": "not carried over: a call that fails goes to its next deployment, then to its fallbacks",
    "max_parallel_requests": "not carried over: limit calls at once with `budgets`",
    "base_model": "not carried over: put the model's price into prices.yaml if its name here has none",
    "max_tokens": "not carried over: requests go out as they came; clients set it themselves",
    "temperature": "not carried over: requests go out as they came; clients set it themselves",
}
_LIMIT: Final = "is a weight at most, and limits nothing; see `budgets`"
_NO_MODEL: Final = "has no `litellm_params.model`, or no `model_name`; it is left out"


@dataclass(slots=True)
class Providers:
    """Servers with their keys, named as they come: those that can be served, and those that cannot yet."""

    served: dict[str, dict[str, Any]] = field(default_factory=dict)
    later: dict[str, dict[str, Any]] = field(default_factory=dict)

    def name(self, made: Made) -> str:
        """The name of the provider; the same for the same server, key and headers."""
        into = self.served if made.is_served else self.later
        label = re.sub(r"[^A-Za-z0-9._-]", "-", made.label)[:60].strip("-._") or "provider"
        number = 1
        while True:
            name = label if number == 1 else f"{label}-{number}"
            if into.get(name) == made.section:
                return name
            if name not in self.served and name not in self.later:
                into[name] = made.section
                return name
            number += 1


@dataclass(slots=True)
class _Entry:
    """One deployment as LiteLLM lists it."""

    loc: Loc
    name: str
    params: Mapping[str, Any]
    info: Mapping[str, Any]
    made: Made


class Models:
    """What the names stand for. `served` and `later` are in the shape of our `models` section."""

    def __init__(self, credentials: Mapping[str, Mapping[str, Any]], note: Note) -> None:
        self.providers = Providers()
        self.served: dict[str, dict[str, Any]] = {}
        self.later: dict[str, dict[str, Any]] = {}
        self._credentials = credentials
        self._note = note
        self._entries: list[_Entry] = []
        self._own_total: set[str] = set()

    def add(self, entry: Any, loc: Loc) -> None:
        """Take one item of `model_list`."""
        data = entry if isinstance(entry, dict) else {}
        name, params = data.get("model_name"), data.get("litellm_params")
        if not isinstance(name, str) or not isinstance(params, dict) or not isinstance(params.get("model"), str):
            self._note(loc, _NO_MODEL)
            return
        if (wrong := _unusable(name)) is not None:
            self._note((*loc, "model_name"), wrong)
            return
        params = self._with_credentials(params, (*loc, "litellm_params"))
        made = provider_of(params, lambda key, message: self._note((*loc, "litellm_params", key), message))
        model_loc = (*loc, "litellm_params", "model")
        if made is None:
            self._note(model_loc, f"`{params['model']}` does not tell which provider serves it; it is left out")
        elif "*" in made.model[:-1] or (made.model.endswith("*") and not name.endswith("*")):
            self._note(model_loc, "a `*` stands only at the end, and of both names or of none; it is left out")
        else:
            if not made.is_served:
                kind = made.section["kind"]
                self._note(model_loc, f"this version has no providers of the kind `{kind}`; it is commented out")
            self._entries.append(_Entry(loc, name, params, data.get("model_info") or {}, made))
            self._leftovers(self._entries[-1])
        for key in data.keys() - {"model_name", "litellm_params", "model_info"}:
            self._note((*loc, key), "not carried over: it has no counterpart here")

    def finish(self) -> None:
        """All deployments are known: name their providers, and weigh those of one name against each other."""
        by_name: dict[str, list[_Entry]] = {}
        for entry in self._entries:
            by_name.setdefault(entry.name, []).append(entry)
        for name, entries in by_name.items():
            measure = next(
                (one for one in ("weight", "rpm", "tpm") if any(_number(e.params, one) for e in entries)), ""
            )
            for entry in entries:
                # a single deployment needs no weight
                self._deploy(name, entry, _number(entry.params, measure) or 0 if measure and len(entries) > 1 else 1)

    def alias(self, alias: str, target: Any, loc: Loc) -> None:
        """`alias` is another name for `target`, or for `target["model"]`."""
        name = target.get("model") if isinstance(target, dict) else target
        found = self.served.get(name) if isinstance(name, str) else None
        if found is None or not isinstance(name, str):
            self._note(loc, f"there is no model `{name}` to stand for")
        elif alias in self.served or (wrong := _unusable(alias)) is not None:
            self._note(loc, "a model of that name exists" if alias in self.served else str(wrong))
        else:
            self.served[alias] = _as_alias(found, name)

    def fallback(self, name: str, targets: list[Any], loc: Loc) -> None:
        """After `name`, try `targets`. Names that lead nowhere are told."""
        model = self.served.get(name)
        if model is None:
            why = "all its deployments are commented out" if name in self.later else "there is no such model"
            self._note(loc, f"`{name}`: {why}")
            return
        for target in targets:
            if not isinstance(target, str) or target.endswith("*"):
                self._note(loc, "not carried over: a fallback is the name of a model here")
            elif target == name or not covers(self.served, target):
                gone = "is commented out" if target in self.later else "is not served"
                self._note(loc, f"`{target}` {'is the model itself' if target == name else gone}")
            elif target not in model.setdefault("fallbacks", []):
                model["fallbacks"].append(target)

    def total_timeout(self, value: Any, loc: Loc) -> None:
        """The timeout of every model that has none of its own."""
        seconds = _seconds(value)
        if seconds is None:
            self._note(loc, "is not a number of seconds")
            return
        for name, model in self.served.items():
            if name not in self._own_total:
                _limit(model, "total", seconds)

    def _deploy(self, name: str, entry: _Entry, weight: float) -> None:
        provider = self.providers.name(entry.made)
        into = self.served if entry.made.is_served else self.later
        model = into.setdefault(name, {"deployments": []})
        deployment: dict[str, Any] = {"provider": provider}
        if entry.made.model != name:
            deployment["model"] = entry.made.model
        same = next((one for one in model["deployments"] if deployment.items() <= one.items()), None)
        if same is not None:
            same["weight"] = same.get("weight", 1) + weight
        else:
            model["deployments"].append(deployment | ({} if weight == 1 else {"weight": weight}))
        self._limits(name, model, entry)

    def _limits(self, name: str, model: dict[str, Any], entry: _Entry) -> None:
        """Timeouts are those of a name here: the longest of its deployments."""
        for key, ours in (("timeout", "total"), ("stream_timeout", "first_byte")):
            if key not in entry.params:
                continue
            seconds = _seconds(entry.params[key])
            if seconds is None:
                self._note((*entry.loc, "litellm_params", key), "is not a number of seconds")
                continue
            before = model.get("timeouts", {}).get(ours, 0)
            _limit(model, ours, max(seconds, before))
            if ours == "total":
                self._own_total.add(name)
        most = entry.info.get("max_output_tokens")
        if isinstance(most, int) and not isinstance(most, bool) and most > 0:
            model["max_output_tokens"] = max(most, model.get("max_output_tokens", 0))

    def _leftovers(self, entry: _Entry) -> None:
        """Tell of every parameter that went nowhere."""
        for key in entry.params:
            loc = (*entry.loc, "litellm_params", key)
            if key in ("rpm", "tpm"):
                self._note(loc, _LIMIT)
            elif key not in _OWN and key not in entry.made.used:
                self._note(loc, _why(key))
        for key in entry.info:
            if key not in _HARMLESS and key != "max_output_tokens":
                self._note((*entry.loc, "model_info", key), _why(key))

    def _with_credentials(self, params: Mapping[str, Any], loc: Loc) -> dict[str, Any]:
        """The parameters with their named credentials; their own win."""
        own = dict(params)
        named = own.pop("litellm_credential_name", None)
        if named is None:
            return own
        if named not in self._credentials:
            self._note((*loc, "litellm_credential_name"), f"there are no credentials `{named}`")
            return own
        return {**self._credentials[named], **own}


def _why(key: str) -> str:
    if "cost_per" in key:
        return "not carried over: prices come from the catalogue; others belong in prices.yaml"
    if key.startswith(("aws_", "vertex_", "azure_")):
        return "not carried over: how to sign in there is for the kind of provider that is to come"
    return _WHY.get(key, "not carried over: it has no counterpart here")


def _as_alias(model: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A copy of the model `name` under another name: what its deployments left to that one is spelled out."""
    copied = deepcopy(dict(model))
    for deployment in copied["deployments"]:
        deployment.setdefault("model", name)
    return copied


def _unusable(name: str) -> str | None:
    """What keeps `name` from being a model's name here."""
    if not 1 <= len(name) <= 200 or not name.isprintable() or " " in name:
        return "not carried over: a name has 1 to 200 characters and no spaces"
    if "*" in name[:-1]:
        return "not carried over: a name may have one `*`, as its last character"
    return "not carried over: such names ask for a prompt" if name.startswith("prompt:") else None


def _limit(model: dict[str, Any], which: str, seconds: float) -> None:
    model.setdefault("timeouts", {})[which] = seconds


def _seconds(value: Any) -> Any:
    """As the file has it, a variable included; None if it is no duration."""
    found = text_of(value)
    if isinstance(found, (int, float)) and not isinstance(found, bool) and 0 < found <= 86_400:
        return found
    return None


def _number(params: Mapping[str, Any], key: str) -> float | None:
    value = params.get(key)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0 else None
