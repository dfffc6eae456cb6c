"""The two keys of a first start: one to develop with, one that may do everything.

Each lies in a file of its own under the data folder, mode 0600, and is made again when the file is missing or holds a
key that is not valid any more. Processes that start at the same time take turns, and find the same two keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.store.keystore import KeyStore
from gateway.store.private import read_private, turn, write_private
from gateway.store.spec import KeySpec

DEVELOPMENT: Final = KeySpec(team="default", name="development", role="developer")
ADMIN: Final = KeySpec(team="default", name="admin", role="admin")


@dataclass(frozen=True, slots=True)
class FirstKeys:
    """The texts of both keys, for whoever started the gateway; never for a log."""

    development: str
    admin: str

    def __repr__(self) -> str:
        return "<FirstKeys>"


def first_keys(store: KeyStore, folder: Path) -> FirstKeys:
    """The keys in `dev.key` and `admin.key` of the data folder, made if need be. Blocks; raises `ConfigError`."""
    with turn(folder):
        return FirstKeys(
            _key_in(folder / "dev.key", store, DEVELOPMENT),
            _key_in(folder / "admin.key", store, ADMIN),
        )


def _key_in(file: Path, store: KeyStore, spec: KeySpec) -> str:
    text = (read_private(file) or b"").decode("ascii", "replace").strip()
    record = store.find(text)
    if record is not None and record.caller.role == spec.role:
        return text
    _, text = store.create(spec)
    write_private(file, text.encode() + b"\n")
    return text
