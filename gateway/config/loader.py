"""Folders and files to a snapshot, or one error that lists every fault with file and line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.config import settings as settings_file
from gateway.config.routes import OpenAIProvider, ScriptedProvider
from gateway.config.snapshot import Snapshot, build
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
        return build(settings, warnings)

    def watched(self, snapshot: Snapshot) -> list[Path]:
        """The files whose change asks for a reload."""
        found = [] if self.config is None else [self.config]
        for provider in snapshot.settings.providers.values():
            if isinstance(provider, ScriptedProvider) and provider.script is not None:
                found.append(provider.script)
            elif isinstance(provider, OpenAIProvider) and provider.tls.ca_file is not None:
                found.append(provider.tls.ca_file)
        return found
