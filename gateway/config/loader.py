"""Folders and files to a snapshot, or one error that lists every fault with file and line."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson

from gateway.config import settings as settings_file
from gateway.config.routes import OpenAIProvider, ScriptedProvider
from gateway.config.snapshot import Snapshot, build
from gateway.errors import ConfigError, Fault
from gateway.providers.scripting import load as load_script


@dataclass(frozen=True, slots=True)
class Loader:
    """Knows where the files are. `server` are settings that the command line overrides."""

    config: Path | None
    environ: Mapping[str, str] = field(repr=False)
    data_dir: Path
    server: Mapping[str, object] = field(default_factory=dict)

    def load(self) -> Snapshot:
        """Read everything now. Blocks; raises `ConfigError`."""
        settings, warnings = settings_file.read(self.config, self.environ, self.data_dir, self.server)
        for provider in settings.providers.values():
            if isinstance(provider, ScriptedProvider) and provider.script is not None:
                load_script(provider.script)
        snapshot = build(settings, warnings)
        files = {name: _digest(file) for name, file in _provider_files(snapshot).items()}
        if not files:
            return snapshot
        digest = hashlib.sha256(orjson.dumps([snapshot.digest, files], option=orjson.OPT_SORT_KEYS)).hexdigest()
        return replace(snapshot, digest=digest, files=files)

    def watched(self, snapshot: Snapshot) -> list[Path]:
        """The files whose change asks for a reload."""
        found = [] if self.config is None else [self.config]
        return found + list(_provider_files(snapshot).values())


def _provider_files(snapshot: Snapshot) -> dict[str, Path]:
    """The file that a provider's settings name, by provider."""
    found = {}
    for name, provider in snapshot.settings.providers.items():
        if isinstance(provider, ScriptedProvider) and provider.script is not None:
            found[name] = provider.script
        elif isinstance(provider, OpenAIProvider) and provider.tls.ca_file is not None:
            found[name] = provider.tls.ca_file
    return found


def _digest(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError([Fault(str(file), None, f"cannot be read: {error.strerror}")]) from None
