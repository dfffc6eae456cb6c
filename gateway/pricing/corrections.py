"""Errors of the catalogue, corrected: `corrections.yaml` beside this file, each row with its source and the day on
which that was read.

A row has the form of `prices.yaml`, its provider being the catalogue's id, and `instead_of`: the catalogue's wrong
rates. Once the catalogue says something else the row is passed over, so that a newer catalogue is never held back.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

from gateway.errors import ConfigError
from gateway.pricing.contracts import Book, parse

FILE = Path(__file__).with_name("corrections.yaml")


@cache
def corrections() -> Book:
    """The corrections that ship with this version."""
    book, faults = parse(
        yaml.safe_load(FILE.read_text(encoding="utf-8")), FILE.name, lambda _: None, origin="correction"
    )
    if faults:
        raise ConfigError(faults)
    return book
