"""Packages that only some providers need, imported when one of those is configured."""

from __future__ import annotations

import importlib
from typing import Any


class MissingExtra(ImportError):
    """A package is not installed; the message says what for, and how to get it."""


def load(module: str, package: str, extra: str, purpose: str) -> Any:
    """`module` of the optional `package`, which `llm-gateway[<extra>]` brings. Raises `MissingExtra`."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"{purpose} needs {package}, which is not installed: pip install 'llm-gateway[{extra}]'", name=error.name
        ) from error
