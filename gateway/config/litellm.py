"""A LiteLLM proxy's configuration as ours, with a list of everything that has no counterpart here, each with its line.

Format: https://docs.litellm.ai/docs/proxy/configs and .../config_settings, as far as copies could be read in November
2026. Nothing is dropped in silence: what is not carried over is named. Secrets that stand in the file are not copied,
their variables are. Deployments at providers that this version has no kind for follow at the end, commented out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import yaml

from gateway.config import yamlfile
from gateway.config.litellm_models import Models
from gateway.config.yamlfile import Document, Loc
from gateway.errors import ConfigError, Fault

_SILENT: Final = frozenset(("model_list", "credential_list", "router_settings", "litellm_settings", "general_settings"))
_ANSWERS: Final[Mapping[str, str]] = {
    "master_key": "ignored: the gateway makes keys of its own at its first start (`gateway keys`)",
    "database_url": "not carried over: the gateway keeps its own ledger (`storage`)",
    "num_retries": "not carried over: a call that fails goes to its next deployment, then to its fallbacks",
    "context_window_fallbacks": "not carried over: this version has one list of fallbacks for every failure",
    "content_policy_fallbacks": "not carried over: this version has one list of fallbacks for every failure",
    "drop_params": "not carried over: requests go out as they came",
    "environment_variables": "not carried over: set the variables where the gateway runs",
    "include": "not carried over: import each of the files, and put them together",
    "max_budget": "not carried over: see `budgets`",
    "cache": "not carried over: this version has no cache",
    "cache_params": "not carried over: this version has no cache",
    "guardrails": "not carried over: this version has no guardrails",
    "mcp_servers": "not carried over: this version has no MCP",
}
_HARMLESS: Final = frozenset(("set_verbose", "json_logs", "enable_pre_call_checks", "telemetry"))
_MAPS: Final = ("fallbacks", "default_fallbacks", "model_group_alias", "timeout", "request_timeout", "routing_strategy")


class Converted(NamedTuple):
    """`text` is our gateway.yaml; `left` is what could not be carried over, in the order of the lines."""

    text: str
    left: list[Fault]


def convert(text: str, file: str = "config.yaml") -> Converted:
    """Our configuration for LiteLLM's `text`; `file` is its name in the list. Raises `ConfigError` if it is none."""
    document, faults = yamlfile.parse(text.removeprefix("\ufeff"), file)
    if not isinstance(document.data, dict) or not isinstance(document.data.get("model_list"), list):
        raise ConfigError([Fault(file, 1, "is no LiteLLM configuration: it has no `model_list`")])
    conversion = _Conversion(document, file)
    conversion.run()
    return Converted(conversion.text(), sorted([*faults, *conversion.left], key=lambda one: one.line or 0))


class _Conversion:
    """One file on its way."""

    def __init__(self, document: Document, file: str) -> None:
        self.data: dict[str, Any] = document.data
        self.document = document
        self.file = file
        self.left: list[Fault] = []
        self.models = Models(_credentials(self.data), self.note)

    def note(self, loc: Loc, message: str) -> None:
        """Add to what is left out."""
        where = re.sub(r"\.(\d+)", r"[\1]", ".".join(str(part) for part in loc))
        self.left.append(Fault(self.file, self.document.line(loc), f"`{where}`: {message}"))

    def run(self) -> None:
        """Convert section by section. The router's settings win over the library's, as they do there."""
        for index, entry in enumerate(self.data["model_list"]):
            self.models.add(entry, ("model_list", index))
        self.models.finish()
        for section in ("litellm_settings", "router_settings"):
            for name, value in _mapping(self.data.get(section)).items():
                self._setting((section, name), name, value)
        for name in _mapping(self.data.get("general_settings")):
            self._unmapped(("general_settings", name), name)
        for name in self.data:
            if name not in _SILENT:
                self._unmapped((name,), name)
        for one in ("litellm_settings", "router_settings"):
            self._fallbacks(one)

    def text(self) -> str:
        """The YAML."""
        made: dict[str, Any] = {"providers": self.models.providers.served, "models": self.models.served}
        head = (
            f"# Made from {self.file} by `gateway import litellm`. `gateway check` says whether it can be served.\n\n"
        )
        later = {"providers": self.models.providers.later, "models": self.models.later}
        text = head + _dump({name: value for name, value in made.items() if value})
        if not self.models.later:
            return text
        commented = "".join(f"# {line}\n" for line in _dump(later).splitlines())
        return f"{text}\n# This version has no such kinds of providers; they wait here until one has.\n{commented}"

    def _setting(self, loc: Loc, name: str, value: Any) -> None:
        if name in ("timeout", "request_timeout"):
            self.models.total_timeout(value, loc)
        elif name == "model_group_alias":
            for alias, target in _mapping(value).items():
                self.models.alias(alias, target, (*loc, alias))
        elif name == "routing_strategy":
            if value != "simple-shuffle":
                self.note(loc, f"`{value}` is not carried over: this version draws by weight")
        elif name not in _MAPS:
            self._unmapped(loc, name)

    def _unmapped(self, loc: Loc, name: str) -> None:
        if name not in _HARMLESS:
            self.note(loc, _ANSWERS.get(name, "not carried over: it has no counterpart here"))

    def _fallbacks(self, section: str) -> None:
        """Once all names are known, aliases included. The default ones come last."""
        settings = _mapping(self.data.get(section))
        for loc, name, targets in _pairs(settings.get("fallbacks"), (section, "fallbacks")):
            if name == "*" and name not in self.models.served:
                self._default_fallbacks(targets, loc)
            else:
                self.models.fallback(name, targets, loc)
        self._default_fallbacks(_items(settings.get("default_fallbacks")), (section, "default_fallbacks"))

    def _default_fallbacks(self, targets: list[Any], loc: Loc) -> None:
        for name in list(self.models.served):
            self.models.fallback(name, [target for target in targets if target != name], loc)


def _pairs(value: Any, loc: Loc) -> Iterator[tuple[Loc, str, list[Any]]]:
    """`[{"a": ["b", "c"]}, ...]`, or one mapping: each name with what follows it."""
    for index, entry in enumerate(_items(value) if isinstance(value, list) else [value]):
        here = (*loc, index) if isinstance(value, list) else loc
        for name, targets in _mapping(entry).items():
            yield (*here, name), name, _items(targets) if isinstance(targets, list) else [targets]


def _credentials(data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The named sets of `credential_list`."""
    found = {}
    for entry in _items(data.get("credential_list")):
        name = _mapping(entry).get("credential_name")
        if isinstance(name, str):
            found[name] = dict(_mapping(entry.get("credential_values")))
    return found


def _dump(data: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True, width=110))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
