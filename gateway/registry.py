"""Find the plugins of a folder: each module of it may offer one under a constant's name.

No decorator and no import side effect: a module is imported once at start, in name order, and asked for its constant.
Packages outside may offer the same through an entry point of the group `gateway.<folder>`. Two of one name are an
error.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plugin that was found: its name, the module that offers it, and what it is."""

    name: str
    module: str
    value: Any


class NameClash(Exception):
    """Two plugins of one kind have the same name."""


def discover(package: ModuleType, constant: str, name_of: Callable[[Any], str]) -> dict[str, Plugin]:
    """Plugins by name: what the modules of `package`, and entry points of the same group, offer as `constant`."""
    found: dict[str, Plugin] = {}
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda entry: entry.name):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        if hasattr(module, constant):
            _add(found, Plugin(name_of(getattr(module, constant)), module.__name__, getattr(module, constant)))
    for entry in entry_points(group=package.__name__):
        value = entry.load()
        _add(found, Plugin(name_of(value), entry.value, value))
    return found


def _add(found: dict[str, Plugin], plugin: Plugin) -> None:
    if plugin.name in found:
        raise NameClash(f"both {found[plugin.name].module} and {plugin.module} offer `{plugin.name}`")
    found[plugin.name] = plugin
