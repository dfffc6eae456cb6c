"""The settings of gateway.yaml: what its keys are, and how a file becomes them or the full list of its faults.

A file is taken in five steps: YAML to data; presets and short forms written out; `${NAME}` filled in; every section
validated and every name followed, all faults collected; and only then are the providers left out whose variables are
not set. They are checked before they go, so that a check on a machine without keys still finds what is wrong in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError

from gateway.config import defaults, references, variables
from gateway.config.base import Label, ModelName, NotYet, Places, Section, subsection, wrong
from gateway.config.budgets import Budgets
from gateway.config.faults import dotted, explain, first_causes
from gateway.config.hosts import is_internal
from gateway.config.routes import Model, OpenAIProvider, Provider
from gateway.config.sections import Idempotency, Logs, Passthrough, Policies, Prices, Prompts, Storage
from gateway.config.server import Server
from gateway.config.shape import prune, write_out
from gateway.config.webhooks import Webhooks
from gateway.config.yamlfile import Document, Loc, examine
from gateway.errors import ConfigError, Fault


def _exact(name: str) -> str:
    if name.startswith("prompt:"):
        raise wrong("names that begin with `prompt:` ask for a prompt and cannot name a model")
    return name


class Settings(Section):
    """All of gateway.yaml. Every path is absolute, every default is filled in."""

    server: Server = subsection()
    """Where the gateway listens and what it takes."""
    storage: Storage = subsection()
    """Where state is kept."""
    providers: Mapping[Label, Provider] = Field(default_factory=dict)
    """Who serves."""
    models: Mapping[Annotated[ModelName, AfterValidator(_exact)], Model] = Field(default_factory=dict)
    """The names that clients use."""
    passthrough: Passthrough = subsection()
    """Who serves files, batches and other paths without a model."""
    idempotency: Idempotency = subsection()
    """How retries are answered."""
    logs: Logs = subsection()
    """What is logged."""
    prompts: Prompts = subsection()
    """Where prompts are."""
    policies: Policies = subsection()
    """Where policies are."""
    prices: Prices = subsection()
    """Where prices are."""
    budgets: Budgets = ()
    """What keys, teams, projects, models, users and tags may spend and use."""
    cache: NotYet = None
    """Not available in this version."""
    scorer: NotYet = None
    """Not available in this version."""
    vector_stores: NotYet = None
    """Not available in this version."""
    mcp: NotYet = None
    """Not available in this version."""
    auth: NotYet = None
    """Not available in this version."""
    webhooks: Webhooks = ()
    """Who is told of events."""
    retention: NotYet = None
    """Not available in this version."""


def read(
    path: Path | None,
    environ: Mapping[str, str],
    data_dir: Path = Path("data"),
    server: Mapping[str, object] | None = None,
) -> tuple[Settings, list[str]]:
    """The settings of the file at `path`, or those that run without one, and warnings for people.

    `environ` fills `${NAME}`; relative paths start at the file's folder (without a file: the current one), `data/...`
    at `data_dir`; `server` holds settings of that section which the command line overrides.

    Raises `ConfigError` with every fault, in the order of lines.
    """
    file = "built-in settings" if path is None else str(path)
    document, faults = (Document(defaults.document(environ), {}), []) if path is None else examine(path)
    reading = _Reading(document, file, environ, server or {})
    folder = Path() if path is None else path.parent
    settings, warnings = reading.finish({"places": Places(folder, data_dir)}, faults)
    return settings, warnings + list(_advice(settings))


def schema() -> dict[str, Any]:
    """The JSON Schema of gateway.yaml, for editors."""
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "gateway.yaml"}
    return Settings.model_json_schema() | about


class _Reading:
    """One file on its way to settings."""

    def __init__(
        self, document: Document, file: str, environ: Mapping[str, str], overrides: Mapping[str, object]
    ) -> None:
        self.document = document
        self.file = file
        self.overrides = overrides
        self.shaped = write_out(document.data, overrides)
        self.filled = variables.fill(self.shaped, environ)

    def finish(self, context: dict[str, Any], faults: list[Fault]) -> tuple[Settings, list[str]]:
        """The settings, once nothing is wrong; `faults` are those already known."""
        settings, found = self._validate(context)
        found += self._variables()
        if isinstance(self.shaped, dict):
            found += [(loc, f"`{dotted(loc)}`: {what}") for loc, what in references.check(self.filled.data)]
        faults = faults + [self._fault(loc, message) for loc, message in found]
        if faults:
            raise ConfigError(sorted(faults, key=lambda fault: fault.line or 0))
        pruned, left_out = prune(self.filled.data, self._left_out())
        if left_out or settings is None:
            settings = Settings.model_validate(pruned, context=context)
        return settings, left_out

    def _validate(self, context: dict[str, Any]) -> tuple[Settings | None, list[tuple[Loc, str]]]:
        try:
            return Settings.model_validate(self.filled.data, context=context), []
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
        found = [explain(detail, Settings, self.shaped) for detail in first_causes(details)]
        # What a missing variable leaves behind need not be valid; the variable itself is reported.
        unread = self.filled.unset.keys() | self.filled.broken.keys()
        return None, [(loc, message) for loc, message in found if loc not in unread]

    def _variables(self) -> Iterator[tuple[Loc, str]]:
        for loc, text in self.filled.broken.items():
            yield loc, f"`{dotted(loc)}`: `{text}` is no variable; write ${{NAME}}, or $${{ for a plain ${{"
        for loc, names in self.filled.unset.items():
            if loc[0] != "providers" or len(loc) < 3:
                yield loc, f"`{dotted(loc)}` needs the variable {' and '.join(names)}, which is not set"

    def _left_out(self) -> dict[str, str]:
        """Providers without their variables, and why."""
        reasons: dict[str, list[str]] = {}
        for loc, names in self.filled.unset.items():
            line = self.document.line(loc)
            where = self.file if line is None else f"{self.file}:{line}"
            reasons.setdefault(str(loc[1]), []).append(f"{' and '.join(names)} is not set ({where})")
        return {provider: "; ".join(texts) for provider, texts in reasons.items()}

    def _fault(self, loc: Loc, message: str) -> Fault:
        if loc[:1] == ("server",) and loc[1:2] and loc[1] in self.overrides:
            return Fault("command line", None, message)
        return Fault(self.file, self.document.line(loc), message)


def _advice(settings: Settings) -> Iterator[str]:
    for name, provider in settings.providers.items():
        if isinstance(provider, OpenAIProvider) and provider.base_url.startswith("http://"):
            host = urlsplit(provider.base_url).hostname or ""
            if not is_internal(host):
                yield f"provider `{name}` is called over plain http, which shows its key and all text to the network"
    if not settings.models:
        yield "there are no models to serve; name some under `models`"
