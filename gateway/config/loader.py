"""Folders and files to a snapshot, or one error that lists every fault with file and line."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.config import settings as settings_file
from gateway.config.prices import advice, read_prices
from gateway.config.routes import OpenAIProvider, ScriptedProvider
from gateway.config.settings import Settings
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
        prices = read_prices(settings, is_builtin=self.config is None)
        warnings += advice(settings, prices, time.time())
        files = {name: _digest(file) for name, file in _provider_files(settings).items()}
        return build(settings, prices, files, warnings)

    def watched(self, snapshot: Snapshot) -> list[Path]:
        """The files whose change asks for a reload."""
        found = [] if self.config is None else [self.config]
        found.append(snapshot.settings.prices.path)
        if snapshot.settings.prices.catalogue is not None:
            found.append(snapshot.settings.prices.catalogue)
        return found + list(_provider_files(snapshot.settings).values())


def _provider_files(settings: Settings) -> dict[str, Path]:
    """The file that a provider's settings name, by provider."""
    found = {}
    for name, provider in settings.providers.items():
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
