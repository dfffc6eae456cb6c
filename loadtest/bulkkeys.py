"""Keys by the hundred thousand, into the store of a gateway that is about to start.

`gateway keys create` makes one a call, at a process and an fsync each. This goes through the same store, in one
transaction.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from gateway.config.loader import Loader
from gateway.runtime import open_keystore
from gateway.store.spec import KeySpec


def insert(config: Path, data: Path, count: int) -> list[str]:
    """Make `count` keys of the team `bench` for the gateway of this configuration and data folder; their texts."""
    loader = Loader(config, {}, data)
    spec = KeySpec(team="bench")
    with closing(open_keystore(loader.load().settings, loader.data_dir)) as store:
        return [text for _, text in store.create_many(spec for _ in range(count))]
